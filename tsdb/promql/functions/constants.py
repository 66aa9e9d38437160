"""Between scalars and vectors: pi, time, vector, scalar.

in   nothing, a Scalar or a Vector
out  a Scalar, or a Vector of one row without labels
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tsdb.index.labels import Labels
from tsdb.promql.ast import Call
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Scalar, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]


def _pi(evaluation: Evaluation, call: Call, grid: Grid) -> Scalar:
    return Scalar(np.full(grid.count, math.pi))


def _time(evaluation: Evaluation, call: Call, grid: Grid) -> Scalar:
    return Scalar(grid.times() / 1000)


def _vector(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    values = evaluation.scalar(call.arguments[0], grid).values.reshape(1, -1)
    return Vector(Rows([Labels()]), values, np.ones(values.shape, np.bool_))


def _scalar(evaluation: Evaluation, call: Call, grid: Grid) -> Scalar:
    """The value of the only series that has one; NaN where there is none or more."""
    vector = evaluation.vector(call.arguments[0], grid)
    alone = vector.present.sum(axis=0) == 1
    if not alone.any():
        return Scalar(np.full(grid.count, math.nan))
    rows = vector.present.argmax(axis=0)
    return Scalar(np.where(alone, vector.values[rows, np.arange(grid.count)], math.nan))


FAMILY: Mapping[str, Handler] = {
    "pi": _pi,
    "time": _time,
    "vector": _vector,
    "scalar": _scalar,
}
