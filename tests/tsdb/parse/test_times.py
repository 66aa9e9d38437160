"""tsdb.parse.times: exact to the nanosecond, and the message says which text was wrong."""

import datetime
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse.times import INT64_MAX, INT64_MIN, parse_duration, parse_time, ticks_from_decimal

MS, NS = Resolution.MS, Resolution.NS
NOW = 1_700_000_000_000
resolutions = st.sampled_from(list(Resolution))


def nearest(exact):
    """Half up, with fractions rather than floats."""
    return (exact + Fraction(1, 2)).__floor__()


@given(st.integers(INT64_MIN, INT64_MAX))
@example(INT64_MIN)
@example(INT64_MAX)
def test_every_tick_written_as_seconds_is_read_back(ticks):
    for resolution in Resolution:
        whole, rest = divmod(abs(ticks), resolution.ticks_per_s)
        sign = "-" if ticks < 0 else ""
        decimals = f".{rest:0{len(str(resolution.ticks_per_s)) - 1}d}" if rest else ""

        assert parse_time(f"{sign}{whole}{decimals}", resolution, NOW) == ticks


@given(
    st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,25})?([eE][+-]?[0-9])?", fullmatch=True),
    resolutions,
)
@example("0.0005", MS)
@example("-0.0005", MS)
@example("1700000000.0005", MS)  # the nearest float64 lies below the half
def test_decimals_finer_than_a_tick_go_to_the_nearest(text, resolution):
    exact = Fraction(text) * resolution.ticks_per_s
    if not INT64_MIN <= nearest(exact) <= INT64_MAX:
        return

    assert parse_time(text, resolution, NOW) == nearest(exact)


@given(
    st.datetimes(min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.text("0123456789", max_size=12),
)
def test_rfc3339_with_any_offset_and_fraction(moment, offset_minutes, fraction):
    moment = moment.replace(microsecond=0)
    sign, minutes = ("-", -offset_minutes) if offset_minutes < 0 else ("+", offset_minutes)
    text = f"{moment.isoformat()}{'.' if fraction else ''}{fraction}"
    text += f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    seconds = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    exact = seconds - offset_minutes * 60 + Fraction(int(fraction or "0"), 10 ** len(fraction))

    assert parse_time(text, MS, NOW) == nearest(exact * 1000)


def test_one_case_checked_by_hand():
    assert parse_time("2026-08-01T12:00:00.25+02:00", MS, NOW) == 1785578400250
    assert parse_time("2026-08-01t10:00:00z", Resolution.S, NOW) == 1785578400
    assert parse_time("2026-08-01T10:00:00.123456789Z", NS, NOW) == 1785578400123456789


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("now", NOW),
        ("now-1h", NOW - 3_600_000),
        ("now+5m", NOW + 300_000),
        ("now-1h30m", NOW - 5_400_000),
        (" now-250ms ", NOW - 250),
        ("now-1.5", NOW - 1_500),
        ("now-1y1w1d", NOW - (365 + 7 + 1) * 86_400_000),
    ],
)
def test_times_relative_to_the_callers_now(text, ticks):
    assert parse_time(text, MS, NOW) == ticks


@pytest.mark.parametrize(
    "text",
    ["", "x", "now-", "nowish", "now--1h", "now-1x", "2026-02-30T00:00:00Z", "2026-08-01T24:00:00Z",
     "2026-08-01T12:00:00", "2026-08-01", "2026-08-01T12:00:00+24:00", "2026-08-01 12:00", "1_000",
     "0x10", "١٢", "1e", ".", "-", "nan", "inf", "--1", "1e30", "9223372036854775.808",
     "9" * 1000, "10000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "1\n"],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_its_text(text):
    if text == "1\n":  # white space around is forgiven
        assert parse_time(text, MS, NOW) == 1000
        return
    with pytest.raises(InvalidInput) as caught:
        parse_time(text, MS, NOW)
    assert text.strip()[:16] in str(caught.value)


@given(st.lists(st.integers(0, 99), min_size=7, max_size=7))
def test_durations_are_sums_of_their_units(counts):
    units = ("y", "w", "d", "h", "m", "s", "ms")
    lengths = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
    text = "".join(f"{n}{unit}" for n, unit in zip(counts, units, strict=True) if n)
    if text:
        assert parse_duration(text, MS) == sum(
            n * length for n, length in zip(counts, lengths, strict=True)
        )


@pytest.mark.parametrize(
    ("text", "resolution", "ticks"),
    [
        ("15", MS, 15_000),
        ("0.25", MS, 250),
        ("1e3", MS, 1_000_000),
        ("0", MS, 0),
        ("1m", Resolution.S, 60),
        ("2000ms", Resolution.S, 2),
        ("0.000000001", NS, 1),
        ("100000000000", Resolution.S, 100_000_000_000),
        ("0.000", Resolution.S, 0),
    ],
)
def test_durations_in_other_forms(text, resolution, ticks):
    assert parse_duration(text, resolution) == ticks


@pytest.mark.parametrize(
    ("text", "resolution", "reason"),
    [
        ("1500ms", Resolution.S, "finer than the database's resolution s"),
        ("0.0005", MS, "finer than the database's resolution ms"),
        ("1e-99999999999", MS, "finer than"),
        ("-5", MS, "has a sign"),
        ("1m1h", MS, "neither"),
        ("5x", MS, "neither"),
        ("", MS, "neither"),
        ("1h ", Resolution.NS, None),
        ("300y", NS, "outside int64"),
    ],
)
def test_durations_that_are_refused(text, resolution, reason):
    """A step of half a tick would never end, or end early: it is not rounded."""
    if reason is None:
        assert parse_duration(text, resolution) == 3_600 * 10**9
        return
    with pytest.raises(InvalidInput, match=reason):
        parse_duration(text, resolution)


def test_huge_exponents_cost_nothing():
    assert ticks_from_decimal("0e999999999999", 3) == 0
    assert ticks_from_decimal("1e-999999999999", 3) == 0
    with pytest.raises(InvalidInput, match="outside int64"):
        ticks_from_decimal("1e999999999999", 3)
