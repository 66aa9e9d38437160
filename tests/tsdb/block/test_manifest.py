"""tsdb.block.manifest: the newest readable generation wins, and data never starts empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blocks.model import BLOCKS, DATABASE, HOURS_2_MS, INT64_MAX, INT64_MIN, disk, flush, scrapes
from crash.disk import SimulatedDisk
from crash.faults import Fault, FaultyFiles
from crash.states import explore
from hypothesis import given
from hypothesis import strategies as st

from tsdb.block import manifest as manifests
from tsdb.block.layout import INDEX, BlockMeta, check_of, parse_block_name
from tsdb.block.manifest import Hole, Manifest, Tombstone
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError, InvalidInput, NewerFormat
from tsdb.vfs import OsFiles, remove_tree

HERE = BLOCKS.parent
int64 = st.integers(INT64_MIN, INT64_MAX)
seqs = st.integers(0, 2**63 - 1)
# Surrogates are no text: a selector is decoded UTF-8 before it comes here.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def metas(draw: st.DrawFn) -> BlockMeta:
    ends = sorted(draw(st.lists(int64, min_size=4, max_size=4)))
    seq_lo = draw(st.integers(1, 2**63 - 1))
    resolution = Resolution.NS
    return BlockMeta(
        window_start=ends[0],
        window_end=ends[3],
        level=draw(st.integers(0, 50)),
        seq_lo=seq_lo,
        seq_hi=draw(st.integers(seq_lo, 2**63 - 1)),
        depth=draw(st.integers(0, 20_000)),
        deletes_seq=draw(seqs),
        min_ts=ends[1],
        max_ts=ends[2],
        points=9,
        series=2,
        chunks=3,
        chunk_bytes=draw(st.integers(43, 2**63 - 1)),
        index_bytes=draw(seqs),
        ref_min=0,
        ref_max=2**32 - 2,
        resolution=resolution,
        codec=resolution.codec_id,
    )


manifest_values = st.builds(
    Manifest,
    database_id=st.binary(min_size=16, max_size=16),
    resolution=st.just(Resolution.NS),
    generation=st.integers(1, 2**63 - 1),
    checkpoint_seq=seqs,
    next_ref=st.integers(0, 2**32),
    blocks=st.lists(metas(), max_size=4, unique_by=lambda m: m.name).map(tuple),
    index_files=st.lists(text, max_size=3).map(tuple),
    tombstones=st.lists(st.builds(Tombstone, seqs, text, int64, int64), max_size=3).map(tuple),
    horizon=int64,
    holes=st.lists(
        st.builds(Hole, seqs, seqs, st.none() | int64, st.none() | int64, text, text), max_size=3
    ).map(tuple),
)


def example(generation: int = 1, blocks: tuple[BlockMeta, ...] = ()) -> Manifest:
    first = Manifest.first(database_id=DATABASE, resolution=Resolution.MS)
    tombstone = Tombstone(7, 'cpu{host="ä"}', INT64_MIN, INT64_MAX)
    return replace(
        first, generation=generation, blocks=blocks, tombstones=(tombstone,), checkpoint_seq=9
    )


@given(manifest_values)
def test_every_manifest_survives(manifest: Manifest) -> None:
    data = manifests.encode(manifest)

    assert manifests.decode(data, None, 0) == manifest
    assert manifests.decode(data[len(data) // 2 :], None, len(data) // 2) == manifest
    assert len(data) % (2 * manifests.ALIGN_BYTES) == 0


@given(metas())
def test_names_say_where_a_block_belongs(meta: BlockMeta) -> None:
    assert parse_block_name(meta.name) == (
        meta.window_start,
        meta.window_end,
        meta.seq_lo,
        meta.seq_hi,
    )


@given(st.lists(metas(), min_size=2, max_size=6))
def test_names_sort_as_windows_do(found: list[BlockMeta]) -> None:
    """Before 1970 too."""
    by_name = [m.window_start for m in sorted(found, key=lambda m: m.name)]

    assert by_name == sorted(by_name)


def test_the_newest_two_generations_are_kept_and_the_newest_wins() -> None:
    files = disk()
    for generation in (1, 2, 3, 4):
        manifests.store(files, HERE, example(generation))

    assert [n for n in files.list(HERE) if n.startswith("MANIFEST")] == [
        "MANIFEST-00000000000000000003",
        "MANIFEST-00000000000000000004",
    ]
    assert manifests.load(files, HERE) == example(4)
    assert manifests.damage(files, HERE) == []


def test_nothing_is_nothing() -> None:
    files = disk()

    assert manifests.load(files, HERE) is None
    assert manifests.rebuild(files, HERE) is None


def test_any_flipped_bit_is_mended_by_the_other_copy_and_seen_by_the_scrub(tmp_path: Path) -> None:
    files = OsFiles()
    manifests.store(files, tmp_path, example())
    path = tmp_path / example().file_name
    whole = path.read_bytes()
    rng = np.random.default_rng(seed=4)
    for at in [*range(100), *rng.choice(len(whole), 200, replace=False).tolist()]:
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)

        assert manifests.load(files, tmp_path) == example()
        assert manifests.damage(files, tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 64, 4095, 4096, 5000, 8191])
def test_a_truncated_manifest_is_mended_or_refused(tmp_path: Path, keep: int) -> None:
    files = OsFiles()
    manifests.store(files, tmp_path, example())
    path = tmp_path / example().file_name
    path.write_bytes(path.read_bytes()[:keep])

    assert manifests.load(files, tmp_path) == (example() if keep >= 4096 else None)


def test_a_newer_version_is_refused_by_number() -> None:
    """Never fall back to an older generation: that would undo what the newer program did."""
    files = disk()
    manifests.store(files, HERE, example(1))
    data = bytearray(manifests.encode(example(2)))
    half = len(data) // 2
    for offset in (0, half):
        data[offset + 8 : offset + 12] = (2).to_bytes(4, "little")
        check = check_of(bytes(data[offset : offset + 56]))
        data[offset + 56 : offset + 64] = check.to_bytes(8, "little")
    file = files.create(HERE / example(2).file_name)
    file.pwrite(bytes(data), 0)

    with pytest.raises(NewerFormat, match="version 2"):
        manifests.load(files, HERE)


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"x", b'{"generation":1}'],
)
def test_a_sound_checksum_over_nonsense_is_corruption(body: bytes) -> None:
    data = bytearray(manifests.encode(example()))
    data[64:4096] = body.ljust(4096 - 64, b"\0")
    data[24:32] = len(body).to_bytes(8, "little")
    data[32:40] = check_of(bytes(data[64:4096])).to_bytes(8, "little")
    data[56:64] = check_of(bytes(data[:56])).to_bytes(8, "little")

    with pytest.raises(CorruptionError, match="no manifest"):
        manifests.decode(bytes(data[:4096]), None, 0)


def test_a_snapshot_target_must_not_exist() -> None:
    files = disk()
    manifests.check_absent(files, HERE / "snapshot")

    with pytest.raises(InvalidInput, match="exists already"):
        manifests.check_absent(files, BLOCKS)


# --- rebuilding -----------------------------------------------------------------------------


def with_blocks() -> tuple[SimulatedDisk, Manifest]:
    files = disk()
    metas = flush(files, scrapes(3, 50), (1, 5)) + flush(files, scrapes(4, 1_000), (6, 9))
    manifest = replace(example(3, metas), next_ref=4)
    manifests.store(files, HERE, manifest)
    return files, manifest


def test_without_a_manifest_the_blocks_are_asked() -> None:
    files, manifest = with_blocks()
    files.unlink(HERE / manifest.file_name)
    assert manifests.load(files, HERE) is None

    rebuilt = manifests.rebuild(files, HERE)

    assert rebuilt is not None
    assert len(rebuilt.blocks) == 3
    assert set(rebuilt.blocks) == set(manifest.blocks)
    assert rebuilt.database_id == DATABASE
    assert (rebuilt.checkpoint_seq, rebuilt.next_ref) == (9, 4)
    assert "deletes" in rebuilt.holes[0].reason


def test_an_older_generation_is_brought_up_to_date_from_the_blocks() -> None:
    files, manifest = with_blocks()
    newer = replace(
        manifest, generation=4, blocks=manifest.blocks + flush(files, {9: {5: 1}}, (10, 12))
    )
    manifests.store(files, HERE, newer)
    file = files.open_write(HERE / newer.file_name)
    file.pwrite(b"rot", 100)
    file.pwrite(b"rot", file.size() // 2 + 100)

    loaded = manifests.load(files, HERE)

    assert loaded is not None
    assert set(loaded.blocks) == set(newer.blocks)
    assert loaded.tombstones == manifest.tombstones
    assert (loaded.checkpoint_seq, loaded.generation, loaded.next_ref) == (12, 4, 10)
    assert "MANIFEST-00000000000000000004" in loaded.holes[0].reason


def test_a_flush_that_lost_blocks_is_replayed_from_the_log() -> None:
    """One of two windows is there: what the other held is only in the log."""
    files, manifest = with_blocks()
    files.unlink(HERE / manifest.file_name)
    last = max(manifest.blocks, key=lambda m: (m.seq_hi, m.window_start))
    remove_tree(files, BLOCKS / last.name)

    rebuilt = manifests.rebuild(files, HERE)

    assert rebuilt is not None
    assert rebuilt.checkpoint_seq == 5


def test_an_unreadable_block_is_named_in_a_rebuilt_manifest() -> None:
    files, manifest = with_blocks()
    files.unlink(HERE / manifest.file_name)
    first = manifest.blocks[0]
    files.unlink(BLOCKS / first.name / INDEX)

    rebuilt = manifests.rebuild(files, HERE)

    assert rebuilt is not None
    hole = rebuilt.holes[1]
    assert (hole.first_seq, hole.last_seq, hole.file) == (1, 5, first.name)
    assert (hole.min_ts, hole.max_ts) == (0, HOURS_2_MS - 1)


def test_blocks_of_another_database_are_not_taken_over() -> None:
    files, manifest = with_blocks()
    stranger = replace(manifest, database_id=bytes(16), generation=3)
    files.unlink(HERE / manifest.file_name)
    assert manifests.rebuild(files, HERE) is not None

    with pytest.raises(CorruptionError, match="another database"):
        manifests.rebuild(files, HERE, older=stranger)


# --- crashes ----------------------------------------------------------------------------------


def test_a_power_cut_leaves_one_manifest_or_the_next() -> None:
    def script(files: SimulatedDisk) -> None:
        files.mkdir(HERE)
        files.sync_dir(Path("/"))
        for generation in (1, 2, 3):
            files.sent(generation)
            manifests.store(files, HERE, example(generation))
            files.acked(generation)

    def check(image: SimulatedDisk, acked: list[int], sent: list[int]) -> None:
        found = manifests.load(image, HERE) if image.exists(HERE) else None
        generation = found.generation if found is not None else 0
        assert max(acked, default=0) <= generation <= max(sent, default=0)

    report = explore(script, check)

    assert report.violations == [], str(report)
    assert report.states > 50


@pytest.mark.parametrize("fault", Fault)
def test_a_failing_call_leaves_the_old_manifest_or_the_new(fault: Fault) -> None:
    for nth in range(1, 100):
        files = disk()
        manifests.store(files, HERE, example(1))
        faulty = FaultyFiles(files, nth, fault)
        try:
            manifests.store(faulty, HERE, example(2))
            stored = True
        except OSError:
            stored = False
        found = manifests.load(files, HERE)
        assert found in ([example(2)] if stored else [example(1), example(2)])
        if not faulty.fired:
            return
    raise AssertionError("never ran without a fault")
