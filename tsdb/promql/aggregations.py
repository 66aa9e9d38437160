"""Aggregations over series: `sum by (label) (...)` and its kin.

in   the node, the grid
out  a Vector with a row a group
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsdb.errors import InvalidInput
from tsdb.promql.ast import Aggregate
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["evaluate"]


def evaluate(evaluation: Evaluation, node: Aggregate, grid: Grid) -> Vector:
    """One row a group of rows."""
    if node.operator not in {"sum", "count"}:
        raise InvalidInput(f"aggregation {node.operator} is not supported")
    vector = evaluation.vector(node.inner, grid)
    groups, labels = vector.rows.grouped(node.labels, without=node.without)
    values = np.zeros((len(labels), grid.count))
    present = np.zeros((len(labels), grid.count), np.bool_)
    taken = np.where(vector.present, 1.0 if node.operator == "count" else vector.values, 0.0)
    np.add.at(values, groups, taken)
    np.logical_or.at(present, groups, vector.present)
    return Vector(Rows(labels), values, present)
