"""Blocks and manifests of every released version stay readable, to the bit.

`tests/golden/block/v1` is a data directory's blocks and manifest, written once and never again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from blocks.model import HOURS_2_MS, INT64_MAX, INT64_MIN, STALE, Model, all_refs, flush, model_of
from blocks.model import disk as new_disk

from tsdb.block import manifest as manifests
from tsdb.block.layout import CHUNKS, Form
from tsdb.block.manifest import Hole, Tombstone
from tsdb.block.reader import Block
from tsdb.block.verify import verify
from tsdb.codec.resolution import Resolution
from tsdb.vfs import OsFiles

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "block" / "v1"
BASE = 1_700_035_200_000


def golden() -> tuple[Model, Model]:
    """Two flushes, by arithmetic: nothing here may depend on a random number."""
    first: Model = {}
    for ref in range(60):
        stamps = [BASE + 15_000 * i + (i * i + ref) % 3 for i in range(25)]
        values = [100 * ref + (i * (ref % 7)) % 11 + 0.25 for i in range(25)]
        first[3 * ref] = dict(zip(stamps, map(bits, values), strict=True))
    first[1_000] = {BASE + 1_000 * i: bits(float(i // 10)) for i in range(700)}
    first[1_000][BASE + 700_000] = STALE
    second: Model = {
        4: {-1: bits(-0.0), 0: 0x7FF8_0000_DEAD_BEEF, HOURS_2_MS: bits(float("-inf"))},
        2**32 - 2: {INT64_MIN: bits(5e-324), INT64_MAX: 2**64 - 1},
    }
    return first, second


def bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def test_golden_blocks_are_read_to_the_bit() -> None:
    files = OsFiles()
    manifest = manifests.load(files, GOLDEN)
    assert manifest is not None
    first, second = golden()
    found: Model = {}
    for meta in manifest.blocks:
        block = Block.open(files, GOLDEN / "blocks" / meta.name)
        assert block.meta == meta
        assert verify(block, deep=True) == []
        refs = block.refs()
        for ref, points in model_of(refs, block.read(refs, INT64_MIN, INT64_MAX)).items():
            found.setdefault(ref, {}).update(points)

    assert found == {**first, **second}


def test_the_golden_block_has_every_form_of_section() -> None:
    manifest = manifests.load(OsFiles(), GOLDEN)
    assert manifest is not None
    block = Block.open(OsFiles(), GOLDEN / "blocks" / manifest.blocks[0].name)

    assert {int(row["form"]) for row in block.index.rows} == set(Form)


def test_the_golden_manifest_says_what_it_said() -> None:
    manifest = manifests.load(OsFiles(), GOLDEN)

    assert manifest is not None
    assert manifest.resolution is Resolution.MS
    assert (manifest.generation, manifest.checkpoint_seq, manifest.next_ref) == (7, 20, 2**32 - 1)
    assert manifest.index_files == ("0-1000",)
    assert manifest.tombstones == (Tombstone(15, 'cpu{host="ä"}', INT64_MIN, BASE),)
    assert manifest.horizon == -5
    assert manifest.holes == (
        Hole(3, 4, None, None, "wal/1.seg", "lost"),
        Hole(5, 5, -1, 1, "wal/2.seg", "lost too"),
    )
    assert manifests.damage(OsFiles(), GOLDEN) == []


def test_chunks_are_still_written_the_same() -> None:
    """The chunks file has one right content. (The index has not: zstd may learn.)"""
    files = new_disk()
    first, _ = golden()
    (meta,) = flush(files, first, (1, 10))
    manifest = manifests.load(OsFiles(), GOLDEN)
    assert manifest is not None
    path = GOLDEN / "blocks" / manifest.blocks[0].name / CHUNKS

    written = files.open_read(Path("/db/blocks") / meta.name / CHUNKS)

    assert meta.name == manifest.blocks[0].name
    assert written.pread(1 << 20, 0) == path.read_bytes()
    assert all_refs(first).size == 61
