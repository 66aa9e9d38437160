"""Promise: a 2xx survives kill -9. A real server, 64 writers, killed in the middle, many times.

Every writer sends points of its own with values that say who wrote them and when. After each
kill the server starts again on the same directory; what it then holds must contain all that was
acked and nothing that was not sent.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.connection import Connection

WRITERS = 64
START_S = 1_700_000_000
WHOLE_EVERY = 10  # kills between checks of everything ever acked


@dataclass
class Writer:
    """One connection's history: `acked` of `sent` points, point n has value client << 32 | n."""

    client: int
    sent: int = 0
    acked: list[int] = field(default_factory=list)
    fresh: int = 0  # the first point that no check has seen

    async def write_until_cut(self, port: int) -> None:
        connection = await Connection.open(port)
        try:
            while True:
                self.sent += 1
                point = [START_S + self.sent, float(self.client << 32 | self.sent)]
                path = f"/kv/writer/{self.client}"
                body = json.dumps([point]).encode()
                status, answer = await connection.send("PUT", path, body, "application/json")
                assert status == 200, answer
                self.acked.append(self.sent)
        except (OSError, asyncio.IncompleteReadError):
            return  # the server is gone; the last point may or may not be kept
        finally:
            connection.writer.close()

    def check(self, server: serving.Server, first: int = 0) -> None:
        """From point `first` on: to read all of a long history after each kill takes hours."""
        held = {int(v) & 0xFFFFFFFF for _, v in points_of(server, self.client, first)}
        lost = {n for n in self.acked if n >= first} - held
        invented = held - set(range(1, self.sent + 1))
        assert not lost, f"writer {self.client} lost acked points {sorted(lost)[:5]}"
        assert not invented, f"writer {self.client} has points nobody sent {sorted(invented)[:5]}"


def points_of(server: serving.Server, client: int, first: int) -> list[list[float]]:
    if f"writer/{client}".encode() not in server.get(f"/kv?prefix=writer/{client}"):
        return []  # nothing of this writer was ever kept
    start = START_S + first if first else 0
    answer = server.get(f"/kv/writer/{client}?start={start}&limit=1000000")
    points: list[list[float]] = json.loads(answer)["points"]
    assert all(int(v) >> 32 == client for _, v in points)
    return points


async def one_life(server: serving.Server, writers: list[Writer], seconds: float) -> None:
    tasks = [asyncio.create_task(w.write_until_cut(server.port)) for w in writers]
    await asyncio.sleep(seconds)  # the kill must come while requests are under way
    server.kill()
    await asyncio.gather(*tasks)


def check_all(server: serving.Server, writers: list[Writer], *, whole: bool) -> None:
    """Every point ever acked is there; or, unless `whole`, every one that no check has seen."""
    for writer in writers:
        writer.check(server, 0 if whole else writer.fresh)
        writer.fresh = writer.sent


def run_kills(folder: Path, kills: int, seed: int) -> int:
    rng = random.Random(seed)
    writers = [Writer(client) for client in range(1, WRITERS + 1)]
    for kill in range(kills):
        server = serving.start(folder / "db")
        check_all(server, writers, whole=kill % WHOLE_EVERY == 0)
        asyncio.run(one_life(server, writers, rng.uniform(0.2, 1.0)))
    server = serving.start(folder / "db")
    check_all(server, writers, whole=True)
    server.stop()
    return sum(len(w.acked) for w in writers)


def test_nothing_acked_is_lost_by_kill_9(tmp_path: Path) -> None:
    acked = run_kills(tmp_path, kills=3, seed=1)

    assert acked > WRITERS * 3, "the writers hardly wrote: this run proves little"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_acked_is_lost_by_fifty_kills(tmp_path: Path) -> None:
    acked = run_kills(tmp_path, kills=50, seed=2)

    assert acked > WRITERS * 50
