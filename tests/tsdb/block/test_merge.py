"""tsdb.block.merge: a merged block answers as its sources did together, deletes carried out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from blocks.model import (
    BLOCKS,
    DATABASE,
    HOURS_2_MS,
    INT64_MAX,
    INT64_MIN,
    Model,
    all_refs,
    between,
    bits,
    disk,
    flush,
    model_of,
    opened,
    scrapes,
)
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from hypothesis import given
from hypothesis import strategies as st

from tsdb.block import merge as merging
from tsdb.block.layout import CHUNKS, BlockMeta
from tsdb.block.reader import Block
from tsdb.block.verify import verify
from tsdb.errors import CorruptionError

# One window of two hours, so that every set of blocks may be merged.
stamps = st.one_of(st.integers(0, 12), st.integers(0, HOURS_2_MS - 1))
layers = st.dictionaries(
    st.integers(0, 4), st.dictionaries(stamps, bits, min_size=1, max_size=8), min_size=1, max_size=4
)


@dataclass(frozen=True)
class Deleted:
    seq: int
    start: int
    end: int
    refs: np.ndarray


deletes = st.builds(
    lambda seq, a, b, refs: Deleted(seq, min(a, b), max(a, b), np.array(sorted(refs), np.uint32)),
    st.integers(1, 60),
    stamps,
    stamps,
    st.sets(st.integers(0, 4)),
)


def expected(model: list[Model], tombstones: list[Deleted], horizon: int) -> Model:
    """Layer i was flushed with seqs 10 i + 1 to 10 i + 10; deletes inside them are done."""
    answer: Model = {}
    for i, layer in enumerate(model):
        for ref, points in layer.items():
            for t, value in points.items():
                answer.setdefault(ref, {})[t] = (value, 10 * i + 10)
    return {
        ref: kept
        for ref, points in answer.items()
        if (
            kept := {
                t: value
                for t, (value, seq) in points.items()
                if t >= horizon
                and not any(
                    d.seq > seq and ref in d.refs and d.start <= t <= d.end for d in tombstones
                )
            }
        )
    }


def written(files: SimulatedDisk, model: list[Model]) -> list[Block]:
    metas: tuple[BlockMeta, ...] = ()
    for i, layer in enumerate(model):
        metas += flush(files, layer, (10 * i + 1, 10 * i + 10))
    return opened(files, metas)


@given(
    st.lists(layers, min_size=1, max_size=4),
    st.lists(deletes, max_size=3),
    st.one_of(st.just(INT64_MIN), stamps),
    st.integers(1, 30),
)
def test_a_merge_equals_the_model(
    model: list[Model], tombstones: list[Deleted], horizon: int, slice_points: int
) -> None:
    files = disk()
    blocks = written(files, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "SLICE_POINTS", slice_points)
        metas = merging.merge(files, BLOCKS, blocks, tombstones=tombstones, horizon=horizon)

    want = expected(model, tombstones, horizon)
    refs = np.arange(5, dtype=np.uint32)
    assert len(metas) == bool(want)
    for block in opened(files, metas):
        assert model_of(refs, block.read(refs, INT64_MIN, INT64_MAX)) == want
        assert verify(block, deep=True) == []
        assert (block.meta.seq_lo, block.meta.seq_hi) == (1, 10 * len(model))
        assert block.meta.depth == 1
        assert block.index.header.maker.database_id == DATABASE
        assert all(t.seq <= block.meta.deleted_through for t in tombstones)
    assert not [name for name in files.list(BLOCKS) if name.endswith(".tmp")]


@given(st.lists(layers, min_size=2, max_size=3), deletes)
def test_a_delete_is_carried_out_once(model: list[Model], tombstone: Deleted) -> None:
    """Merging again with the same deletes changes nothing, and the block says so."""
    files = disk()
    once = merging.merge(files, BLOCKS, written(files, model), tombstones=[tombstone])
    if not once:
        assert expected(model, [tombstone], INT64_MIN) == {}
        return
    (block,) = opened(files, once)
    assert tombstone.seq <= block.meta.deleted_through
    twice = merging.merge(files, BLOCKS, [block], tombstones=[tombstone])

    (again,) = opened(files, twice)
    refs = block.refs()
    assert again.meta.name != block.meta.name
    assert model_of(refs, again.read(refs, INT64_MIN, INT64_MAX)) == model_of(
        refs, block.read(refs, INT64_MIN, INT64_MAX)
    )


def test_small_windows_grow_into_a_large_one_with_full_chunks() -> None:
    files = disk()
    model = scrapes(4, 3 * 720)
    blocks = opened(files, flush(files, model))
    assert [b.meta.level for b in blocks] == [0, 0, 0]

    (meta,) = merging.merge(files, BLOCKS, blocks)

    (block,) = opened(files, (meta,))
    assert meta.level == 1
    assert block.table.counts.tolist() == [432] * 5 * 4
    assert model_of(all_refs(model), block.read(all_refs(model), 5, HOURS_2_MS)) == between(
        model, 5, HOURS_2_MS
    )


def test_damage_is_not_merged_away() -> None:
    """A merged block without the damaged points would look whole."""
    files = disk()
    blocks = written(files, [scrapes(2, 50), scrapes(3, 50)])
    file = files.open_write(BLOCKS / blocks[0].meta.name / CHUNKS)
    file.pwrite(bytes([file.pread(1, 20)[0] ^ 1]), 20)

    with pytest.raises(CorruptionError, match="stripe checksum"):
        merging.merge(files, BLOCKS, blocks)
    assert len(files.list(BLOCKS)) == 2


@pytest.mark.parametrize("fault", Fault)
def test_a_failing_call_leaves_the_sources_and_no_half_block(fault: Fault) -> None:
    model = [scrapes(2, 50), scrapes(3, 50)]
    for nth in range(1, 200):
        files = disk()
        sources = [b.meta.name for b in written(files, model)]
        faulty = FaultyFiles(files, nth, fault)
        try:
            blocks = [Block.open(faulty, BLOCKS / name) for name in sources]
            metas = merging.merge(faulty, BLOCKS, blocks)
        except (OSError, CorruptionError):
            metas = ()
        names = files.list(BLOCKS)
        assert set(sources) <= set(names)
        for meta in metas:
            assert verify(Block.open(files, BLOCKS / meta.name), deep=True) == []
        if not faulty.fired:
            assert len(metas) == 1
            return
        assert faulty.fired
    raise AssertionError("never ran without a fault")
