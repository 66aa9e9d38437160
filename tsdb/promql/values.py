"""What evaluation computes with: values for all steps of a grid at once.

    Grid      the moments of a query: start, step, count (ms)
    Scalar    a number a step
    Text      a string
    Vector    rows (series) by steps: values, and where there is one at all
    Windows   rows of points, and for each step the window that a range function looks at

A step without a value is told by `present`, not by a NaN: NaN is a value like any other.
Arrays are not changed after they were handed on, except by who made them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tsdb.batch import Columns, F64s, I64s
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import SAME_LABELS, Rows

__all__ = [
    "Bools",
    "Clash",
    "Grid",
    "Scalar",
    "Text",
    "Value",
    "Vector",
    "Windows",
    "contiguous",
]

Bools: TypeAlias = npt.NDArray[np.bool_]
Array = TypeVar("Array", F64s, Bools)


def contiguous(matrix: Array) -> Array:
    """As kernels take it: rows one after the other; a copy only where needed."""
    return np.ascontiguousarray(matrix)


@dataclass(frozen=True, slots=True)
class Clash:
    """The earliest step at which two rows of a group have a value; the row that came second."""

    step: int
    row: int


@dataclass(frozen=True, slots=True)
class Grid:
    """`count` moments from `start`, `step` apart; milliseconds."""

    start: int
    step: int
    count: int

    def __post_init__(self) -> None:
        assert self.count >= 1
        assert self.step >= 1

    @property
    def end(self) -> int:
        """The last step."""
        return self.start + (self.count - 1) * self.step

    def times(self) -> I64s:
        return self.start + self.step * np.arange(self.count, dtype=np.int64)

    @classmethod
    def instant(cls, at: int) -> Grid:
        return cls(at, 1, 1)


@dataclass(frozen=True, slots=True)
class Scalar:
    values: F64s  # [steps]


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Vector:
    """`values[row, step]` counts where `present[row, step]`; anything may stand elsewhere."""

    rows: Rows
    values: F64s  # [rows, steps]
    present: Bools  # [rows, steps]

    def __post_init__(self) -> None:
        assert self.values.shape == self.present.shape
        assert len(self.rows) == self.values.shape[0]

    @property
    def steps(self) -> int:
        return int(self.values.shape[1])

    def taken(self, rows: I64s) -> Vector:
        return Vector(self.rows.taken(rows), self.values[rows], self.present[rows])

    def until(self, step: int) -> Vector:
        """The steps before one."""
        return Vector(self.rows, self.values[:, :step], self.present[:, :step])

    def pruned(self) -> Vector:
        """Without rows that have no value at any step."""
        some = self.present.any(axis=1)
        return self if some.all() else self.taken(np.flatnonzero(some))

    def nameless(self) -> Vector:
        """Without metric names. Raises QueryFailed as `merged`."""
        return Vector(self.rows.without_name(), self.values, self.present).merged()

    def merged(self) -> Vector:
        """Rows of equal labels become one.

        Raises QueryFailed where two of them have a value at the same step.
        """
        twins = self.rows.twins()
        if twins is None:
            return self
        groups, firsts = twins
        joined, clash = self.joined(groups, self.rows.taken(firsts))
        if clash is not None:
            raise QueryFailed(SAME_LABELS)
        return joined

    def joined(self, groups: I64s, rows: Rows) -> tuple[Vector, Clash | None]:
        """Row g of the answer holds the values of all rows of group g, the first at each step."""
        from tsdb.promql.kernels import merging

        shape = (len(rows), self.steps)
        values, present = np.zeros(shape), np.zeros(shape, np.bool_)
        clash = np.empty(2, np.int64)
        bits, out = contiguous(self.values).view(np.uint64), values.view(np.uint64)
        merging.merge(groups, bits, contiguous(self.present), out, present, clash)
        found = None if clash[0] < 0 else Clash(step=int(clash[0]), row=int(clash[1]))
        return Vector(rows, values, present), found

    @classmethod
    def empty(cls, steps: int) -> Vector:
        return cls(Rows([]), np.empty((0, steps)), np.empty((0, steps), np.bool_))


@dataclass(frozen=True, slots=True)
class Windows:
    """Points of each row; the window of step s is (ends[s] - range_ms, ends[s]].

    Points hold no stale markers; run i of `columns` is row i; times are milliseconds.
    """

    rows: Rows
    columns: Columns
    ends: I64s  # [steps], ascending, maybe equal
    range_ms: int


Value: TypeAlias = Scalar | Text | Vector
