"""Recent points of one shard: Gorilla streams in memory, one generation.

    in   Batch (`append`), deletes (`drop`)
    out  HeadView (`view`): the head as of one moment, read later and without a lock

A head fills, is frozen, is written to blocks and dropped as a whole; nothing in it is freed
singly, so a reader needs no more than a reference. A point newer than its series' newest goes to
the stream; an identical newest point is a no-op; everything else (late, or another value for a
known time) goes to the side, in log order. Invariant: a side point is not newer in time than the
newest stream point of its series, and was written after the stream point of the same time; so
laying side over stream, last one first, is "last write wins".

Memory is reserved once and touched as it fills; it grows, by a copy, only for a batch or a delete
larger than any request. Source: docs/decisions/0005-head-pages.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tsdb import limits, overlay, parallel
from tsdb.batch import Batch, Columns, I64s, SeriesDefinitions, U8s, U32s, U64s
from tsdb.codec.gorilla import DECODE_SLACK_BYTES
from tsdb.codec.resolution import Resolution
from tsdb.head import layout
from tsdb.head.kernels import append as append_kernels
from tsdb.head.kernels import read as read_kernels

Item = TypeVar("Item", np.uint8, np.uint32, np.uint64)
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SIDE_POINTS_MAX = limits.SIDE_BYTES_MAX // layout.SIDE_POINT_BYTES
# A point takes at most 23 bytes of stream. A page that opens takes 32 bytes, or less than a
# quarter of what its series has by then: docs/decisions/0005-head-pages.md has the sum.
POINT_ROOM_BYTES, RUN_ROOM_BYTES, GROWTH = 40, 40, 1.25
REQUEST_ROOM_BYTES = (POINT_ROOM_BYTES + RUN_ROOM_BYTES) * (limits.POINTS_PER_REQUEST_MAX + 2**17)
LANES, LANES_BYTES = 8, 1 << 18  # streams that are collected by turns; kept in the cache
DROP_POINTS = 1 << 20  # points that a delete decodes at once: 16 MB of columns


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch's points: stream, side or nothing to do."""

    points: int
    unchanged: int
    out_of_order: int


@dataclass(frozen=True, slots=True)
class HeadStats:
    """Bytes are what is used, not what is reserved."""

    series: int
    points: int
    side_points: int
    encoded_bytes: int
    arena_used_bytes: int
    side_bytes: int
    memory_bytes: int


class Head:
    """One generation. One thread appends and drops; `view` needs the same lock as they."""

    def __init__(self, resolution: Resolution, *, arena_bytes: int, refs_hint: int = 0) -> None:
        self._widths = resolution.packed_widths
        capacity = 2 * arena_bytes + REQUEST_ROOM_BYTES
        self._arena: U8s = np.empty(capacity, np.uint8)
        self._lines = _aligned_lines(max(refs_hint * 2, 1024))
        self._side_ts = np.empty(SIDE_POINTS_MAX, np.uint64)
        self._side_bits = np.empty(SIDE_POINTS_MAX, np.uint64)
        self._side_before = np.empty(SIDE_POINTS_MAX, np.uint32)
        self._marks: U64s = np.empty(1024 * layout.MARK_WORDS, np.uint64)
        self._newest = np.zeros(self._lines.size // layout.LINE_WORDS, np.uint32)
        self._cursors = np.zeros(layout.CURSORS, np.int64)
        self._cursors[layout.ARENA_END] = layout.UNIT  # page 0 means "none"
        self._cursors[layout.MIN_TS] = INT64_MAX
        self._cursors[layout.MAX_TS] = INT64_MIN

    # --- writing -------------------------------------------------------------------------------

    def fits(self, batch: Batch) -> bool:
        """Whether the worst that this batch can be has room in what is reserved.

        `append` takes it in any case; a head that would have to grow is better frozen first.
        """
        if self._side_points + batch.points > SIDE_POINTS_MAX:
            return False
        return self._arena_need(batch) <= self._arena.size

    def _arena_need(self, batch: Batch) -> int:
        used = int(self._cursors[layout.ARENA_END] * GROWTH)
        return used + batch.points * POINT_ROOM_BYTES + batch.refs.size * RUN_ROOM_BYTES

    def fits_drop(self) -> bool:
        """Whether `drop` may write every stream again without taking more memory."""
        return int(self._cursors[layout.ARENA_END] * (1 + GROWTH)) <= self._arena.size

    def append(self, batch: Batch) -> Appended:
        """Take all points; nothing is refused."""
        if not batch.refs.size:
            return Appended(0, 0, 0)
        self._grow_lines(int(batch.refs.max()) + 1)
        self._grow_arena(self._arena_need(batch))
        self._grow_side(self._side_points + batch.points)
        self._grow_marks(batch.points // layout.MARK_POINTS + batch.refs.size)
        before = self._cursors.copy()
        append_kernels.append(
            batch.refs,
            batch.columns.offsets,
            batch.columns.timestamps.view(np.uint64),
            batch.columns.values.view(np.uint64),
            self._widths,
            self._lines,
            self._arena,
            self._cursors,
            self._side_ts,
            self._side_bits,
            self._side_before,
            self._marks,
            self._newest,
        )
        grown = self._cursors - before
        return Appended(
            int(grown[layout.POINTS]), int(grown[layout.UNCHANGED]), int(grown[layout.LATE])
        )

    def drop(self, refs: U32s, start: int, end: int) -> int:
        """Points of `refs` (ascending) from start to end vanish.

        Series that lie in the range as a whole are forgotten; others that lose points are
        written again without them, side points laid over. Returns by how many `points` fell.
        """
        if not self.points or start > self.max_ts or end < self.min_ts:
            return 0
        before = self.points
        whole, part, points = self._touched(refs, start, end)
        self._forget(whole)
        pieces = np.cumsum(points) // DROP_POINTS
        for piece in np.unique(pieces):
            self._cut(part[pieces == piece], start, end)
        return before - self.points

    def _touched(self, refs: U32s, start: int, end: int) -> tuple[U32s, U32s, I64s]:
        """Refs with points in the range only, refs that may have others too, points of these."""
        view = self.view(refs)
        every, hit = view.side_counts(INT64_MIN, INT64_MAX), view.side_counts(start, end)
        lines = view.lines
        streamed = (lines[:, layout.PACKED] >> np.uint64(32)).astype(np.int64)
        first = lines[:, layout.FIRST_TS].view(np.int64)
        last = lines[:, layout.LAST_TS].view(np.int64)
        held = streamed > 0
        inside = held & (first >= start) & (last <= end) & (hit == every)
        met = held & ~inside & (((first <= end) & (last >= start)) | (hit > 0))
        return refs[inside], refs[met], (streamed + every)[met]

    def _cut(self, refs: U32s, start: int, end: int) -> None:
        columns = self.view(refs).read(INT64_MIN, INT64_MAX)
        left = overlay.without(columns, np.ones(refs.size, np.bool_), start, end)
        counts = np.diff(left.offsets)
        lost = np.flatnonzero(np.diff(columns.offsets) != counts)
        rest = overlay.gather(left, left.offsets[:-1][lost], counts[lost])
        self._forget(refs[lost])
        self.append(Batch(refs[lost], rest, SeriesDefinitions.none()))

    def _forget(self, refs: U32s) -> None:
        """Series without points, as if they had never had any. Their pages stay unused."""
        lines = self._lines.reshape(-1, layout.LINE_WORDS)
        gone = lines[refs, layout.PACKED] >> np.uint64(32)
        self._cursors[layout.POINTS] -= int(gone.sum())
        self._cursors[layout.LATE] -= self.view(refs).side_counts(INT64_MIN, INT64_MAX).sum()
        lines[refs] = 0
        self._newest[refs] = 0

    def _grow_arena(self, need: int) -> None:
        if need <= self._arena.size:
            return
        self._arena = _grown(self._arena, int(self._cursors[layout.ARENA_END]), need)

    def _grow_side(self, need: int) -> None:
        if need <= self._side_ts.size:
            return
        self._side_ts = _grown(self._side_ts, self._side_points, need)
        self._side_bits = _grown(self._side_bits, self._side_points, need)
        self._side_before = _grown(self._side_before, self._side_points, need)

    def _grow_marks(self, more: int) -> None:
        used = int(self._cursors[layout.MARKS_END])
        words = (used + more) * layout.MARK_WORDS
        if words > self._marks.size:
            self._marks = _grown(self._marks, used * layout.MARK_WORDS, words)

    def _grow_lines(self, refs: int) -> None:
        if refs * layout.LINE_WORDS <= self._lines.size:
            return
        grown = _aligned_lines(refs * 2)
        grown[: self._lines.size] = self._lines
        self._lines = grown  # views hold copies of the lines they use
        newest = np.zeros(refs * 2, np.uint32)
        newest[: self._newest.size] = self._newest
        self._newest = newest

    # --- reading -------------------------------------------------------------------------------

    def view(self, refs: U32s) -> HeadView:
        """The head's points of `refs` as they are now. Cheap: 68 bytes a ref are copied."""
        lines = np.empty(refs.size * layout.LINE_WORDS, np.uint64)
        newest = np.empty(refs.size, np.uint32)
        read_kernels.copy_lines(refs, self._lines, self._newest, lines, newest)
        side = (self._side_ts, self._side_bits, self._side_before)
        return HeadView(lines, self._arena, side, (self._marks, newest), self._widths)

    def refs(self) -> U32s:
        """Series with points, ascending."""
        lines = self._lines.reshape(-1, layout.LINE_WORDS)
        held = (lines[:, layout.PACKED] >> np.uint64(32)) != 0
        return np.flatnonzero(held).astype(np.uint32)

    # --- figures -------------------------------------------------------------------------------

    @property
    def points(self) -> int:
        """Points in streams and side; one that was written twice counts twice."""
        return int(self._cursors[layout.POINTS] + self._cursors[layout.LATE])

    @property
    def min_ts(self) -> int:
        """No point is older. (A delete may have removed the oldest.)"""
        return int(self._cursors[layout.MIN_TS])

    @property
    def max_ts(self) -> int:
        return int(self._cursors[layout.MAX_TS])

    @property
    def _side_points(self) -> int:
        return int(self._cursors[layout.SIDE_END])

    @property
    def arena_used_bytes(self) -> int:
        return int(self._cursors[layout.ARENA_END]) - layout.UNIT

    @property
    def side_bytes(self) -> int:
        return self._side_points * layout.SIDE_POINT_BYTES

    def stats(self) -> HeadStats:
        """Figures; looks at every line, so not for every write."""
        series = self.refs().size
        sizes = np.empty(self._lines.size // layout.LINE_WORDS, np.int64)
        encoded = int(read_kernels.measure_streams(self._lines, sizes))
        return HeadStats(
            series=series,
            points=self.points,
            side_points=int(self._cursors[layout.LATE]),
            encoded_bytes=encoded,
            arena_used_bytes=self.arena_used_bytes,
            side_bytes=self.side_bytes,
            memory_bytes=series * layout.LINE_BYTES
            + self.arena_used_bytes
            + self.side_bytes
            + int(self._cursors[layout.MARKS_END]) * layout.MARK_WORDS * 8,
        )


class HeadView:
    """Points of some series as of the moment it was made; appends meanwhile do not show."""

    def __init__(
        self,
        lines: U64s,
        arena: U8s,
        side: tuple[U64s, U64s, U32s],
        marks: tuple[U64s, U32s],
        widths: np.uint64,
    ) -> None:
        self._lines = lines
        self._arena = arena
        self._side = side
        self._marks, self._newest = marks
        self._widths = widths

    @property
    def lines(self) -> U64s:
        """Copied state lines, a row a series (tsdb.head.layout)."""
        return self._lines.reshape(-1, layout.LINE_WORDS)

    def read(self, start: int, end: int) -> Columns:
        """Run i: points of series i with start <= timestamp <= end, ascending, last write wins."""
        side = self._side_columns(start, end)
        chosen, rooms = np.empty(side.runs, np.uint32), np.empty(side.runs + 1, np.int64)
        largest = np.empty(2, np.int64)
        decoded = read_kernels.measure_read(
            *(self._lines, self._marks, self._newest, side.offsets, start, end),
            *(chosen, rooms, largest),
        )
        chunk_bytes, alone = largest.tolist()
        lanes = max(1, min(LANES, LANES_BYTES // (chunk_bytes + DECODE_SLACK_BYTES)))
        counts, span = np.empty(side.runs, np.int64), np.array([start, end], np.int64)
        timestamps, bits = np.empty(rooms[-1], np.int64), np.empty(rooms[-1], np.uint64)
        parts: list[tuple[int, int]] = []

        def of_part(first: int, last: int) -> None:
            verdict = read_kernels.read(
                self._lines[first * layout.LINE_WORDS : last * layout.LINE_WORDS],
                self._arena,
                self._marks,
                chosen[first:last],
                self._widths,
                span,
                side.offsets[first : last + 1],
                side.timestamps,
                side.values.view(np.uint64),
                np.empty(lanes * (chunk_bytes + DECODE_SLACK_BYTES), np.uint8),
                np.empty(lanes * layout.LANE_WORDS, np.uint64),
                np.empty(alone, np.int64),
                np.empty(alone, np.uint64),
                counts[first:last],
                timestamps[rooms[first] : rooms[last]],
                bits[rooms[first] : rooms[last]],
            )
            assert verdict < 0, f"stream {first + verdict} of a view is not what was appended"
            parts.append((first, last))

        parallel.run(side.runs, decoded, of_part)
        return overlay.closed_up(parts, rooms, counts, timestamps, bits)

    def side_counts(self, start: int, end: int) -> I64s:
        """Side points of each series with start <= timestamp <= end, hidden ones too."""
        side_ts, _, before = self._side
        counts = np.empty(self.lines.shape[0], np.int64)
        read_kernels.count_side(self._lines, side_ts, before, start, end, counts)
        return counts

    def _side_columns(self, start: int, end: int) -> Columns:
        """Side points, ascending, the last in log order kept."""
        runs = self.lines.shape[0]
        if not (self.lines[:, layout.CHAIN] >> np.uint64(32)).any():
            return overlay.empty(runs)
        counts = self.side_counts(start, end)
        offsets = np.zeros(runs + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        stamps, bits = np.empty(offsets[-1], np.uint64), np.empty(offsets[-1], np.uint64)
        read_kernels.collect_side(self._lines, *self._side, start, end, offsets, stamps, bits)
        run = np.repeat(np.arange(runs), counts)
        order = np.lexsort((stamps.view(np.int64), run))  # stable: log order among equals
        stamps, run = stamps[order], run[order]
        kept = np.append((np.diff(run) != 0) | (stamps[1:] != stamps[:-1]), True)[: run.size]
        np.cumsum(np.bincount(run[kept], minlength=runs), out=offsets[1:])
        values = bits[order][kept].view(np.float64)
        return Columns(offsets, stamps[kept].view(np.int64), values)


def _grown(old: npt.NDArray[Item], used: int, need: int) -> npt.NDArray[Item]:
    """A larger copy. Views keep the array that they were made with."""
    grown = np.empty(need + old.size // 2, old.dtype)
    grown[:used] = old[:used]
    return grown


def _aligned_lines(refs: int) -> U64s:
    """Zeroed lines that start on a cache line; memory is touched when used."""
    words = np.zeros(refs * layout.LINE_WORDS + layout.LINE_WORDS, np.uint64)
    skip = (-words.ctypes.data % layout.LINE_BYTES) // 8
    return words[skip : skip + refs * layout.LINE_WORDS]
