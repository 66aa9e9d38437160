"""Everything that matches, however much it is: range by range of time.

    in   an open database, selectors, a range
    out  series after series; one that does not fit into memory comes in several pieces

Each range is one consistent look at the database that holds at most EXPORT_POINTS; ranges follow
each other. For exports, over HTTP and from the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tsdb import limits
from tsdb.errors import LimitExceeded

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.query.selection import Selection, Series

__all__ = ["all_series"]


def all_series(
    database: Database,
    selectors: list[tuple[Matcher, ...]],
    start: int,
    end: int,
    *,
    on_warning: Callable[[str], None] = lambda text: None,
) -> Iterator[Series]:
    """Each matching series once a range, whichever of the selectors match it.

    `on_warning` is told what is missing because of damage, each sentence once.
    """
    warned: set[str] = set()
    first, last = database.span() or (start, end)
    start, end = max(start, first), min(end, last)
    told = np.empty(0, np.uint32)
    for matchers in selectors:
        for selection in _ranges(database, matchers, start, end):
            for text in set(selection.warnings) - warned:
                on_warning(text)
            warned |= set(selection.warnings)
            fresh = ~np.isin(selection.refs, told)
            yield from (selection[i] for i in np.flatnonzero(fresh).tolist())
        told = np.union1d(told, database.find(matchers)[1])


def _ranges(
    database: Database, matchers: tuple[Matcher, ...], start: int, end: int
) -> Iterator[Selection]:
    """The selection, in ranges of time that hold at most EXPORT_POINTS."""
    ranges = [(start, end)]
    while ranges:
        low, high = ranges.pop()
        if low > high:
            continue
        most = limits.EXPORT_POINTS if low < high else limits.POINTS_PER_SELECT_MAX
        try:
            yield database.select(matchers, low, high, points_max=most)
        except LimitExceeded as error:
            if error.limit != "POINTS_PER_SELECT_MAX" or low == high:
                raise
            middle = low + (high - low) // 2
            ranges += [(middle + 1, high), (low, middle)]
