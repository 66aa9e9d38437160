"""Functions of histograms: histogram_quantile, histogram_fraction, and those of native ones.

in   a Vector whose `le` labels are upper bounds of cumulative buckets
out  a row for each histogram

Series are classic histograms here: points are floats. The functions that look into native
histograms therefore find nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsdb import parallel
from tsdb.batch import F64s, I64s
from tsdb.index.labels import METRIC_NAME
from tsdb.index.quoting import quote
from tsdb.promql.ast import Call, Node
from tsdb.promql.rows import Rows
from tsdb.promql.values import Bools, Grid, Vector, contiguous

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]

BOUND = "le"
LIFTED = (
    "input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
    "for metric name "
)
# What Go's ParseFloat reads; Python's float takes less and more.
_DIGITS = r"\d+(?:_\d+)*"
_NUMBER = re.compile(
    rf"[+-]?(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?|inf(?:inity)?|nan)",
    re.I | re.A,
)
_HEXADECIMAL = re.compile(r"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?\d+", re.I | re.A)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Rows of a vector that are buckets: `order` by histogram and bound; those of histogram h are
    `begins[h] : begins[h + 1]`.
    """

    rows: Rows  # of the histograms, without name and bound
    names: list[str]
    order: I64s
    bounds: F64s
    begins: I64s
    values: F64s
    present: Bools

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), int(self.values.shape[1])

    def of(self, first: int, last: int) -> tuple[I64s, F64s, I64s]:
        """Rows, bounds and begins of histograms first:last."""
        return self.order, self.bounds, self.begins[first : last + 1]

    def room(self, block: int) -> tuple[F64s, I64s]:
        """Where a kernel gathers the buckets of a block of steps."""
        largest = int(np.diff(self.begins).max(initial=0))
        return np.empty((2 * block, largest)), np.empty(block, np.int64)


def _quantile(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """`histogram_quantile(fraction, buckets)`."""
    from tsdb.promql.kernels import histograms as kernel

    wanted = evaluation.scalar(call.arguments[0], grid).values
    evaluation.annotations.warn_of_quantiles(wanted, call.arguments[0])
    buckets = _buckets(evaluation, call.arguments[1], grid)
    found, seen = np.empty(buckets.shape), np.zeros(buckets.shape, np.bool_)
    lifted = np.zeros(buckets.shape[0], np.int64)

    def of_groups(first: int, last: int) -> None:
        kernel.quantiles(
            *buckets.of(first, last), buckets.values, buckets.present, wanted,
            *buckets.room(kernel.BLOCK), found[first:last], seen[first:last], lifted[first:last],
        )  # fmt: skip

    parallel.run(buckets.shape[0], buckets.values.size, of_groups, evaluation.check)
    # Prometheus knows a histogram's name only at the first step.
    for group in np.flatnonzero(lifted & kernel.FIRST).tolist():
        evaluation.annotations.tell(LIFTED + quote(buckets.names[group]), call.arguments[1])
    if (lifted & kernel.LATER).any():
        evaluation.annotations.tell(f'{LIFTED}""', call.arguments[1])
    return Vector(buckets.rows, found, seen).merged()


def _fraction(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """`histogram_fraction(lower, upper, buckets)`."""
    from tsdb.promql.kernels import histograms as kernel

    lower = evaluation.scalar(call.arguments[0], grid).values
    upper = evaluation.scalar(call.arguments[1], grid).values
    buckets = _buckets(evaluation, call.arguments[2], grid)
    found, seen = np.empty(buckets.shape), np.zeros(buckets.shape, np.bool_)

    def of_groups(first: int, last: int) -> None:
        kernel.fractions(
            *buckets.of(first, last), buckets.values, buckets.present, lower, upper,
            *buckets.room(kernel.BLOCK), found[first:last], seen[first:last],
        )  # fmt: skip

    parallel.run(buckets.shape[0], buckets.values.size, of_groups, evaluation.check)
    return Vector(buckets.rows, found, seen).merged()


def _buckets(evaluation: Evaluation, node: Node, grid: Grid) -> Buckets:
    """Which rows are buckets of which histogram; a warning for each name without a bound."""
    vector = evaluation.vector(node, grid).pruned()
    places, spelled = vector.rows.grouped((BOUND,), without=False)
    texts = spelled.labels()
    parsed = [_bound(labels.get(BOUND, "")) for labels in texts]
    bounds = np.array([math.nan if each is None else each for each in parsed], np.float64)[places]
    bounded = np.array([each is not None for each in parsed], np.bool_)[places]
    groups, names = vector.rows.grouped((BOUND,), without=True)
    # Histograms of other names stay apart, and clash where they have a value at the same step.
    called, of_metric = vector.rows.grouped((METRIC_NAME,), without=False)
    metrics = of_metric.labels()
    for row in np.flatnonzero(~bounded).tolist():
        _warn(evaluation, texts[places[row]].get(BOUND, ""), metrics[called[row]].name, node)
    kept = np.flatnonzero(bounded)
    order = kept[np.lexsort((bounds[kept], called[kept], groups[kept]))]
    new = np.ones(order.size, np.bool_)
    new[1:] = (np.diff(groups[order]) != 0) | (np.diff(called[order]) != 0)
    firsts = np.flatnonzero(new)
    rows = names.taken(groups[order[firsts]])
    begins = np.append(firsts, order.size).astype(np.int64)
    evaluation.charge_cells(len(rows) * grid.count)
    return Buckets(
        rows,
        [metrics[each].name for each in called[order[firsts]].tolist()],
        order,
        bounds[order],
        begins,
        contiguous(vector.values),
        contiguous(vector.present),
    )


def _warn(evaluation: Evaluation, bound: str, name: str, about: Node) -> None:
    evaluation.annotations.warn(
        f'bucket label "{BOUND}" is missing or has a malformed value of {quote(bound)} '
        f"for metric name {quote(name)}",
        about,
    )


def _bound(text: str) -> float | None:
    """An upper bound, or None where Go would not read one."""
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return None
    if not _NUMBER.fullmatch(text):
        return None
    bound = float(text)
    overflown = math.isinf(bound) and "inf" not in text.lower()
    return None if overflown else bound


def _native_only(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    evaluation.vector(call.arguments[0], grid)
    return Vector.empty(grid.count)


FAMILY: Mapping[str, Handler] = {
    "histogram_quantile": _quantile,
    "histogram_fraction": _fraction,
    "histogram_avg": _native_only,
    "histogram_count": _native_only,
    "histogram_stddev": _native_only,
    "histogram_stdvar": _native_only,
    "histogram_sum": _native_only,
}
