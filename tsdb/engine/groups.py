"""Series in groups that are read one after the other, so that an answer of any size fits.

in   refs in the order of the answer, how many points each has at most, how to read some
out  what was read, group after group; a series too large for a group in ranges of time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tsdb import limits
from tsdb.batch import I64s, U32s
from tsdb.errors import LimitExceeded

if TYPE_CHECKING:
    from tsdb.query.selection import Selection

__all__ = ["in_groups"]

Span = tuple[int, int]


def in_groups(
    refs: U32s,
    points: I64s,
    span: Span,
    points_max: int,
    read: Callable[[U32s, Span, int], Selection],
) -> Iterator[Selection]:
    """`read` takes ascending refs, a range, and how many points it may decode."""
    before = np.concatenate(([0], np.cumsum(points)))
    low = 0
    while low < refs.size:
        high = int(np.searchsorted(before, before[low] + points_max, side="right")) - 1
        high = max(high, low + 1)
        yield from _in_parts(refs[low:high], span, points_max, read)
        low = high


def _in_parts(
    refs: U32s, span: Span, points_max: int, read: Callable[[U32s, Span, int], Selection]
) -> Iterator[Selection]:
    """At once if it fits: points may have been written since they were counted."""
    if refs.size == 1:
        yield from _in_ranges(refs, span, points_max, read)
        return
    try:
        found = read(np.sort(refs), span, points_max)
    except LimitExceeded:
        for half in np.array_split(refs, 2):
            yield from _in_parts(half, span, points_max, read)
    else:
        yield found


def _in_ranges(
    one: U32s, span: Span, points_max: int, read: Callable[[U32s, Span, int], Selection]
) -> Iterator[Selection]:
    ranges = [span]
    while ranges:
        start, end = ranges.pop()
        most = points_max if start < end else limits.POINTS_PER_SELECT_MAX
        try:
            yield read(one, (start, end), most)
        except LimitExceeded:
            if start == end:
                raise
            middle = start + (end - start) // 2
            ranges += [(middle + 1, end), (start, middle)]
