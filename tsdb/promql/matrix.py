"""What a query is worth, as arrays: the answer a library user gets.

    in   Answer of `tsdb.promql.query`, the database's resolution
    out  Matrix: label sets, times, values by series and time

A value is NaN where there is none; `present` tells those from a NaN that was computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.errors import InvalidInput
from tsdb.promql.query import Answer
from tsdb.promql.values import Bools, Scalar, Vector

if TYPE_CHECKING:
    from tsdb.codec.resolution import Resolution
    from tsdb.index.labels import Labels

__all__ = ["Matrix", "matrix_of"]


@dataclass(frozen=True, slots=True)
class Matrix:
    """`values[i, j]` is what series `labels[i]` was worth at `timestamps[j]`."""

    labels: list[Labels]
    timestamps: I64s  # [steps] ticks
    values: F64s  # [series, steps]; NaN where there is none
    present: Bools  # [series, steps]
    resolution: Resolution
    warnings: list[str]
    infos: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Matrix of {len(self)} series, {self.timestamps.size} steps>"

    def to_pandas(self) -> Any:
        """A row a time (UTC), a column a series by its label set. Needs the extra `pandas`."""
        from tsdb.query.frames import wide

        return wide(self)


def matrix_of(answer: Answer, resolution: Resolution) -> Matrix:
    """Raises InvalidInput for an answer that has no values by step: a string, stored points."""
    value = answer.value
    times = answer.times * resolution.ticks_per_s // 1000
    if isinstance(value, Scalar):
        values = value.values.reshape(1, -1)
        labels, present = [_no_labels()], np.ones(values.shape, np.bool_)
    elif isinstance(value, Vector):
        labels, present = list(value.rows.labels()), value.present
        values = np.where(present, value.values, np.nan)
    else:
        raise InvalidInput(
            f"the query gives a {answer.type}, not a number a step: select() reads stored points"
        )
    return Matrix(labels, times, values, present, resolution, answer.warnings, answer.infos)


def _no_labels() -> Labels:
    from tsdb.index.labels import Labels

    return Labels()
