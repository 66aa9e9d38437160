"""Functions of one value at a time, against Python's mathematics and calendar."""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb.promql.functions import arithmetic
from tsdb.promql.functions.dates import PARTS, date_of
from tsdb.promql.values import Scalar

INF, NAN = math.inf, math.nan
Ask = Callable[..., Any]

PYTHON: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sgn": lambda v: math.copysign(1, v) if v else v,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": math.atanh,
    "deg": math.degrees,
    "rad": math.radians,
}


@pytest.mark.parametrize("name", sorted(arithmetic.MAPPED))
@given(value=st.floats(-30, 30) | st.floats(-1, 1) | st.integers(-100, 100).map(float))
@settings(max_examples=50)
def test_each_function_is_the_mathematical_one(name: str, value: float) -> None:
    with np.errstate(all="ignore"):
        found = float(arithmetic.MAPPED[name](np.array([value]))[0])
    try:
        expected = PYTHON[name](value)
    except ValueError:  # outside of where it is defined: poles are infinite, the rest unknown
        assert math.isnan(found) or math.isinf(found)
        return
    # The logarithms follow Go's formula, which loses digits next to 1.
    assert found == pytest.approx(expected, rel=1e-12, abs=3e-16 if "log" in name else 0)


def test_logarithms_of_powers_of_two_are_exact() -> None:
    assert arithmetic.MAPPED["log2"](2.0 ** np.arange(-1000, 1000)).tolist() == list(
        range(-1000, 1000)
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("round(x)", [1, 3, -2, NAN, INF]),
        ("round(x, 0.5)", [0.5, 2.5, -2.5, NAN, INF]),
        ("round(x, 0)", [NAN] * 5),
        ("clamp(x, 0, 2)", [0.5, 2, 0, NAN, 2]),
        ("clamp_min(x, 0)", [0.5, 2.5, 0, NAN, INF]),
        ("clamp_min(x, Inf)", [INF] * 5),
        ("clamp_max(x, 1)", [0.5, 1, -2.5, NAN, 1]),
        ("clamp_max(x, -Inf)", [-INF] * 5),
        ("clamp_min(x, NaN)", [NAN, NAN, NAN, NAN, INF]),
        ("sgn(x)", [1, 1, -1, NAN, 1]),
    ],
)
def test_rounding_and_bounds(
    ask: Ask, table: Callable[..., Any], query: str, expected: list[float]
) -> None:
    found = table(ask(query, {'x{a="b"}': [0.5, 2.5, -2.5, NAN, INF]}))
    assert list(found) == ['{a="b"}']
    np.testing.assert_array_equal(found['{a="b"}'], expected)


def test_crossed_bounds_leave_nothing(ask: Ask, table: Callable[..., Any]) -> None:
    assert table(ask("clamp(x, 2, 1)", {"x": [1.0, 2.0]})) == {}
    assert table(ask("clamp(x, time(), 60)", {"x": [1.0, 2.0, 3.0]})) == {"{}": [1, 60, None]}


# --- constants -----------------------------------------------------------------------------------


def test_between_scalars_and_vectors(ask: Ask, table: Callable[..., Any]) -> None:
    series = {'x{a="1"}': [1.0, 2.0, None], 'x{a="2"}': [None, 5.0, 7.0]}
    assert table(ask("vector(time())", series)) == {"{}": [0, 60, 120]}
    np.testing.assert_array_equal(table(ask("scalar(x)", series))["{}"], [1, NAN, 7])
    np.testing.assert_array_equal(table(ask("scalar(y)", series))["{}"], [NAN] * 3)
    assert table(ask("vector(pi())", series)) == {"{}": [math.pi] * 3}


def test_a_scalar_is_one(ask_once: Ask) -> None:
    assert isinstance(ask_once("scalar(x)", {"x": [1.0]}).value, Scalar)


# --- dates ---------------------------------------------------------------------------------------


@given(seconds=st.integers(-62_135_596_800, 253_402_300_799), part=st.floats(0, 0.99))
@settings(max_examples=300)
def test_dates_are_those_of_the_calendar(seconds: int, part: float) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    # Cut towards zero, as Go converts.
    date = date_of(np.array([seconds + math.copysign(part, seconds)]))
    found = {name: int(take(date)[0]) for name, take in PARTS.items()}
    assert found == {
        "minute": moment.minute,
        "hour": moment.hour,
        "day_of_week": moment.isoweekday() % 7,
        "day_of_month": moment.day,
        "day_of_year": moment.timetuple().tm_yday,
        "days_in_month": calendar.monthrange(moment.year, moment.month)[1],
        "month": moment.month,
        "year": moment.year,
    }


def test_what_is_no_second_has_the_date_that_prometheus_gives_it() -> None:
    for nonsense in (NAN, INF, -INF, 1e300, -(2.0**63)):
        assert PARTS["year"](date_of(np.array([nonsense]))).tolist() == [292277026596]


def test_dates_of_the_step_itself(ask: Ask, table: Callable[..., Any]) -> None:
    assert table(ask("minute()", {"x": [1.0] * 3})) == {"{}": [0, 1, 2]}
    assert table(ask("year(x)", {'x{a="b"}': [0.0, 1e9, None]})) == {'{a="b"}': [1970, 2001, None]}


def test_timestamps_are_the_points_own(ask: Ask, table: Callable[..., Any]) -> None:
    series = {'x{a="b"}': [1.0, 2.0, None, 4.0]}
    assert table(ask("timestamp(x)", series)) == {'{a="b"}': [0, 60, None, 180]}
    assert table(ask("timestamp((x offset 1m))", series)) == {'{a="b"}': [None, 0, 60, None]}
    assert table(ask("timestamp(x @ 60)", series)) == {'{a="b"}': [60] * 4}
    # Beside @ an offset only says what is read.
    assert table(ask("timestamp(x @ 60 offset -30s)", series)) == {'{a="b"}': [60] * 4}
    assert table(ask("timestamp(x @ 60 offset 1m)", series)) == {}
    # Of what a query made, only the step's time is known.
    assert table(ask("timestamp(-(x offset 1m))", series)) == {'{a="b"}': [None, 60, 120, None]}
