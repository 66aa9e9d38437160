"""How series spread over names and labels: what makes an index large.

    in   a registry's tables
    out  the labels with most series, the names with most values

Read from the records of labels (tsdb.index.kernels), which count their series; only what is shown
is decoded. Price: a sort of the distinct labels, 60 ms a million.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdb.batch import I64s
from tsdb.index import kernels as k
from tsdb.index.labels import LENGTH_BYTES, METRIC_NAME
from tsdb.index.tables import Tables

__all__ = ["Census", "census"]


@dataclass(frozen=True, slots=True)
class Census:
    """Lists are (what, how many), the most first."""

    labels: int  # distinct, among series that there are
    series_by_metric: list[tuple[str, int]]
    series_by_label: list[tuple[str, int]]  # `job=node`
    values_by_name: list[tuple[str, int]]
    bytes_by_name: list[tuple[str, int]]  # of values


def census(tables: Tables, most: int) -> Census:
    """At most `most` lines a list."""
    known = int(tables.counts[k.PAIRED])
    records = tables.pairs[1][:known].astype(np.int64)
    ids = np.arange(known)
    labels = ids[(records[:, k.NAME] != 0) & (records[:, k.LIVE] > 0)]
    owners, live = records[labels, k.NAME], records[labels, k.LIVE]
    metric = [n for n in np.unique(owners).tolist() if _text(tables, n) == METRIC_NAME]
    of_metric = np.isin(owners, metric)
    names, values = np.unique(owners, return_counts=True)
    sizes = records[labels, k.SIZE] - records[owners, k.SIZE] - LENGTH_BYTES
    bytes_ = np.bincount(np.searchsorted(names, owners), sizes).astype(np.int64)
    return Census(
        labels=labels.size,
        series_by_metric=_top(tables, labels[of_metric], live[of_metric], most, value_only=True),
        series_by_label=_top(tables, labels, live, most),
        values_by_name=_top(tables, names, values, most),
        bytes_by_name=_top(tables, names, bytes_, most),
    )


def _top(
    tables: Tables, ids: I64s, counts: I64s, most: int, *, value_only: bool = False
) -> list[tuple[str, int]]:
    order = np.argsort(-counts, kind="stable")[:most]
    found = []
    for id_, count in zip(ids[order].tolist(), counts[order].tolist(), strict=True):
        text = _text(tables, id_)
        found.append((text.partition("=")[2] if value_only else text, count))
    return found


def _text(tables: Tables, id_: int) -> str:
    """`name`, or `name=value` of a label."""
    text = tables.bytes_of(id_)
    end = LENGTH_BYTES + int.from_bytes(text[:LENGTH_BYTES], "little")
    name, value = text[LENGTH_BYTES:end].decode(), text[end + LENGTH_BYTES :].decode()
    return f"{name}={value}" if tables.pairs[1][id_, k.NAME] else name
