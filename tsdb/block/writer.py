"""Writing blocks: points come series by series, in bounded memory, and land in whole folders.

    in   refs ascending with Columns, slice by slice
    out  BlockMeta of each block, durable under its name

    FlushWriter   splits points into windows, one BlockWriter each; `finish` publishes them all
    BlockWriter   one block: folder <name>.tmp, chunks as they come, index at the end

Order of the durable steps: write both files, sync them, sync the folder, rename it; when all
blocks of a flush are renamed, sync `blocks/` once. Until a manifest names a block it does not
exist: what a crash leaves behind is an orphan that opening sets aside.

A folder that has the final name already was left by an attempt whose manifest was never
written (names of listed blocks never come again), so it is replaced.
Price: benchmarks/bench_block.py.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from tsdb import limits, overlay
from tsdb.batch import Columns, I64s, U8s, U32s, U64s
from tsdb.block import kernels
from tsdb.block.encoder import Encoded, Encoder, cut
from tsdb.block.index_file import encode_index
from tsdb.block.layout import CHUNKS, CHUNKS_TAIL_BYTES, INDEX, BlockMeta, Kind, Maker
from tsdb.block.windows import Window, window_of
from tsdb.codec.resolution import Resolution
from tsdb.vfs import TEMPORARY, Files, remove_tree, write_all

__all__ = ["BlockWriter", "FlushWriter", "Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of blocks before their points are."""

    database_id: bytes  # 16
    resolution: Resolution
    seq_lo: int
    seq_hi: int
    depth: int = 0  # 0 for a flush
    deletes_seq: int = 0


class ChunksFile:
    """Appends to the chunks file and checksums each stripe as it fills."""

    def __init__(self, files: Files, path: Path) -> None:
        self._file = files.create(path)
        self._hash = xxhash.xxh3_64()
        self.size = 0
        self.stripes: list[int] = []

    def append(self, data: U8s) -> None:
        view = data.data
        write_all(self._file, view, self.size)
        while view.nbytes:
            room = limits.STRIPE_BYTES - self.size % limits.STRIPE_BYTES
            part, view = view[:room], view[room:]
            self._hash.update(part)
            self.size += part.nbytes
            if part.nbytes == room:
                self.stripes.append(self._hash.intdigest())
                self._hash.reset()

    def finish(self) -> None:
        """End the file and make its bytes durable."""
        self.append(np.zeros(CHUNKS_TAIL_BYTES, np.uint8))
        if self.size % limits.STRIPE_BYTES:
            self.stripes.append(self._hash.intdigest())
        self._file.sync()
        self._file.close()

    def close(self) -> None:
        self._file.close()


class BlockWriter:
    """One block in the making."""

    def __init__(
        self, files: Files, blocks_dir: Path, origin: Origin, window: Window, encoder: Encoder
    ) -> None:
        self._files = files
        self._blocks_dir = blocks_dir
        self._origin = origin
        self._window = window
        self._encoder = encoder
        # The final name is known only in part; this one is as unique and says what it is.
        seqs = f"{origin.seq_lo:020d}-{origin.seq_hi:020d}-{origin.depth:04d}"
        name = f"{window.start + (1 << 63):016x}-L{window.level:02d}-{seqs}{TEMPORARY}"
        self._folder = blocks_dir / name
        if files.exists(self._folder):
            remove_tree(files, self._folder)
        files.mkdir(self._folder)
        self._chunks = ChunksFile(files, self._folder / CHUNKS)
        self._refs: list[U32s] = []
        self._series_chunks: list[I64s] = []
        self._encoded: list[tuple[I64s, I64s, U64s]] = []
        self._ref_last = -1

    def add(self, refs: U32s, columns: Columns) -> None:
        """Runs of `refs`, above all refs added so far; runs without points are passed over."""
        assert refs.size == columns.runs
        series_chunks, offsets = cut(columns)
        present = series_chunks > 0
        if not present.any():
            return
        refs = refs[present]
        assert refs[0] > self._ref_last, "refs must ascend from slice to slice"
        assert (refs[1:] > refs[:-1]).all(), "refs must ascend"
        self._ref_last = int(refs[-1])
        self._refs.append(refs)
        self._series_chunks.append(series_chunks[present])
        for part in self._encoder.encode(columns, offsets):
            self._append(part)

    def _append(self, part: Encoded) -> None:
        low, high = part.numbers[kernels.MIN_TS].min(), part.numbers[kernels.MAX_TS].max()
        assert self._window.start <= low, "point before the window"
        assert high <= self._window.end, "point after the window"
        self._chunks.append(part.data)
        self._encoded.append((part.sizes, part.numbers, part.aggregates))

    def seal(self, siblings: int = 1) -> BlockMeta | None:
        """Write the index and sync the folder's content; None, and no folder, without points.

        `siblings` blocks belong to the same flush.
        """
        if not self._refs:
            self.abort()
            return None
        self._chunks.finish()
        meta, index = self._index(Maker(self._origin.database_id, siblings))
        file = self._files.create(self._folder / INDEX)
        try:
            write_all(file, index, 0)
            file.sync()
        finally:
            file.close()
        self._files.sync_dir(self._folder)
        return meta

    def publish(self, meta: BlockMeta) -> None:
        """Give the sealed folder its name. Durable once `blocks/` is synced."""
        path = self._blocks_dir / meta.name
        if self._files.exists(path):
            remove_tree(self._files, path)
        self._files.rename(self._folder, path)

    def abort(self) -> None:
        """Forget the block. A no-op once it is published.

        What cannot be removed stays a folder that recovery may delete unread.
        """
        with contextlib.suppress(OSError):
            self._chunks.close()
        with contextlib.suppress(OSError):
            if self._files.exists(self._folder):
                remove_tree(self._files, self._folder)

    def _index(self, maker: Maker) -> tuple[BlockMeta, bytes]:
        refs = np.concatenate(self._refs)
        sizes = np.concatenate([e[0] for e in self._encoded])
        numbers = np.concatenate([e[1] for e in self._encoded], axis=1)
        aggregates = np.concatenate([e[2] for e in self._encoded], axis=1)
        min_ts, max_ts, counts, stale = numbers
        meta = BlockMeta(
            window_start=self._window.start,
            window_end=self._window.end,
            level=self._window.level,
            seq_lo=self._origin.seq_lo,
            seq_hi=self._origin.seq_hi,
            depth=self._origin.depth,
            deletes_seq=self._origin.deletes_seq,
            min_ts=int(min_ts.min()),
            max_ts=int(max_ts.max()),
            points=int(counts.sum()),
            series=refs.size,
            chunks=sizes.size,
            chunk_bytes=self._chunks.size,
            index_bytes=0,
            ref_min=int(refs[0]),
            ref_max=int(refs[-1]),
            resolution=self._origin.resolution,
            codec=self._origin.resolution.codec_id,
        )
        columns = {
            Kind.REFS: refs,
            Kind.SERIES_CHUNKS: np.concatenate(self._series_chunks),
            Kind.MIN_TS: min_ts,
            Kind.SPAN_TS: max_ts.view(np.uint64) - min_ts.view(np.uint64),
            Kind.COUNT: counts,
            Kind.BYTES: sizes,
            Kind.STRIPES: np.array(self._chunks.stripes, np.uint64),
            Kind.STALE: stale,
            Kind.MIN: aggregates[kernels.MIN],
            Kind.MAX: aggregates[kernels.MAX],
            Kind.SUM: aggregates[kernels.SUM],
            Kind.FIRST: aggregates[kernels.FIRST],
            Kind.LAST: aggregates[kernels.LAST],
        }
        return encode_index(meta, maker, columns)


class FlushWriter:
    """A flush: points of any age, one block for each window of `level` that they touch.

    A failure in `add` or `finish` removes everything that is not published; call `abort` when
    the points themselves fail to come.
    """

    def __init__(
        self,
        files: Files,
        blocks_dir: Path,
        origin: Origin,
        *,
        level: int = 0,
        check: bool = True,
    ) -> None:
        """`level` comes from `windows.choose_level`."""
        self._files = files
        self._blocks_dir = blocks_dir
        self._origin = origin
        self._level = level
        self._encoder = Encoder(origin.resolution, check=check)
        self._writers: dict[Window, BlockWriter] = {}

    def add(self, refs: U32s, columns: Columns) -> None:
        """Runs of `refs`, above all refs added so far. A few thousand series at a time."""
        span = overlay.extent(columns)
        if span is not None:
            with contextlib.ExitStack() as undo:
                undo.callback(self.abort)
                self._split(refs, columns, span)
                undo.pop_all()

    def _split(self, refs: U32s, columns: Columns, span: tuple[int, int]) -> None:
        window = window_of(span[0], self._level, self._origin.resolution)
        if span[1] <= window.end:
            self._writer(window).add(refs, columns)
            return
        cursors, counts = columns.offsets[:-1].copy(), np.empty(columns.runs, np.int64)
        ends, lowest = columns.offsets[1:], np.array([span[0]], np.int64)
        waiting = columns.runs
        while waiting:
            window = window_of(int(lowest[0]), self._level, self._origin.resolution)
            firsts = cursors.copy()
            waiting = kernels.advance(ends, columns.timestamps, window.end, cursors, counts, lowest)
            self._writer(window).add(refs, overlay.gather(columns, firsts, counts))

    def _writer(self, window: Window) -> BlockWriter:
        if window in self._writers:
            return self._writers[window]
        assert len(self._writers) < limits.BLOCKS_PER_FLUSH_MAX, "level too low for these points"
        writer = BlockWriter(self._files, self._blocks_dir, self._origin, window, self._encoder)
        self._writers[window] = writer
        return writer

    def finish(self) -> tuple[BlockMeta, ...]:
        """Seal all blocks, then name them, then sync `blocks/`; in the order of their windows."""
        siblings = len(self._writers)  # each was opened for a point
        with contextlib.ExitStack() as undo:
            undo.callback(self.abort)
            sealed = [(w, w.seal(siblings)) for _, w in sorted(self._writers.items())]
            published = [(writer, meta) for writer, meta in sealed if meta is not None]
            for writer, meta in published:
                writer.publish(meta)
            if published:
                self._files.sync_dir(self._blocks_dir)
            undo.pop_all()
        return tuple(meta for _, meta in published)

    def abort(self) -> None:
        """Remove what was written and is not published."""
        for writer in self._writers.values():
            writer.abort()
