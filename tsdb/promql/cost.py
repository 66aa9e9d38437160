"""What a query would read and hold, told before it does.

    in   a tree, the grid of steps, a function that weighs selectors (tsdb.engine.weight)
    out  Cost: two bounds of points and cells; series, blocks, bytes

The upper bounds say what to reserve: every selector whole, every node a matrix that stays. The
lower bounds say what to refuse: what is certainly read, counted as `tsdb.promql.evaluate` counts
it, so that a query whose lower bound passes a limit would have failed at that limit, only later. A
selector that stands twice counts once there, and one that is read in slices (tsdb.promql.reading),
or not for sure (the labels of `info`), counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tsdb import limits
from tsdb.engine.weight import Weight
from tsdb.index.matchers import Matcher
from tsdb.promql import ast, reading
from tsdb.promql.ast import Anchor, InstantSelector, Node, Subquery
from tsdb.promql.evaluate import in_ticks
from tsdb.promql.selectors import SUBQUERY_STEP_MS
from tsdb.promql.values import Grid

__all__ = ["CELL_BYTES", "POINT_BYTES", "Cost", "Weigh", "cost_of"]

Weigh = Callable[[Sequence[Matcher], int, int], Weight]
POINT_BYTES, CELL_BYTES = 16, 9  # timestamp and value; value and whether it is there


@dataclass(slots=True)
class Cost:
    """Of one query. `_least` is certain; the others are not passed."""

    series: int = 0
    points: int = 0
    points_least: int = 0
    cells: int = 0
    cells_least: int = 0
    blocks: int = 0
    bytes: int = 0  # of chunks to decode
    selectors: int = 0
    unknown: bool = False  # a node may make any number of rows: nothing bounds points or cells

    def held_bytes(self, points_max: int, cells_max: int) -> int:
        """What to reserve; never more than the bounds, at which evaluation stops."""
        points = points_max if self.unknown else min(self.points, points_max)
        cells = cells_max if self.unknown else min(self.cells, cells_max)
        return POINT_BYTES * points + CELL_BYTES * cells


def cost_of(
    node: Node,
    grid: Grid,
    weigh: Weigh,
    *,
    end: int | None = None,
    ticks_per_s: int = 1000,
    lookback_ms: int = limits.LOOKBACK_MS,
) -> Cost:
    """The parameters are those of an Evaluation."""
    anchors = {Anchor.START: grid.start, Anchor.END: grid.end if end is None else end}
    walk = _Walk(weigh, anchors, ticks_per_s, lookback_ms)
    walk.rows(node, grid, certain=True)
    if isinstance(ast.unwrapped(node), ast.RangeSelector):
        walk.cost.cells_least = 0  # points are answered as they are, without a matrix
    return walk.cost


@dataclass(slots=True)
class _Walk:
    weigh: Weigh
    anchors: dict[Anchor, int]
    ticks_per_s: int
    lookback_ms: int
    cost: Cost = field(default_factory=Cost)
    _counted: set[tuple[InstantSelector, int, int]] = field(default_factory=set)
    _weighed: dict[tuple[tuple[Matcher, ...], int, int], Weight] = field(default_factory=dict)

    def rows(self, node: Node, grid: Grid, *, certain: bool) -> int:
        """How many rows a node has at most; its cost and that of what is below it is added."""
        cost = self.cost
        match node:
            case ast.Number() | ast.Text():
                return 0
            case ast.Binary():
                rows = self._chain(node, grid, certain=certain)
            case InstantSelector():
                rows = self._selector(node, grid, self.lookback_ms, certain=certain)
            case ast.RangeSelector(selector, range_ms):
                return self._selector(selector, grid, range_ms, certain=certain)
            case Subquery():
                return self._subquery(node, grid, certain=certain)
            case ast.Call("info", arguments):
                cost.unknown = True
                rows = self.rows(arguments[0], grid, certain=certain)
            case _:
                cost.unknown |= isinstance(node, ast.Aggregate) and node.operator == "count_values"
                below = [self.rows(c, grid, certain=certain) for c in ast.children(node)]
                rows = sum(below) + isinstance(node, ast.Call)  # vector(), absent(): one
        cost.cells += rows * (grid.count + 1)  # one step, spread to all, where `@` pins it
        return rows

    def _chain(self, node: ast.Binary, grid: Grid, *, certain: bool) -> int:
        """`a + b + ...` is as deep as it is long."""
        rights: list[Node] = []
        left: Node = node
        while isinstance(left, ast.Binary):
            rights.append(left.right)
            left = left.left
        rows = self.rows(left, grid, certain=certain)
        for right in reversed(rights):
            rows += self.rows(right, grid, certain=certain)
            self.cost.cells += rows * (grid.count + 1)
        return rows

    def _selector(self, node: InstantSelector, grid: Grid, range_ms: int, *, certain: bool) -> int:
        cost, (begin, second, last) = self.cost, self._ends(node, grid)
        first = begin - max(range_ms, 1) + 1
        weight = self._weight(node.matchers, first, last)
        cost.selectors += 1
        cost.series += weight.series
        cost.points += weight.points
        cost.blocks += weight.blocks
        cost.bytes += weight.bytes
        if not certain or reading.far_apart(begin, second, last, range_ms):
            return weight.series
        steps = 1 if node.at is not None else grid.count
        cost.cells_least = max(cost.cells_least, weight.series_least * steps)
        if (node, first, last) not in self._counted:
            self._counted.add((node, first, last))
            cost.points_least += weight.points_least
        return weight.series

    def _weight(self, matchers: tuple[Matcher, ...], first: int, last: int) -> Weight:
        key = (matchers, first, last)
        weight = self._weighed.get(key)
        if weight is None:
            ticks = in_ticks(first, last, self.ticks_per_s)
            weight = self._weighed[key] = self.weigh(matchers, *ticks)
        return weight

    def _subquery(self, node: Subquery, grid: Grid, *, certain: bool) -> int:
        begin, _, last = self._ends(node, grid)
        step = node.step_ms or SUBQUERY_STEP_MS
        first = (begin - node.range_ms) // step * step + step
        if first > last:
            return 0
        inner = Grid(first, step, (last - first) // step + 1)
        if certain:
            self.cost.cells_least = max(self.cost.cells_least, inner.count)
        self.cost.cells += inner.count
        return self.rows(node.inner, inner, certain=certain)

    def _ends(self, node: InstantSelector | Subquery, grid: Grid) -> tuple[int, int, int]:
        """Of the windows the first two and the last, which is all that matters here."""
        if node.at is not None:
            at = self.anchors[node.at] if isinstance(node.at, Anchor) else node.at
            return at - node.offset_ms, at - node.offset_ms, at - node.offset_ms
        first, last = grid.start - node.offset_ms, grid.end - node.offset_ms
        return first, min(first + grid.step, last), last
