"""The demo: a real server, three days of history, and this machine's own figures every second.

    in   a data directory, a port
    out  a server to play with, until Ctrl-C; a second run finds its data

Everything goes through HTTP, as it would from anybody else. The figures on the live line are the
server's own (/metrics).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api.demo_history import history
from api.demo_machine import Machine
from api.demo_server import DemoServer
from api.encode import json_lines
from api.exits import CommandFailed, Exit
from api.remote import Remote
from api.sinks import ServerSink
from tsdb.codec.resolution import Resolution
from tsdb.index.labels import Labels
from tsdb.query.selection import Series

__all__ = ["Demo", "Pulse"]

RAW_POINT_BYTES = 16
BEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """One second of the demo."""

    points: int
    series: int
    stored_bytes: int
    sent_per_s: float
    ack_ms: float

    @property
    def bytes_per_point(self) -> float:
        return self.stored_bytes / max(self.points, 1)

    @property
    def ratio(self) -> float:
        return RAW_POINT_BYTES * self.points / max(self.stored_bytes, 1)


class Demo:
    """`start`, then `fill_history` where `is_new`, then `beat` for ever."""

    def __init__(self, data: Path, port: int) -> None:
        self.machine = Machine()
        self.server = DemoServer(data, port=port)
        self._remote: Remote | None = None

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def remote(self) -> Remote:
        assert self._remote is not None, "start first"
        return self._remote

    def start(self) -> float:
        took_s = self.server.start()
        self._remote = Remote(self.url)
        return took_s

    def is_new(self) -> bool:
        return self.figures()["silverback_series"] == 0

    def fill_history(self, progress: Callable[[int, int], None]) -> int:
        """Three days of three machines; `progress(points so far, points in all)`."""
        sink = ServerSink(self.remote, Resolution.MS)
        runs = [
            Series(Labels(run.labels), run.timestamps, run.values)
            for run in history(time.time_ns() // 1_000_000)
        ]
        total = sum(len(run) for run in runs)
        for run in runs:
            sink.series([run])
            progress(sink.kept.points, total)
        kept = sink.finish()
        if kept.points != total:
            raise CommandFailed(
                f"the server kept {kept.points:,} of {total:,} points: {kept.refused[:1]}", Exit.BUG
            )
        self.remote.send("POST", "/api/v1/admin/flush", b"")  # so that there are blocks to look at
        return total

    def beats(self) -> Iterator[Pulse]:
        """Send the machine's figures once a second; how that went, each time."""
        due = time.monotonic()
        while True:
            try:
                pulse = self._beat()
            except CommandFailed as error:
                self.server.check(error)
                raise
            yield pulse
            due = max(due + BEAT_S, time.monotonic())
            time.sleep(due - time.monotonic())

    def _beat(self) -> Pulse:
        began = time.monotonic()
        sent = self._send_once()
        acked = time.monotonic()
        figures = self.figures()
        in_head = int(figures["silverback_head_encoded_bytes"])
        return Pulse(
            points=int(figures["silverback_head_points"] + figures["silverback_block_points"]),
            series=int(figures["silverback_series"]),
            stored_bytes=in_head + int(figures["silverback_block_bytes"]),
            sent_per_s=sent / BEAT_S,
            ack_ms=(acked - began) * 1000,
        )

    def figures(self) -> dict[str, float]:
        """The server's own metrics that have no labels."""
        lines = self.remote.get("/metrics").decode().splitlines()
        plain = (line.split() for line in lines if line[:1].isalpha() and "{" not in line)
        return {name: float(value) for name, value, *_ in plain}

    def _send_once(self) -> int:
        stamp = np.array([time.time_ns() // 1_000_000], np.int64)
        series = [
            Series(Labels(labels), stamp, np.array([value]))
            for labels, value in self.machine.read()
        ]
        body = b"".join(json_lines.stream(series, Resolution.MS))
        return int(self.remote.send("POST", "/api/v1/import", body)["points"])

    def close(self) -> None:
        if self._remote is not None:
            self._remote.close()
        self.server.__exit__(None, None, None)
