"""count_values: how many series have each value, which becomes a label.

in   the node, the grid
out  a Vector with a row for each value of each group
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.promql import spoken
from tsdb.promql.ast import Aggregate
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["evaluate"]

COUNTING = 6  # cells' worth of room to number a value


def evaluate(evaluation: Evaluation, node: Aggregate, grid: Grid) -> Vector:
    assert node.parameter is not None, "the parser checks arguments"
    name = evaluation.text(node.parameter)
    if not name:
        raise QueryFailed(f'invalid label name "{name}"')
    vector = evaluation.vector(node.inner, grid)
    # The value's label replaces one that the series have; `without` takes either away.
    names = [each for each in node.labels if each != name]
    told = not (node.without and name in (*node.labels, METRIC_NAME))
    evaluation.charge_cells(COUNTING * int(vector.present.sum()))
    groups, called = vector.rows.grouped(
        (*names, name) if node.without else names, without=node.without
    )
    rows, steps = np.nonzero(vector.present)
    unique, numbers = _numbered(vector.values[rows, steps])
    if not told:
        unique, numbers = [""], np.zeros(rows.size, np.int64)
    cells, of_cell = np.unique(groups[rows] * len(unique) + numbers, return_inverse=True)
    evaluation.charge_cells(cells.size * grid.count)
    shape = (cells.size, grid.count)
    counts = np.bincount(of_cell * grid.count + steps, minlength=shape[0] * shape[1])
    values = counts.reshape(shape).astype(np.float64)
    labels = called.labels()
    found = [
        Labels({**labels[cell // len(unique)], name: unique[cell % len(unique)]})
        for cell in cells.tolist()
    ]
    return Vector(Rows(found), values, values > 0).merged()


def _numbered(values: F64s) -> tuple[list[str], I64s]:
    """Each value that there is, as text, and for every value the number of its text."""
    bits, numbers = np.unique(values.view(np.uint64), return_inverse=True)
    texts: dict[str, int] = {}
    of_bits = [texts.setdefault(_decimal(v), len(texts)) for v in bits.view(np.float64).tolist()]
    return list(texts), np.array(of_bits, np.int64)[numbers]


def _decimal(value: float) -> str:
    """The fewest digits that read back as the value, never with an exponent."""
    if not np.isfinite(value):
        return spoken.number(value)
    return np.format_float_positional(value, unique=True, trim="-")
