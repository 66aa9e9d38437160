"""api.encode.point_text: the fewest digits that read back to the same bits, and exact times."""

import json
import math
import struct
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.encode import point_text
from api.encode.point_text import JSON, LINES, TEXT, TIMES, VALUES, Layout, gathered, pieces

INT64S = st.integers(-(2**63), 2**63 - 1)
NOTHING = np.empty(0, np.int64), np.empty(0, np.float64)


def float_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


floats = st.one_of(
    st.integers(0, 2**64 - 1).map(float_of),
    st.floats(),
    st.integers(-(2**63), 2**63).map(float),
    st.builds(lambda m, e: m * 10.0**e, st.integers(-(10**6), 10**6), st.integers(-9, 9)),
    st.integers(-1074, 1023).map(lambda e: math.ldexp(1.0, e)),
)


def values_text(values, style=TEXT):
    array = np.array(values, np.float64)
    text = b"".join(pieces(NOTHING[0], array, Layout(0, style, VALUES, behind=b"\n")))
    return text.decode().split("\n")[:-1]


def times_text(ticks, decimals):
    array = np.array(ticks, np.int64)
    text = b"".join(pieces(array, NOTHING[1], Layout(decimals, TEXT, TIMES, behind=b"\n")))
    return text.decode().split("\n")[:-1]


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
        (LINES, ['"NaN"', '"StaleNaN"', '"Infinity"', '"-Infinity"', "-0.0"]),
    ],
)
def test_values_without_a_number(style, expected):
    bits = np.array(
        [0x7FF8 << 48, 0x7FF0000000000002, 0x7FF << 52, 0xFFF << 52, 1 << 63], np.uint64
    )

    assert values_text(bits.view(np.float64), style) == expected
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


@given(
    st.lists(st.tuples(INT64S, floats), max_size=9),
    st.binary(max_size=20), st.binary(max_size=9), st.binary(max_size=17),
)  # fmt: skip
@settings(max_examples=50)
def test_every_point_stands_between_its_texts(points, before, between, behind):
    """Texts of any length: they are copied eight bytes at a time."""
    stamps = np.array([t for t, _ in points], np.int64)
    values = np.array([v for _, v in points], np.float64)
    layout = Layout(3, TEXT, TIMES | VALUES, before, between, behind)

    expected = b"".join(
        before + t.encode() + between + v.encode() + behind
        for t, v in zip(times_text(stamps, 3), values_text(values), strict=True)
    )
    assert b"".join(pieces(stamps, values, layout)) == expected


def test_long_columns_come_in_pieces(monkeypatch):
    monkeypatch.setattr(point_text, "PIECE_POINTS", 4)
    values = np.arange(10.0)

    texts = list(pieces(NOTHING[0], values, Layout(0, columns=VALUES)))

    assert texts == [b"0,1,2,3,", b"4,5,6,7,", b"8,9,"]
    assert list(pieces(*NOTHING, Layout(0))) == []


@given(st.lists(st.binary(max_size=30_000), max_size=20))
def test_gathered_pieces_are_the_same_bytes(texts):
    pieces_ = list(gathered(texts))

    assert b"".join(pieces_) == b"".join(texts)
    assert all(len(p) >= point_text.PIECE_BYTES for p in pieces_[:-1])


def test_the_longest_texts_fit_their_room():
    """Room is reckoned before writing; a kernel cannot ask for more."""
    stamps = np.full(1000, -(2**63), np.int64)
    for value in (-1.7976931348623157e308, -1.2345678901234567e-6, -2.2250738585072014e-308):
        values = np.full(1000, value)
        for decimals in (9, -3):
            text = b"".join(pieces(stamps, values, Layout(decimals, LINES)))
            assert len(text) <= 1000 * 65
            assert text.count(b",") == 1000
