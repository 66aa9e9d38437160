"""Aggregations over series: `sum by (label) (...)` and its kin.

    in   the node, the grid
    out  a Vector with a row a group; of topk and the like, the rows that were chosen

Rows are grouped once by their label sets; a kernel then reduces all groups and steps in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tsdb import parallel
from tsdb.batch import F64s, I64s
from tsdb.promql import choices, count_values
from tsdb.promql.ast import Aggregate
from tsdb.promql.values import Bools, Grid, Vector, contiguous

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["evaluate"]

SELECTING = 4  # cells' worth of work to find a quantile among them


@dataclass(frozen=True, slots=True)
class Grouped:
    """What a reduction works on."""

    groups: I64s  # of each row
    count: int
    values: F64s  # [rows, steps], as kernels take them
    present: Bools

    @property
    def shape(self) -> tuple[int, int]:
        return self.count, int(self.values.shape[1])

    def zeros(self) -> F64s:
        return np.zeros(self.shape)

    def nothing(self) -> Bools:
        return np.zeros(self.shape, np.bool_)

    def seen(self) -> Bools:
        """Where a group has any value."""
        from tsdb.promql.kernels import merging

        seen = self.nothing()
        merging.any_present(self.groups, self.present, seen)
        return seen


Reduction: TypeAlias = Callable[[Grouped], tuple[F64s, Bools]]


def evaluate(evaluation: Evaluation, node: Aggregate, grid: Grid) -> Vector:
    """One row a group of rows, or those of its rows that were chosen."""
    if node.operator == "count_values":
        return count_values.evaluate(evaluation, node, grid)
    if node.operator in choices.OPERATORS:
        return choices.evaluate(evaluation, node, grid)
    vector = evaluation.vector(node.inner, grid)
    groups, rows = vector.rows.grouped(node.labels, without=node.without)
    evaluation.charge_cells(len(rows) * vector.steps)
    grouped = Grouped(groups, len(rows), contiguous(vector.values), contiguous(vector.present))
    with np.errstate(all="ignore"):
        if node.operator == "quantile":
            values, present = _quantile(evaluation, node, grid, grouped)
        else:
            values, present = REDUCTIONS[node.operator](grouped)
    return Vector(rows, values, present)


def _sum(grouped: Grouped) -> tuple[F64s, Bools]:
    totals, lost, seen = _totals(grouped)
    return totals + lost, seen


def _avg(grouped: Grouped) -> tuple[F64s, Bools]:
    from tsdb.promql.kernels import aggregations as kernel

    totals, lost, seen = _totals(grouped)
    numbers = _counted(grouped)
    means = totals / numbers + lost / numbers
    infinite = ~np.isfinite(totals)  # NaN too: one infinity may have met another
    if infinite.any():
        running, careful, rest = grouped.nothing(), grouped.zeros(), grouped.zeros()
        numbers = grouped.zeros()
        kernel.careful_means(
            grouped.groups, grouped.values, grouped.present, infinite, running, careful, rest,
            numbers,
        )  # fmt: skip
        careful = np.where(running, careful + rest, careful / numbers + rest / numbers)
        means = np.where(infinite, careful, means)
    return means, seen


def _totals(grouped: Grouped) -> tuple[F64s, F64s, Bools]:
    from tsdb.promql.kernels import aggregations as kernel

    totals, lost, seen = grouped.zeros(), grouped.zeros(), grouped.nothing()
    kernel.sums(grouped.groups, grouped.values, grouped.present, totals, lost, seen)
    return totals, lost, seen


def _counted(grouped: Grouped) -> F64s:
    from tsdb.promql.kernels import aggregations as kernel

    numbers = grouped.zeros()
    kernel.counts(grouped.groups, grouped.present, numbers)
    return numbers


def _count(grouped: Grouped) -> tuple[F64s, Bools]:
    numbers = _counted(grouped)
    return numbers, numbers > 0


def _group(grouped: Grouped) -> tuple[F64s, Bools]:
    return np.ones(grouped.shape), grouped.seen()


def _min(grouped: Grouped) -> tuple[F64s, Bools]:
    return _extreme(grouped, largest=False)


def _max(grouped: Grouped) -> tuple[F64s, Bools]:
    return _extreme(grouped, largest=True)


def _extreme(grouped: Grouped, *, largest: bool) -> tuple[F64s, Bools]:
    from tsdb.promql.kernels import aggregations as kernel

    best, seen = grouped.zeros(), grouped.nothing()
    kernel.extremes(grouped.groups, grouped.values, grouped.present, largest, best, seen)
    return best, seen


def _stdvar(grouped: Grouped) -> tuple[F64s, Bools]:
    from tsdb.promql.kernels import aggregations as kernel

    means, squares, numbers = grouped.zeros(), grouped.zeros(), grouped.zeros()
    kernel.spreads(grouped.groups, grouped.values, grouped.present, means, squares, numbers)
    return squares / numbers, numbers > 0


def _stddev(grouped: Grouped) -> tuple[F64s, Bools]:
    variance, seen = _stdvar(grouped)
    return np.sqrt(variance), seen


REDUCTIONS: dict[str, Reduction] = {
    "sum": _sum,
    "avg": _avg,
    "count": _count,
    "group": _group,
    "min": _min,
    "max": _max,
    "stddev": _stddev,
    "stdvar": _stdvar,
}


def _quantile(
    evaluation: Evaluation, node: Aggregate, grid: Grid, grouped: Grouped
) -> tuple[F64s, Bools]:
    from tsdb.promql.kernels import aggregations as kernel

    assert node.parameter is not None, "the parser checks arguments"
    fractions = evaluation.scalar(node.parameter, grid).values
    evaluation.annotations.warn_of_extreme_quantiles(fractions, node.parameter)
    order = np.argsort(grouped.groups, kind="stable")
    sizes = np.bincount(grouped.groups, minlength=grouped.count)
    begins = np.concatenate(([0], np.cumsum(sizes)))
    found, largest = grouped.zeros(), int(sizes.max(initial=0))

    def of_steps(first: int, last: int) -> None:
        room, tallies = np.empty((kernel.BLOCK, largest)), np.empty((2, kernel.BLOCK), np.int64)
        kernel.quantiles(
            order, begins, grouped.values, grouped.present, fractions, first, last, room, tallies,
            found,
        )  # fmt: skip

    parallel.run(grid.count, SELECTING * grouped.values.size, of_steps, evaluation.check)
    return found, grouped.seen()
