"""Aggregations that choose among series and keep their labels: topk, bottomk, limitk, limit_ratio.

in   the node, the grid
out  the chosen rows; of one step the best first, group by group
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xxhash

from tsdb.batch import F64s, I64s
from tsdb.index.labels import Labels
from tsdb.promql import ordering, spoken
from tsdb.promql.ast import Aggregate, Node
from tsdb.promql.errors import QueryFailed
from tsdb.promql.values import Bools, Grid, Vector, contiguous

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["OPERATORS", "evaluate", "place"]

OPERATORS = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})


def evaluate(evaluation: Evaluation, node: Aggregate, grid: Grid) -> Vector:
    """The rows chosen at each step. Raises QueryFailed where the parameter is no number."""
    assert node.parameter is not None, "the parser checks arguments"
    parameter = evaluation.scalar(node.parameter, grid).values
    vector = evaluation.vector(node.inner, grid)
    if node.operator == "limit_ratio":
        _warn_of_ratios(evaluation, parameter, node.parameter)
    if not vector.present.any():
        return Vector.empty(grid.count)
    if node.operator == "limit_ratio":
        return _by_ratio(vector, parameter)
    if parameter.max() < 1:  # a NaN is not less
        return Vector.empty(grid.count)
    some = vector.present.any(axis=0)  # elsewhere nobody asks what k is
    k = _whole(np.where(some, parameter, 0.0), rows=len(vector.rows))
    groups, called = vector.rows.grouped(node.labels, without=node.without)
    if node.operator == "limitk":
        return _first_ones(vector, groups, k, len(called))
    return _best(evaluation, vector, groups, k, largest=node.operator == "topk")


def _whole(parameter: F64s, *, rows: int) -> I64s:
    """`k` by step, bounded by how many rows there are."""
    for step in np.flatnonzero(~(np.abs(parameter) < 2.0**63))[:1]:
        raise QueryFailed(f"Scalar value {spoken.number(float(parameter[step]))} overflows int64")
    return np.minimum(np.trunc(parameter), rows).astype(np.int64)


def _best(
    evaluation: Evaluation, vector: Vector, groups: I64s, k: I64s, *, largest: bool
) -> Vector:
    from tsdb.promql.kernels import choices as kernel

    room = np.minimum(np.bincount(groups), int(k.max()))
    begins = np.concatenate(([0], np.cumsum(room * vector.steps)))
    evaluation.charge_cells(int(begins[-1]))
    values, rows = np.empty(int(begins[-1])), np.empty(int(begins[-1]), np.int64)
    sizes = np.zeros((room.size, vector.steps), np.int64)
    kernel.choose(
        groups, contiguous(vector.values), contiguous(vector.present), k, largest,
        begins, room, values, rows, sizes,
    )  # fmt: skip
    if vector.steps == 1:
        return vector.taken(_ranked(values, rows, begins, sizes[:, 0], largest=largest))
    chosen = np.zeros(vector.present.shape, np.bool_)
    kernel.mark(begins, room, rows, sizes, chosen)
    return Vector(vector.rows, vector.values, chosen).pruned()


def _ranked(values: F64s, rows: I64s, begins: I64s, sizes: I64s, *, largest: bool) -> I64s:
    """The rows of each group's heap, the best first; those with NaN last."""
    ranked: list[I64s] = []
    for begin, size in zip(begins.tolist(), sizes.tolist(), strict=False):
        order = ordering.by_value(values[begin : begin + size], descending=largest)
        ranked.append(rows[begin : begin + size][order])
    return np.concatenate(ranked)


def _first_ones(vector: Vector, groups: I64s, k: I64s, count: int) -> Vector:
    from tsdb.promql.kernels import choices as kernel

    sizes = np.zeros((count, vector.steps), np.int64)
    chosen = np.zeros(vector.present.shape, np.bool_)
    kernel.first_ones(groups, contiguous(vector.present), k, sizes, chosen)
    return Vector(vector.rows, vector.values, chosen).pruned()


def _warn_of_ratios(evaluation: Evaluation, ratio: F64s, about: Node) -> None:
    for bound, extreme in ((1.0, ratio.max()), (-1.0, ratio.min())):
        if abs(extreme) > 1 and extreme * bound > 0:
            evaluation.annotations.warn(
                f"ratio value should be between -1 and 1, got {spoken.number(float(extreme))}, "
                f"capping to {spoken.number(bound)}",
                about,
            )


def _by_ratio(vector: Vector, ratio: F64s) -> Vector:
    """Rows whose hash falls into a share of all hashes; a negative ratio takes the others."""
    if np.isnan(ratio).any():
        raise QueryFailed("Ratio value NaN is NaN")
    limits = np.clip(ratio, -1.0, 1.0)
    places = np.array([place(labels) for labels in vector.rows.labels()]).reshape(-1, 1)
    inside: Bools = np.where(limits >= 0, places < limits, places >= 1.0 + limits)
    return Vector(vector.rows, vector.values, vector.present & inside).pruned()


def place(labels: Labels) -> float:
    """Where a label set's hash lies between 0 and 1; the hash is Prometheus'."""
    spelled = b"".join(
        _length(text) + text for pair in labels.items() for text in map(str.encode, pair)
    )
    return xxhash.xxh64_intdigest(spelled) / 2.0**64


def _length(text: bytes) -> bytes:
    return bytes([len(text)]) if len(text) < 255 else b"\xff" + len(text).to_bytes(3, "little")
