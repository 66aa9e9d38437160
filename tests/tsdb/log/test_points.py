"""tsdb.log.points: batches survive their bytes, scrapes are small, damage is named."""

from __future__ import annotations

import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError
from tsdb.log.points import ROWS, RUNS, decode_points, encode_points

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/points/v1"
ticks = st.integers(-(2**63), 2**63 - 1)
bits = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 5))
refs = st.integers(0, 2**32 - 1)
runs = st.lists(st.tuples(refs, st.lists(st.tuples(ticks, bits), max_size=12)), max_size=12)
definitions = st.lists(st.tuples(refs, st.binary(min_size=1, max_size=20)), max_size=5)


def batch_of(
    chosen: list[tuple[int, list[tuple[int, int]]]], defined: list[tuple[int, bytes]]
) -> Batch:
    flat = [p for _, points in chosen for p in points]
    columns = Columns(
        np.cumsum([0, *[len(points) for _, points in chosen]]).astype(np.int64),
        np.array([t for t, _ in flat], np.int64),
        np.array([b for _, b in flat], np.uint64).view(np.float64),
    )
    return Batch(
        np.array([r for r, _ in chosen], np.uint32),
        columns,
        SeriesDefinitions(
            np.array([r for r, _ in defined], np.uint32),
            np.cumsum([0, *[len(key) for _, key in defined]]).astype(np.int64),
            b"".join(key for _, key in defined),
        ),
    )


def same(a: Batch, b: Batch) -> bool:
    pairs = [
        (a.refs, b.refs),
        (a.columns.offsets, b.columns.offsets),
        (a.columns.timestamps, b.columns.timestamps),
        (a.columns.values.view(np.uint64), b.columns.values.view(np.uint64)),
        (a.definitions.refs, b.definitions.refs),
        (a.definitions.offsets, b.definitions.offsets),
    ]
    return all(np.array_equal(x, y) for x, y in pairs) and a.definitions.keys == b.definitions.keys


@given(runs, definitions, st.sampled_from(Resolution))
@settings(deadline=None)
def test_every_batch_survives(chosen: list, defined: list, resolution: Resolution) -> None:
    """All but runs without points, which say nothing."""
    batch = batch_of(chosen, defined)
    held = batch_of([run for run in chosen if run[1]], defined)

    assert same(decode_points(encode_points(batch, resolution)), held)


@given(st.lists(st.lists(st.tuples(ticks, bits), min_size=4, max_size=9), min_size=1, max_size=4))
@settings(deadline=None)
def test_bulk_survives_as_chunks(points: list) -> None:
    batch = batch_of([(7 + 3 * i, p) for i, p in enumerate(points)], [])
    payload = encode_points(batch, Resolution.MS)

    assert payload[1] == RUNS
    assert same(decode_points(payload), batch)


def test_a_scrape_takes_few_bytes() -> None:
    """A point of every series, as a scrape brings them: refs and times cost next to nothing."""
    rng = np.random.default_rng(1)
    series = 5_000
    kind = np.arange(series) % 4
    counters, gauges = rng.integers(0, 10**6, series) * 1.0, np.round(rng.normal(50, 9, series), 2)
    values = np.select(
        [kind == 0, kind == 1, kind == 2], [0.0 * kind, counters, kind * 4.0], gauges
    )
    stamps = 1_700_000_000_000 + np.repeat(rng.integers(0, 15_000, series // 100), 100)
    columns = Columns(np.arange(series + 1), stamps, values)
    batch = Batch(np.arange(series, dtype=np.uint32), columns, SeriesDefinitions.none())
    payload = encode_points(batch, Resolution.MS)

    assert payload[1] == ROWS
    assert len(payload) / series <= 8
    assert same(decode_points(payload), batch)


def test_bulk_takes_at_most_three_bytes_a_point() -> None:
    rng = np.random.default_rng(2)
    stamps = 1_700_000_000_000 + np.arange(200) * 10_000
    values = np.cumsum(rng.integers(0, 3, (50, 200)), axis=1).astype(np.float64)
    columns = Columns(np.arange(0, 10_001, 200), np.tile(stamps, 50), values.ravel())
    batch = Batch(np.arange(50, dtype=np.uint32), columns, SeriesDefinitions.none())

    assert len(encode_points(batch, Resolution.MS)) / batch.points <= 3


def read_or_reason(payload: bytes) -> Batch | str:
    try:
        return decode_points(payload)
    except CorruptionError as error:
        return error.reason


@given(runs, definitions, st.data())
@settings(deadline=None)
def test_damaged_bytes_are_named_or_read_as_some_batch(
    chosen: list, defined: list, data: st.DataObject
) -> None:
    """The log's checksum guards the bytes; whatever passes it must not end the process."""
    payload = bytearray(encode_points(batch_of(chosen, defined), Resolution.MS))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        del payload[data.draw(st.integers(0, len(payload))) :]

    assert read_or_reason(bytes(payload))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_end_the_process(payload: bytes) -> None:
    assert read_or_reason(payload)
    assert read_or_reason(b"\x01\x00\x02\x00" + payload)


def points_entry(form: int, definitions: int, runs: int, points: int, columns: bytes) -> bytes:
    return bytes([1, form, 2, 0]) + struct.pack("<III", definitions, runs, points) + columns


ZEROS = b"\x00\xff\xff\xff\x1f"  # 2^26 zeros


@pytest.mark.parametrize(
    "payload",
    [
        points_entry(ROWS, 2**32 - 1, 2**32 - 1, 2**32 - 1, bytes(40)),
        points_entry(ROWS, 0, 2**26, 2**26, ZEROS * 3 + bytes(40)),
        points_entry(RUNS, 0, 2**26, 2**26, ZEROS * 3 + bytes(40)),
        points_entry(RUNS, 0, 1, 2**26, b"\x00\x00" + bytes(40)),
        points_entry(ROWS, 2**26, 0, 0, ZEROS * 2 + bytes(40)),
        points_entry(ROWS, 0, 2**26, 0, ZEROS * 3),
    ],
)
def test_absurd_counts_ask_for_no_memory(payload: bytes) -> None:
    """A few bytes can say "2^26 zeros"; they must not become gigabytes of columns."""
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError):
            decode_points(payload)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 1 << 20


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (bytes([2]) + points_entry(ROWS, 0, 0, 0, b"")[1:], "version 2"),
        (points_entry(2, 0, 0, 0, b""), "form 2"),
        (bytes([1, 0, 9, 0]) + bytes(12), "codec 9"),
        (bytes([1, 0, 2, 1]) + bytes(12), "version 1"),
        (bytes(10), "10 bytes"),
        (points_entry(ROWS, 1, 0, 0, bytes([2, 0, 0])), "key is empty"),
        (points_entry(ROWS, 1, 0, 0, bytes([2, 9, 1])), "longer than the entry"),
        (points_entry(ROWS, 0, 1, 1, bytes([1, 0, 0, 0, 0, 0x80])), "refs are not u32"),
        (points_entry(ROWS, 0, 1, 1, bytes([0, 0, 1, 0, 0, 0x80])), "count is not sound"),
        (points_entry(ROWS, 0, 1, 2, bytes([0, 0, 0, 0, 0, 1, 0x80])), "header says 2"),
        (points_entry(ROWS, 0, 1, 1, bytes([0, 0, 0, 0, 0, 0, 0x80, 7])), "1 bytes left over"),
        (points_entry(ROWS, 0, 1, 1, bytes([0, 0, 0, 0, 0, 0, 0x90])), "values are cut off"),
        (points_entry(ROWS, 0, 1, 1, bytes([0, 0, 0, 0, 0, 0, 0x07])), "values are cut off"),
        (points_entry(ROWS, 0, 1, 1, bytes([0, 5])), "refs are cut off"),
        (points_entry(ROWS, 0, 1, 1, b"\xff" * 9 + b"\x02"), "refs are cut off"),
        (points_entry(RUNS, 0, 1, 4, bytes([0, 0, 6, 9, 1, 2])), "do not add up"),
        (points_entry(RUNS, 0, 1, 4, bytes([0, 0, 6, 2, 1, 2])), "chunk"),
    ],
)
def test_each_kind_of_damage_is_named(payload: bytes, reason: str) -> None:
    with pytest.raises(CorruptionError, match=reason):
        decode_points(payload)


PAGE = (ROOT / "docs/format/points.md").read_text()
EXAMPLES = dict(re.findall(r"```hex (\w+)\n(.*?)```", PAGE, re.DOTALL))
EXAMPLE_ROWS = batch_of([(0, [(1_000, 0x3FF0000000000000)]), (1, [(1_000, 0)])], [(1, b"k")])
EXAMPLE_RUNS = batch_of([(5, [(1_000 * i, 0x3FF0000000000000) for i in range(1, 5)])], [])


@pytest.mark.parametrize(("name", "batch"), [("rows", EXAMPLE_ROWS), ("runs", EXAMPLE_RUNS)])
def test_the_examples_of_the_format_page_are_what_they_say(name: str, batch: Batch) -> None:
    payload = bytes.fromhex(re.sub(r"#.*", "", EXAMPLES[name]))

    assert same(decode_points(payload), batch)
    assert encode_points(batch, Resolution.MS).hex() == payload.hex()


@pytest.mark.parametrize("name", ["rows", "runs"])
def test_golden_payloads_are_read_for_ever(name: str) -> None:
    rng = np.random.default_rng(5)
    each = 1 if name == "rows" else 20
    columns = Columns(
        np.arange(0, 40 * each + 1, each),
        1_700_000_000_000 + np.sort(rng.integers(0, 10**6, 40 * each)),
        rng.integers(0, 2**63, 40 * each).view(np.float64),
    )
    batch = Batch(np.arange(0, 80, 2, dtype=np.uint32), columns, SeriesDefinitions.none())

    assert same(decode_points((GOLDEN / f"{name}.bin").read_bytes()), batch)
