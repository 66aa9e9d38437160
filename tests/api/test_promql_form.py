"""Parameters as Prometheus reads them, and none that keeps the reader busy."""

from __future__ import annotations

import pytest

from api.routes.promql_form import Form, duration, moment
from tsdb import limits
from tsdb.errors import InvalidInput


def form(**values: str) -> Form:
    return Form({name: [value] for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 0),
        ("0", 0),
        ("5", 5),
        ("+5", 5),
        ("-0", 0),
        ("0" * 5_000 + "7", 7),
        (str(2**63 - 1),) * 2,
    ],
)
def test_limits(text: str, found: int | str) -> None:
    assert form(limit=text).limit() == int(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "invalid syntax"), (" 5", "invalid syntax"), ("1_0", "invalid syntax"),
        (str(2**63), "value out of range"), ("9" * 5_000, "value out of range"),
        ("-" + "9" * 5_000, "value out of range"), ("-1", "limit must be non-negative"),
    ],
)  # fmt: skip
def test_refused_limits(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        form(limit=text).limit()


def test_lookbacks() -> None:
    assert form().lookback_ms() == limits.LOOKBACK_MS
    assert form(lookback_delta="0").lookback_ms() == limits.LOOKBACK_MS
    assert form(lookback_delta="-7").lookback_ms() == limits.LOOKBACK_MS
    assert form(lookback_delta="1m30s").lookback_ms() == 90_000
    with pytest.raises(InvalidInput, match=r"^error parsing lookback delta duration: cannot parse"):
        form(lookback_delta="-1s").lookback_ms()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("read", [duration, moment])
@pytest.mark.parametrize("end", ["x", ".5x", "e", "y1", "-"])
def test_long_texts_are_read_in_linear_time(read: object, end: str) -> None:
    """200,000 digits took ten minutes where digits were tried around a missing dot."""
    assert callable(read)
    with pytest.raises(InvalidInput):
        read("9" * 200_000 + end)


def test_long_durations_are_refused() -> None:
    with pytest.raises(InvalidInput, match="to a valid duration"):
        duration("9" * 5_000 + "s")
