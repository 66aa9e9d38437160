"""The promise in one run: what was acknowledged survives kill -9, to the last bit.

    in   nothing; a directory and a port of its own
    out  Outcome: what was sent, what came back

Values are chosen to be hard: random bit patterns of float64, zeros of both signs, denormals, the
largest and smallest numbers, infinities. They go in over HTTP as a bulk import and as single
points, the server is killed, started again, and everything is read back over HTTP.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api.answers import Place, Question, ask
from api.demo_server import DemoServer
from api.encode import json_lines
from api.remote import Remote, key_path
from tsdb.batch import F64s, I64s
from tsdb.codec.resolution import Resolution
from tsdb.index.labels import Labels
from tsdb.query.selection import Series

__all__ = ["Outcome", "prove"]

SERIES, POINTS, SINGLES, SEED = 40, 500, 60, 2015
STEP_MS = 10_000
HARD = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    1.7976931348623157e308,
    2.2250738585072014e-308,
    0.1,
    1e15 + 0.3,
]


@dataclass(frozen=True, slots=True)
class Outcome:
    sent: int
    acknowledged: int
    back: int
    differing: int
    send_s: float
    restart_s: float

    @property
    def same(self) -> bool:
        return self.sent == self.acknowledged == self.back and not self.differing


def prove(tell: Callable[[str], None]) -> Outcome:
    """Send, kill, restart, read back, compare."""
    with (
        tempfile.TemporaryDirectory(prefix="silverback-once-") as folder,
        DemoServer(Path(folder) / "data", port=0) as server,
    ):
        tell(f"server started in {server.start():.1f} s, pid {server.pid}, {server.url}")
        wanted = _hard_series(time.time_ns() // 1_000_000)
        began = time.monotonic()
        acknowledged = _send(server.url, wanted)
        send_s = time.monotonic() - began
        tell(f"{acknowledged:,} points acknowledged; kill -9 {server.pid}")
        server.kill()
        restart_s = server.start()
        tell(f"started again in {restart_s:.1f} s, pid {server.pid}; reading everything back")
        found = ask(Place(None, server.url), Question("{}"))
        back = {one.labels: (one.timestamps, one.values) for one in found}
    sent = sum(len(one) for one in wanted)
    differing = sum(_differing(one, back.get(one.labels)) for one in wanted)
    strangers = len(back.keys() - {one.labels for one in wanted})
    return Outcome(
        sent, acknowledged, found.columns.points, differing + strangers, send_s, restart_s
    )


def _hard_series(now_ms: int) -> list[Series]:
    """Bulk series, and one that is written point by point."""
    random = np.random.default_rng(SEED)
    start = now_ms - POINTS * STEP_MS
    made = []
    for i in range(SERIES):
        stamps = start + STEP_MS * np.arange(POINTS) + random.integers(-3, 4, POINTS)
        made.append(Series(Labels({"__name__": "proof", "series": str(i)}), stamps, _hard(random)))
    stamps = start + STEP_MS * np.arange(SINGLES)
    made.append(Series(Labels({"__name__": "proof/single"}), stamps, _hard(random)[:SINGLES]))
    return made


def _hard(random: np.random.Generator) -> F64s:
    """Half of the values any finite pattern, half such as sensors send."""
    values = random.integers(0, 2**64, POINTS, np.uint64).view(np.float64)
    values = np.where(np.isfinite(values), values, np.inf)
    values[::2] = np.round(random.normal(20, 5, POINTS), 2)[::2]
    values[: len(HARD)] = HARD
    return values


def _send(url: str, series: list[Series]) -> int:
    """Bulk first, then single points; returns how many were acknowledged."""
    *bulk, single = series
    acknowledged = 0
    with Remote(url) as server:
        body = b"".join(json_lines.stream(bulk, Resolution.MS))
        acknowledged += int(server.send("POST", "/api/v1/import", body)["points"])
        path = key_path(single.labels.name)
        for stamp, value in zip(single.timestamps.tolist(), single.values.tolist(), strict=True):
            text = repr(value) if np.isfinite(value) else '"Inf"'
            point = f"[[{stamp / 1000:.3f},{text}]]".encode()
            acknowledged += int(server.send("PUT", path, point)["points"])
    return acknowledged


def _differing(sent: Series, back: tuple[I64s, F64s] | None) -> int:
    """Points of one series that are not there with the same bits."""
    if back is None or back[0].size != len(sent):
        return len(sent)
    same = (back[0] == sent.timestamps) & (back[1].view(np.uint64) == sent.values.view(np.uint64))
    return int((~same).sum())
