"""Recent points of one shard: Gorilla streams in memory, one generation.

    in   Batch (`append`), deletes (`drop`)
    out  HeadView (`view`): the head as of one moment, read later and without a lock

A head fills, is frozen, is written to blocks and dropped as a whole; nothing in it is freed
singly, so a reader needs no more than a reference. A point newer than its series' newest goes to
the stream; an identical newest point is a no-op; everything else (late, or another value for a
known time) goes to the side, in log order. Invariant: a side point is not newer in time than the
newest stream point of its series, and was written after the stream point of the same time; so
laying side over stream, last one first, is "last write wins".

Memory is reserved once and touched as it fills. Source: docs/decisions/0005-head-pages.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdb import limits, overlay
from tsdb.batch import Batch, Columns, I64s, SeriesDefinitions, U8s, U32s, U64s
from tsdb.codec.gorilla import DECODE_SLACK_BYTES, decode_chunks
from tsdb.codec.resolution import Resolution
from tsdb.head import kernels, layout

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SIDE_POINTS_MAX = limits.SIDE_BYTES_MAX // layout.SIDE_POINT_BYTES
# A stream takes at most 23 bytes a point; links, the page after, and the pages that a growing
# series opens before it needs them are within these bounds (docs/decisions/0005-head-pages.md).
POINT_ROOM_BYTES, RUN_ROOM_BYTES, GROWTH = 40, 40, 1.6
REQUEST_ROOM_BYTES = (POINT_ROOM_BYTES + RUN_ROOM_BYTES) * (limits.POINTS_PER_REQUEST_MAX + 2**17)


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
        self._resolution = resolution
        capacity = 2 * arena_bytes + REQUEST_ROOM_BYTES
        self._arena: U8s = np.empty(capacity, np.uint8)
        self._lines = _aligned_lines(max(refs_hint * 2, 1024))
        self._side_ts = np.empty(SIDE_POINTS_MAX, np.uint64)
        self._side_bits = np.empty(SIDE_POINTS_MAX, np.uint64)
        self._side_before = np.empty(SIDE_POINTS_MAX, np.uint32)
        self._scratch = np.zeros(64, np.uint8)
        self._cursors = np.zeros(layout.CURSORS, np.int64)
        self._cursors[layout.ARENA_END] = layout.UNIT  # page 0 means "none"
        self._cursors[layout.MIN_TS] = INT64_MAX
        self._cursors[layout.MAX_TS] = INT64_MIN

    # --- writing -------------------------------------------------------------------------------

    def fits(self, batch: Batch) -> bool:
        """Whether `append` has room for the worst that this batch can be."""
        if self._side_points + batch.points > SIDE_POINTS_MAX:
            return False
        used = int(self._cursors[layout.ARENA_END] * GROWTH)
        need = batch.points * POINT_ROOM_BYTES + batch.refs.size * RUN_ROOM_BYTES
        return used + need <= self._arena.size

    def fits_drop(self) -> bool:
        """Whether `drop` has room to write every stream again."""
        return int(self._cursors[layout.ARENA_END] * (1 + GROWTH)) <= self._arena.size

    def append(self, batch: Batch) -> Appended:
        """Take all points; nothing is refused. `fits(batch)` must hold."""
        assert self.fits(batch), "no room: the engine freezes a head before it is full"
        if not batch.refs.size:
            return Appended(0, 0, 0)
        self._grow_lines(int(batch.refs.max()) + 1)
        before = self._cursors.copy()
        kernels.append(
            batch.refs,
            batch.columns.offsets,
            batch.columns.timestamps.view(np.uint64),
            batch.columns.values.view(np.uint64),
            self._resolution.packed_widths,
            self._lines,
            self._arena,
            self._cursors,
            self._side_ts,
            self._side_bits,
            self._side_before,
            self._scratch,
        )
        grown = self._cursors - before
        return Appended(
            int(grown[layout.POINTS]), int(grown[layout.UNCHANGED]), int(grown[layout.LATE])
        )

    def drop(self, refs: U32s, start: int, end: int) -> int:
        """Points of `refs` (ascending) from start to end vanish; returns how many did.

        The series that lose points are written again without them, side points included.
        """
        if not self.points or start > self.max_ts or end < self.min_ts:
            return 0
        assert self.fits_drop()
        columns = self.view(refs).read(INT64_MIN, INT64_MAX)
        every = np.ones(refs.size, np.bool_)
        left = overlay.without(columns, every, start, end)
        lost = np.flatnonzero(np.diff(columns.offsets) != np.diff(left.offsets))
        if not lost.size:
            return 0
        self._forget(refs[lost])
        counts = np.diff(left.offsets)[lost]
        rewritten = overlay.gather(left, left.offsets[:-1][lost], counts)
        self.append(Batch(refs[lost], rewritten, SeriesDefinitions.none()))
        return columns.points - left.points

    def _forget(self, refs: U32s) -> None:
        lines = self._lines.reshape(-1, layout.LINE_WORDS)
        gone = lines[refs, layout.PACKED] >> np.uint64(32)
        sides = np.empty(refs.size, np.int64)
        copied = self.view(refs)
        side_points = copied.count_side(INT64_MIN, INT64_MAX, sides)
        self._cursors[layout.POINTS] -= int(gone.sum())
        self._cursors[layout.LATE] -= side_points
        lines[refs] = 0

    def _grow_lines(self, refs: int) -> None:
        if refs * layout.LINE_WORDS <= self._lines.size:
            return
        grown = _aligned_lines(refs * 2)
        grown[: self._lines.size] = self._lines
        self._lines = grown  # readers hold copies of the lines they use

    # --- reading -------------------------------------------------------------------------------

    def view(self, refs: U32s) -> HeadView:
        """The head's points of `refs` as they are now. Cheap: 64 bytes a ref are copied."""
        lines = np.empty(refs.size * layout.LINE_WORDS, np.uint64)
        kernels.copy_lines(refs, self._lines, lines)
        side = (self._side_ts, self._side_bits, self._side_before)
        return HeadView(lines, self._arena, side, self._resolution)

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
        encoded = int(kernels.measure_streams(self._lines, sizes))
        return HeadStats(
            series=series,
            points=self.points,
            side_points=int(self._cursors[layout.LATE]),
            encoded_bytes=encoded,
            arena_used_bytes=self.arena_used_bytes,
            side_bytes=self.side_bytes,
            memory_bytes=series * 64 + self.arena_used_bytes + self.side_bytes,
        )


class HeadView:
    """Points of some series as of the moment it was made; appends meanwhile do not show."""

    def __init__(
        self, lines: U64s, arena: U8s, side: tuple[U64s, U64s, U32s], resolution: Resolution
    ) -> None:
        self._lines = lines
        self._arena = arena
        self._side = side
        self._resolution = resolution

    def read(self, start: int, end: int) -> Columns:
        """Run i: points of series i with start <= timestamp <= end, ascending, last write wins."""
        streams = overlay.clip(self._streams(start, end), start, end, in_place=True)
        side = self._side_columns(start, end)
        return streams if side is None else overlay.overlay([streams, side])

    def _streams(self, start: int, end: int) -> Columns:
        """Whole streams of the series whose range meets start to end."""
        lines = self._lines.reshape(-1, layout.LINE_WORDS)
        counts = (lines[:, layout.PACKED] >> np.uint64(32)).astype(np.int64)
        first = lines[:, layout.FIRST_TS].view(np.int64)
        last = lines[:, layout.LAST_TS].view(np.int64)
        met = (counts > 0) & (first <= end) & (last >= start)
        chosen = lines if met.all() else lines[met]
        wanted = np.ascontiguousarray(chosen).reshape(-1)
        sizes = np.empty(chosen.shape[0], np.int64)
        total = int(kernels.measure_streams(wanted, sizes))
        ends = np.cumsum(sizes)
        data = np.zeros(total + DECODE_SLACK_BYTES, np.uint8)
        kernels.collect_streams(wanted, self._arena, ends - sizes, data)
        columns = decode_chunks(data, ends - sizes, ends, counts[met], self._resolution)
        offsets = np.zeros(counts.size + 1, np.int64)
        np.cumsum(np.where(met, counts, 0), out=offsets[1:])
        return Columns(offsets, columns.timestamps, columns.values)

    def count_side(self, start: int, end: int, counts: I64s) -> int:
        """Fill counts[i] with the side points of series i in the range; returns their sum."""
        side_ts, _, before = self._side
        total: int = kernels.count_side(self._lines, side_ts, before, start, end, counts)
        return total

    def _side_columns(self, start: int, end: int) -> Columns | None:
        """Side points, ascending, the last in log order kept; None when there are none."""
        if not (self._lines[layout.CHAIN :: layout.LINE_WORDS] >> np.uint64(32)).any():
            return None
        runs = self._lines.size // layout.LINE_WORDS
        counts = np.empty(runs, np.int64)
        if not self.count_side(start, end, counts):
            return None
        offsets = np.zeros(runs + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        stamps, bits = np.empty(offsets[-1], np.uint64), np.empty(offsets[-1], np.uint64)
        kernels.collect_side(self._lines, *self._side, start, end, offsets, stamps, bits)
        run = np.repeat(np.arange(runs), counts)
        order = np.lexsort((stamps.view(np.int64), run))  # stable: log order among equals
        stamps, run = stamps[order], run[order]
        kept = np.append((np.diff(run) != 0) | (stamps[1:] != stamps[:-1]), True)
        np.cumsum(np.bincount(run[kept], minlength=runs), out=offsets[1:])
        values = bits[order][kept].view(np.float64)
        return Columns(offsets, stamps[kept].view(np.int64), values)


def _aligned_lines(refs: int) -> U64s:
    """Zeroed lines that start on a cache line; memory is touched when used."""
    words = np.zeros(refs * layout.LINE_WORDS + layout.LINE_WORDS, np.uint64)
    skip = (-words.ctypes.data % 64) // 8
    return words[skip : skip + refs * layout.LINE_WORDS]
