"""info(v, {selector}): labels of info metrics, such as target_info, put beside those of a vector.

    in   a Vector; matchers for the info series and for the labels that are wanted of them
    out  the same values; a row whose info series changes on the way becomes several rows

An info series belongs to a row that has its `instance` and `job`. Of several with one name the one
with the latest point counts, as in Prometheus. What depends on steps is done on rows of times, once
for each pair of `instance` and `job`; label sets are made once for each change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.matchers import Matcher, Op
from tsdb.promql import ast, selectors
from tsdb.promql.ast import Anchor, Call, InstantSelector
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import Rows
from tsdb.promql.values import Bools, Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]

IDENTIFYING = ("instance", "job")
DEFAULT = Matcher(METRIC_NAME, Op.EQUAL, "target_info")

Key = tuple[str, ...]  # values of the identifying labels


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the second argument says: names of info metrics, and the labels to take."""

    names: tuple[Matcher, ...]
    data: tuple[Matcher, ...]

    @classmethod
    def of(cls, call: Call) -> Wanted:
        if len(call.arguments) < 2:
            return cls((DEFAULT,), ())
        selector = ast.unwrapped(call.arguments[1])
        assert isinstance(selector, InstantSelector), "the parser checks it"
        names = tuple(m for m in selector.matchers if m.name == METRIC_NAME)
        return cls(names, tuple(m for m in selector.matchers if m.name != METRIC_NAME))

    def is_info(self, labels: Labels) -> bool:
        name = labels.get(METRIC_NAME, "")
        return bool(self.names) and all(m.matches(name) for m in self.names)

    def taken(self, labels: Labels) -> Iterator[tuple[str, str]]:
        chosen = {m.name for m in self.data}
        for name, value in labels.items():
            if name != METRIC_NAME and (not chosen or name in chosen):
                yield name, value

    @property
    def optional(self) -> bool:
        """Whether a row without any info series stays."""
        return all(m.matches("") for m in self.data)


@dataclass(frozen=True, slots=True)
class Infos:
    """Info series: labels, and the times of their points at each step, -1 without one."""

    labels: Sequence[Labels]
    times_ms: I64s  # [rows, steps]


def _info(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    wanted = Wanted.of(call)
    vector = evaluation.vector(call.arguments[0], grid).pruned()
    labels = vector.rows.labels()
    plain = np.array([wanted.is_info(each) for each in labels], np.bool_)
    keys: dict[Key, list[int]] = defaultdict(list)
    for row in np.flatnonzero(~plain).tolist():
        keys[_key(labels[row])].append(row)
    infos = _found(evaluation, call.arguments[0], grid, wanted, list(keys))
    latest = _latest(infos, _any(vector.present))
    out = _Out(vector)
    for row in np.flatnonzero(plain).tolist():
        out.add(row, labels[row], vector.present[row])
    for key, rows in keys.items():
        some = _any(vector.present[rows])
        for chosen, where in _changes([latest[key, name] for name in latest.names(key)], some):
            added = [
                pair for i in chosen.tolist() if i >= 0 for pair in wanted.taken(infos.labels[i])
            ]
            for row in rows if wanted.optional or (chosen >= 0).any() else ():
                at = where & vector.present[row]
                if at.any():
                    out.add(row, _enriched(labels[row], added), at)
    return out.vector(evaluation)


def _any(present: Bools) -> Bools:
    """The steps at which some row has a value."""
    steps: Bools = np.logical_or.reduce(present, axis=0, dtype=np.bool_)
    return steps


def _key(labels: Labels) -> Key:
    return tuple(labels.get(name, "") for name in IDENTIFYING)


def _enriched(labels: Labels, added: Sequence[tuple[str, str]]) -> Labels:
    """Labels that are there stay as they are; two info series must not differ in a new one."""
    found: dict[str, str] = {}
    for name, value in added:
        if name not in labels and found.setdefault(name, value) != value:
            raise QueryFailed(f"conflicting label: {name}")
    return Labels({**found, **labels})


# --- info series ---------------------------------------------------------------------------------


def _found(
    evaluation: Evaluation, argument: ast.Node, grid: Grid, wanted: Wanted, keys: list[Key]
) -> Infos:
    """Series with an instance and a job that some row has, if rows have any."""
    values = [{key[i] for key in keys} - {""} for i in range(len(IDENTIFYING))]
    if not any(values):
        return Infos([], np.empty((0, grid.count), np.int64))
    selector = InstantSelector((*(wanted.names or (DEFAULT,)), *wanted.data))
    first, last = _span(evaluation, argument, grid)
    seen = selectors.instant_times(evaluation, selector, grid, until=last)
    labels = seen.rows.labels()
    rows = np.array(
        [
            i
            for i, each in enumerate(labels)
            if all(not v or k in v for k, v in zip(_key(each), values, strict=True))
        ],
        np.int64,
    )
    times = np.rint(seen.values[rows] * 1000)
    oldest = np.maximum(first, grid.times() - evaluation.lookback_ms + 1)
    there = seen.present[rows] & (times >= oldest)
    stamps = np.where(there, times, -1.0).astype(np.int64)
    return Infos([labels[i] for i in rows.tolist()], stamps)


def _span(evaluation: Evaluation, argument: ast.Node, grid: Grid) -> tuple[int, int]:
    """Where info points are looked for: `@` and offset of the first selector move it, though not
    the steps at which they are looked at."""
    start, end = grid.start, grid.end
    selector = _first_selector(argument)
    if selector is not None:
        at = selector.at
        if isinstance(at, Anchor):
            at = evaluation.grid.start if at is Anchor.START else evaluation.end
        if at is not None:
            start = end = at
        start, end = start - selector.offset_ms, end - selector.offset_ms
    return start - evaluation.lookback_ms + 1, end


def _first_selector(node: ast.Node) -> InstantSelector | None:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, InstantSelector):
            return node
        waiting += reversed(list(ast.children(node)))
    return None


class _Latest:
    """For each key and name the info series that counts at each step, -1 without one."""

    def __init__(self) -> None:
        self._chosen: dict[Key, dict[str, I64s]] = defaultdict(dict)

    def __getitem__(self, place: tuple[Key, str]) -> I64s:
        return self._chosen[place[0]][place[1]]

    def put(self, key: Key, name: str, chosen: I64s) -> None:
        self._chosen[key][name] = chosen

    def names(self, key: Key) -> list[str]:
        return sorted(self._chosen.get(key, ()))


def _latest(infos: Infos, needed: Bools) -> _Latest:
    """Raises QueryFailed where two series of one name are as late, at a step that is needed."""
    groups: dict[tuple[Key, str], list[int]] = defaultdict(list)
    for i, labels in enumerate(infos.labels):
        groups[_key(labels), labels.get(METRIC_NAME, "")].append(i)
    found = _Latest()
    for (key, name), rows in groups.items():
        times = infos.times_ms[rows]
        best = times.max(axis=0)
        twice = needed & (best >= 0) & ((times == best).sum(axis=0) > 1)
        if twice.any():
            raise QueryFailed(f"found duplicate series for info metric {name}")
        chosen = np.array(rows, np.int64)[np.argmax(times, axis=0)]
        found.put(key, name, np.where(best >= 0, chosen, -1))
    return found


def _changes(chosen: list[I64s], some: Bools) -> Iterator[tuple[I64s, Bools]]:
    """Each combination of series that count together, and at which of `some` steps they do."""
    if not chosen:
        yield np.empty(0, np.int64), some
        return
    together, which = np.unique(np.stack(chosen), axis=1, return_inverse=True)
    for i in range(together.shape[1]):
        where = some & (which.reshape(-1) == i)
        if where.any():
            yield together[:, i], where


class _Out:
    """Rows of the answer, each a row of the vector at some of its steps."""

    def __init__(self, vector: Vector) -> None:
        self._from = vector
        self._rows: list[int] = []
        self._labels: list[Labels] = []
        self._where: list[Bools] = []

    def add(self, row: int, labels: Labels, where: Bools) -> None:
        self._rows.append(row)
        self._labels.append(labels)
        self._where.append(where)

    def vector(self, evaluation: Evaluation) -> Vector:
        if not self._rows:
            return Vector.empty(self._from.steps)
        evaluation.charge_cells(len(self._rows) * self._from.steps)
        values: F64s = self._from.values[np.array(self._rows, np.int64)]
        return Vector(Rows(self._labels), values, np.stack(self._where)).merged()


FAMILY: Mapping[str, Handler] = {"info": _info}
