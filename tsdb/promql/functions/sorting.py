"""Functions that order an instant answer: sort, sort_desc, sort_by_label, sort_by_label_desc.

in   a Vector
out  its rows in another order; over many steps there is none, so they stay as they are
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from tsdb.promql import ordering
from tsdb.promql.ast import Call
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]


def _sorted(evaluation: Evaluation, call: Call, grid: Grid, *, descending: bool) -> Vector:
    vector = evaluation.vector(call.arguments[0], grid).pruned()
    if grid.count > 1:
        return vector
    return vector.taken(ordering.by_value(vector.values[:, 0], descending=descending))


def _sorted_by_label(evaluation: Evaluation, call: Call, grid: Grid, *, descending: bool) -> Vector:
    vector = evaluation.vector(call.arguments[0], grid).pruned()
    if grid.count > 1:
        return vector
    names = [evaluation.text(each) for each in call.arguments[1:]]
    return vector.taken(ordering.by_label(vector.rows.labels(), names, descending=descending))


FAMILY: Mapping[str, Handler] = {
    "sort": partial(_sorted, descending=False),
    "sort_desc": partial(_sorted, descending=True),
    "sort_by_label": partial(_sorted_by_label, descending=False),
    "sort_by_label_desc": partial(_sorted_by_label, descending=True),
}
