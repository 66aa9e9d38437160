"""Our side of the comparison: the points in a Database of their own.

    in   series, an empty folder
    out  an open database

Half of the points lie in blocks, the others in memory, and every third of the rest came before
its time: a query meets every place that points can be in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from promql.differential.dataset import LENGTH, START, Series

import tsdb
from tsdb.index.labels import Labels

__all__ = ["stored"]

Flags: TypeAlias = npt.NDArray[np.bool_]

FLUSHED = START + LENGTH // 2


@contextlib.contextmanager
def stored(series: Sequence[Series], folder: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(folder) as database:
        early = [each.timestamps < FLUSHED for each in series]
        thirds = [np.arange(each.timestamps.size) % 3 == 0 for each in series]
        _write(database, series, early)
        database.flush()
        _write(database, series, [~a & ~b for a, b in zip(early, thirds, strict=True)])
        _write(database, series, [~a & b for a, b in zip(early, thirds, strict=True)])
        yield database


def _write(database: tsdb.Database, series: Sequence[Series], kept: Sequence[Flags]) -> None:
    some = [(each, keep) for each, keep in zip(series, kept, strict=True) if keep.any()]
    database.write_many(
        [str(Labels(each.labels)) for each, _ in some],
        [each.timestamps[keep] for each, keep in some],
        [each.values[keep] for each, keep in some],
    )
