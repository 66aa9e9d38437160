"""Runs laid over runs, cut and copied: the machine code of `tsdb.overlay`.

    in   columns as offsets int64[runs + 1], timestamps int64[points], value bits uint64[points];
         within a run timestamps ascend strictly
    out  the same, in arrays that the caller made large enough

Each kernel is one pass over the runs; a run that meets no other is a plain copy. Values travel
as bits, so NaN payloads survive.
Price: benchmarks/bench_block.py, 1 to 3 ns a point where runs are long.
"""

import numpy as np
from numba import types

from tsdb.jit import inlined, kernel

_INT64S = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_BOOLS = types.Array(types.boolean, 1, "C", readonly=True)
_OUT_INT64S = types.Array(types.int64, 1, "C")
_OUT_WORDS = types.Array(types.uint64, 1, "C")


U = np.uint64
U0, U1 = U(0), U(1)


@inlined
def copy_points(timestamps, bits, first, last, out_timestamps, out_bits, at):
    """Copy points first <= i < last to `at`; returns the place after them.

    Indexes are uint64: signed ones are tested for wrap-around, which keeps the loops from
    becoming vector copies (4.6 instead of 1.4 ns a point).
    """
    points = last - first
    for i in range(points):
        out_timestamps[at + i] = timestamps[first + i]
    for i in range(points):
        out_bits[at + i] = bits[first + i]
    return at + points


@kernel(types.void(_OUT_INT64S, _OUT_WORDS, types.int64, types.int64, types.int64))
def move_down(timestamps, bits, first, last, at):
    """The points first <= i < last to `at`, which lies before them."""
    copy_points(timestamps, bits, U(first), U(last), timestamps, bits, U(at))


@inlined
def first_at_least(timestamps, first, last, bound):
    """Smallest i in [first, last] with timestamps[i] >= bound, where last counts as +infinity.

    Ends are tried before the middle: most cuts take all of a run or none of it.
    """
    if first == last or timestamps[first] >= bound:
        return first
    if timestamps[last - U1] < bound:
        return last
    while first < last:
        middle = (first + last) >> U1
        if timestamps[middle] < bound:
            first = middle + U1
        else:
            last = middle
    return first


@inlined
def first_above(timestamps, first, last, bound):
    """Smallest i in [first, last] with timestamps[i] > bound; bound + 1 might not exist."""
    if first == last or timestamps[first] > bound:
        return first
    if timestamps[last - U1] <= bound:
        return last
    while first < last:
        middle = (first + last) >> U1
        if timestamps[middle] <= bound:
            first = middle + U1
        else:
            last = middle
    return first


@kernel(types.void(_INT64S, _INT64S, _OUT_INT64S))
def extent(offsets, timestamps, out):
    """out = first and last timestamp of all runs; int64 max, min when there is no point."""
    lowest = np.int64(0x7FFFFFFFFFFFFFFF)
    highest = -lowest - 1
    for i in range(U(offsets.size - 1)):
        first, last = U(offsets[i]), U(offsets[i + U1])
        if first < last:
            lowest = min(lowest, timestamps[first])
            highest = max(highest, timestamps[last - U1])
    out[0] = lowest
    out[1] = highest


@kernel(types.void(_INT64S, _INT64S, _WORDS, _OUT_INT64S, _OUT_INT64S, _OUT_WORDS))
def place(offsets, timestamps, bits, at, out_timestamps, out_bits):
    """Copy run i to at[i] and move at[i] behind it."""
    for i in range(U(offsets.size - 1)):
        first, last = U(offsets[i]), U(offsets[i + U1])
        end = copy_points(timestamps, bits, first, last, out_timestamps, out_bits, U(at[i]))
        at[i] = np.int64(end)


@inlined
def interleave(old_t, old_v, i, i_end, new_t, new_v, j, j_end, out_t, out_v, at):
    """Merge two ascending stretches; where timestamps are equal the new point wins."""
    while i < i_end and j < j_end:
        if old_t[i] < new_t[j]:
            out_t[at] = old_t[i]
            out_v[at] = old_v[i]
            i += U1
        else:
            if old_t[i] == new_t[j]:
                i += U1
            out_t[at] = new_t[j]
            out_v[at] = new_v[j]
            j += U1
        at += U1
    at = copy_points(old_t, old_v, i, i_end, out_t, out_v, at)
    return copy_points(new_t, new_v, j, j_end, out_t, out_v, at)


@kernel(
    types.int64(
        _INT64S, _INT64S, _WORDS, _INT64S, _INT64S, _WORDS, _OUT_INT64S, _OUT_INT64S, _OUT_WORDS
    )
)
def overlay_pair(old_at, old_t, old_v, new_at, new_t, new_v, out_at, out_t, out_v):
    """Run i of the result is run i of both, new over old; returns the points written.

    out_at is int64[runs + 1]; out_t and out_v hold the points of both.
    """
    at = U0
    out_at[0] = 0
    for run in range(U(old_at.size - 1)):
        i, i_end = U(old_at[run]), U(old_at[run + U1])
        j, j_end = U(new_at[run]), U(new_at[run + U1])
        if i == i_end or j == j_end or old_t[i_end - U1] < new_t[j]:
            at = copy_points(old_t, old_v, i, i_end, out_t, out_v, at)
            at = copy_points(new_t, new_v, j, j_end, out_t, out_v, at)
        elif new_t[j_end - U1] < old_t[i]:
            at = copy_points(new_t, new_v, j, j_end, out_t, out_v, at)
            at = copy_points(old_t, old_v, i, i_end, out_t, out_v, at)
        else:
            at = interleave(old_t, old_v, i, i_end, new_t, new_v, j, j_end, out_t, out_v, at)
        out_at[run + U1] = np.int64(at)
    return np.int64(at)


@kernel(types.void(_INT64S, _INT64S, types.int64, types.int64, _OUT_INT64S, _OUT_INT64S))
def bounds(offsets, timestamps, start, end, firsts, counts):
    """firsts[i], counts[i] = the points of run i with start <= t <= end."""
    for i in range(U(offsets.size - 1)):
        last = U(offsets[i + U1])
        first = first_at_least(timestamps, U(offsets[i]), last, start)
        firsts[i] = np.int64(first)
        counts[i] = np.int64(first_above(timestamps, first, last, end) - first)


@kernel(types.void(_INT64S, _INT64S, _INT64S, _WORDS, _INT64S, _OUT_INT64S, _OUT_WORDS))
def gather(firsts, counts, timestamps, bits, places, out_timestamps, out_bits):
    """Copy counts[i] points from firsts[i] on to places[i]."""
    for i in range(U(firsts.size)):
        first = U(firsts[i])
        last = first + U(counts[i])
        copy_points(timestamps, bits, first, last, out_timestamps, out_bits, U(places[i]))


@kernel(
    types.int64(
        _INT64S, _INT64S, _WORDS, _BOOLS, types.int64, types.int64,
        _OUT_INT64S, _OUT_INT64S, _OUT_WORDS,
    )
)  # fmt: skip
def without(offsets, timestamps, bits, hit, start, end, out_at, out_timestamps, out_bits):
    """Copy all points but those of runs with hit[i] and start <= t <= end; returns the points."""
    at = U0
    out_at[0] = 0
    for i in range(U(offsets.size - 1)):
        first, last = U(offsets[i]), U(offsets[i + U1])
        if hit[i]:
            cut = first_at_least(timestamps, first, last, start)
            at = copy_points(timestamps, bits, first, cut, out_timestamps, out_bits, at)
            first = first_above(timestamps, cut, last, end)
        at = copy_points(timestamps, bits, first, last, out_timestamps, out_bits, at)
        out_at[i + U1] = np.int64(at)
    return np.int64(at)
