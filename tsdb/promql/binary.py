"""Binary operators: arithmetic, comparison, sets; between scalars and vectors.

    in   the node, the values of its sides
    out  a Scalar or a Vector

Two vectors meet row by row: rows find their partners once, by label sets, and one matrix
operation answers all steps (`matching.py`). Where Prometheus refuses a step, the whole query is
refused, in its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tsdb.batch import F64s
from tsdb.promql import matching
from tsdb.promql.ast import Binary
from tsdb.promql.values import Bools, Scalar, Value, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["combined"]

Arithmetic: TypeAlias = Callable[[F64s, F64s], F64s]
Comparison: TypeAlias = Callable[[F64s, F64s], Bools]


def _power(left: F64s, right: F64s) -> F64s:
    from tsdb.promql.kernels import powers as kernel

    bases, exponents = np.broadcast_arrays(left, right)
    found = np.empty(bases.shape)
    kernel.power(np.ravel(bases), np.ravel(exponents), found.reshape(-1))
    return found


# NumPy's are those of C, which agree with Go's in every special case.
ARITHMETIC: dict[str, Arithmetic] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": _power,
    "atan2": np.arctan2,
}
COMPARISON: dict[str, Comparison] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def combined(evaluation: Evaluation, node: Binary, left: Value, right: Value) -> Scalar | Vector:
    """What the operator makes of both sides. Raises QueryFailed where series match ambiguously."""
    with np.errstate(all="ignore"):
        if isinstance(left, Vector) and isinstance(right, Vector):
            return _of_vectors(evaluation, node, left, right)
        if isinstance(left, Vector) and isinstance(right, Scalar):
            return _with_scalar(node, left, left.values, right.values)
        if isinstance(left, Scalar) and isinstance(right, Vector):
            return _with_scalar(node, right, left.values, right.values)
        assert isinstance(left, Scalar), "the parser checks types"
        assert isinstance(right, Scalar), "the parser checks types"
        return _of_scalars(node.operator, left, right)


def _of_scalars(operator: str, left: Scalar, right: Scalar) -> Scalar:
    compare = COMPARISON.get(operator)
    if compare is not None:
        return Scalar(compare(left.values, right.values).astype(np.float64))
    return Scalar(ARITHMETIC[operator](left.values, right.values))


def _with_scalar(node: Binary, vector: Vector, left: F64s, right: F64s) -> Vector:
    """`left` and `right` are the sides' values, of which one is the vector's."""
    compare = COMPARISON.get(node.operator)
    if compare is None:
        values = ARITHMETIC[node.operator](left, right)
        return Vector(vector.rows, values, vector.present).nameless()
    holds = compare(left, right)
    if node.returns_bool:
        return Vector(vector.rows, holds.astype(np.float64), vector.present).nameless()
    return Vector(vector.rows, vector.values, vector.present & holds)


def _of_vectors(evaluation: Evaluation, node: Binary, left: Vector, right: Vector) -> Vector:
    if node.operator in matching.SETS:
        return matching.SETS[node.operator](node.matching, left, right)
    try:
        pairs = matching.pairs(evaluation, node, left, right)
    except matching.Twins as refusal:
        if refusal.step:  # an earlier step may be refused for another reason
            _of_vectors(evaluation, node, left.until(refusal.step), right.until(refusal.step))
        raise
    compare = COMPARISON.get(node.operator)
    present = pairs.left.present & pairs.right.present
    if compare is None:
        values = ARITHMETIC[node.operator](pairs.left.values, pairs.right.values)
        return pairs.result(values, present)
    holds = compare(pairs.left.values, pairs.right.values)
    if node.returns_bool:
        return pairs.result(holds.astype(np.float64), present)
    return pairs.result(pairs.left.values, present & holds)
