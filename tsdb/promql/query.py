"""A query asked and answered: text and times in, series by steps out.

    in   text of PromQL, start, end and step (ms), a `select`
    out  Answer: scalar, string, vector, matrix of points; warnings and infos

The one door for the library, the HTTP API and rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.promql import ast, selectors
from tsdb.promql.ast import Node, Type
from tsdb.promql.cost import Cost, Weigh, cost_of
from tsdb.promql.evaluate import Evaluation
from tsdb.promql.parse import parse
from tsdb.promql.rows import Rows
from tsdb.promql.selectors import Select
from tsdb.promql.trace import Trace
from tsdb.promql.values import Grid, Scalar, Text, Vector

__all__ = ["Answer", "Source", "cost", "instant", "over_range", "ranged"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a query finds points and how it may go about it."""

    select: Select
    ticks_per_s: int = 1000
    lookback_ms: int = limits.LOOKBACK_MS
    points_max: int = limits.POINTS_PER_SELECT_MAX
    cells_max: int | None = None
    check: Callable[[], None] = lambda: None
    trace: Trace | None = None
    features: frozenset[str] = frozenset()  # of Prometheus' --enable-feature that parse knows

    def evaluation(self, grid: Grid, end: int | None = None) -> Evaluation:
        return Evaluation(
            self.select,
            grid,
            end=end,
            ticks_per_s=self.ticks_per_s,
            lookback_ms=self.lookback_ms,
            points_max=self.points_max,
            cells_max=self.cells_max,
            check=self.check,
            trace=self.trace,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` by type: Scalar, Text, Vector (by the steps of `times`), or raw points by row.

    A scalar of a range query is one row without labels, as Prometheus answers it.
    """

    type: Type
    times: I64s  # [steps] ms
    value: Scalar | Text | Vector | tuple[Rows, Columns]
    warnings: list[str]
    infos: list[str]


def instant(source: Source, text: str, at: int) -> Answer:
    """What a query is worth at one moment. Raises InvalidInput, LimitExceeded."""
    node = parse(text, source.features)
    grid = Grid.instant(at)
    evaluation = source.evaluation(grid)
    value: Scalar | Text | Vector | tuple[Rows, Columns]
    if ast.type_of(node) is Type.MATRIX:
        value = _points(evaluation, ast.unwrapped(node), grid)
    else:
        value = evaluation.run(node)
        if isinstance(value, Vector):
            value = value.pruned()
    return _answer(ast.type_of(node), grid, value, evaluation)


def over_range(source: Source, text: str, start: int, end: int, step: int) -> Answer:
    """What a query is worth from start to end, every `step` ms. Raises as `instant`."""
    node, grid = ranged(text, start, end, step, source.features)
    evaluation = source.evaluation(grid, end)
    value = evaluation.run(node)
    if isinstance(value, Scalar):
        value = _as_row(value)
    assert isinstance(value, Vector)
    return _answer(Type.MATRIX, grid, _sorted(value.pruned()), evaluation)


def cost(
    source: Source, weigh: Weigh, text: str, *, start: int, end: int, step: int | None
) -> Cost:
    """What a query would read and hold; `step` None asks for one moment. Raises InvalidInput."""
    if step is None:
        node, grid = parse(text, source.features), Grid.instant(start)
    else:
        node, grid = ranged(text, start, end, step, source.features)
    return cost_of(
        *(node, grid, weigh),
        end=None if step is None else end,
        ticks_per_s=source.ticks_per_s,
        lookback_ms=source.lookback_ms,
    )


def ranged(
    text: str, start: int, end: int, step: int, features: frozenset[str] = frozenset()
) -> tuple[Node, Grid]:
    """The tree and the steps of a range query. Raises InvalidInput, LimitExceeded."""
    node = parse(text, features)
    if end < start:
        raise InvalidInput("end timestamp must not be before start time")
    if step < 1:
        raise InvalidInput(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )
    grid = Grid(start, step, (end - start) // step + 1)
    if grid.count - 1 > limits.QUERY_STEPS_MAX:
        raise LimitExceeded(
            f"{grid.count:,} steps: exceeded maximum resolution of {limits.QUERY_STEPS_MAX:,} "
            "points per timeseries. Try decreasing the query resolution (?step=XX)",
            limit="QUERY_STEPS_MAX",
            value=limits.QUERY_STEPS_MAX,
        )
    if ast.type_of(node) not in {Type.SCALAR, Type.VECTOR}:
        raise InvalidInput(
            f'invalid parameter "query": invalid expression type "{_spoken(ast.type_of(node))}" '
            "for range query, must be Scalar or instant Vector"
        )
    return node, grid


def _answer(
    type_: Type,
    grid: Grid,
    value: Scalar | Text | Vector | tuple[Rows, Columns],
    evaluation: Evaluation,
) -> Answer:
    said = evaluation.annotations
    return Answer(type_, grid.times(), value, said.warnings, said.infos)


def _points(evaluation: Evaluation, node: Node, grid: Grid) -> tuple[Rows, Columns]:
    """The points of a range selector or subquery, as they are."""
    assert isinstance(node, ast.RangeSelector | ast.Subquery)
    found = selectors.windows(evaluation, node, grid)
    some = np.flatnonzero(np.diff(found.columns.offsets))
    offsets = np.append(found.columns.offsets[some], found.columns.points)
    columns = Columns(offsets, found.columns.timestamps, found.columns.values)
    return found.rows.taken(some), columns


def _as_row(scalar: Scalar) -> Vector:
    from tsdb.index.labels import Labels

    values = scalar.values.reshape(1, -1)
    return Vector(Rows([Labels()]), values, np.ones(values.shape, np.bool_))


def _sorted(vector: Vector) -> Vector:
    """By label sets, as Prometheus orders a matrix."""
    order = vector.rows.order()
    return vector if (np.diff(order) == 1).all() else vector.taken(order)


def _spoken(kind: Type) -> str:
    return {Type.MATRIX: "range vector", Type.STRING: "string"}.get(kind, str(kind))
