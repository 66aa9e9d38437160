"""Which series have points in a range, told by the bounds of what holds them: nothing is decoded.

    in   refs, what the database holds at one position, a range of ticks
    out  refs of series with a chunk or a stream that overlaps the range; how many points at most

A chunk that begins before the range and ends after it counts, though it may have a gap there; so
does a chunk whose points were deleted since. Listings for people may say a series too many, as
Prometheus' do. Price: 64 bytes a series copied from the head, two comparisons a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsdb.batch import I64s, U32s
from tsdb.engine.version import Version
from tsdb.head import layout
from tsdb.head.head import HeadView

__all__ = ["points_at_most", "present"]


def present(refs: U32s, version: Version, views: Sequence[HeadView], start: int, end: int) -> U32s:
    """Those of `refs` (ascending) that may have points with start <= timestamp <= end."""
    start = max(start, version.horizon)
    found = np.zeros(refs.size, np.bool_)
    for block in version.blocks:
        if start > end or block.meta.max_ts < start or block.meta.min_ts > end:
            continue
        found |= np.diff(block.table.select(refs, start, end).bounds) > 0
    for view in views if start <= end else ():
        lines = view.lines
        first = lines[:, layout.FIRST_TS].view(np.int64)
        last = lines[:, layout.LAST_TS].view(np.int64)
        streamed = lines[:, layout.PACKED] >> np.uint64(32) > 0
        found |= streamed & (first <= end) & (last >= start)
        if (lines[:, layout.CHAIN] >> np.uint64(32)).any():
            found |= view.side_counts(start, end) > 0
    chosen: U32s = refs[found]
    return chosen


def points_at_most(
    refs: U32s, version: Version, views: Sequence[HeadView], start: int, end: int
) -> I64s:
    """Points of each of `refs` (ascending) that a read of the range decodes, or a few more:
    chunks and streams count whole, points that were written twice count twice."""
    start = max(start, version.horizon)
    found = np.zeros(refs.size, np.int64)
    for block in version.blocks:
        if start > end or block.meta.max_ts < start or block.meta.min_ts > end:
            continue
        chosen = block.table.select(refs, start, end)
        before = np.zeros(chosen.chunks.size + 1, np.int64)
        np.cumsum(block.table.counts[chosen.chunks], out=before[1:])
        found += np.diff(before[chosen.bounds])
    for view in views if start <= end else ():
        lines = view.lines
        first = lines[:, layout.FIRST_TS].view(np.int64)
        last = lines[:, layout.LAST_TS].view(np.int64)
        streamed = (lines[:, layout.PACKED] >> np.uint64(32)).astype(np.int64)
        found += np.where((first <= end) & (last >= start), streamed, 0)
        if (lines[:, layout.CHAIN] >> np.uint64(32)).any():
            found += view.side_counts(start, end)
    return found
