"""How the series of two vectors find each other: `on`, `ignoring`, `group_left`, `group_right`.

    in   two vectors and the operator's Matching
    out  Pairs: rows side by side, ready for one matrix operation; or the result of a set operator

Prometheus matches anew at every step, among the series that have a value there. Label sets do
not change from step to step, so rows are matched once, and presence says at which steps a match
counts. Its refusals are those of the first step that it would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.quoting import is_label_name, quote
from tsdb.promql.ast import Binary, Cardinality, Matching
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import Rows
from tsdb.promql.values import Bools, Clash, Vector, contiguous

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation

__all__ = ["SETS", "Pairs", "Twins", "pairs"]

NAMELESS = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
AMBIGUOUS = (
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
)
NOT_UNIQUE = "multiple matches for labels: grouping labels must ensure unique matches"


class Twins(QueryFailed):
    """The "one" side has a match twice, first at `step`."""

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True, slots=True)
class Pairs:
    """Row i of `left` met row i of `right`; the answer's row i is called `rows`' i."""

    left: Vector
    right: Vector
    rows: Rows
    groups: I64s  # of each pair: what both sides have in common
    cardinality: Cardinality
    distinct: bool  # pairs of different groups have different labels

    def result(self, values: F64s, present: Bools) -> Vector:
        """The answer. Raises QueryFailed if a step has a match twice or two equal label sets."""
        one_to_one = self.cardinality is Cardinality.ONE_TO_ONE
        if one_to_one and _first_clash(self.groups, present) is not None:
            raise QueryFailed(AMBIGUOUS)
        answer = Vector(self.rows, values, present)
        if self.distinct and np.unique(self.groups).size == self.groups.size:
            return answer
        twins = self.rows.twins()
        if twins is None:
            return answer
        if not one_to_one:
            self._check_unique(present, twins[0])
        return answer.merged()

    def _check_unique(self, present: Bools, called: I64s) -> None:
        _, same = np.unique(np.stack((self.groups, called)), axis=1, return_inverse=True)
        if _first_clash(same.reshape(-1).astype(np.int64), present) is not None:
            raise QueryFailed(NOT_UNIQUE)


def pairs(evaluation: Evaluation, node: Binary, left: Vector, right: Vector) -> Pairs:
    """All rows that match. Raises Twins; LimitExceeded if they are too many."""
    how = node.matching
    swapped = how.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    in_many, in_one, names = _common_groups(how, many.rows, one.rows)
    one, in_one = _unique(how, one, in_one, names, _living(many), swapped=swapped)
    counts = np.bincount(in_one, minlength=len(names))
    evaluation.charge_cells(int(counts[in_many].sum()) * left.steps)
    rows_many, rows_one = _meetings(in_many, in_one, counts)
    many, one = _taken(many, rows_many), _taken(one, rows_one)
    groups = in_many[rows_many]
    # Arithmetic of one to one keeps just what both sides have in common.
    common = (
        how.cardinality is Cardinality.ONE_TO_ONE
        and _drops_name(node)
        and not (how.on and METRIC_NAME in how.labels)
    )
    return Pairs(
        left=one if swapped else many,
        right=many if swapped else one,
        rows=(names.taken(groups) if common else _result_rows(node, many.rows, one.rows)),
        groups=groups,
        cardinality=how.cardinality,
        distinct=common,
    )


def _drops_name(node: Binary) -> bool:
    return node.returns_bool or node.operator in NAMELESS


def _taken(vector: Vector, rows: I64s) -> Vector:
    same = rows.size == len(vector.rows) and bool((np.diff(rows, prepend=-1) == 1).all())
    return vector if same else vector.taken(rows)


def _living(vector: Vector) -> Bools:
    """Steps at which any row has a value."""
    return np.asarray(vector.present.any(axis=0))


def _common_groups(how: Matching, many: Rows, one: Rows) -> tuple[I64s, I64s, Rows]:
    """Numbers of what rows of both sides have in common, and its labels by number."""
    in_many, names = many.grouped(how.labels, without=not how.on)
    if one is many:
        return in_many, in_many, names
    in_one, others = one.grouped(how.labels, without=not how.on)
    places, names = names.joined(others)
    return in_many, places[in_one], names


def _unique(
    how: Matching,
    one: Vector,
    groups: I64s,
    names: Rows,
    meets: Bools,
    *,
    swapped: bool,
) -> tuple[Vector, I64s]:
    """The "one" side with a row a group, or as many as `include` tells apart."""
    if np.unique(groups).size == groups.size:
        return one, groups
    clash = _first_clash(groups, one.present & meets)  # `meets`: steps where the many side lives
    if clash is not None:
        _refuse_twins(one, groups, names, clash, side="left" if swapped else "right")
    included, _ = one.rows.grouped(how.include, without=False)
    _, firsts, number = np.unique(
        np.stack((groups, included)), axis=1, return_index=True, return_inverse=True
    )
    joined, _ = one.joined(number.reshape(-1).astype(np.int64), one.rows.taken(firsts))
    return joined, groups[firsts]


def _refuse_twins(one: Vector, groups: I64s, names: Rows, clash: Clash, *, side: str) -> None:
    group = groups[clash.row]
    earlier = np.flatnonzero((groups == group) & one.present[:, clash.step])[0]
    group_labels, labels = names.labels()[group], one.rows.labels()
    raise Twins(
        f"found duplicate series for the match group {_braced(group_labels)} on the {side} "
        f"hand-side of the operation: [{_braced(labels[clash.row])}, {_braced(labels[earlier])}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side",
        step=clash.step,
    )


def _meetings(many: I64s, one: I64s, counts: I64s) -> tuple[I64s, I64s]:
    """Rows of both sides that are in the same group, in the order of the many side.

    `counts` is how many rows of the one side each group has.
    """
    order = np.argsort(one, kind="stable")
    begins = np.concatenate(([0], np.cumsum(counts)))[:-1]
    times = counts[many]
    rows_many = np.repeat(np.arange(many.size), times)
    within = np.arange(rows_many.size) - np.repeat(np.cumsum(times) - times, times)
    return rows_many, order[begins[many[rows_many]] + within]


def _result_rows(node: Binary, many: Rows, one: Rows) -> Rows:
    """What each pair is called: after the many side, with what `include` takes from the other."""
    how = node.matching
    one_to_one = how.cardinality is Cardinality.ONE_TO_ONE
    if one_to_one and how.on:
        kept = sorted(set(how.labels) - ({METRIC_NAME} if _drops_name(node) else set()))
        return many.renamed(lambda labels: labels.only(kept))
    gone = {METRIC_NAME} if _drops_name(node) else set()
    gone |= set(how.labels) if one_to_one else set()
    rows = many.renamed(lambda labels: labels.without(gone)) if gone else many
    # Arithmetic may take a metric name from the other side, a comparison's 0 and 1 have none.
    include = [name for name in how.include if name != METRIC_NAME or not node.returns_bool]
    if not include:
        return rows
    return Rows(
        [
            _including(labels, other, include)
            for labels, other in zip(rows.labels(), one.labels(), strict=True)
        ]
    )


def _including(labels: Labels, other: Labels, names: Sequence[str]) -> Labels:
    for name in names:
        labels = labels.replaced(name, other.get(name, ""))
    return labels


def _first_clash(groups: I64s, present: Bools) -> Clash | None:
    from tsdb.promql.kernels import merging

    count = int(groups.max(initial=-1)) + 1
    if np.bincount(groups, minlength=count).max(initial=0) <= 1:
        return None
    seen, clash = np.zeros((count, present.shape[1]), np.bool_), np.empty(2, np.int64)
    merging.first_clash(groups, contiguous(present), seen, clash)
    return None if clash[0] < 0 else Clash(step=int(clash[0]), row=int(clash[1]))


# --- sets --------------------------------------------------------------------------------------


def _intersection(how: Matching, left: Vector, right: Vector) -> Vector:
    in_left, in_right, names = _common_groups(how, left.rows, right.rows)
    there = _any_present(in_right, right.present, len(names))
    return Vector(left.rows, left.values, left.present & there[in_left])


def _difference(how: Matching, left: Vector, right: Vector) -> Vector:
    in_left, in_right, names = _common_groups(how, left.rows, right.rows)
    there = _any_present(in_right, right.present, len(names))
    return Vector(left.rows, left.values, left.present & ~there[in_left])


def _union(how: Matching, left: Vector, right: Vector) -> Vector:
    in_left, in_right, names = _common_groups(how, left.rows, right.rows)
    there = _any_present(in_left, left.present, len(names))
    return Vector(
        left.rows.followed_by(right.rows),
        np.concatenate((left.values, right.values)),
        np.concatenate((left.present, right.present & ~there[in_right])),
    ).merged()


SETS: dict[str, Callable[[Matching, Vector, Vector], Vector]] = {
    "and": _intersection,
    "or": _union,
    "unless": _difference,
}


def _any_present(groups: I64s, present: Bools, count: int) -> Bools:
    from tsdb.promql.kernels import merging

    found = np.zeros((count, present.shape[1]), np.bool_)
    merging.any_present(groups, contiguous(present), found)
    return found


def _braced(labels: Labels) -> str:
    """As Prometheus writes label sets in errors: the metric name among the others."""
    inside = ", ".join(
        f"{name if is_label_name(name) else quote(name)}={quote(value)}"
        for name, value in labels.items()
    )
    return f"{{{inside}}}"
