"""Binary operators: arithmetic, comparison, sets; between scalars and vectors.

in   the node, the grid
out  a Scalar or a Vector
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsdb.errors import InvalidInput
from tsdb.promql.ast import Binary
from tsdb.promql.values import Grid, Scalar, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["evaluate"]

ARITHMETIC = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def evaluate(evaluation: Evaluation, node: Binary, grid: Grid) -> Scalar | Vector:
    """Both sides, then the operator."""
    left, right = evaluation.value(node.left, grid), evaluation.value(node.right, grid)
    operator = ARITHMETIC.get(node.operator)
    if operator is None:
        raise InvalidInput(f"operator {node.operator} is not supported")
    with np.errstate(all="ignore"):
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            return Scalar(operator(left.values, right.values))
        if isinstance(left, Vector) and isinstance(right, Scalar):
            values = operator(left.values, right.values)
            return Vector(left.rows.without_name(), values, left.present)
        if isinstance(left, Scalar) and isinstance(right, Vector):
            values = operator(left.values, right.values)
            return Vector(right.rows.without_name(), values, right.present)
    raise InvalidInput("operators between two vectors are not supported")
