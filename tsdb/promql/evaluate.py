"""Evaluation: a tree, a grid of steps and points become values for all steps at once.

    in   a node of `tsdb.promql.ast`, a Grid, a `select` that reads points
    out  Scalar, Text or Vector

Every node is evaluated once a query, not once a step: operators work on whole matrices. What
stands in a query twice is computed once. What cannot change from step to step (`@`) is computed
for one step and spread. Budgets count points read and cells made, so that no query can take all
the memory; `check` is asked between nodes, so that a query can be stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np

from tsdb import limits
from tsdb.errors import InvalidInput
from tsdb.index.matchers import Matcher
from tsdb.promql import ast, selectors
from tsdb.promql.annotations import Annotations
from tsdb.promql.ast import Node
from tsdb.promql.room import Room
from tsdb.promql.trace import Trace, measured
from tsdb.promql.values import Grid, Scalar, Text, Value, Vector
from tsdb.query.selection import Selection

__all__ = ["Evaluation", "Handler", "in_ticks"]

Handler = Callable[["Evaluation", ast.Call, Grid], Value]

FAMILIES: tuple[str, ...] = (  # modules of tsdb.promql.functions
    "arithmetic",
    "constants",
    "dates",
    "histograms",
    "info",
    "labels",
    "over_time",
    "presence",
    "rates",
    "regression",
    "sorting",
)

# Functions that look at the step's own time; `@` in their arguments does not pin them.
TIMELY = frozenset({
    "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month",
    "predict_linear", "time", "timestamp", "year",
})  # fmt: skip


@cache
def functions() -> Mapping[str, Handler]:
    """All functions by name."""
    found: dict[str, Handler] = {}
    for family in FAMILIES:
        found |= import_module(f"tsdb.promql.functions.{family}").FAMILY
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """A value, of which node it was computed, and which annotations came of that."""

    value: Value
    node: Node
    since: int
    until: int


class Evaluation:
    """One query under way. Not thread-safe; everything it returned stays valid."""

    def __init__(
        self,
        select: selectors.Select,
        grid: Grid,
        *,
        end: int | None = None,
        ticks_per_s: int = 1000,
        lookback_ms: int = limits.LOOKBACK_MS,
        points_max: int = limits.POINTS_PER_SELECT_MAX,
        cells_max: int | None = None,
        check: Callable[[], None] = lambda: None,
        trace: Trace | None = None,
    ) -> None:
        self.grid = grid
        self.end = grid.end if end is None else end  # as asked; may lie beyond the last step
        self.lookback_ms = lookback_ms
        self.annotations = Annotations()
        self.points = 0
        self._select = select
        self._ticks_per_s = ticks_per_s
        self._points_max = points_max
        self.check = check
        self._trace = trace
        self._fixed: frozenset[Node] = frozenset()
        self._repeated: frozenset[Node] = frozenset()
        self._known: dict[tuple[Node, Grid], Known] = {}
        self._room = Room(cells_max)

    def run(self, node: Node) -> Value:
        """The value of a whole query."""
        nodes = ast.nodes_of(node)
        self._fixed = _fixed(nodes[::-1])
        counted = Counter(nodes)
        self._repeated = frozenset(n for n, times in counted.items() if times > 1)
        return self.value(node, self.grid)

    # --- for nodes ---------------------------------------------------------------------------

    def value(self, node: Node, grid: Grid) -> Value:
        """What a node is worth at every step of a grid."""
        self.check()
        if self._trace is None:
            return self._value(node, grid)
        with self._trace.step(node, grid.count) as step:
            step.reused = (node, grid) in self._known
            value = self._value(node, grid)
            measured(step, value)
        return value

    def _value(self, node: Node, grid: Grid) -> Value:
        if grid.count > 1 and node in self._fixed:
            found = self.value(node, Grid(grid.start, grid.step, 1))
            if isinstance(found, Vector):
                self.charge_cells(len(found.rows) * grid.count)
            return self._held(_spread(found, grid.count))
        if node not in self._repeated:
            return self._held(self._computed(node, grid))
        known = self._known.get((node, grid))
        if known is None:
            since = len(self.annotations.said)
            value = self._held(self._computed(node, grid))
            known = Known(value, node, since, len(self.annotations.said))
            self._known[node, grid] = known
        elif known.until > known.since:
            self.annotations.again(known.since, known.until, known.node, node)
        return known.value

    def vector(self, node: Node, grid: Grid) -> Vector:
        found = self.value(node, grid)
        assert isinstance(found, Vector), "the parser checks types"
        return found

    def scalar(self, node: Node, grid: Grid) -> Scalar:
        found = self.value(node, grid)
        assert isinstance(found, Scalar), "the parser checks types"
        return found

    def text(self, node: Node) -> str:
        found = ast.unwrapped(node)
        assert isinstance(found, ast.Text), "the parser checks types"
        return found.value

    def read(self, matchers: Sequence[Matcher], start: int, end: int) -> Selection:
        """Points with start <= ms <= end."""
        first, last = in_ticks(start, end, self._ticks_per_s)
        left = self._points_max - self.points
        if self._trace is None:
            found = self._select(matchers, first, last, points_max=left)
        else:
            with self._trace.step(matchers, 0) as step:
                found = self._select(matchers, first, last, points_max=left)
                step.series, step.values, step.did = len(found), found.points, found.did
        self.points += found.points
        for sentence in found.warnings:
            self.annotations.damage(sentence)
        return found

    def charge_cells(self, cells: int) -> None:
        """Room for a matrix beside those alive; LimitExceeded if all would be too large."""
        self._room.check(cells)

    def _held(self, value: Value) -> Value:
        if isinstance(value, Vector):
            self._room.hold(value.values)
        return value

    def check_steps(self, grid: Grid) -> None:
        """A subquery's own grid is bounded like a matrix of one row."""
        self.charge_cells(grid.count)

    # --- how -----------------------------------------------------------------------------------

    def _computed(self, node: Node, grid: Grid) -> Value:
        from tsdb.promql import aggregations

        match node:
            case ast.Number(value):
                return Scalar(np.full(grid.count, value))
            case ast.Text(value=text):
                return Text(text)
            case ast.Parenthesised(inner):
                return self.value(inner, grid)
            case ast.InstantSelector():
                return selectors.instant(self, node, grid)
            case ast.Unary(operator, inner):
                return _signed(operator, self.value(inner, grid))
            case ast.Binary():
                return self._chain(node, grid)
            case ast.Aggregate():
                return aggregations.evaluate(self, node, grid)
            case ast.Call(name):
                handler = functions().get(name)
                if handler is None:
                    raise InvalidInput(f"function {name} is not supported")
                return handler(self, node, grid)
            case _:
                raise AssertionError(f"{node} has no value by steps")

    def _chain(self, node: ast.Binary, grid: Grid) -> Value:
        """`a + b + ...` is as deep as it is long: from the left, without going down."""
        from tsdb.promql import binary

        chain = [node]
        while isinstance(left := chain[-1].left, ast.Binary):
            if left in self._repeated or (grid.count > 1 and left in self._fixed):
                break
            chain.append(left)
        value = self.value(chain[-1].left, grid)
        for each in reversed(chain):
            self.check()
            right = self.value(each.right, grid)
            value = self._held(binary.combined(self, each, value, right))
        return value


def _signed(operator: str, value: Value) -> Value:
    if operator == "+" or isinstance(value, Text):
        return value
    if isinstance(value, Scalar):
        return Scalar(-value.values)
    value = value.pruned()
    return Vector(value.rows.without_name().distinct(), -value.values, value.present)


def _spread(value: Value, steps: int) -> Value:
    """The value of one step at all steps."""
    if isinstance(value, Scalar):
        return Scalar(np.broadcast_to(value.values, (steps,)).copy())
    if isinstance(value, Vector):
        shape = (len(value.rows), steps)
        values = np.broadcast_to(value.values, shape).copy()
        return Vector(value.rows, values, np.broadcast_to(value.present, shape).copy())
    return value


def _fixed(nodes: Sequence[Node]) -> frozenset[Node]:
    """Those that have the same value at every step; children come before their parents."""
    pinned: set[Node] = set()
    for node in nodes:
        match node:
            case ast.InstantSelector() | ast.Subquery():
                fixed = node.at is not None
            case ast.Aggregate(_, inner):  # whatever the parameter does, as in Prometheus
                fixed = inner in pinned
            case ast.Call(name, arguments):
                fixed = name not in TIMELY and bool(arguments) and pinned.issuperset(arguments)
            case _:
                fixed = pinned.issuperset(ast.children(node))
        if fixed:
            pinned.add(node)
    return frozenset(n for n in pinned if not isinstance(n, ast.Number | ast.Text))


def in_ticks(start: int, end: int, ticks_per_s: int) -> tuple[int, int]:
    """The ticks in start <= ms <= end."""
    first, last = -(-start * ticks_per_s // 1000), ((end + 1) * ticks_per_s - 1) // 1000
    return _tick(first), _tick(last)


def _tick(ticks: int) -> int:
    return max(-(2**63), min(2**63 - 1, ticks))
