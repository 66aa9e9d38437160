"""Which window of time a point belongs to, and how wide the windows of a flush are.

    in   timestamps in ticks, a resolution, a level
    out  Window: first and last tick; the level for a flush

Windows of level l span BLOCK_WINDOW_S * BLOCK_WINDOW_FACTOR ** l seconds and start at multiples
of that, before 1970 too. So windows nest: two of them are disjoint or one lies in the other.
Ends are clamped to int64, and all arithmetic on them is Python's, so nothing overflows.

A flush takes the smallest level at which its points touch at most BLOCKS_PER_FLUSH_MAX windows
(docs/decisions/0006-block-windows.md). The span of its points answers that nearly always; when
stray points make the span wide, the windows that hold points are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s
from tsdb.block import kernels
from tsdb.codec.resolution import Resolution

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_CENSUS_MAX = 1 << 16
"""Windows remembered while counting; past it the count goes on at the next level."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Ticks from `start` to `end`, both included."""

    start: int
    end: int
    level: int

    def holds(self, other: Window) -> bool:
        return self.start <= other.start and other.end <= self.end

    def meets(self, other: Window) -> bool:
        return self.start <= other.end and other.start <= self.end


def width(level: int, resolution: Resolution) -> int:
    """Ticks of a window; may pass int64 at levels that only stray points reach."""
    factor: int = limits.BLOCK_WINDOW_FACTOR**level
    return limits.BLOCK_WINDOW_S * resolution.ticks_per_s * factor


def window_of(ts: int, level: int, resolution: Resolution) -> Window:
    """The window of `level` that `ts` lies in."""
    ticks = width(level, resolution)
    start = ts // ticks * ticks
    return Window(max(start, INT64_MIN), min(start + ticks - 1, INT64_MAX), level)


def common_window(first: int, last: int, level: int, resolution: Resolution) -> Window | None:
    """Smallest window of `level` or above with both ticks; None across 1970, where none nests."""
    if (first < 0) != (last < 0):
        return None
    while True:
        window = window_of(first, level, resolution)
        if last <= window.end:
            return window
        level += 1


def windows_between(first: int, last: int, level: int, resolution: Resolution) -> int:
    """How many windows of `level` touch the ticks from first to last."""
    ticks = width(level, resolution)
    return last // ticks - first // ticks + 1


def choose_level(
    resolution: Resolution, span: tuple[int, int], slices: Callable[[], Iterable[Columns]]
) -> int:
    """The level for a flush of points from span[0] to span[1].

    `slices` gives all of them, in any order; it is called only when the span alone is too wide
    for level 0.
    """
    if windows_between(*span, 0, resolution) <= limits.BLOCKS_PER_FLUSH_MAX:
        return 0
    level, ids = _census(resolution, slices())
    while ids.size > limits.BLOCKS_PER_FLUSH_MAX:
        level, ids = level + 1, _parents(ids)
    return level


def _census(resolution: Resolution, slices: Iterable[Columns]) -> tuple[int, I64s]:
    """A level, and the number of each window of it that holds a point."""
    level, ids = 0, np.empty(0, np.int64)
    ticks = width(0, resolution)
    for columns in slices:
        found = np.empty(columns.points, np.int64)
        count = kernels.window_ids(columns.timestamps, ticks, found)
        fresh = np.unique(found[:count])
        for _ in range(level):
            fresh = _parents(fresh)
        ids = np.union1d(ids, fresh)
        while ids.size > _CENSUS_MAX:
            level, ids = level + 1, _parents(ids)
    return level, ids


def _parents(ids: I64s) -> I64s:
    return np.unique(ids // limits.BLOCK_WINDOW_FACTOR)
