"""Selectors: from matchers to points, and from points to what each step sees.

    in   a selector or subquery of the tree, the grid of steps
    out  a Vector of the latest values, or Windows for a range function

Points are read once a selector and query, for the whole grid. Stale markers end a series for
instant selectors and are invisible to range functions, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tsdb import overlay, parallel
from tsdb.batch import Columns, F64s, I64s
from tsdb.index.matchers import Matcher
from tsdb.promql import reading
from tsdb.promql.ast import Anchor, InstantSelector, RangeSelector, Subquery
from tsdb.promql.rows import Rows
from tsdb.promql.values import Bools, Grid, Vector, Windows

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation
    from tsdb.query.selection import Selection

__all__ = ["Select", "instant", "instant_times", "windows"]

SUBQUERY_STEP_MS = 60_000  # of a subquery that names none; Prometheus' evaluation interval


class Select(Protocol):
    """Where points come from: one engine, or a cluster. Times are ticks, both ends inclusive."""

    def __call__(
        self, matchers: Sequence[Matcher], start: int, end: int, /, *, points_max: int
    ) -> Selection: ...


def instant(evaluation: Evaluation, node: InstantSelector, grid: Grid) -> Vector:
    """The latest value of each series at each step, if it is younger than the look-back."""
    from tsdb.promql.kernels import windows as kernel

    rows, columns, ends = _seen(evaluation, node, grid)
    values, present = _matrix(len(rows), grid)
    bits, out = columns.values.view(np.uint64), values.view(np.uint64)
    lookback = evaluation.lookback_ms

    def of_rows(first: int, last: int) -> None:
        offsets = columns.offsets[first : last + 1]
        kernel.latest(
            *(offsets, columns.timestamps, bits, ends, lookback),
            *(out[first:last], present[first:last]),
        )

    parallel.run(len(rows), columns.points + values.size, of_rows, evaluation.check)
    return Vector(rows, values, present).pruned()


def instant_times(
    evaluation: Evaluation, node: InstantSelector, grid: Grid, *, until: int | None = None
) -> Vector:
    """Like `instant`, but the times of those points, in seconds, instead of their values.

    Beside `@` an offset says what is read, but not where one stands, as in Prometheus. Steps after
    `until` see what it sees.
    """
    from tsdb.promql.kernels import windows as kernel

    rows, columns, ends = _seen(evaluation, node, grid)
    if until is not None:
        ends = np.minimum(ends, until)
    if node.at is not None:
        ends = ends + node.offset_ms
    values, present = _matrix(len(rows), grid)
    bits = columns.values.view(np.uint64)
    lookback = evaluation.lookback_ms
    kernel.latest_times(columns.offsets, columns.timestamps, bits, ends, lookback, values, present)
    return Vector(rows, values, present).pruned()


def _seen(evaluation: Evaluation, node: InstantSelector, grid: Grid) -> tuple[Rows, Columns, I64s]:
    """What an instant selector may look at, and the last moment that each step sees."""
    ends = _ends(evaluation, node, grid)
    rows, columns = reading.read(evaluation, node.matchers, ends, evaluation.lookback_ms)
    evaluation.charge_cells(len(rows) * grid.count)
    return rows, columns, ends


def _matrix(rows: int, grid: Grid) -> tuple[F64s, Bools]:
    shape = (rows, grid.count)
    return np.empty(shape, np.float64), np.empty(shape, np.bool_)


def windows(evaluation: Evaluation, node: RangeSelector | Subquery, grid: Grid) -> Windows:
    """The points that a range function sees at each step."""
    if isinstance(node, Subquery):
        return _subquery(evaluation, node, grid)
    ends = _ends(evaluation, node.selector, grid)
    rows, columns = reading.read(evaluation, node.selector.matchers, ends, node.range_ms)
    return Windows(rows, _without_markers(columns), ends, node.range_ms)


def _subquery(evaluation: Evaluation, node: Subquery, grid: Grid) -> Windows:
    """The inner expression on its own grid: multiples of its step, wherever the query starts."""
    ends = _ends(evaluation, node, grid)
    step = node.step_ms or SUBQUERY_STEP_MS
    first = (int(ends[0]) - node.range_ms) // step * step + step
    if first > int(ends[-1]):
        return Windows(Rows([]), overlay.empty(0), ends, node.range_ms)
    inner = Grid(first, step, (int(ends[-1]) - first) // step + 1)
    evaluation.check_steps(inner)
    vector = evaluation.vector(node.inner, inner)
    return Windows(vector.rows, _columns_of(vector, inner), ends, node.range_ms)


def _ends(evaluation: Evaluation, node: InstantSelector | Subquery, grid: Grid) -> I64s:
    """The last moment that each step sees: the step itself, or where `@` and offset put it."""
    if node.at is None:
        return grid.times() - node.offset_ms
    at = node.at
    if isinstance(at, Anchor):
        at = evaluation.grid.start if at is Anchor.START else evaluation.end
    return np.full(grid.count, at - node.offset_ms, np.int64)


def _without_markers(columns: Columns) -> Columns:
    from tsdb.promql.kernels import windows as kernel

    keep, bits = np.empty(columns.points, np.bool_), columns.values.view(np.uint64)
    markers: list[int] = []

    def of_part(first: int, last: int) -> None:
        markers.append(kernel.unmarked(bits[first:last], keep[first:last]))

    parallel.run(columns.points, columns.points // 4, of_part)  # a fraction of a nanosecond each
    return reading.kept(columns, keep) if any(markers) else columns


def _columns_of(vector: Vector, grid: Grid) -> Columns:
    """The values of a vector as runs of points, one a present step."""
    offsets = np.zeros(len(vector.rows) + 1, np.int64)
    np.cumsum(vector.present.sum(axis=1), out=offsets[1:])
    _, steps = np.nonzero(vector.present)
    values: F64s = vector.values[vector.present]
    return Columns(offsets, grid.times()[steps], values)
