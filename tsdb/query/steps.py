"""Points folded into steps: the plain `step=&agg=` of the key-value API.

    in   Columns, start, end, step (ticks), one of AGGREGATES
    out  Columns: a point a non-empty bucket, stamped with the bucket's start

Bucket k covers start + k*step <= t < start + (k+1)*step. Not PromQL: no lookback, no
extrapolation, no staleness; empty buckets are left out. NaN values take part as NaN in sum and
avg, and are passed over by min and max unless nothing else is there.
"""

from __future__ import annotations

import numpy as np

from tsdb.batch import Columns, F64s, I64s
from tsdb.errors import InvalidInput

AGGREGATES = ("avg", "count", "first", "last", "max", "min", "sum")


def fold(columns: Columns, start: int, step: int, aggregate: str) -> Columns:
    """One value a bucket and run. Raises InvalidInput on an unknown aggregate or step < 1."""
    if aggregate not in AGGREGATES:
        raise InvalidInput(f"agg={aggregate!r} is not one of {', '.join(AGGREGATES)}")
    if step < 1:
        raise InvalidInput(f"step must be at least one tick, got {step}")
    if not columns.points:
        return columns
    runs = np.repeat(np.arange(columns.runs), np.diff(columns.offsets))
    # Subtract as unsigned: start may be far below the first point, beyond int64.
    since = columns.timestamps.view(np.uint64) - np.uint64(start % (1 << 64))
    buckets = since // np.uint64(step)
    edge = np.flatnonzero((np.diff(runs) != 0) | (np.diff(buckets) != 0)) + 1
    firsts = np.concatenate(([0], edge)).astype(np.int64)
    stamps = (np.uint64(start % (1 << 64)) + buckets[firsts] * np.uint64(step)).view(np.int64)
    values = _reduce(columns.values, firsts, aggregate)
    offsets = np.zeros(columns.runs + 1, np.int64)
    np.cumsum(np.bincount(runs[firsts], minlength=columns.runs), out=offsets[1:])
    return Columns(offsets, stamps, values)


def _reduce(values: F64s, firsts: I64s, aggregate: str) -> F64s:
    ends = np.append(firsts[1:], values.size)
    counts: F64s = (ends - firsts).astype(np.float64)
    if aggregate == "count":
        return counts
    if aggregate == "first":
        return values[firsts]
    if aggregate == "last":
        last: F64s = values[ends - 1]
        return last
    fold = {"min": np.fmin, "max": np.fmax}.get(aggregate, np.add)
    with np.errstate(invalid="ignore", over="ignore"):
        folded: F64s = fold.reduceat(values, firsts)
        if aggregate == "avg":
            folded /= counts
        return folded
