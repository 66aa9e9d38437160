"""Several blocks become one: newest wins, deletes and horizon are carried out.

    in   a group of open blocks that `plan` chose, deletes, the horizon
    out  BlockMeta of the new block, durable under its name; none if no point is left

Series by series in slices of bounded memory: read each source, take out what later deletes hit,
lay newer over older, encode anew. A delete at seq T hits the sources whose seqs are all below T
and that have not carried it out yet.

The sources stay as they are: whoever holds them may go on reading, and unlinks them once a
manifest names the new block instead. A damaged source raises CorruptionError: merging around
damage would make it look whole.
Price: benchmarks/bench_block.py, some 30 ns a point.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tsdb import overlay
from tsdb.batch import Columns, U32s
from tsdb.block.encoder import Encoder
from tsdb.block.layout import BlockMeta
from tsdb.block.plan import output_window, plan, truth_order
from tsdb.block.reader import Block
from tsdb.block.windows import INT64_MIN
from tsdb.block.writer import BlockWriter, Origin
from tsdb.vfs import Files

__all__ = ["Delete", "merge", "plan"]

SLICE_POINTS = 1 << 20
"""Points decoded at a time (a series is not split): 16 MB a source and as much for the result."""


class Delete(Protocol):
    """A tombstone together with the series it hit, ascending."""

    @property
    def seq(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def refs(self) -> U32s: ...


def merge(
    files: Files,
    blocks_dir: Path,
    blocks: Sequence[Block],
    *,
    tombstones: Sequence[Delete] = (),
    horizon: int = INT64_MIN,
) -> tuple[BlockMeta, ...]:
    """One block with the points of `blocks`; () when deletes and horizon leave none.

    `tombstones` are all deletes that some block has not carried out; points before `horizon` go.
    """
    assert blocks
    blocks = sorted(blocks, key=lambda b: truth_order(b.meta))
    metas = [b.meta for b in blocks]
    window = output_window(metas, metas[0].resolution)
    origin = Origin(
        blocks[0].index.header.maker.database_id,
        metas[0].resolution,
        min(m.seq_lo for m in metas),
        max(m.seq_hi for m in metas),
        depth=max(m.depth for m in metas) + 1,
        deletes_seq=max([*(t.seq for t in tombstones), *(m.deletes_seq for m in metas)]),
    )
    writer = BlockWriter(files, blocks_dir, origin, window, Encoder(origin.resolution))
    with contextlib.ExitStack() as undo:
        undo.callback(writer.abort)
        for refs in _slices(blocks):
            sources = [_source(b, refs, tombstones, horizon) for b in blocks]
            writer.add(refs, overlay.overlay(sources))
        meta = writer.seal()
        if meta is not None:
            writer.publish(meta)
            files.sync_dir(blocks_dir)
        undo.pop_all()
    return () if meta is None else (meta,)


def _slices(blocks: Sequence[Block]) -> Iterator[U32s]:
    """All refs, ascending, in parts of about SLICE_POINTS points."""
    refs = np.unique(np.concatenate([b.refs() for b in blocks]))
    points = np.zeros(refs.size, np.int64)
    for block in blocks:
        table = block.table
        points[np.searchsorted(refs, table.refs)] += np.add.reduceat(
            table.counts, table.firsts[:-1]
        )
    reached = np.cumsum(points)
    at = 0
    while at < refs.size:
        limit = SLICE_POINTS + (reached[at - 1] if at else 0)
        end = max(at + 1, int(np.searchsorted(reached, limit, side="right")))
        yield refs[at:end]
        at = end


def _source(block: Block, refs: U32s, tombstones: Sequence[Delete], horizon: int) -> Columns:
    meta = block.meta
    columns = block.read(refs, max(meta.min_ts, horizon), meta.max_ts)
    for t in tombstones:
        if t.seq > meta.deleted_through and columns.points and meta.overlaps(t.start, t.end):
            columns = overlay.without(columns, overlay.mask(refs, t.refs), t.start, t.end)
    return columns
