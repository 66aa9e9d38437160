"""Points as text, a piece at a time: what the JSON and CSV encoders share.

    in   timestamps, values, a layout
    out  bytes, PIECE_POINTS points a piece

A piece bounds how long one kernel runs and how much a slow reader makes us hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from api.encode.kernels import (
    JSON,
    LINES,
    POINT_BYTES_MAX,
    SLACK_BYTES,
    TEXT,
    TIMES,
    VALUES,
    write_points,
)
from tsdb.batch import F64s, I64s
from tsdb.codec.resolution import Resolution

__all__ = [
    "JSON",
    "LINES",
    "TEXT",
    "TIMES",
    "VALUES",
    "Layout",
    "gathered",
    "pieces",
    "seconds_decimals",
]

PIECE_POINTS = 1 << 16
PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """Each point is written as before + time + between + value + behind.

    decimals   of a time: 3 writes ticks of 1 ms as seconds, -3 puts three zeros behind them
    columns    TIMES | VALUES, or one of them
    style      of values that JSON has no number for: TEXT bare, JSON and LINES as strings
    """

    decimals: int
    style: int = JSON
    columns: int = TIMES | VALUES
    before: bytes = b""
    between: bytes = b""
    behind: bytes = b","


def pieces(timestamps: I64s, values: F64s, layout: Layout) -> Iterator[bytes]:
    """The text of all points; nothing for none."""
    texts = layout.before, layout.between, layout.behind
    joined = np.frombuffer(b"".join(texts) + bytes(SLACK_BYTES), np.uint8)
    ends = np.cumsum([len(text) for text in texts])
    points = max(timestamps.size, values.size)
    room = min(points, PIECE_POINTS) * (POINT_BYTES_MAX + int(ends[2])) + SLACK_BYTES
    out = np.empty(room, np.uint8)
    for at in range(0, points, PIECE_POINTS):
        size = write_points(
            timestamps[at : at + PIECE_POINTS],
            values[at : at + PIECE_POINTS].view(np.uint64),
            layout.columns,
            layout.decimals,
            layout.style,
            joined,
            ends,
            out,
        )
        yield out[:size].tobytes()


def seconds_decimals(resolution: Resolution) -> int:
    """Decimals that a time in seconds needs."""
    return len(str(resolution.ticks_per_s)) - 1


def gathered(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at least PIECE_BYTES, the last one apart."""
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
