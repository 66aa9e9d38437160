"""How many values a query holds in matrices, and how many it may.

    in   matrices as they are made
    out  LimitExceeded where all that are alive would be too large together

A matrix counts until Python drops it, so a long chain of operators costs what it holds at once,
not what it ever made.
"""

from __future__ import annotations

import weakref

from tsdb import limits
from tsdb.batch import F64s
from tsdb.errors import LimitExceeded

__all__ = ["Room"]


class Room:
    """Of one query. It knows arrays only weakly, and nothing else."""

    def __init__(self, cells_max: int | None = None) -> None:
        self.cells = 0
        self._cells_max = limits.QUERY_CELLS_MAX if cells_max is None else cells_max
        self._held: set[int] = set()

    def check(self, cells: int) -> None:
        """Is there room for another matrix? Raises LimitExceeded."""
        if self.cells + cells > self._cells_max:
            raise LimitExceeded(
                f"the query holds {self.cells + cells:,} values at once: "
                "ask for fewer series or steps",
                limit="QUERY_CELLS_MAX",
                value=self._cells_max,
            )

    def hold(self, values: F64s) -> None:
        """Count a matrix until it is dropped; one that is counted already costs nothing."""
        key = id(values)
        if key in self._held:
            return
        self.check(values.size)
        self.cells += values.size
        self._held.add(key)
        weakref.finalize(values, self._release, key, values.size).atexit = False

    def _release(self, key: int, cells: int) -> None:
        self._held.discard(key)
        self.cells -= cells
