"""api.times: one reader of times for everybody, exact to the tick."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.times import duration_ticks, parse_time, time_text
from tsdb.errors import InvalidInput
from tsdb.parse.times import INT64_MAX, INT64_MIN

NOW = 1_769_860_800_000  # 2026-01-31T12:00:00Z in ms
RESOLUTIONS = st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000])


def ms(text: str) -> int:
    return parse_time(text, ticks_per_s=1_000, now_ticks=NOW)


@given(st.integers(INT64_MIN, INT64_MAX), RESOLUTIONS)
def test_what_is_printed_reads_back_as_the_same_tick(ticks: int, ticks_per_s: int) -> None:
    """Years that a calendar can name and those beyond, at every resolution."""
    text = time_text(ticks, ticks_per_s=ticks_per_s)

    assert parse_time(text, ticks_per_s=ticks_per_s, now_ticks=0) == ticks


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_is_refused_by_name(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert INT64_MIN <= ms(text) <= INT64_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31 12:00", NOW),
        ("2026-01-31T14:00:00.25+02:00", NOW + 250),
        ("2026-01-31", NOW - 12 * 3_600_000),
        ("1769860800", NOW),
        ("1769860800.001", NOW + 1),
        ("1.7698608e9", NOW),
        ("-0.001", -1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("now", NOW),
        ("now-1h30m", NOW - 5_400_000),
        ("now+250ms", NOW + 250),
        ("2026-01-31T12:00:00.0004Z", NOW),
        (" now-7d ", NOW - 7 * 86_400_000),
    ],
)
def test_a_moment_can_be_said_in_many_ways(text: str, expected: int) -> None:
    assert ms(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01", "2026-01-31T25:00:00Z", "now-", "now-1parsec", "nan", "1e30"],
)
def test_what_is_no_time_is_refused_with_its_own_text(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not|has a|has an|outside"):
        ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("15s", 15_000), ("1h30m", 5_400_000), ("500ms", 500), ("0.5", 500), ("90", 90_000)],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ticks(text, ticks_per_s=1_000) == expected


@pytest.mark.parametrize("text", ["", "-5s", "5 s", "h", "1x", "1h-30m", "1us"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        duration_ticks(text, ticks_per_s=1_000)
