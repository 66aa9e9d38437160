"""Chunks in machine code: summaries of runs, selection, decoding of a range, bit comparison.

    in   columns as int64 timestamps and uint64 value bits; chunk tables as int64 arrays
    out  rows of a chunk table; chunk ranges

Value bits are turned into floats only to compare and add them; what is stored are the bits.
Price: benchmarks/bench_block.py, 1 to 2 ns a point for `summarize`.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import bits_float, float_bits
from tsdb.codec.kernels import REASONS, SOUND, decode_within
from tsdb.jit import kernel

_UINT32S = types.Array(types.uint32, 1, "C", readonly=True)
_INT64S = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_INT64S = types.Array(types.int64, 1, "C")
_OUT_WORDS = types.Array(types.uint64, 1, "C")
_OUT_INT64_ROWS = types.Array(types.int64, 2, "C")
_OUT_WORD_ROWS = types.Array(types.uint64, 2, "C")

U = np.uint64
U0, U1 = U(0), U(1)
STALE_BITS = U(0x7FF0000000000002)
NAN_BITS = U(0x7FF8000000000000)

INT64_MAX = np.int64(0x7FFFFFFFFFFFFFFF)
INT64_MIN = np.int64(-INT64_MAX - 1)

# Rows of the tables that `summarize` fills, one column a chunk.
MIN_TS, MAX_TS, COUNT, STALE = U(0), U(1), U(2), U(3)
MIN, MAX, SUM, FIRST, LAST = U(0), U(1), U(2), U(3), U(4)


@kernel(types.int64(_INT64S, types.int64, _OUT_INT64S))
def window_ids(timestamps, ticks, out):
    """Number of the window of each timestamp, repetitions in a row left out; returns how many.

    A window is `ticks` long and starts at a multiple of it; its number is the floor quotient.
    """
    written = U0
    low, high = np.int64(1), np.int64(0)  # the window of the last timestamp; none yet
    for i in range(U(timestamps.size)):
        t = timestamps[i]
        if low <= t <= high:
            continue
        number = t // ticks
        out[written] = number
        written += U1
        before = U(t - number * ticks)  # the product may wrap, the difference wraps back
        after = U(ticks) - U1 - before
        low = t - np.int64(before) if before <= U(t) - U(INT64_MIN) else INT64_MIN
        high = t + np.int64(after) if after <= U(INT64_MAX) - U(t) else INT64_MAX
    return np.int64(written)


@kernel(types.int64(_INT64S, _INT64S, types.int64, _OUT_INT64S, _OUT_INT64S, _OUT_INT64S))
def advance(ends, timestamps, last, cursors, counts, lowest):
    """Move the cursor of each run, which ends at ends[i], behind its timestamps up to `last`.

    counts[i] = points passed; lowest[0] = smallest timestamp at a cursor afterwards. Returns the
    runs that have points left.
    """
    waiting = 0
    lowest[0] = INT64_MAX
    for i in range(U(ends.size)):
        low, high = U(cursors[i]), U(ends[i])
        end = high
        while low < high:
            middle = (low + high) >> U1
            if timestamps[middle] <= last:
                low = middle + U1
            else:
                high = middle
        counts[i] = np.int64(low) - cursors[i]
        cursors[i] = np.int64(low)
        if low < end:
            waiting += 1
            lowest[0] = min(lowest[0], timestamps[low])
    return waiting


@kernel(types.int64(_INT64S, _INT64S, _WORDS, _OUT_INT64_ROWS, _OUT_WORD_ROWS))
def summarize(offsets, timestamps, bits, numbers, aggregates):
    """Rows MIN_TS .. STALE and MIN .. LAST of every chunk; returns -1.

    Returns instead the first chunk that is empty or does not ascend strictly.

    Stale markers take no part in the aggregates; without other values MIN, MAX, FIRST and LAST
    are NaN and SUM is 0. As in PromQL, NaN loses against any number in MIN and MAX, and among
    equals (0 and -0) the first stays. SUM adds from left to right.
    """
    for i in range(U(offsets.size - 1)):
        first, end = U(offsets[i]), U(offsets[i + U1])
        if first >= end:
            return np.int64(i)
        live = U0
        lowest = highest = total = 0.0
        first_bits = last_bits = NAN_BITS
        previous = timestamps[first]
        for j in range(first, end):
            t = timestamps[j]
            if t <= previous and j != first:
                return np.int64(i)
            previous = t
            word = bits[j]
            if word == STALE_BITS:
                continue
            value = bits_float(word)
            if live == U0:
                lowest = highest = value
                first_bits = word
            else:
                if value < lowest or lowest != lowest:
                    lowest = value
                if value > highest or highest != highest:
                    highest = value
            total += value
            last_bits = word
            live += U1
        numbers[MIN_TS, i] = timestamps[first]
        numbers[MAX_TS, i] = previous
        numbers[COUNT, i] = np.int64(end - first)
        numbers[STALE, i] = np.int64(end - first - live)
        aggregates[MIN, i] = float_bits(lowest) if live else NAN_BITS
        aggregates[MAX, i] = float_bits(highest) if live else NAN_BITS
        aggregates[SUM, i] = float_bits(total)
        aggregates[FIRST, i] = first_bits
        aggregates[LAST, i] = last_bits
    return -1


@kernel(types.int64(_WORDS, _WORDS))
def first_difference(a, b):
    """Index of the first word that differs, or -1. Both have the same size."""
    size = U(a.size)
    block = U(1024)
    for start in range(U0, size, block):
        end = min(start + block, size)
        seen = U0
        for i in range(start, end):
            seen |= a[i] ^ b[i]
        if seen:
            for i in range(start, end):
                if a[i] != b[i]:
                    return np.int64(i)
    return -1


@kernel(
    types.int64(
        _UINT32S, _UINT32S, _INT64S, _INT64S, _INT64S, types.int64, types.int64,
        _OUT_INT64S, _OUT_INT64S,
    )
)  # fmt: skip
def select_chunks(wanted, refs, firsts, min_ts, max_ts, start, end, lows, counts):
    """Chunks lows[i] .. lows[i] + counts[i] of ref wanted[i] may hold points in start .. end.

    wanted, refs   ascending; refs are the block's, chunks of refs[k] are firsts[k]:firsts[k + 1]
    Returns the sum of counts.

    Both lists are walked with doubling steps: all series cost one pass, few cost a search each.
    """
    total = 0
    k = U0
    size = U(refs.size)
    for i in range(U(wanted.size)):
        ref = wanted[i]
        lows[i] = 0
        counts[i] = 0
        step = U1
        while k + step < size and refs[k + step] < ref:
            k += step
            step += step
        limit = min(k + step, size)
        while k < limit:  # smallest k with refs[k] >= ref, known to be <= limit
            middle = (k + limit) >> U1
            if refs[middle] < ref:
                k = middle + U1
            else:
                limit = middle
        if k == size or refs[k] != ref:
            continue
        low, high = U(firsts[k]), U(firsts[k + U1])
        last = high
        while low < last:  # smallest chunk that ends at or after start
            middle = (low + last) >> U1
            if max_ts[middle] < start:
                low = middle + U1
            else:
                last = middle
        last = low
        while last < high:  # smallest chunk from there on that begins after end
            middle = (last + high) >> U1
            if min_ts[middle] <= end:
                last = middle + U1
            else:
                high = middle
        lows[i] = np.int64(low)
        counts[i] = np.int64(last - low)
        total += np.int64(last - low)
    return total


@kernel(
    types.int64(
        _BYTES, _INT64S, _INT64S, _INT64S, types.uint64, types.int64, types.int64, _OUT_INT64S,
        _OUT_WORDS, _OUT_WORDS,
    )
)  # fmt: skip
def decode_chunks_within(
    data, starts, ends, counts, widths, low, high, kept, timestamps, values
):  # fmt: skip
    """As the codec's `decode_chunks`, but only the points low <= t <= high: kept[i] of chunk i,
    whose timestamps ascend. What lies behind `high` is not looked at.
    """
    at = U0
    for i in range(U(counts.size)):
        reason, behind = decode_within(
            data, U(starts[i]), U(ends[i]), U(counts[i]), widths, low, high, timestamps, values, at
        )
        if reason != 0:
            return np.int64(i) * REASONS + reason
        kept[i] = np.int64(behind - at)
        at = behind
    return SOUND
