"""Range functions: a kernel over the windows of each row, a row of results for each.

    in   Windows, a kernel and what it needs besides
    out  a Vector

Kernels take (offsets, timestamps, values, ends, range_ms, ..., out, present).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tsdb import parallel
from tsdb.batch import I64s
from tsdb.promql import selectors
from tsdb.promql.ast import Call, Node, RangeSelector, Subquery, unwrapped
from tsdb.promql.values import Bools, Grid, Vector, Windows

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["argument", "computed", "named", "nameless", "nonempty", "windows_of"]

Kernel = Callable[..., None]
POINTS_A_PART = 5_000_000  # in windows: a query is stopped within a few tenths of a second


def argument(node: Node) -> RangeSelector | Subquery:
    """The argument of a range function, without parentheses."""
    found = unwrapped(node)
    assert isinstance(found, RangeSelector | Subquery), "the parser checks types"
    return found


def windows_of(evaluation: Evaluation, call: Call, grid: Grid, at: int = 0) -> Windows:
    """The windows of a call's range argument; LimitExceeded if its answer would be too large."""
    found = selectors.windows(evaluation, argument(call.arguments[at]), grid)
    evaluation.charge_cells(len(found.rows) * grid.count)
    return found


def computed(
    evaluation: Evaluation, found: Windows, kernel: Kernel, *extra: Any, scratch: int = 0
) -> Vector:
    """Rows that have a value at some step, without their metric name.

    `scratch` arrays with room for the longest row go to the kernel after `extra`. Raises
    QueryFailed if two rows have equal label sets.
    """
    return nameless(named(evaluation, found, kernel, *extra, scratch=scratch))


def nameless(vector: Vector) -> Vector:
    """Without metric names. Raises QueryFailed if two rows are equal then, at whatever steps."""
    return Vector(vector.rows.without_name().distinct(), vector.values, vector.present)


def named(
    evaluation: Evaluation, found: Windows, kernel: Kernel, *extra: Any, scratch: int = 0
) -> Vector:
    """As `computed`, with their metric names."""
    values = np.empty((len(found.rows), found.ends.size), np.float64)
    present = np.empty(values.shape, np.bool_)
    columns = found.columns

    def of_part(first: int, last: int, steps: slice) -> None:
        offsets = columns.offsets[first : last + 1]
        room = tuple(np.empty(_longest(offsets)) for _ in range(scratch))
        by_step = (each[steps] if isinstance(each, np.ndarray) else each for each in extra)
        kernel(
            *(offsets, columns.timestamps, columns.values, found.ends[steps], found.range_ms),
            *(*by_step, *room, values[first:last, steps], present[first:last, steps]),
        )

    parts = _parts(found)
    borders = [found.ends.size * part // parts for part in range(parts + 1)]

    def of_units(first: int, last: int) -> None:
        """A unit is a part of a row's steps; whole rows where there is one part."""
        if parts == 1:
            of_part(first, last, slice(None))
            return
        for unit in range(first, last):
            row, part = divmod(unit, parts)
            of_part(row, row + 1, slice(borders[part], borders[part + 1]))

    work = columns.points + values.size
    if (seen := _seen(found) * len(found.rows)) > POINTS_A_PART:
        work = max(work, seen // POINTS_A_PART * parallel.WORK_MIN) if parts == 1 else seen
    parallel.run(len(found.rows) * parts, work, of_units, evaluation.check)
    return Vector(found.rows, values, present).pruned()


def _seen(found: Windows) -> int:
    """About how many points all windows of the longest row hold together."""
    span = int(found.ends[-1]) - int(found.ends[0]) + found.range_ms
    return _longest(found.columns.offsets) * found.ends.size * found.range_ms // max(span, 1)


def _parts(found: Windows) -> int:
    """Into how many parts a row's steps are cut, so that none takes long."""
    return max(1, min(found.ends.size, -(-_seen(found) // POINTS_A_PART)))


def nonempty(found: Windows) -> Bools:
    """[rows, steps] whether a window holds any point, for all rows."""
    from tsdb.promql.kernels import over_time as kernels

    values = np.empty((len(found.rows), found.ends.size), np.float64)
    present = np.empty(values.shape, np.bool_)
    columns = found.columns
    kernels.totals(
        *(columns.offsets, columns.timestamps, columns.values, found.ends, found.range_ms),
        *(kernels.PRESENT, values, present),
    )
    return present


def _longest(offsets: I64s) -> int:
    return int(np.diff(offsets).max(initial=0)) + 1
