"""api.encode.point_text: the fewest digits that read back to the same bits, and exact times."""

import json
import math
import struct
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.encode import point_text
from api.encode.kernels import POINT_BYTES_MAX
from api.encode.point_text import EXPORT, JSON, LINES, POINTS, ROWS, TEXT, Layout, batches, pieces
from tsdb.batch import Columns

INT64S = st.integers(-(2**63), 2**63 - 1)


def float_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


floats = st.one_of(
    st.integers(0, 2**64 - 1).map(float_of),
    st.floats(),
    st.integers(-(2**63), 2**63).map(float),
    st.builds(lambda m, e: m * 10.0**e, st.integers(-(10**6), 10**6), st.integers(-9, 9)),
    st.integers(-1074, 1023).map(lambda e: math.ldexp(1.0, e)),
)


def columns_of(runs):
    """Columns of [[(tick, value), ...], ...]."""
    points = [point for run in runs for point in run]
    return Columns(
        np.cumsum([0, *map(len, runs)]),
        np.array([t for t, _ in points], np.int64),
        np.array([v for _, v in points], np.float64),
    )


def written(points, decimals=0, style=TEXT):
    """The text of each time and each value."""
    layout = Layout(ROWS, decimals, style, between=b"\t", behind=b"\n")
    text = b"".join(pieces([b""], columns_of([points]), layout)).decode()
    return [row.split("\t") for row in text.split("\n")[:-1]]


def values_text(values, style=TEXT):
    return [value for _, value in written([(0, v) for v in values], style=style)]


def times_text(ticks, decimals):
    return [time for time, _ in written([(t, 0.0) for t in ticks], decimals)]


@given(st.lists(floats.filter(math.isfinite), min_size=1, max_size=40))
@example([5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 4.35, 0.1, 2 / 3, 9.5e-7])
@example([1e21, 1e22, 123456789012345680000.0, 1e15, 1e16, 9007199254740993.0, 1e-6, 9.99e-7])
@example([99999.9999, 99999999999.9999, 100000000000.0001, 0.0001, 0.00001, 12345.67895])
def test_shortest_digits_that_read_back(values):
    """As repr does it: same digits, so the same number; only the layout differs."""
    for text, value in zip(values_text(values), values, strict=True):
        assert struct.pack("<d", float(text)) == struct.pack("<d", value)
        assert Decimal(text) == Decimal(repr(value))
        assert float(orjson.loads(text)) == value  # JSON's grammar


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-07"),
        (123456.789, "123456.789"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.5e300, "1.5e+300"), (-2.5e-10, "-2.5e-10"), (100.0, "100"), (0.07, "0.07"),
        (5e-324, "5e-324"), (1234567890123456.0, "1234567890123456"), (1e100, "1e+100"),
    ],
)  # fmt: skip
def test_layout_is_that_of_prometheus(value, text):
    assert values_text([value]) == [text]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (TEXT, ["NaN", "NaN", "+Inf", "-Inf", "-0"]),
        (JSON, ['"NaN"', '"NaN"', '"+Inf"', '"-Inf"', "-0.0"]),
        (EXPORT, ['"NaN"', '"StaleNaN"', '"Infinity"', '"-Infinity"', "-0.0"]),
    ],
)
def test_values_without_a_number(style, expected):
    bits = np.array(
        [0x7FF8 << 48, 0x7FF0000000000002, 0x7FF << 52, 0xFFF << 52, 1 << 63], np.uint64
    )

    assert values_text(bits.view(np.float64).tolist(), style) == expected
    assert values_text([float_of(0xFFF8000000000000)], style) == expected[:1]


@given(st.lists(INT64S, min_size=1, max_size=30), st.integers(0, 9))
@example([-(2**63), 2**63 - 1, 0, -1, 1, 10, 999, 1000, -1000], 3)
@example([-(2**63), 2**63 - 1, 0, -1, 1, 10**9], 9)
def test_times_are_exact_and_short(ticks, decimals):
    for text, tick in zip(times_text(ticks, decimals), ticks, strict=True):
        assert Decimal(text) == Decimal(tick).scaleb(-decimals)
        assert "." not in text or not text.endswith(("0", "."))
        json.loads(text)


def test_seconds_as_milliseconds():
    assert times_text([17, 0, -3, 2**63 - 1], -3) == ["17000", "0", "-3000", f"{2**63 - 1}000"]


texts = st.binary(max_size=20)
runs = st.lists(st.lists(st.tuples(INT64S, floats), max_size=4), max_size=5)


@given(
    runs, st.lists(texts, min_size=5, max_size=5), st.lists(texts, min_size=5, max_size=5),
    st.sampled_from([1, 500, 2000]),
)  # fmt: skip
def test_every_point_stands_between_its_texts(runs, around, heads, room):
    """In all three modes, with texts of any length and pieces of any size."""
    before, between, behind, separator, tail = around
    heads = heads[: len(runs)]
    expected = {POINTS: b"", ROWS: b"", LINES: b""}
    for head, run in zip(heads, runs, strict=True):
        pairs = [(t.encode(), v.encode()) for t, v in written(run, 3)]
        points = [before + t + between + v + behind for t, v in pairs]
        expected[POINTS] += head + separator.join(points) + tail
        expected[ROWS] += b"".join(head + point for point in points)
        expected[LINES] += head + separator.join(v for _, v in pairs) + between
        expected[LINES] += separator.join(t for t, _ in pairs) + tail
    for mode, text in expected.items():
        layout = Layout(mode, 3, TEXT, before, between, behind, separator, tail)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(point_text, "PIECE_BYTES", room)
            parts = list(pieces(heads, columns_of(runs), layout))
        assert b"".join(parts) == text
        assert all(parts)


def test_long_columns_come_in_pieces():
    columns = columns_of([[(i, float(i)) for i in range(50_000)]])

    sizes = [len(piece) for piece in pieces([b""], columns, Layout(ROWS, 0, behind=b";"))]

    assert max(sizes) <= point_text.PIECE_BYTES
    assert min(sizes[:-1]) > point_text.PIECE_BYTES - 200


@given(st.lists(st.integers(0, 3), max_size=9))
def test_batches_hold_every_point_in_order(select_counts):
    class One:
        def __init__(self, i, count):
            self.timestamps = np.full(count, i)
            self.values = np.arange(count, dtype=np.float64)

        def __len__(self):
            return self.timestamps.size

    series = [One(i, count) for i, count in enumerate(select_counts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point_text, "BATCH_SERIES", 4)
        patch.setattr(point_text, "BATCH_POINTS", 5)
        parts = list(batches(iter(series)))

    assert [one for batch, _ in parts for one in batch] == series
    for batch, columns in parts:
        assert np.diff(columns.offsets).tolist() == [len(one) for one in batch]
        assert columns.timestamps.tolist() == [t for one in batch for t in one.timestamps]
        assert columns.values.tolist() == [v for one in batch for v in one.values]
        assert columns.points < 5 + 3


def test_the_longest_texts_fit_their_room():
    """Room is reckoned before writing; a kernel cannot ask for more."""
    for value in (-1.7976931348623157e308, -1.2345678901234567e-6, -2.2250738585072014e-308):
        for decimals in (9, -3):
            for time, text in written([(-(2**63), value)] * 100, decimals, EXPORT):
                assert len(time) + len(text) <= POINT_BYTES_MAX
