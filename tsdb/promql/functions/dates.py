"""Calendar functions of seconds since 1970, in UTC; and the time of points.

in   a Vector of seconds, or nothing: then the step's own time
out  a Vector without metric names

Seconds are cut to whole ones. Any int64 has a date, as in Go, which counts years from far
before our era in an unsigned number; so do we, for the same answer on nonsense too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.index.labels import Labels
from tsdb.promql import selectors
from tsdb.promql.ast import Call, InstantSelector, unwrapped
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]

DAY_S = 86_400
YEAR_ZERO = -292_277_022_399  # the first year that is counted; like year 1 in its 400-year cycle
EPOCH_DAY = 106_751_991_073_094  # 1970-01-01, counted from the first day of that year
DAYS_400, DAYS_100, DAYS_4, DAYS_1 = 146_097, 36_524, 1_461, 365
MONTH_DAYS = (
    (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
    (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
)
MONTH_STARTS = np.array([np.cumsum((0, *days[:-1])) for days in MONTH_DAYS])
MONTH_LENGTHS = np.array(MONTH_DAYS)


@dataclass(frozen=True, slots=True)
class Date:
    """Moments taken apart; all counted from 0 but the year."""

    year: I64s
    month: I64s
    day: I64s  # of the month
    day_of_year: I64s
    weekday: I64s  # from Sunday
    second: I64s  # of the day
    leap: I64s  # 0 or 1


def date_of(seconds: F64s) -> Date:
    """The date of seconds since 1970, cut to whole ones; what is no int64 counts as the least."""
    inside = (seconds >= -(2.0**63)) & (seconds < 2.0**63)
    whole = np.where(inside, seconds, -(2.0**63)).astype(np.int64)
    counted = whole.view(np.uint64) + np.uint64(EPOCH_DAY * DAY_S)  # wraps, as Go's does
    days = (counted // np.uint64(DAY_S)).astype(np.int64)
    cycles, left = np.divmod(days, DAYS_400)
    centuries = np.minimum(left // DAYS_100, 3)
    left -= centuries * DAYS_100
    fours, left = np.divmod(left, DAYS_4)
    ones = np.minimum(left // DAYS_1, 3)
    left -= ones * DAYS_1
    leap = ((ones == 3) & ((fours != 24) | (centuries == 3))).astype(np.int64)
    month = (MONTH_STARTS[leap] <= left[..., np.newaxis]).sum(axis=-1) - 1
    return Date(
        year=YEAR_ZERO + 400 * cycles + 100 * centuries + 4 * fours + ones,
        month=month,
        day=left - MONTH_STARTS[leap, month],
        day_of_year=left,
        weekday=(days - EPOCH_DAY + 4) % 7,  # 1970 began on a Thursday
        second=(counted % np.uint64(DAY_S)).astype(np.int64),
        leap=leap,
    )


Part: TypeAlias = Callable[[Date], I64s]


def _dated(evaluation: Evaluation, call: Call, grid: Grid, *, part: Part) -> Vector:
    if not call.arguments:
        seconds = (grid.times() // 1000).astype(np.float64).reshape(1, -1)
        rows, present = Rows([Labels()]), np.ones(seconds.shape, np.bool_)
        return Vector(rows, part(date_of(seconds)).astype(np.float64), present)
    vector = evaluation.vector(call.arguments[0], grid)
    values = part(date_of(vector.values)).astype(np.float64)
    return Vector(vector.rows, values, vector.present).nameless()


def _timestamp(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """Of a selector the points' own times; of anything else the step's."""
    node = unwrapped(call.arguments[0])
    if isinstance(node, InstantSelector):
        return selectors.instant_times(evaluation, node, grid).nameless()
    vector = evaluation.vector(node, grid)
    values = np.broadcast_to(grid.times() / 1000, vector.values.shape).copy()
    return Vector(vector.rows, values, vector.present).nameless()


PARTS: Mapping[str, Part] = {
    "minute": lambda date: date.second % 3600 // 60,
    "hour": lambda date: date.second // 3600,
    "day_of_week": lambda date: date.weekday,
    "day_of_month": lambda date: date.day + 1,
    "day_of_year": lambda date: date.day_of_year + 1,
    "days_in_month": lambda date: MONTH_LENGTHS[date.leap, date.month],
    "month": lambda date: date.month + 1,
    "year": lambda date: date.year,
}
FAMILY: Mapping[str, Handler] = {
    **{name: partial(_dated, part=part) for name, part in PARTS.items()},
    "timestamp": _timestamp,
}
