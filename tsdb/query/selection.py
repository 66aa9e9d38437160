"""What a selection answers: series with their points, columns throughout.

    in   refs, Columns (run i belongs to refs[i]), how to name a ref
    out  a sequence of Series in the order of their label sets; `columns()` for bulk users

Arrays are read-only views of the selection's own columns: no point is ever an object. Data
frames and Arrow are made on request through optional packages; without the package the error
names the extra to install.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tsdb import overlay
from tsdb.batch import Columns, Decoded, F64s, I64s, U32s

if TYPE_CHECKING:
    from tsdb.codec.resolution import Resolution
    from tsdb.index.labels import Labels
    from tsdb.index.reader import Reader


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer. Timestamps ascend strictly; both arrays are read-only."""

    labels: Labels
    timestamps: I64s
    values: F64s

    def __len__(self) -> int:
        return self.timestamps.size

    def __repr__(self) -> str:
        return f"<Series {self.labels} with {len(self)} points>"


class Selection(Sequence[Series]):
    """Series that match, each with at least one point in the range, ordered by label set.

    `warnings` says in one sentence each what the answer lacks (damaged blocks); it is empty when
    the answer is complete.
    """

    def __init__(
        self,
        refs: U32s,
        columns: Columns,
        *,
        labels_of: Callable[[int], Labels],
        resolution: Resolution,
        warnings: tuple[str, ...] = (),
        named_by: Reader | None = None,
        did: Decoded | None = None,
    ) -> None:
        assert refs.size == columns.runs
        columns.timestamps.setflags(write=False)
        columns.values.setflags(write=False)
        self.refs = refs
        self.resolution = resolution
        self.warnings = warnings
        self.named_by = named_by  # the index whose refs these are, if they are
        self.did = did  # what reading took, where that is known
        self._columns = columns
        self._labels_of = labels_of

    @property
    def points(self) -> int:
        return self._columns.points

    def columns(self) -> Columns:
        """All points as columns: run i is series i of this selection."""
        return self._columns

    def labels(self) -> list[Labels]:
        if self.named_by is not None:
            return self.named_by.labels_of_all(self.refs)
        return [self._labels_of(int(ref)) for ref in self.refs]

    def __len__(self) -> int:
        return self.refs.size

    @overload
    def __getitem__(self, at: int) -> Series: ...
    @overload
    def __getitem__(self, at: slice) -> list[Series]: ...
    def __getitem__(self, at: int | slice) -> Series | list[Series]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        i = range(len(self))[at]
        lo, hi = self._columns.offsets[i], self._columns.offsets[i + 1]
        return Series(
            self._labels_of(int(self.refs[i])),
            self._columns.timestamps[lo:hi],
            self._columns.values[lo:hi],
        )

    def __iter__(self) -> Iterator[Series]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<Selection of {len(self)} series, {self.points} points>"

    def to_pandas(self) -> Any:
        """Long frame: one row a point with its labels as columns. Needs the extra `pandas`."""
        from tsdb.query import frames

        return frames.to_pandas(self)

    def to_polars(self) -> Any:
        """Long frame: one row a point with its labels as columns. Needs the extra `polars`."""
        from tsdb.query import frames

        return frames.to_polars(self)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Arrow C stream, zero-copy for points: polars, duckdb, pyarrow take it as it is."""
        from tsdb.query import frames

        return frames.arrow_stream(self, requested_schema)


def ordered(refs: U32s, columns: Columns, order: I64s) -> tuple[U32s, Columns]:
    """Refs and columns with runs taken in `order`; runs left out of `order` are dropped."""
    if order.size == columns.runs and bool((np.diff(order) == 1).all()):
        return refs, columns
    firsts, counts = columns.offsets[:-1][order], np.diff(columns.offsets)[order]
    return refs[order], overlay.gather(columns, firsts, counts)
