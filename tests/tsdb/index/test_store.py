"""tsdb.index.store: what was written is read, whatever happens to one of the two copies."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsdb.batch import SeriesDefinitions
from tsdb.errors import CorruptionError, NewerFormat
from tsdb.index import store
from tsdb.index.labels import canonical
from tsdb.index.registry import Registry
from tsdb.index.store import read_index, verify_index, write_index
from tsdb.vfs import OsFiles

FILES = OsFiles()
ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/index/v1/0000000000-0004000000-bd0ba3f890afaa55"
GOLDEN_SERIES = {
    0: {"__name__": "cpu", "host": "a"},
    1: {"__name__": "cpu", "host": "b"},
    7: {"__name__": "sensors/kitchen/temp"},
    8: {"__name__": "cpu", "host": "a", "dc": "\u00e9\n"},
    4_000_000: {"label name": "x" * 300},
}

texts = st.text("ab\u00e9\n", min_size=1, max_size=4)
label_sets = st.dictionaries(texts, texts, min_size=1, max_size=4)


def registry_of(series: dict[int, dict[str, str]]) -> Registry:
    keys = [canonical(labels) for labels in series.values()]
    offsets = np.cumsum([0, *map(len, keys)], dtype=np.int64)
    registry = Registry()
    registry.define(SeriesDefinitions(np.array(list(series), np.uint32), offsets, b"".join(keys)))
    return registry


def write(series: dict[int, dict[str, str]], directory: Path) -> Path:
    return directory / write_index(FILES, directory, registry_of(series).definitions_from(0))


def read(path: Path) -> dict[int, dict[str, str]]:
    registry = Registry()
    columns = read_index(FILES, path)
    registry.define(columns)
    return {ref: dict(registry.labels(ref)) for ref in columns.refs.tolist()}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, 5000), label_sets, min_size=1, max_size=20))
def test_what_was_written_is_read(tmp_path: Path, series: dict[int, dict[str, str]]) -> None:
    series = dict(sorted(series.items()))
    path = write(series, tmp_path)

    assert read(path) == series
    assert verify_index(FILES, path) == []
    assert write(series, tmp_path) == path


def test_files_of_several_checkpoints_make_one_registry(tmp_path: Path) -> None:
    series = {i: {"__name__": f"m{i % 3}", "i": str(i)} for i in range(100)}
    registry = registry_of(series)
    names = [write_index(FILES, tmp_path, registry.definitions_from(0))]
    more = {i: {"__name__": f"m{i % 3}", "i": str(i)} for i in range(100, 150)}
    registry.define(registry.assign([canonical(labels) for labels in more.values()]))
    names.append(write_index(FILES, tmp_path, registry.definitions_from(100)))

    again = Registry()
    for name in names:
        again.define(read_index(FILES, tmp_path / name))

    assert {ref: dict(again.labels(ref)) for ref in range(150)} == series | more
    assert again.next_ref == 150
    assert sorted(names) == names


def test_a_damaged_byte_anywhere_is_made_good_and_told(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    sound = path.read_bytes()
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert read(path) == GOLDEN_SERIES, place
        assert verify_index(FILES, path), place


def test_damage_in_both_copies_is_an_error_with_a_place(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    sound = path.read_bytes()
    half = len(sound) // 2
    for place in range(half):
        damaged = bytearray(sound)
        damaged[place] ^= 1
        damaged[place + half] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CorruptionError) as found:
            read_index(FILES, path)
        assert found.value.path == path
        assert 0 <= found.value.offset_bytes <= place
        assert verify_index(FILES, path)


def test_damage_in_different_sections_of_both_copies_is_made_good(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    damaged = bytearray(path.read_bytes())
    half = len(damaged) // 2
    damaged[store.HEADER_BYTES] ^= 1  # refs of the first copy
    damaged[half + half - 1] ^= 1  # text of the second
    path.write_bytes(damaged)

    assert read(path) == GOLDEN_SERIES
    assert len(verify_index(FILES, path)) == 2


def test_a_cut_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    sound = path.read_bytes()
    for size in range(0, len(sound), 7):
        path.write_bytes(sound[:size])
        assert verify_index(FILES, path)
        if size < len(sound) // 2:
            with pytest.raises(CorruptionError):
                read_index(FILES, path)
        else:
            assert read(path) == GOLDEN_SERIES


def resealed(data: bytes, section: int, place: int, value: bytes) -> bytes:
    """The file as a faulty writer would have made it: other bytes under checksums that hold."""
    copy = bytearray(data[: len(data) // 2])
    entries = [struct.unpack_from("<QQ", copy, 64 + 16 * i) for i in range(5)]
    starts = np.cumsum([store.HEADER_BYTES] + [-(-size // 64) * 64 for size, _ in entries])
    start, end = int(starts[section]), int(starts[section + 1])
    copy[start + place : start + place + len(value)] = value
    check = xxhash.xxh3_64_intdigest(bytes(copy[start:end]))
    struct.pack_into("<Q", copy, 64 + 16 * section + 8, check)
    return seal(copy) * 2


def seal(copy: bytearray) -> bytes:
    struct.pack_into("<Q", copy, 184, xxhash.xxh3_64_intdigest(bytes(copy[:184])))
    return bytes(copy)


@pytest.mark.parametrize(
    ("section", "place", "value"),
    [
        (0, 4, b"\x00\x00\x00\x00"),  # refs that do not ascend
        (0, 0, b"\xff\xff\xff\x7f"),
        (1, 0, b"\x00"),  # a series without labels
        (1, 0, b"\x03"),  # rows that end early
        (1, 4, b"\x02"),  # ... or late
        (1, 0, b"\x41"),
        (2, 0, b"\xff\xff\xff\xff"),  # a label that is not there
        (2, 0, b"\x05\x00\x00\x00"),  # labels out of order
        (3, 0, b"\x10"),  # label sizes that do not add up
        (3, 0, b"\x0e\x00\x07"),
        (4, 0, b"\x09"),  # a name that is longer than its label
        (4, 0, b"\x00"),
        (4, 2, b"\xff"),  # not UTF-8
        (4, 2, b"~"),  # names out of order
    ],
)
def test_series_that_are_not_canonical_are_damage(tmp_path, section, place, value) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    path.write_bytes(resealed(path.read_bytes(), section, place, value))

    with pytest.raises(CorruptionError) as found:
        read_index(FILES, path)
    assert found.value.path == path
    assert found.value.offset_bytes >= store.HEADER_BYTES
    assert verify_index(FILES, path)


def test_a_header_that_contradicts_itself_is_damage(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    sound = path.read_bytes()
    for offset in (10, 16, 24, 32, 40, 44, 48, 64, 80, 96, 112, 128):
        copy = bytearray(sound[: len(sound) // 2])
        copy[offset] ^= 1
        path.write_bytes(seal(copy) * 2)
        with pytest.raises(CorruptionError):
            read_index(FILES, path)


def test_a_newer_version_is_refused_by_number(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)
    copy = bytearray(path.read_bytes()[: path.stat().st_size // 2])
    copy[8] = 2
    path.write_bytes(seal(copy) * 2)

    with pytest.raises(NewerFormat) as refused:
        read_index(FILES, path)
    assert (refused.value.found, refused.value.newest_known) == (2, 1)
    with pytest.raises(NewerFormat):
        verify_index(FILES, path)


def test_golden_files_of_every_version_are_read() -> None:
    assert read(GOLDEN) == GOLDEN_SERIES
    assert verify_index(FILES, GOLDEN) == []


def test_version_1_is_still_written_the_same(tmp_path: Path) -> None:
    path = write(GOLDEN_SERIES, tmp_path)

    assert path.name == GOLDEN.name
    assert path.read_bytes() == GOLDEN.read_bytes()


def test_the_example_of_the_format_page_is_a_file(tmp_path: Path) -> None:
    page = (ROOT / "docs/format/index.md").read_text()
    example = re.search(r"```hex index-copy\n(.*?)```", page, re.S)
    assert example is not None
    series = {1: {"__name__": "cpu", "host": "a"}, 2: {"__name__": "cpu", "host": "b"}}
    path = write(series, tmp_path)

    assert bytes.fromhex(example[1]) * 2 == path.read_bytes()
    assert path.name in page
    assert read(path) == series
