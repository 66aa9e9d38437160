"""Runs of points as text, a piece at a time: what the JSON and CSV encoders share.

    in   a text in front of each run, Columns, a layout
    out  bytes, some PIECE_BYTES a piece

A piece bounds how long one kernel runs and how much a slow reader makes us hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from api.encode.kernels import (
    EXPORT,
    JSON,
    LINES,
    POINTS,
    ROWS,
    SLACK_BYTES,
    TEXT,
    write_runs,
)
from tsdb.batch import Columns, I64s, U8s
from tsdb.codec.resolution import Resolution

if TYPE_CHECKING:
    from tsdb.query.selection import Series

__all__ = [
    "EXPORT",
    "JSON",
    "LINES",
    "POINTS",
    "ROWS",
    "TEXT",
    "Layout",
    "batches",
    "pieces",
    "seconds_decimals",
]

PIECE_BYTES = 1 << 18
BATCH_SERIES, BATCH_POINTS = 1 << 10, 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How a run of points is written.

    mode       POINTS  head, points with separators between them, tail
               ROWS    the head again in front of each point
               LINES   head, values with separators, `between`, times with separators, tail
    decimals   of a time: 3 writes ticks of 1 ms as seconds, -3 puts three zeros behind them
    style      of values that JSON has no number for: TEXT bare words, JSON "+Inf", EXPORT
               "Infinity" and "StaleNaN"

    A point is before + time + between + value + behind.
    """

    mode: int
    decimals: int
    style: int = JSON
    before: bytes = b""
    between: bytes = b""
    behind: bytes = b""
    separator: bytes = b","
    tail: bytes = b""


def pieces(heads: Sequence[bytes], columns: Columns, layout: Layout) -> Iterator[bytes]:
    """The text of all runs; `heads[i]` stands in front of run i. A piece of LINES ends one."""
    assert len(heads) == columns.runs
    texts, ends = _joined(
        [layout.before, layout.between, layout.behind, layout.separator, layout.tail]
    )
    head_bytes, head_ends = _joined(heads)
    state = np.zeros(2, np.int64)
    out = np.empty(PIECE_BYTES, np.uint8)
    while state[0] < columns.runs:
        size = write_runs(
            columns.offsets,
            columns.timestamps,
            columns.values.view(np.uint64),
            head_bytes,
            np.concatenate(([0], head_ends)),
            texts,
            ends,
            layout.mode,
            layout.decimals,
            layout.style,
            state,
            out,
        )
        if size:
            yield out[:size].tobytes()
        elif state[0] < columns.runs:
            out = np.empty(2 * out.size, np.uint8)  # one step needs more room


def batches(series: Iterable[Series]) -> Iterator[tuple[list[Series], Columns]]:
    """Series side by side in columns: a kernel's call is too dear for a few points."""
    waiting: list[Series] = []
    points = 0
    for one in series:
        waiting.append(one)
        points += len(one)
        if points >= BATCH_POINTS or len(waiting) >= BATCH_SERIES:
            yield waiting, _side_by_side(waiting)
            waiting, points = [], 0
    if waiting:
        yield waiting, _side_by_side(waiting)


def seconds_decimals(resolution: Resolution) -> int:
    """Decimals that a time in seconds needs."""
    return len(str(resolution.ticks_per_s)) - 1


def _side_by_side(series: list[Series]) -> Columns:
    offsets = np.zeros(len(series) + 1, np.int64)
    np.cumsum([len(one) for one in series], out=offsets[1:])
    return Columns(
        offsets,
        np.concatenate([one.timestamps for one in series]),
        np.concatenate([one.values for one in series]),
    )


def _joined(texts: Sequence[bytes]) -> tuple[U8s, I64s]:
    """All texts and SLACK_BYTES more, and where each of them ends."""
    joined = np.frombuffer(b"".join(texts) + bytes(SLACK_BYTES), np.uint8)
    return joined, np.cumsum([len(text) for text in texts], dtype=np.int64)
