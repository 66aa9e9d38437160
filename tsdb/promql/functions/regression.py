"""deriv, predict_linear, double_exponential_smoothing: lines through the points of a window.

in   one range argument; how far ahead, or two factors
out  a Vector without metric names
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tsdb.batch import F64s
from tsdb.promql import ranges, spoken
from tsdb.promql.ast import Call
from tsdb.promql.errors import QueryFailed
from tsdb.promql.values import Bools, Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]


def _slope(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    from tsdb.promql.kernels import regression as kernels

    return ranges.computed(evaluation, ranges.windows_of(evaluation, call, grid), kernels.slopes)


def _prediction(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """From the step's own time on, wherever offset and `@` put the window."""
    from tsdb.promql.kernels import regression as kernels

    found = ranges.windows_of(evaluation, call, grid)
    ahead_s = evaluation.scalar(call.arguments[1], grid).values
    return ranges.computed(evaluation, found, kernels.predictions, grid.times(), ahead_s)


def _smoothed(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """Raises QueryFailed if a factor is not between 0 and 1 where there are points."""
    from tsdb.promql.kernels import regression as kernels

    found = ranges.windows_of(evaluation, call, grid)
    levels = evaluation.scalar(call.arguments[1], grid).values
    trends = evaluation.scalar(call.arguments[2], grid).values
    used = ranges.nonempty(found)
    _check_factors(used, levels, trends)
    return ranges.computed(evaluation, found, kernels.smoothed, levels, trends)


def _check_factors(used: Bools, levels: F64s, trends: F64s) -> None:
    """The first one in Prometheus' order: series by series, step by step."""
    bad_level, bad_trend = (levels <= 0) | (levels >= 1), (trends <= 0) | (trends >= 1)
    bad = np.argwhere(used & (bad_level | bad_trend))
    if not bad.size:
        return
    step = int(bad[0, 1])
    name, symbol, factors = ("trend", "tf", trends)
    if bad_level[step]:
        name, symbol, factors = ("smoothing", "sf", levels)
    factor = float(factors[step])
    written = f"{factor:f}" if math.isfinite(factor) else spoken.number(factor)
    raise QueryFailed(f"invalid {name} factor. Expected: 0 < {symbol} < 1, got: {written}")


FAMILY: Mapping[str, Handler] = {
    "deriv": _slope,
    "predict_linear": _prediction,
    "double_exponential_smoothing": _smoothed,
}
