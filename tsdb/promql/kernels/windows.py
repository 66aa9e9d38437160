"""Which points the steps of a query see.

    in   runs of points (offsets, ascending ms), the ends of the windows, ascending
    out  for each row and step the latest value; or the window as first:last

A window is open on the left: a point at its very start is outside (Prometheus since 3.0). Both
borders only move forward, so a row costs its points plus its steps.
"""

import numpy as np
from numba import types

from tsdb.jit import inlined, kernel

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 2, "C")
_OUT_F64S = types.Array(types.float64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")
_FLAGS = types.Array(types.boolean, 1, "C")

STALE = np.uint64(0x7FF0000000000002)
NEAR = 8  # points that are looked at one by one


@inlined
def moved(timestamps, at, last, bound):
    """The first place from `at` on whose time is beyond `bound`; a few points on, as a rule."""
    near = min(last, at + NEAR)
    while at < near and timestamps[at] <= bound:
        at += 1
    return at if at < near else sought(timestamps, at, last, bound)


@inlined
def sought(timestamps, at, last, bound):
    """As `moved`, for windows that lie far apart: in steps that halve."""
    low, high = at, last
    while low < high:
        middle = (low + high) // 2
        if timestamps[middle] <= bound:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(types.void(_I64S, _I64S, _U64S, _I64S, types.int64, _OUT_U64S, _OUT_BOOLS))
def latest(offsets, timestamps, bits, ends, lookback, out, present):
    """The latest point at or before each end, if younger than `lookback` and no stale marker."""
    for row in range(offsets.size - 1):
        at, last = offsets[row], offsets[row + 1]
        first = at
        for step in range(ends.size):
            at = moved(timestamps, at, last, ends[step])
            found = at > first and timestamps[at - 1] > ends[step] - lookback
            value = bits[at - 1] if found else np.uint64(0)
            found = found and value != STALE
            out[row, step] = value if found else np.uint64(0)
            present[row, step] = found


@kernel(types.void(_I64S, _I64S, _U64S, _I64S, types.int64, _OUT_F64S, _OUT_BOOLS))
def latest_times(offsets, timestamps, bits, ends, lookback, out, present):
    """When the point that `latest` finds was; seconds."""
    for row in range(offsets.size - 1):
        at, last = offsets[row], offsets[row + 1]
        first = at
        for step in range(ends.size):
            at = moved(timestamps, at, last, ends[step])
            found = at > first and timestamps[at - 1] > ends[step] - lookback
            found = found and bits[at - 1] != STALE
            out[row, step] = float(timestamps[at - 1]) / 1000 if found else 0.0
            present[row, step] = found


@kernel(types.void(_I64S, _I64S, _I64S, types.int64, _OUT_I64S, _OUT_I64S))
def stretches(offsets, timestamps, ends, range_ms, firsts, counts):
    """For each row and step the first point of the window and how many it holds."""
    for row in range(offsets.size - 1):
        at, last = offsets[row], offsets[row + 1]
        for step in range(ends.size):
            first = sought(timestamps, at, last, ends[step] - range_ms)
            at = sought(timestamps, first, last, ends[step])
            firsts[row * ends.size + step] = first
            counts[row * ends.size + step] = at - first


@kernel(types.int64(_U64S, _FLAGS))
def unmarked(bits, keep):
    """Flag the points that are no stale markers; returns how many markers there are."""
    markers = 0
    for i in range(bits.size):
        marker = bits[i] == STALE
        keep[i] = not marker
        markers += marker
    return markers
