"""Reading a block: chunk selection from the index, checked stripes, one decode.

    in   refs ascending, a range of ticks (inclusive)
    out  Columns, run i = refs[i]; CorruptionError, or the rest and a `Damage` for what is missing

Opening reads and checks header and section table only. Sections are read on first use, checked
and kept (`memory_bytes`, `forget`). Points are read in stripes, neighbouring
ones at once; every stripe is checked before a bit of it is decoded.

A Block is immutable and may be used by any number of threads. It holds its two files open, and
a reference to it is the lease: files are closed when the last reference goes (or by `close`,
once nobody reads). So a merge may unlink the folder while a query still reads.
Price: benchmarks/bench_block.py, 0.1 ms to open.
"""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdb import overlay
from tsdb.batch import Columns, I64s, U8s, U32s, U64s
from tsdb.block.index_file import IndexFile, read_exactly
from tsdb.block.layout import CHUNKS, CHUNKS_TAIL_BYTES, INDEX, BlockMeta, Kind, check_of
from tsdb.block.table import Aggregates, ChunkTable, Selected
from tsdb.codec.gorilla import DECODE_SLACK_BYTES, decode_chunks
from tsdb.errors import CorruptionError
from tsdb.vfs import File, Files

__all__ = ["Block", "Damage"]

_SCRUB_STRIPES = 64
"""Stripes checked at a time when all of them are."""
assert CHUNKS_TAIL_BYTES >= DECODE_SLACK_BYTES


@dataclass(frozen=True, slots=True)
class Damage:
    """Points that a read left out: those of `refs` from `min_ts` to `max_ts`, or some of them."""

    error: CorruptionError
    refs: U32s
    min_ts: int
    max_ts: int

    def __str__(self) -> str:
        return (
            f"points of {self.refs.size} series between {self.min_ts} and {self.max_ts} "
            f"are damaged: {self.error}"
        )


class Block:
    """An open block."""

    def __init__(self, path: Path, index: IndexFile, index_handle: File, chunks: File) -> None:
        self.path = path
        self.index = index
        self.chunks = chunks
        self._stripe_bytes = index.header.stripe_bytes
        self._table: ChunkTable | None = None
        self._stripes: U64s | None = None
        self._closer = weakref.finalize(self, _close, index_handle, chunks)

    @classmethod
    def open(cls, files: Files, path: Path) -> Block:
        """Raises CorruptionError when a file is missing or neither header holds.

        A chunks file of the wrong size is noted in `noticed`; what is left of it is served.
        """
        with contextlib.ExitStack() as opened:
            index_handle = _open(files, path / INDEX)
            opened.callback(index_handle.close)
            chunks = _open(files, path / CHUNKS)
            opened.callback(chunks.close)
            block = cls(path, IndexFile(index_handle, path / INDEX), index_handle, chunks)
            opened.pop_all()
        return block

    @property
    def noticed(self) -> list[CorruptionError]:
        """Damage seen so far that cost no points: copies made it good, or nobody asked yet."""
        return [*self.index.mended, *self.wrong_size()]

    def wrong_size(self) -> list[CorruptionError]:
        """Empty, or that the chunks file is shorter or longer than it was."""
        size, expected = self.chunks.size(), self.meta.chunk_bytes
        if size == expected:
            return []
        reason = f"file has {size} bytes, the index says {expected}"
        return [CorruptionError(self.path / CHUNKS, min(size, expected), reason)]

    @property
    def meta(self) -> BlockMeta:
        return self.index.meta

    def close(self) -> None:
        """Close the files now. For when nobody reads any more; dropping the block does the same."""
        self._closer()

    # --- index ---------------------------------------------------------------------------------

    @property
    def table(self) -> ChunkTable:
        """The chunk table, read on first use."""
        table = self._table
        if table is None:
            self._table = table = self._load_table()
        return table

    def refs(self) -> U32s:
        """Refs of the series in this block, ascending."""
        return self.table.refs

    @property
    def stripe_checks(self) -> U64s:
        stripes = self._stripes
        if stripes is None:
            self._stripes = stripes = self.index.read(Kind.STRIPES)
        return stripes

    def aggregates(self) -> Aggregates | None:
        """Pre-aggregates of all chunks, in the order of the table; None for a block of short
        chunks, which has none. Read anew each time."""
        if not self.index.has(Kind.STALE):
            return None
        read = {kind: self.index.read(kind) for kind in _AGGREGATES}
        stale = read.pop(Kind.STALE).view(np.int64)
        return Aggregates(self.table.counts - stale, *(w.view(np.float64) for w in read.values()))

    def points_to_decode(self, refs: U32s, start: int, end: int) -> int:
        """How many points `read` would decode, edges of chunks included."""
        return int(self.table.counts[self.table.select(refs, start, end).chunks].sum())

    @property
    def memory_bytes(self) -> int:
        """Memory of the sections that are kept."""
        table, stripes = self._table, self._stripes
        return (table.memory_bytes if table else 0) + (0 if stripes is None else stripes.nbytes)

    def forget(self) -> None:
        """Drop the kept sections; the next read loads them again."""
        self._table = self._stripes = None

    def _load_table(self) -> ChunkTable:
        read = self.index.read
        refs = read(Kind.REFS).astype(np.uint32)
        firsts = _borders(read(Kind.SERIES_CHUNKS))
        min_ts = read(Kind.MIN_TS)
        max_ts = min_ts + read(Kind.SPAN_TS)
        counts, starts = read(Kind.COUNT).view(np.int64), _borders(read(Kind.BYTES))
        meta = self.meta
        table = ChunkTable(
            refs, firsts, min_ts.view(np.int64), max_ts.view(np.int64), counts, starts
        )
        wrong = table.contradiction()
        if wrong is None and starts[-1] + CHUNKS_TAIL_BYTES != meta.chunk_bytes:
            wrong = "chunks do not fill the chunks file"
        if wrong is None and counts.sum() != meta.points:
            wrong = "chunks hold another number of points than the header says"
        if wrong is not None:
            raise self._index_error(wrong)
        return table

    def _index_error(self, reason: str) -> CorruptionError:
        return CorruptionError(self.path / INDEX, 0, reason)

    # --- points --------------------------------------------------------------------------------

    def read(
        self, refs: U32s, start: int, end: int, *, damaged: list[Damage] | None = None
    ) -> Columns:
        """Points of `refs` (ascending) with start <= timestamp <= end; run i = refs[i].

        Damage raises CorruptionError; with a list in `damaged` it is added there instead, and the
        answer holds everything around it.
        """
        if not self.meta.overlaps(start, end) or start > end:
            return overlay.empty(refs.size)
        try:
            table = self.table
            checks = self.stripe_checks
        except CorruptionError as error:
            if damaged is None:
                raise
            lost = refs[(refs >= self.meta.ref_min) & (refs <= self.meta.ref_max)]
            span = max(start, self.meta.min_ts), min(end, self.meta.max_ts)
            damaged.append(Damage(error.with_traceback(None), lost, *span))
            return overlay.empty(refs.size)
        selected = table.select(refs, start, end)
        if not selected.chunks.size:
            return overlay.empty(refs.size)
        pieces = self._pieces(selected, checks)
        if pieces.bad:
            if damaged is None:
                raise pieces.bad[min(pieces.bad)]
            selected = self._around(selected, pieces, refs, damaged)
        points = self._decode(selected, pieces)
        points = Columns(points.offsets[selected.bounds], points.timestamps, points.values)
        return overlay.clip(points, start, end, in_place=True)

    def _pieces(self, selected: Selected, checks: U64s) -> _Pieces:
        """Read and check the stripes that the chunks lie in."""
        starts = self.table.starts
        first = starts[selected.chunks] // self._stripe_bytes
        last = (starts[selected.chunks + 1] - 1) // self._stripe_bytes
        breaks = np.flatnonzero(first[1:] > last[:-1] + 1) + 1
        spans = [
            (int(first[a]), int(last[b - 1]) + 1)
            for a, b in zip([0, *breaks], [*breaks, first.size], strict=True)
            if a < b
        ]
        bad: dict[int, CorruptionError] = {}
        parts = [self._stripes_at(low, high, checks, bad) for low, high in spans]
        files = np.array([low * self._stripe_bytes for low, _ in spans], np.int64)
        if len(parts) == 1:
            return _Pieces(np.frombuffer(parts[0], np.uint8), files, np.zeros(1, np.int64), bad)
        memory = _borders(np.array([len(p) for p in parts], np.uint64))
        return _Pieces(np.frombuffer(b"".join(parts), np.uint8), files, memory[:-1], bad)

    def _stripes_at(
        self, low: int, high: int, checks: U64s, bad: dict[int, CorruptionError]
    ) -> bytes:
        """Bytes of the stripes low <= i < high and a few behind them, which are not checked."""
        path, at = self.path / CHUNKS, low * self._stripe_bytes
        size = min(high * self._stripe_bytes, self.meta.chunk_bytes) - at
        try:
            data = read_exactly(self.chunks, size, at, path, spare=DECODE_SLACK_BYTES)
        except CorruptionError as error:
            if high - low > 1:  # find out which of them it was
                alone = (self._stripes_at(i, i + 1, checks, bad) for i in range(low, high))
                return b"".join(part[: self._stripe_bytes] for part in alone) + bytes(
                    DECODE_SLACK_BYTES
                )
            bad[low] = error.with_traceback(None)
            return bytes(size + DECODE_SLACK_BYTES)
        view = memoryview(data)[:size]
        for i, expected in enumerate(checks[low:high].tolist()):
            if check_of(view[i * self._stripe_bytes : (i + 1) * self._stripe_bytes]) != expected:
                offset = at + i * self._stripe_bytes
                bad[low + i] = CorruptionError(path, offset, "stripe checksum does not hold")
        return data

    def bad_stripes(self) -> list[CorruptionError]:
        """Read and check the whole chunks file."""
        bad: dict[int, CorruptionError] = {}
        for low in range(0, self.stripe_checks.size, _SCRUB_STRIPES):
            high = min(low + _SCRUB_STRIPES, self.stripe_checks.size)
            self._stripes_at(low, high, self.stripe_checks, bad)
        return list(bad.values())

    def _around(
        self, selected: Selected, pieces: _Pieces, refs: U32s, damaged: list[Damage]
    ) -> Selected:
        """`selected` without the chunks that lie in a bad stripe; one Damage for each of those."""
        table, chunks = self.table, selected.chunks
        first = table.starts[chunks] // self._stripe_bytes
        last = (table.starts[chunks + 1] - 1) // self._stripe_bytes
        owner = np.repeat(refs, np.diff(selected.bounds))
        sound = np.ones(chunks.size, np.bool_)
        for stripe, error in sorted(pieces.bad.items()):
            hit = (first <= stripe) & (stripe <= last)
            sound &= ~hit
            lost = chunks[hit]
            span = int(table.min_ts[lost].min()), int(table.max_ts[lost].max())
            damaged.append(Damage(error, np.unique(owner[hit]), *span))
        return selected.keep(sound)

    def _decode(self, selected: Selected, pieces: _Pieces) -> Columns:
        table, chunks = self.table, selected.chunks
        starts, ends = table.starts[chunks], table.starts[chunks + 1]
        shift = pieces.shift(starts)
        try:
            return decode_chunks(
                pieces.data,
                starts + shift,
                ends + shift,
                table.counts[chunks],
                self.meta.resolution,
            )
        except CorruptionError as error:
            piece = int(np.searchsorted(starts + shift, error.offset_bytes))
            raise CorruptionError(self.path / CHUNKS, int(starts[piece]), error.reason) from error


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Stretches of the chunks file in one memory: files[i] of the file is at memory[i]."""

    data: U8s
    files: I64s
    memory: I64s
    bad: dict[int, CorruptionError]  # by stripe

    def shift(self, offsets: I64s) -> I64s:
        """What to add to offsets in the file to find them in memory."""
        piece = np.searchsorted(self.files, offsets, side="right") - 1
        return (self.memory - self.files)[piece]


_AGGREGATES = (Kind.STALE, Kind.MIN, Kind.MAX, Kind.SUM, Kind.FIRST, Kind.LAST)


def _borders(counts: U64s) -> I64s:
    """offsets[n + 1] of things with these sizes, side by side."""
    borders = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.view(np.int64), out=borders[1:])
    return borders


def _open(files: Files, path: Path) -> File:
    try:
        return files.open_read(path)
    except FileNotFoundError as error:
        raise CorruptionError(path, 0, "file of a block is missing") from error


def _close(*handles: File) -> None:
    for handle in handles:
        with contextlib.suppress(OSError):  # read-only: nothing that could be lost
            handle.close()
