"""Several batches as one: what group commit writes as a single entry.

    in   batches, columns, definitions of series, in order
    out  one of the same sort: the first one's, then the second one's

Price: a copy of every array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsdb.batch import Batch, Columns, I64s, SeriesDefinitions

__all__ = ["joined", "joined_columns", "joined_definitions"]


def joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return Batch(
        np.concatenate([b.refs for b in batches]),
        joined_columns([b.columns for b in batches]),
        joined_definitions([b.definitions for b in batches if b.definitions.count]),
    )


def joined_columns(parts: Sequence[Columns]) -> Columns:
    return Columns(
        _joined_offsets([c.offsets for c in parts]),
        np.concatenate([c.timestamps for c in parts]),
        np.concatenate([c.values for c in parts]),
    )


def joined_definitions(parts: Sequence[SeriesDefinitions]) -> SeriesDefinitions:
    if not parts:
        return SeriesDefinitions.none()
    if len(parts) == 1:
        return parts[0]
    return SeriesDefinitions(
        np.concatenate([d.refs for d in parts]),
        _joined_offsets([d.offsets for d in parts]),
        b"".join(d.keys for d in parts),
    )


def _joined_offsets(parts: Sequence[I64s]) -> I64s:
    bases = np.cumsum([0, *[int(p[-1]) for p in parts]])
    tails = [p[1:] + base for p, base in zip(parts, bases[:-1], strict=True)]
    return np.concatenate([np.zeros(1, np.int64), *tails])
