"""What stands before the grammar: tokens are Prometheus', and nothing gets too far."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.promql.prescan import Numeral, scan


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000), ("1_000.5", 1000.5), (".5", 0.5), ("1.", 1), ("1e3", 1000),
        ("1E+3", 1000), ("1e-3", 0.001), ("0x1F", 31), ("0X_ff", 255), ("0777", 511), ("08", 8),
        ("0_7", 7), ("Inf", math.inf), ("iNF", math.inf), ("5m", 300), ("1h30m", 5400),
        ("1y2w3d4h5m6s7ms", 33_019_506.007), ("0s", 0), ("9223372036854775807", 2.0**63),
        ("18446744073709551617", 2.0**64), ("00000000000000000000000001", 1), ("1e-400", 0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert [numeral.value for numeral in scan(text).numerals] == [value]


def test_nan_is_a_number() -> None:
    assert math.isnan(scan("nAn").numerals[0].value)
    assert scan('{nan="x", inf="y"}').numerals == []


@pytest.mark.parametrize(
    "text",
    [
        "1__0", "1_", "0x", "0x1__2", "0xfg", "0b11", "0o17", "1e", "1e_5", "1_.5", "1._5", "5mm",
        "5m5m", "1s1m", "1ms1s", "1.5m", "1.2.3", "300y", "1e400", "0xffffffffffffffff", "1x",
        "1" * 5000, "0x" + "1" * 5000, "1" * 5000 + "y", "0" * 5000 + "9" * 5000,
        '"a', "'a\nb'", '"\\q"', "`a", '"\\xff"', '"\\x4"', '"\\', "x ! y", "x; y", "x $y", "\x00",
        "é", "x\u00a0", "{a~'b'}", "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        scan(text)


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(InvalidInput, match=r"^2:5: parse error: bad number"):
        scan("x +\n y +5x")


def test_strings_never_reach_the_grammar() -> None:
    scanned = scan(r"""label_replace(x{a=~`\d+`, "b.c" != 'd\'\x41'}, "é\n", "\"", "", `"`)""")

    assert scanned.strings == ["\\d+", "b.c", "d'A", "é\n", '"', "", '"']
    assert scanned.operators == {0: "=~", 2: "!="}
    assert scanned.text == (
        'label_replace ( x { a = "#0" , "#1" = "#2" } , "#3" , "#4" , "#5" , "#6" )'
    )


def test_comments_and_blanks_are_nothing() -> None:
    assert scan('x # "a{(\n\t+\r\n y#').text == "x + y"


@pytest.mark.parametrize(
    ("text", "signs", "shown"),
    [
        ("a + b", "", "a + b"),
        ("a + + b", "+", "a + - b"),
        ("+a - -b", "+-", "- a - - b"),
        ("a + on (x) + b", "+", "a + on ( x ) - b"),
        ("a and + b", "+", "a and - b"),
        ("a > bool + b", "+", "a > bool - b"),
        ("a / on (x) group_left + b", "+", "a / on ( x ) group_left - b"),
        ("sum(a) by (b) + c", "", "sum ( a ) by ( b ) + c"),
        ("a offset +5m + b", "", "a offset + 1 + b"),
        ("a @ +5 + b", "", "a @ 1 + b"),
        ("a @ -5 + +b", "+", "a @ 1 + - b"),
        ("offset + and + +b", "+", "offset + and + - b"),
        ("a{b='c'} + d", "", 'a { b = "#0" } + d'),
        ("a[5m] + b", "", "a [ 1 ] + b"),
        ("+-+2 ^ 3", "+-+", "- - - 1 ^ 2"),
    ],
)
def test_unary_signs_are_told_from_operators(text: str, signs: str, shown: str) -> None:
    scanned = scan(text)
    assert "".join(scanned.signs) == signs
    assert scanned.text == shown


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(300, 300_000), (0.0005, 0), (0.0015, 1), (-0.001, -1), (1.5, 1500), (0.0009999999, 1)],
)
def test_numbers_as_lengths(seconds: float, milliseconds: int) -> None:
    assert Numeral(seconds).milliseconds() == milliseconds


@pytest.mark.parametrize("seconds", [1e10, -1e10, math.nan, math.inf])
def test_lengths_beyond_all_measure(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="duration out of range"):
        Numeral(seconds).milliseconds()


@pytest.mark.parametrize(
    ("seconds", "moment"),
    [(3.0005, 3001), (-3.0005, -3001), (-1, -1000), (1e12, 10**15), (0.49999999999999994, 500)],
)
def test_numbers_as_moments(seconds: float, moment: int) -> None:
    assert Numeral(seconds).moment_ms() == moment


def test_moments_stay_far_from_the_ends_of_int64() -> None:
    for value, spelled in (
        (1e30, "1000000000000000019884624838656.000000"),
        (math.nan, "NaN"),
        (-math.inf, "-Inf"),
    ):
        with pytest.raises(InvalidInput, match=f"out of bounds for @ modifier: {spelled}"):
            Numeral(value).moment_ms()
    assert abs(Numeral(-9e18).moment_ms()) < 2**62


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("x" * (1 << 20), "QUERY_BYTES_MAX"),
        ("é" * (limits.QUERY_BYTES_MAX // 2) + "x", "QUERY_BYTES_MAX"),
        ("(" * 20_000 + "1" + ")" * 20_000, "QUERY_DEPTH_MAX"),
        ("abs(" * 15_000, "QUERY_DEPTH_MAX"),
        ("[" * 1000, "QUERY_DEPTH_MAX"),
        ("-" * 10_000 + "x", "QUERY_OPERATORS_MAX"),
        ("+".join(["1"] * 20_000), "QUERY_OPERATORS_MAX"),
        (" or ".join(["x"] * 5_000), "QUERY_OPERATORS_MAX"),
        ("x{" + 'a="",' * 10_000 + "}", "QUERY_TOKENS_MAX"),
    ],
)
def test_limits(text: str, limit: str) -> None:
    with pytest.raises(LimitExceeded) as refused:
        scan(text)
    assert refused.value.limit == limit


@given(st.text(alphabet="x1m5.e_+-@[](){}\"'`\\=~!,:#\n offset", max_size=60))
def test_any_text_is_scanned_or_refused(text: str) -> None:
    try:
        scanned = scan(text)
    except InvalidInput:
        return
    assert len(scanned.text) <= 8 * len(text) + 8
    assert len(scanned.signs) <= text.count("+") + text.count("-")
