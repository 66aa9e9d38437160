"""avg_over_time and its kin: what the values of a window come to.

in   one range argument; quantile_over_time has the quantile before it
out  a Vector without metric names; first and last keep them, for their values are the points'
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.matchers import Op
from tsdb.promql import ranges
from tsdb.promql.ast import Call, InstantSelector, Node, RangeSelector, unwrapped
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY", "labels_of_absence"]


def _total(evaluation: Evaluation, call: Call, grid: Grid, *, what: str) -> Vector:
    from tsdb.promql.kernels import over_time as kernels

    found = ranges.windows_of(evaluation, call, grid)
    return ranges.computed(evaluation, found, kernels.totals, getattr(kernels, what))


def _chosen(
    evaluation: Evaluation, call: Call, grid: Grid, *, what: str, keep_name: bool = False
) -> Vector:
    from tsdb.promql.kernels import over_time as kernels

    found = ranges.windows_of(evaluation, call, grid)
    vector = ranges.named(evaluation, found, kernels.chosen, getattr(kernels, what))
    return vector if keep_name else ranges.nameless(vector)


def _variance(evaluation: Evaluation, call: Call, grid: Grid, *, root: bool) -> Vector:
    from tsdb.promql.kernels import over_time as kernels

    found = ranges.windows_of(evaluation, call, grid)
    return ranges.computed(evaluation, found, kernels.variance, root)


def _quantile(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    from tsdb.promql.kernels import over_time as kernels

    wanted = evaluation.scalar(call.arguments[0], grid).values
    found = ranges.windows_of(evaluation, call, grid, at=1)
    vector = ranges.computed(evaluation, found, kernels.quantiles, wanted, False, scratch=2)
    bad = wanted[vector.present.any(axis=0)]
    evaluation.annotations.warn_of_quantiles(bad, call.arguments[0])
    return vector


def _median_deviation(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    from tsdb.promql.kernels import over_time as kernels

    found = ranges.windows_of(evaluation, call, grid)
    halves = np.full(grid.count, 0.5)
    return ranges.computed(evaluation, found, kernels.quantiles, halves, True, scratch=2)


def _absent(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """One row: 1 where no series has a point in the window."""
    found = ranges.windows_of(evaluation, call, grid)
    absent = ~ranges.nonempty(found).any(axis=0).reshape(1, -1)
    rows = Rows([labels_of_absence(call.arguments[0])])
    return Vector(rows, np.ones(absent.shape), absent).pruned()


def labels_of_absence(node: Node) -> Labels:
    """What a selector says that the missing series would be called.

    A label that is asked for twice is left out, as is one that is not asked for by `=`.
    """
    node = unwrapped(node)
    if isinstance(node, RangeSelector):
        node = node.selector
    if not isinstance(node, InstantSelector):
        return Labels()
    found: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in node.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is Op.EQUAL and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return Labels.of_sorted(sorted(pair for pair in found.items() if pair[1]))


FAMILY: Mapping[str, Handler] = {
    "sum_over_time": partial(_total, what="SUM"),
    "avg_over_time": partial(_total, what="MEAN"),
    "count_over_time": partial(_total, what="COUNT"),
    "present_over_time": partial(_total, what="PRESENT"),
    "min_over_time": partial(_chosen, what="MIN"),
    "max_over_time": partial(_chosen, what="MAX"),
    "first_over_time": partial(_chosen, what="FIRST", keep_name=True),
    "last_over_time": partial(_chosen, what="LAST", keep_name=True),
    "ts_of_min_over_time": partial(_chosen, what="TIME_MIN"),
    "ts_of_max_over_time": partial(_chosen, what="TIME_MAX"),
    "ts_of_first_over_time": partial(_chosen, what="TIME_FIRST"),
    "ts_of_last_over_time": partial(_chosen, what="TIME_LAST"),
    "stddev_over_time": partial(_variance, root=True),
    "stdvar_over_time": partial(_variance, root=False),
    "quantile_over_time": _quantile,
    "mad_over_time": _median_deviation,
    "absent_over_time": _absent,
}
