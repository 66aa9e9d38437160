"""Our side of the comparison: the points in a Database of their own.

in   series, an empty folder
out  an open database; whether an answer's order is part of it
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from promql.differential.dataset import Series

import tsdb
from tsdb.index.labels import Labels

__all__ = ["stored"]


@contextlib.contextmanager
def stored(series: Sequence[Series], folder: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(folder) as database:
        database.write_many(
            [str(Labels(each.labels)) for each in series],
            [each.timestamps for each in series],
            [each.values for each in series],
        )
        yield database
