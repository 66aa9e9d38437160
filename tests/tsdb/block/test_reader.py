"""tsdb.block.reader with tsdb.block.writer: what goes in comes out, around any damage."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from blocks.model import (
    INT64_MAX,
    INT64_MIN,
    STALE,
    Model,
    all_refs,
    between,
    columns,
    disk,
    flush,
    model_of,
    models,
    opened,
    refs,
    scrapes,
    times,
)
from crash.faults import Fault, FaultyFiles
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits, parallel
from tsdb.batch import Columns
from tsdb.block import index_file, reader
from tsdb.block.layout import CHUNKS, INDEX
from tsdb.block.reader import Block, Damage
from tsdb.block.verify import verify
from tsdb.block.writer import FlushWriter, Origin
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError
from tsdb.vfs import OsFiles, remove_tree


def read_all(blocks: list[Block], wanted: np.ndarray, start: int, end: int) -> Model:
    answer: Model = {}
    for block in blocks:
        for ref, points in model_of(wanted, block.read(wanted, start, end)).items():
            assert not answer.get(ref, {}).keys() & points.keys(), "a point in two blocks"
            answer.setdefault(ref, {}).update(points)
    return answer


@given(models, st.lists(refs, unique=True), times, times, st.sampled_from(Resolution))
def test_a_read_is_what_was_written(
    model: Model, more: list[int], start: int, end: int, resolution: Resolution
) -> None:
    files = disk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_file, "AGGREGATES_POINTS_MIN", len(more) % 2)
        metas = flush(files, model, resolution=resolution)
    blocks = opened(files, metas)
    some = np.array(sorted({*list(model)[::2], *more}), np.uint32)

    assert read_all(blocks, all_refs(model), INT64_MIN, INT64_MAX) == {
        ref: points for ref, points in model.items() if points
    }
    asked = {ref: points for ref, points in model.items() if ref in some}
    assert read_all(blocks, some, start, end) == between(asked, start, end)
    assert sum(m.points for m in metas) == sum(len(p) for p in model.values())
    for block in blocks:
        assert verify(block, deep=True) == []


@given(st.integers(1, 2_000), st.integers(0, 20_000_000), st.integers(0, 20_000_000))
def test_long_runs_are_cut_into_chunks_of_equal_size(points: int, start: int, end: int) -> None:
    model = scrapes(2, points)
    files = disk()
    blocks = opened(files, flush(files, model))

    assert read_all(blocks, all_refs(model), start, end) == between(model, start, end)
    for block in blocks:
        counts = block.table.counts
        assert counts.max() <= limits.CHUNK_POINTS_MAX
        assert counts.max() - counts.min() <= 1


def test_two_hours_at_ten_seconds_are_two_chunks_of_one_hour() -> None:
    files = disk()
    (block,) = opened(files, flush(files, scrapes(1, 720)))

    assert block.table.counts.tolist() == [360, 360]
    assert block.points_to_decode(all_refs({0: {}}), 0, 3_599_999) == 360


def test_blocks_of_short_chunks_keep_no_aggregates() -> None:
    files = disk()
    (short,) = opened(files, flush(files, scrapes(2, 31), (1, 1)))
    (long,) = opened(files, flush(files, scrapes(2, 32), (2, 2)))

    assert short.aggregates() is None
    assert long.aggregates() is not None


def test_aggregates_leave_stale_markers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "AGGREGATES_POINTS_MIN", 0)
    one, nan = 0x3FF0000000000000, 0x7FF8000000000001
    minus = np.float64(-2.5).view(np.uint64)
    model = {
        1: {0: STALE, 1: one, 2: nan, 3: int(minus), 4: STALE},
        2: {0: STALE},
    }
    files = disk()
    (block,) = opened(files, flush(files, model))
    found = block.aggregates()

    assert found is not None
    assert found.counts.tolist() == [3, 0]
    assert (found.minima[0], found.maxima[0]) == (-2.5, 1.0)
    assert found.firsts[0] == 1.0
    assert found.lasts[0] == -2.5
    assert np.isnan([found.sums[0], found.minima[1], found.maxima[1], found.firsts[1]]).all()
    assert found.sums[1] == 0


def test_parts_on_several_threads_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a stripe that is damaged: what lies around it, and what is missing."""
    model = scrapes(60, 700)
    files, path = written(tmp_path, model)
    wanted = all_refs(model)
    whole = bytearray((path / CHUNKS).read_bytes())
    for broken in (False, True):
        whole[len(whole) // 2] ^= broken
        (path / CHUNKS).write_bytes(whole)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "WORK_MIN", 1 << 40)
            alone, known = reads(files, path, wanted)
        monkeypatch.setattr(parallel, "WORK_MIN", 1)
        monkeypatch.setattr(parallel, "_width", lambda: 3)
        monkeypatch.setattr(reader, "BATCH_STRIPES", 2)
        shared, found = reads(files, path, wanted)
        for one, other in zip(alone, shared, strict=True):
            np.testing.assert_array_equal(one.offsets, other.offsets)
            np.testing.assert_array_equal(one.timestamps, other.timestamps)
            np.testing.assert_array_equal(one.values.view(np.uint64), other.values.view(np.uint64))
        assert sorted(found) == sorted(known)
        assert bool(known) == broken
        monkeypatch.undo()


def reads(files: OsFiles, path: Path, wanted: np.ndarray) -> tuple[list[Columns], list[str]]:
    """Points of some ranges, and what was said of damage."""
    block = Block.open(files, path)
    first, last = block.meta.min_ts, block.meta.max_ts
    third = (last - first) // 3
    spans = [(INT64_MIN, INT64_MAX), (first + third, last - third), (first, first), (last, last)]
    damaged: list[Damage] = []
    found = [block.read(wanted, *span, damaged=damaged) for span in spans]
    return found, [str(each) for each in damaged]


# --- damage ---------------------------------------------------------------------------------


def written(tmp: Path, model: Model) -> tuple[OsFiles, Path]:
    files = OsFiles()
    writer = FlushWriter(files, tmp, Origin(bytes(16), Resolution.MS, 1, 1))
    wanted = all_refs(model)
    writer.add(wanted, columns(model, wanted))
    (meta,) = writer.finish()
    return files, tmp / meta.name


def keyed(wanted: np.ndarray, found: Columns) -> tuple[np.ndarray, np.ndarray]:
    """One number for each (ref, timestamp), and the value bits."""
    owners = np.repeat(wanted.astype(np.int64), np.diff(found.offsets))
    return (owners << 40) + found.timestamps, found.values.view(np.uint64)


def check_damaged(files: OsFiles, path: Path, wanted: np.ndarray, expected: Columns) -> int:
    """Nothing wrong is served, what is missing is named, all else is there. Points missing."""
    damaged: list[Damage] = []
    try:
        block = Block.open(files, path)
    except CorruptionError as error:
        if error.path in (path / INDEX, path / CHUNKS):
            return expected.points
        raise
    all_keys, all_bits = keyed(wanted, expected)
    keys, bits = keyed(wanted, block.read(wanted, INT64_MIN, INT64_MAX, damaged=damaged))
    at = np.searchsorted(all_keys, keys)
    assert (all_keys[at] == keys).all(), "points that were never written"
    assert (all_bits[at] == bits).all(), "wrong values"
    lost = np.setdiff1d(all_keys, keys)
    named = np.zeros(lost.size, np.bool_)
    for d in damaged:
        inside = (d.min_ts <= lost & (1 << 40) - 1) & (lost & (1 << 40) - 1 <= d.max_ts)
        named |= np.isin(lost >> 40, d.refs) & inside
    assert named.all(), "points are missing and nobody said so"
    assert verify(block), "verify must see every flipped bit"
    if damaged:
        with pytest.raises(CorruptionError):
            block.read(wanted, INT64_MIN, INT64_MAX)
    return lost.size


def test_a_flipped_bit_costs_at_most_its_stripe(tmp_path: Path) -> None:
    """Every byte of small files, bytes all over the large ones: never a wrong value."""
    model = scrapes(60, 700)
    files, path = written(tmp_path, model)
    wanted, expected = all_refs(model), columns(model, all_refs(model))
    rng = np.random.default_rng(seed=3)
    stripes = -(-(path / CHUNKS).stat().st_size // limits.STRIPE_BYTES)
    assert stripes > 2
    for name, missing_max in ((INDEX, 0), (CHUNKS, expected.points * 2 // stripes)):
        whole = (path / name).read_bytes()
        for at in rng.choice(len(whole), 150, replace=False).tolist():
            broken = bytearray(whole)
            broken[at] ^= 1 << int(rng.integers(8))
            (path / name).write_bytes(broken)
            assert check_damaged(files, path, wanted, expected) <= missing_max, (name, at)
        (path / name).write_bytes(whole)
    assert verify(Block.open(files, path), deep=True) == []


@pytest.mark.parametrize("name", [INDEX, CHUNKS])
def test_a_truncated_file_is_named_and_the_rest_is_served(tmp_path: Path, name: str) -> None:
    model = scrapes(60, 700)
    files, path = written(tmp_path, model)
    wanted, expected = all_refs(model), columns(model, all_refs(model))
    whole = (path / name).read_bytes()
    for keep in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (path / name).write_bytes(whole[:keep])
        missing = check_damaged(files, path, wanted, expected)
        if name == CHUNKS and keep == len(whole) // 2:
            assert missing < expected.points * 2 / 3
    (path / name).unlink()
    with pytest.raises(CorruptionError, match="missing"):
        Block.open(files, path)


def test_a_wrecked_index_is_named_as_a_whole(tmp_path: Path) -> None:
    """Both copies of a section gone: the block cannot say where its points are, but says so."""
    model = scrapes(3, 50)
    files, path = written(tmp_path, model)
    block = Block.open(files, path)
    whole = bytearray((path / INDEX).read_bytes())
    for row in block.index.rows:
        if row["kind"] == 6:  # BYTES
            whole[int(row["offset"])] ^= 1
    (path / INDEX).write_bytes(whole)

    assert check_damaged(files, path, all_refs(model), columns(model, all_refs(model))) == 150


def test_a_copy_that_mends_is_noticed(tmp_path: Path) -> None:
    files, path = written(tmp_path, scrapes(3, 50))
    whole = bytearray((path / INDEX).read_bytes())
    whole[40] ^= 1
    (path / INDEX).write_bytes(whole)

    block = Block.open(files, path)

    assert [e.offset_bytes for e in block.noticed] == [0]
    assert "header checksum" in block.noticed[0].reason


def test_a_read_error_is_tried_again_and_then_is_damage(tmp_path: Path) -> None:
    """EIO of a pread costs the stripe that cannot be read, not the block, not the process."""
    model = scrapes(60, 700)
    files, path = written(tmp_path, model)
    wanted = all_refs(model)
    expected = Block.open(files, path).read(wanted, INT64_MIN, INT64_MAX)
    for in_a_row, lost in ((1, False), (100, True)):
        quiet = FaultyFiles(files, 1 << 30, Fault.EIO)
        block = Block.open(quiet, path)
        assert block.refs().size
        assert block.stripe_checks.size
        faulty = FaultyFiles(files, quiet.calls + 1, Fault.EIO, last=in_a_row)
        block = Block.open(faulty, path)
        assert block.refs().size
        assert block.stripe_checks.size
        damaged: list[Damage] = []
        found = block.read(wanted, INT64_MIN, INT64_MAX, damaged=damaged)
        assert faulty.fired
        assert bool(damaged) == lost
        assert (found.points < expected.points) == lost


def test_files_live_as_long_as_a_reference_to_the_block(tmp_path: Path) -> None:
    """The lease: a merge may unlink a block that a query still reads."""
    model = scrapes(3, 50)
    files, path = written(tmp_path, model)
    gc.collect()  # blocks of other tests
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    block = Block.open(files, path)
    remove_tree(files, path)

    found = model_of(all_refs(model), block.read(all_refs(model), INT64_MIN, INT64_MAX))

    assert found == model
    del block
    gc.collect()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_forgetting_the_index_changes_nothing(tmp_path: Path) -> None:
    model = scrapes(3, 50)
    files, path = written(tmp_path, model)
    block = Block.open(files, path)
    assert block.memory_bytes == 0
    first = block.read(all_refs(model), INT64_MIN, INT64_MAX)
    assert block.memory_bytes > 0
    block.forget()
    assert block.memory_bytes == 0
    again = block.read(all_refs(model), INT64_MIN, INT64_MAX)

    assert (first.timestamps == again.timestamps).all()
