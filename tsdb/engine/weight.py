"""How much a read of some series would be, told before anything is read.

    in   refs, what the database holds at one position, a range of ticks
    out  Weight: two bounds of the series and points a selection returns; blocks and bytes it opens

Nothing is decoded: chunk tables and state lines say when chunks and streams begin and end, which
are times of points, and how many points they hold. The upper bound counts what touches the range
whole. The lower bound counts whole what lies inside the range, and one point where an end lies
inside; where sources overlap in time, as points written twice count once, it takes the larger; and
it counts nothing of a source from which a delete may have taken something. Price: as
tsdb.engine.presence: 0.3 ms for 10,000 series and a source, 0.08 ms for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tsdb.batch import I64s, U32s
from tsdb.block.reader import Block
from tsdb.engine.version import Version
from tsdb.head import layout
from tsdb.head.head import HeadView

__all__ = ["Weight", "weigh"]


@dataclass(frozen=True, slots=True)
class Weight:
    """`_least` of them are certainly returned, so a bound they pass would be passed."""

    series: int = 0
    series_least: int = 0
    points: int = 0
    points_least: int = 0
    blocks: int = 0
    bytes: int = 0  # of chunks to decode


@dataclass(frozen=True, slots=True)
class _Part:
    """What one source may add; arrays by series."""

    most: I64s
    least: I64s
    first: int  # of the source's points in the range, or before
    last: int
    bytes: int = 0
    blocks: int = 0


def weigh(refs: U32s, version: Version, views: Sequence[HeadView], start: int, end: int) -> Weight:
    """Of `refs` (ascending) with start <= timestamp <= end."""
    start = max(start, version.horizon)
    if start > end or not refs.size:
        return Weight()
    most, certain = np.zeros(refs.size, np.int64), np.zeros(refs.size, np.bool_)
    blocks = bytes_ = 0
    parts: list[tuple[int, int, int]] = []  # first, last, points at least
    for part in _parts(refs, version, views, start, end):
        most += part.most
        certain |= part.least > 0
        blocks, bytes_ = blocks + part.blocks, bytes_ + part.bytes
        parts.append((part.first, part.last, int(part.least.sum())))
    return Weight(
        series=int(np.count_nonzero(most)),
        series_least=int(np.count_nonzero(certain)),
        points=int(most.sum()),
        points_least=_together(parts),
        blocks=blocks,
        bytes=bytes_,
    )


def _together(parts: list[tuple[int, int, int]]) -> int:
    """Points of all, where those that overlap in time may hold the same ones."""
    total = largest = 0
    until: int | None = None
    for first, last, least in sorted(parts):
        if until is None or first > until:
            total, largest, until = total + largest, 0, last
        largest, until = max(largest, least), max(until, last)
    return total + largest


def _parts(
    refs: U32s, version: Version, views: Sequence[HeadView], start: int, end: int
) -> Iterator[_Part]:
    def may_lose(seq: int) -> bool:
        return any(each.hides_from(seq, start, end) for each in version.tombstones)

    for block in version.blocks:
        meta = block.meta
        if meta.max_ts >= start and meta.min_ts <= end:
            yield _of_block(block, refs, start, end, sure=not may_lose(meta.deleted_through))
    for i, view in enumerate(views):
        frozen = version.frozen[i] if i < len(version.frozen) else None
        sure = frozen is None or not may_lose(frozen.seq_hi)
        part = _of_view(view, start, end, sure=sure)
        if part is not None:
            yield part


def _of_block(block: Block, refs: U32s, start: int, end: int, *, sure: bool) -> _Part:
    table = block.table
    selected = table.select(refs, start, end)
    chunks = selected.chunks
    first, last, counts = table.min_ts[chunks], table.max_ts[chunks], table.counts[chunks]
    return _Part(
        _summed(counts, selected.bounds),
        _summed(_certain(first, last, counts, start, end) * sure, selected.bounds),
        block.meta.min_ts,
        block.meta.max_ts,
        int((table.starts[chunks + 1] - table.starts[chunks]).sum()),
        int(chunks.size > 0),
    )


def _of_line(view: HeadView, start: int, end: int, *, sure: bool) -> _Part | None:
    """As `_of_view`, of one series: without arrays, it takes a tenth of the time."""
    line = view.lines[0].view(np.int64).tolist()
    first, last, count = line[layout.FIRST_TS], line[layout.LAST_TS], line[layout.PACKED] >> 32
    if not count or first > end or last < start:
        return None
    inside = start <= first and last <= end
    met = start <= first <= end or start <= last <= end
    least = (count if inside else int(met)) * sure
    return _Part(np.array([count]), np.array([least]), first, last)


def _of_view(view: HeadView, start: int, end: int, *, sure: bool) -> _Part | None:
    lines = view.lines
    if len(lines) == 1 and not lines[0, layout.CHAIN] >> np.uint64(32):
        return _of_line(view, start, end, sure=sure)
    first = lines[:, layout.FIRST_TS].view(np.int64)
    last = lines[:, layout.LAST_TS].view(np.int64)
    counts = (lines[:, layout.PACKED] >> np.uint64(32)).astype(np.int64)
    touched = (counts > 0) & (first <= end) & (last >= start)
    most = np.where(touched, counts, 0)
    least = np.where(touched, _certain(first, last, counts, start, end), 0)
    low, high = first, last
    if (lines[:, layout.CHAIN] >> np.uint64(32)).any():
        side = view.side_counts(start, end)
        most = most + side
        least = np.maximum(least, side > 0)
        low, high = np.minimum(first, start), np.maximum(last, end)
    held = most > 0
    if not held.any():
        return None
    return _Part(most, least * sure, int(low[held].min()), int(high[held].max()))


def _certain(first: I64s, last: I64s, counts: I64s, start: int, end: int) -> I64s:
    """Points that are in the range for sure: all, or the one at an end of the stretch."""
    inside = (first >= start) & (last <= end)
    met = ((first >= start) & (first <= end)) | ((last >= start) & (last <= end))
    return np.where(inside, counts, met)


def _summed(values: I64s, bounds: I64s) -> I64s:
    before = np.zeros(values.size + 1, np.int64)
    np.cumsum(values, out=before[1:])
    return np.diff(before[bounds])
