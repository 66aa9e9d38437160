"""tsdb.block.writer: a block is there whole or not at all, whatever fails and whenever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blocks.model import (
    BLOCKS,
    DATABASE,
    HOURS_2_MS,
    INT64_MAX,
    INT64_MIN,
    all_refs,
    columns,
    disk,
    flush,
    model_of,
    opened,
    scrapes,
)
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from crash.states import explore

from tsdb import limits
from tsdb.batch import Columns
from tsdb.block import encoder
from tsdb.block.layout import parse_block_name
from tsdb.block.reader import Block
from tsdb.block.verify import verify
from tsdb.block.writer import FlushWriter, Origin
from tsdb.codec import kernels as codec
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

ORIGIN = Origin(DATABASE, Resolution.MS, 1, 9)
MODEL = {1: {0: 1, 5: 2}, 2: {HOURS_2_MS: 3}, 7: {-1: 4, 1: 5}}


def test_blocks_are_named_by_window_seqs_level_and_depth() -> None:
    files = disk()

    first, *_ = flush(files, {0: {1_700_042_399_999: 1}}, (5, 17))

    assert first.name == (
        "8000018bd1fe8400-8000018bd26c60ff-00000000000000000005-00000000000000000017-L00-0000"
    )
    assert files.list(BLOCKS) == [first.name]


def test_a_flush_makes_the_same_bytes_again() -> None:
    """Nothing in a block comes from a clock or a random number."""
    files, again = disk(), disk()

    for target in (files, again):
        for meta in flush(target, MODEL):
            for name in ("chunks", "index"):
                file = target.open_read(BLOCKS / meta.name / name)
                target.sent(file.pread(1 << 20, 0))

    contents = [[op[1] for op in f.ops if op[0] == "sent"] for f in (files, again)]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6


def test_a_flush_repeated_after_a_failure_replaces_what_was_left() -> None:
    files = disk()
    metas = flush(files, MODEL)
    left = BLOCKS / (metas[0].name + ".tmp")
    files.mkdir(left)

    assert flush(files, MODEL) == metas
    for block in opened(files, metas):
        assert verify(block, deep=True) == []


def test_series_without_points_leave_no_trace() -> None:
    files = disk()
    writer = FlushWriter(files, BLOCKS, ORIGIN)
    refs = np.array([3, 4], np.uint32)
    writer.add(refs, columns({}, refs))

    assert writer.finish() == ()
    assert files.list(BLOCKS) == []


def test_our_own_mistakes_are_assertions() -> None:
    for refs, model, why in (
        ([5], {5: {1: 1}}, "ascend from slice to slice"),
        ([7, 6], {6: {1: 1}, 7: {1: 1}}, "refs must ascend"),
    ):
        writer = FlushWriter(disk(), BLOCKS, ORIGIN)
        writer.add(np.array([5], np.uint32), columns({5: {0: 1}}, np.array([5])))
        wanted = np.array(refs, np.uint32)
        with pytest.raises(AssertionError, match=why):
            writer.add(wanted, columns(model, wanted))
    writer = FlushWriter(disk(), BLOCKS, ORIGIN)
    twice = Columns(np.array([0, 2]), np.array([4, 4]), np.array([0.0, 1.0]))
    with pytest.raises(AssertionError, match="does not ascend"):
        writer.add(np.array([1], np.uint32), twice)


def test_too_many_windows_for_the_level_is_our_mistake() -> None:
    stamps = np.arange(limits.BLOCKS_PER_FLUSH_MAX + 1) * HOURS_2_MS
    run = Columns(np.array([0, stamps.size]), stamps, np.zeros(stamps.size))
    files = disk()
    writer = FlushWriter(files, BLOCKS, ORIGIN)

    with pytest.raises(AssertionError, match="level too low"):
        writer.add(np.array([1], np.uint32), run)
    assert files.list(BLOCKS) == []


def test_a_bit_that_flips_while_encoding_stops_the_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and processors fail too. The log still has the points; it must keep them."""
    encode = codec.encode_runs

    def flipping(offsets, timestamps, bits, widths, out, ends):
        size = encode(offsets, timestamps, bits, widths, out, ends)
        out[5] ^= 4
        return size

    monkeypatch.setattr(encoder.codec, "encode_runs", flipping)
    files = disk()

    with pytest.raises(CorruptionError, match="just encoded"):
        flush(files, scrapes(3, 20))
    assert files.list(BLOCKS) == []


@pytest.mark.parametrize("fault", Fault)
def test_a_failing_call_leaves_whole_blocks_or_none(fault: Fault) -> None:
    for nth in range(1, 300):
        files = disk()
        faulty = FaultyFiles(files, nth, fault)
        try:
            flush(faulty, MODEL)
            finished = True
        except OSError:
            finished = False
        names = [name for name in files.list(BLOCKS) if not name.endswith(".tmp")]
        assert len(names) == 3 or not finished
        for name in names:
            assert verify(Block.open(files, BLOCKS / name), deep=True) == []
        if not faulty.fired:
            assert finished
            return
    raise AssertionError("never ran without a fault")


def test_after_a_power_cut_finished_blocks_are_whole() -> None:
    """Every order in which unsynced bytes and names may have reached the disk."""

    def script(files: SimulatedDisk) -> None:
        files.mkdir(BLOCKS.parent)
        files.sync_dir(Path("/"))
        files.mkdir(BLOCKS)
        files.sync_dir(BLOCKS.parent)
        metas = flush(files, MODEL)
        files.acked([meta.name for meta in metas])

    def check(image: SimulatedDisk, acked: list[list[str]], sent: list[object]) -> None:
        names = image.list(BLOCKS) if image.exists(BLOCKS) else []
        whole = [name for name in names if parse_block_name(name)]
        assert set(acked[0] if acked else []) <= set(whole)
        for name in whole:
            assert verify(Block.open(image, BLOCKS / name)) == []
        if acked:
            refs = all_refs(MODEL)
            found = [
                model_of(refs, block.read(refs, INT64_MIN, INT64_MAX))
                for block in (Block.open(image, BLOCKS / name) for name in whole)
            ]
            assert sum(len(p) for model in found for p in model.values()) == 5

    report = explore(script, check)

    assert report.violations == [], str(report)
    assert report.images > 30
