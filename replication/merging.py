"""Answers of several nodes as one: series in the order of their labels, under refs of their own.

    in   Found of disjoint shards
    out  a Selection, or series with what names them

Refs mean something to one registry, which grows by each series that this node is told of: about
200 bytes a series, until it is started again. So a query that sees a series again pays 0.2 us for
its name, and everything behind it works as on a single node.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replication.questions import Found
from tsdb import overlay
from tsdb.batch import Columns, I64s, U32s
from tsdb.codec.resolution import Resolution
from tsdb.engine.engine import bounded
from tsdb.index.reader import Reader
from tsdb.index.registry import Registry
from tsdb.query.selection import Selection, ordered

__all__ = ["Names"]


class Names:
    """Series of all shards, as far as this node has heard of them. Any thread."""

    def __init__(self) -> None:
        self._registry = Registry()

    def series(self, found: Sequence[Found]) -> tuple[Reader, U32s]:
        """All series, ascending, and what names them."""
        return self._registry.reader(), np.unique(self._refs(found))

    def counted(self, found: Sequence[Found]) -> tuple[Reader, U32s, I64s]:
        """Series and their counts, in the order in which text sorts them."""
        refs = self._refs(found)
        counts = np.array([count for one in found for count in one.counts], np.int64)
        index = self._registry.reader()
        order = index.text_order(refs)
        return index, refs[order], counts[order]

    def selection(
        self, found: Sequence[Found], resolution: Resolution, points_max: int, *, as_text: bool
    ) -> Selection:
        """Series with points; ordered by canonical labels, or as text sorts them."""
        bounded(sum(one.columns.points for one in found), points_max)
        refs = self._refs(found)
        index = self._registry.reader()
        order = index.text_order(refs) if as_text else np.argsort(index.rank(refs))
        refs, columns = ordered(refs, _joined([one.columns for one in found]), order)
        warnings = dict.fromkeys(text for one in found for text in one.warnings)
        return Selection(
            refs,
            columns,
            labels_of=index.labels,
            named_by=index,
            resolution=resolution,
            warnings=tuple(warnings),
        )

    def _refs(self, found: Sequence[Found]) -> U32s:
        """Of all series, one answer after the other."""
        refs = [self._named(one) for one in found if one.series.count]
        return np.concatenate(refs) if refs else np.zeros(0, np.uint32)

    def _named(self, found: Found) -> U32s:
        data = np.frombuffer(found.series.keys, np.uint8)
        with self._registry.lock:
            refs, new = self._registry.assign_many(data, found.series.offsets)
            self._registry.define(new)
        return refs


def _joined(columns: Sequence[Columns]) -> Columns:
    """Runs of all, one after the other."""
    if not columns:
        return overlay.empty(0)
    if len(columns) == 1:
        return columns[0]
    counts = np.concatenate([np.diff(each.offsets) for each in columns])
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return Columns(
        offsets,
        np.concatenate([each.timestamps for each in columns]),
        np.concatenate([each.values for each in columns]),
    )
