"""rate, increase, delta, irate, idelta, resets, changes.

in   one range argument
out  a Vector without metric names
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from tsdb.index.labels import METRIC_NAME
from tsdb.promql import ranges
from tsdb.promql.ast import Call, Node
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler
    from tsdb.promql.rows import Rows

__all__ = ["FAMILY"]

COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def _extrapolated(
    evaluation: Evaluation, call: Call, grid: Grid, *, counter: bool, rate: bool
) -> Vector:
    from tsdb.promql.kernels import rates as kernels

    found = ranges.windows_of(evaluation, call, grid)
    vector = ranges.named(evaluation, found, kernels.extrapolated, counter, rate)
    if counter:
        _tell_of_gauges(evaluation, vector.rows, call.arguments[0])
    return ranges.nameless(vector)


def _tell_of_gauges(evaluation: Evaluation, rows: Rows, about: Node) -> None:
    _, names = rows.grouped((METRIC_NAME,), without=False)
    for labels in names.labels():
        name = labels.get(METRIC_NAME)
        if name and not name.endswith(COUNTER_SUFFIXES):
            evaluation.annotations.tell(
                "metric might not be a counter, name does not end in "
                f'_total/_sum/_count/_bucket: "{name}"',
                about,
            )


def _latest_change(evaluation: Evaluation, call: Call, grid: Grid, *, rate: bool) -> Vector:
    from tsdb.promql.kernels import rates as kernels

    found = ranges.windows_of(evaluation, call, grid)
    return ranges.computed(evaluation, found, kernels.latest_change, rate)


def _events(evaluation: Evaluation, call: Call, grid: Grid, *, falls: bool) -> Vector:
    from tsdb.promql.kernels import rates as kernels

    found = ranges.windows_of(evaluation, call, grid)
    return ranges.computed(evaluation, found, kernels.events, falls)


FAMILY: Mapping[str, Handler] = {
    "rate": partial(_extrapolated, counter=True, rate=True),
    "increase": partial(_extrapolated, counter=True, rate=False),
    "delta": partial(_extrapolated, counter=False, rate=False),
    "irate": partial(_latest_change, rate=True),
    "idelta": partial(_latest_change, rate=False),
    "resets": partial(_events, falls=True),
    "changes": partial(_events, falls=False),
}
