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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdb import overlay, parallel
from tsdb.batch import Columns, Decoded, I64s, U32s, U64s
from tsdb.block import kernels
from tsdb.block.index_file import IndexFile
from tsdb.block.layout import CHUNKS, CHUNKS_TAIL_BYTES, INDEX, BlockMeta, Kind
from tsdb.block.stripes import Bad, Fetched, Stripes
from tsdb.block.table import Aggregates, ChunkTable, Selected
from tsdb.codec import kernels as codec
from tsdb.codec.gorilla import DECODE_SLACK_BYTES
from tsdb.errors import CorruptionError
from tsdb.vfs import File, Files

__all__ = ["Block", "Damage"]

BATCH_STRIPES = 32
"""Stripes read and decoded at a time: 1 MiB."""


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
        header = index.header
        self.stripes = Stripes(chunks, path / CHUNKS, header.meta.chunk_bytes, header.stripe_bytes)
        self._table: ChunkTable | None = None
        self._checks: U64s | None = None
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
        size, expected = self.stripes.file.size(), self.meta.chunk_bytes
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
        checks = self._checks
        if checks is None:
            self._checks = checks = self.index.read(Kind.STRIPES)
        return checks

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
        table, checks = self._table, self._checks
        return (table.memory_bytes if table else 0) + (0 if checks is None else checks.nbytes)

    def forget(self) -> None:
        """Drop the kept sections; the next read loads them again."""
        self._table = self._checks = None

    def _load_table(self) -> ChunkTable:
        read = self.index.read
        refs = read(Kind.REFS).astype(np.uint32)
        firsts = _borders(read(Kind.SERIES_CHUNKS).view(np.int64))
        min_ts = read(Kind.MIN_TS)
        max_ts = min_ts + read(Kind.SPAN_TS)
        counts, starts = read(Kind.COUNT).view(np.int64), _borders(read(Kind.BYTES).view(np.int64))
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
        self,
        refs: U32s,
        start: int,
        end: int,
        *,
        damaged: list[Damage] | None = None,
        did: Decoded | None = None,
    ) -> Columns:
        """Points of `refs` (ascending) with start <= timestamp <= end; run i = refs[i].

        Damage raises CorruptionError; with a list in `damaged` it is added there instead, and the
        answer holds everything around it. What was decoded is added to `did`.
        """
        did = Decoded() if did is None else did
        if not self.meta.overlaps(start, end) or start > end:
            did.blocks_skipped += 1
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
            did.blocks_opened += 1
            return overlay.empty(refs.size)
        selected = table.select(refs, start, end)
        if not selected.chunks.size:
            did.blocks_skipped += 1
            return overlay.empty(refs.size)
        did.blocks_opened += 1
        bad: Bad | None = None if damaged is None else {}
        points = self._decode(selected.chunks, checks, (start, end), bad, did)
        if damaged is not None and bad:
            damaged += self._lost(refs, selected, bad)
        return Columns(points.offsets[selected.bounds], points.timestamps, points.values)

    def _decode(
        self,
        chunks: I64s,
        checks: U64s,
        span: tuple[int, int],
        bad: Bad | None,
        did: Decoded,
    ) -> Columns:
        """The points of chunks in `span`, one chunk a run. A bad stripe is put in `bad`, and its
        chunks are empty; without `bad` it raises.

        In batches, shared among a few threads: their bytes stay in the cache, and in memory that
        the allocator has at hand (10,000 series, one hour, busy machine: 39 ms; 61 in one piece,
        half of it page faults).
        """
        table = self.table
        starts, ends = table.starts[chunks], table.starts[chunks + 1]
        first, last = self.stripes.around(starts, ends)
        rooms, kept = _borders(table.counts[chunks]), np.zeros(chunks.size, np.int64)
        timestamps, bits = np.empty(rooms[-1], np.int64), np.empty(rooms[-1], np.uint64)
        batches = list(_batches(first, last))
        whole = np.ones(chunks.size, np.bool_)

        def of_batch(low: int, high: int) -> None:
            found: Bad = {}
            fetched = self.stripes.fetch(first[low:high], last[low:high], checks, found)
            sound = whole[low:high]
            for stripe, error in sorted(found.items()):
                if bad is None:
                    raise error
                sound &= (stripe < first[low:high]) | (last[low:high] < stripe)
                bad[stripe] = error
            room = slice(rooms[low], rooms[high])
            decoded = self._decoded(
                chunks[low:high][sound], fetched, span, timestamps[room], bits[room]
            )
            kept[low:high][sound] = decoded

        def of_batches(low: int, high: int) -> None:
            for each in batches[low:high]:
                of_batch(*each)

        parallel.run(len(batches), int(rooms[-1]), of_batches)
        did.chunks += int(np.count_nonzero(whole))
        did.points += int(np.diff(rooms)[whole].sum()) if bad else int(rooms[-1])
        did.bytes += int((ends - starts)[whole].sum()) if bad else int((ends - starts).sum())
        return overlay.closed_up(batches, rooms, kept, timestamps, bits)

    def _decoded(
        self,
        chunks: I64s,
        fetched: Fetched,
        span: tuple[int, int],
        timestamps: I64s,
        bits: U64s,
    ) -> I64s:
        """Put the points of `chunks` in `span` one behind the other; how many of each."""
        table = self.table
        starts, ends = table.starts[chunks], table.starts[chunks + 1]
        shift = fetched.shift(starts)
        assert not ends.size or ends[-1] + shift[-1] + DECODE_SLACK_BYTES <= fetched.data.size
        kept = np.empty(chunks.size, np.int64)
        verdict = kernels.decode_chunks_within(
            *(fetched.data, starts + shift, ends + shift, table.counts[chunks]),
            *(self.meta.resolution.packed_widths, *span, kept),
            *(timestamps.view(np.uint64), bits),
        )
        if verdict != codec.SOUND:
            start = int(starts[verdict // codec.REASONS])
            raise CorruptionError(self.path / CHUNKS, start, "chunk does not decode")
        return kept

    def _lost(self, refs: U32s, selected: Selected, bad: Bad) -> Iterator[Damage]:
        """One Damage for each bad stripe: what of the selected chunks lies in it."""
        table, chunks = self.table, selected.chunks
        first, last = self.stripes.around(table.starts[chunks], table.starts[chunks + 1])
        owner = np.repeat(refs, np.diff(selected.bounds))
        for stripe, error in sorted(bad.items()):
            hit = (first <= stripe) & (stripe <= last)
            lost = chunks[hit]
            span = int(table.min_ts[lost].min()), int(table.max_ts[lost].max())
            yield Damage(error, np.unique(owner[hit]), *span)


def _batches(first: I64s, last: I64s) -> Iterator[tuple[int, int]]:
    """Ranges of chunks that together touch about BATCH_STRIPES stripes."""
    fresh = last - first + 1
    fresh[1:] = last[1:] - np.maximum(first[1:] - 1, last[:-1])
    batch = np.cumsum(fresh) // BATCH_STRIPES
    cuts = (np.flatnonzero(np.diff(batch)) + 1).tolist()
    return zip([0, *cuts], [*cuts, first.size], strict=True)


_AGGREGATES = (Kind.STALE, Kind.MIN, Kind.MAX, Kind.SUM, Kind.FIRST, Kind.LAST)


def _borders(counts: I64s) -> I64s:
    """offsets[n + 1] of things with these sizes, side by side."""
    borders = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=borders[1:])
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
