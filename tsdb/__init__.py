"""Silverback: a time-series key-value database. This is the engine, usable as a library.

    import tsdb

    with tsdb.open("metrics") as db:
        db.write('cpu{host="a"}', [1700000000000, 1700000010000], [0.5, 0.7])
        for series in db.select('cpu{host="a"}', 1700000000000, 1700000020000):
            print(series.labels, series.timestamps, series.values)

Importing this costs numpy and the standard library; kernels and the rest load at `open`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsdb.errors import (
    CorruptionError,
    InvalidInput,
    LimitExceeded,
    NewerFormat,
    StorageFailed,
    TSDBError,
    Unavailable,
)

if TYPE_CHECKING:
    from tsdb.commit.request import Written
    from tsdb.database.database import Database
    from tsdb.database.opening import open_database as open
    from tsdb.promql.matrix import Matrix
    from tsdb.query.selection import Selection

__all__ = [
    "CorruptionError",
    "Database",
    "InvalidInput",
    "LimitExceeded",
    "Matrix",
    "NewerFormat",
    "Selection",
    "StorageFailed",
    "TSDBError",
    "Unavailable",
    "Written",
    "open",
]

_HOMES = {
    "Database": "tsdb.database.database",
    "Matrix": "tsdb.promql.matrix",
    "Selection": "tsdb.query.selection",
    "Written": "tsdb.commit.request",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "open":
        return importlib.import_module("tsdb.database.opening").open_database
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tsdb' has no attribute {name!r}")
