"""replication.nats.child: a server that lives exactly as long as its node."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replication.nats.binary import find
from replication.nats.child import Child
from replication.nats.config import ServerPlace
from replication.settings import Address
from tsdb.errors import InvalidInput, Unavailable


def alone(directory: Path) -> ServerPlace:
    return ServerPlace("t", "n0", directory, None)


def runs(pid: int) -> bool:
    """Not as a zombie that nobody has fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_it_starts_rests_comes_back_when_killed_and_stops(tmp_path):
    urls: list[str] = []

    async def live():
        child = Child(alone(tmp_path), find(), started=urls.append)
        await child.start()
        first = child.pid
        assert child.url == urls[0]
        assert child.url.startswith("nats://127.0.0.1:")

        child.kill()
        await until(lambda: len(urls) == 2)
        second = child.pid
        assert not runs(first)
        assert child.restarts == 1

        async with child.rest():
            assert not runs(second)
        assert runs(child.pid)
        assert (len(urls), child.restarts) == (3, 1)

        await child.stop()
        assert not runs(child.pid)

    asyncio.run(live())
    assert (tmp_path / "nats.conf").stat().st_mode & 0o077 == 0


def test_two_servers_never_share_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr("replication.nats.child._LOCK_S", 0.1)

    async def both():
        first, second = Child(alone(tmp_path), find()), Child(alone(tmp_path), find())
        await first.start()
        with pytest.raises(Unavailable) as caught:
            await second.start()
        assert caught.value.code == "locked"
        await first.stop()
        await second.start()
        await second.stop()

    asyncio.run(both())


def test_a_server_that_cannot_start_says_why(tmp_path):
    taken = alone(tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "store").write_text("a file where a folder should be")

    async def start():
        child = Child(taken, find())
        with pytest.raises(InvalidInput) as caught:
            await child.start()
        assert child.pid is None or not runs(child.pid)
        return str(caught.value)

    said = asyncio.run(start())
    assert "n0" in said
    assert "storage directory is not a directory" in said


ORPHAN = """
import asyncio, sys
from pathlib import Path
from replication.nats.binary import find
from replication.nats.child import Child
from replication.nats.config import ServerPlace

async def main():
    child = Child(ServerPlace("t", "n0", Path(sys.argv[1]), None), find())
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children on Linux alone")
def test_it_dies_with_its_parent(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert runs(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    end = time.monotonic() + 10
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not runs(pid)


def test_routes_are_where_the_settings_say(servers):
    for node in servers.nodes:
        place = node.child.place
        assert isinstance(place.routes, Address)
        assert place.routes not in place.others
        assert len(place.others) == 2
