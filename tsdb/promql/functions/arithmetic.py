"""Functions of one value at a time: rounding, logarithms, trigonometry, bounds.

in   a Vector, some with scalars besides
out  a Vector of the same series without metric names

Where C's mathematics and Go's differ in more than the last bits, Go's formula is followed; but
for `ln` and `log10` of numbers below 2.3e-308, which Go takes for 2.3e-308 on some machines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tsdb.batch import F64s
from tsdb.promql.ast import Call
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]

Function = Callable[[F64s], F64s]


def _mapped(evaluation: Evaluation, call: Call, grid: Grid, *, function: Function) -> Vector:
    vector = evaluation.vector(call.arguments[0], grid)
    with np.errstate(all="ignore"):
        return Vector(vector.rows, function(vector.values), vector.present).nameless()


def _log2(values: F64s) -> F64s:
    """Of mantissa and exponent apart: less exact near 1 than C's, and exact for powers of two."""
    mantissa, exponent = np.frexp(values)
    halves = mantissa == 0.5
    found = np.log(mantissa) * (1 / math.log(2)) + exponent
    return np.where(halves, exponent - 1.0, found)


def _log10(values: F64s) -> F64s:
    return np.log(values) * (1 / math.log(10))


def _sign(values: F64s) -> F64s:
    """Zero and NaN stay as they are, zero with its sign."""
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def _degrees(values: F64s) -> F64s:
    return values * 180 / math.pi


def _radians(values: F64s) -> F64s:
    return values * math.pi / 180


def _round(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """To the next multiple of the second argument, halves up."""
    nearest = np.ones(grid.count)
    if len(call.arguments) > 1:
        nearest = evaluation.scalar(call.arguments[1], grid).values
    with np.errstate(all="ignore"):
        inverse = 1.0 / nearest
    return _mapped(
        evaluation, call, grid, function=lambda values: np.floor(values * inverse + 0.5) / inverse
    )


def _clamp(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """No series at all at steps where the bounds cross."""
    low = evaluation.scalar(call.arguments[1], grid).values
    high = evaluation.scalar(call.arguments[2], grid).values
    return _bounded(evaluation.vector(call.arguments[0], grid), low, high)


def _clamp_min(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    low = evaluation.scalar(call.arguments[1], grid).values
    vector = evaluation.vector(call.arguments[0], grid)
    return _bounded(vector, low, np.full(grid.count, math.inf))


def _clamp_max(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    high = evaluation.scalar(call.arguments[1], grid).values
    vector = evaluation.vector(call.arguments[0], grid)
    return _bounded(vector, np.full(grid.count, -math.inf), high)


def _bounded(vector: Vector, low: F64s, high: F64s) -> Vector:
    with np.errstate(all="ignore"):
        values = _maximum(low, -_maximum(-high, -vector.values))
        present = vector.present & ~(high < low)
    return Vector(vector.rows, values, present).nameless().pruned()


def _maximum(left: F64s, right: F64s) -> F64s:
    """As in Go: infinity wins over NaN, and 0 over -0."""
    found = np.maximum(left, right)
    infinite = (left == math.inf) | (right == math.inf)
    zeros = (left == 0) & (right == 0)
    found = np.where(infinite, math.inf, found)
    return np.where(zeros & np.signbit(left), right, np.where(zeros, left, found))


MAPPED: Mapping[str, Function] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": _log2,
    "log10": _log10,
    "sgn": _sign,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "deg": _degrees,
    "rad": _radians,
}
FAMILY: Mapping[str, Handler] = {
    **{name: partial(_mapped, function=function) for name, function in MAPPED.items()},
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
}
