"""What the values of a window come to: sums, means, extremes, spread, quantiles.

    in   runs of points (offsets, ascending ms, values), the ends of the windows, their length
    out  for each row and step one value, and whether there is one

Sums carry what rounding took (Kahan, in Neumaier's form), operation by operation as Prometheus
does, so that the last bit agrees. Such a sum depends on where it starts: each window is added up
anew, except where no rounding can happen (`exact_sums`).
"""

import math

import numpy as np
from numba import types

from tsdb.jit import inlined, kernel
from tsdb.promql.kernels.aggregations import interpolated as selected
from tsdb.promql.kernels.windows import moved

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_F64S = types.Array(types.float64, 1, "C", readonly=True)
_OUT_F64S = types.Array(types.float64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")
_SCRATCH = types.Array(types.float64, 1, "C")

SLIDING_POINTS, SLIDING_WINDOW = 16, 1024  # a step; at once
EXACT_BELOW = 2.0**53  # whole numbers up to here add up without rounding

SUM, MEAN, COUNT, PRESENT = range(4)
FIRST, LAST, MIN, MAX, TIME_FIRST, TIME_LAST, TIME_MIN, TIME_MAX = range(8)


@inlined
def added(value, total, carry):
    """One more value in a compensated sum: the sum, and what it lost so far.

    With branches: the sum is next to always the larger one, and what is foreseen need not be
    waited for (without them, as across series, a line through points takes 1.7 times as long).
    """
    new = total + value
    if math.isinf(new):
        carry = 0.0
    elif abs(total) >= abs(value):
        carry += (total - new) + value
    else:
        carry += (value - new) + total
    return new, carry


@inlined
def sum_of(values, first, beyond):
    total, carry = 0.0, 0.0
    for at in range(first, beyond):
        total, carry = added(values[at], total, carry)
    return total if math.isinf(total) else total + carry


@inlined
def mean_of(values, first, beyond):
    """Sum by count; from where the sum would pass all floats on, the mean itself is moved."""
    total, carry, count = values[first], 0.0, 1.0
    at = first + 1
    while at < beyond:
        new, new_carry = added(values[at], total, carry)
        if math.isinf(new):
            break
        total, carry = new, new_carry
        count += 1.0
        at += 1
    if at == beyond:
        return total / count + carry / count
    mean = total / count
    carry /= count
    while at < beyond:
        count += 1.0
        keep = (count - 1.0) / count
        mean, carry = added(values[at] / count, keep * mean, keep * carry)
        at += 1
    return mean + carry


@inlined
def exact_sums(values, first, stop):
    """Whether any sum of these values is exact: whole numbers, small together."""
    total = 0.0
    for at in range(first, stop):
        value = values[at]
        if value != np.floor(value):
            return False
        total += abs(value)
    return total < EXACT_BELOW


@kernel(types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, types.int64, _OUT_F64S, _OUT_BOOLS)))
def totals(offsets, timestamps, values, ends, range_ms, what, out, present):
    """SUM, MEAN, COUNT or PRESENT of each window."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        exact = what <= MEAN and ends.size > 1 and exact_sums(values, first, stop)
        running = 0.0
        for step in range(ends.size):
            left, entered = first, beyond
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, max(beyond, first), stop, ends[step])
            if exact:
                for at in range(left, min(first, entered)):
                    running -= values[at]
                for at in range(max(entered, first), beyond):
                    running += values[at]
            count = beyond - first
            present[row, step] = count > 0
            out[row, step] = 0.0
            if count == 0:
                continue
            if what == COUNT:
                out[row, step] = float(count)
            elif what == PRESENT:
                out[row, step] = 1.0
            elif what == SUM:
                out[row, step] = running if exact else sum_of(values, first, beyond)
            elif exact:
                out[row, step] = running / float(count) + 0.0
            else:
                out[row, step] = mean_of(values, first, beyond)


@inlined
def better(value, best, what):
    """Whether a value takes the place of the least or greatest one so far."""
    if best != best:
        return True
    if what == MIN:
        return value < best
    if what == MAX:
        return value > best
    return value <= best if what == TIME_MIN else value >= best


@kernel(types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, types.int64, _OUT_F64S, _OUT_BOOLS)))
def chosen(offsets, timestamps, values, ends, range_ms, what, out, present):
    """One point of each window, FIRST .. MAX: its value; TIME_FIRST .. TIME_MAX: its time in s.

    The extreme of equals is the first one, of times the last one; NaN only if there is no other.
    """
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond, found, compared = first, first, first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            present[row, step] = beyond > first
            out[row, step] = 0.0
            if beyond <= first:
                continue
            if what in (FIRST, TIME_FIRST):
                found = first
            elif what in (LAST, TIME_LAST):
                found = beyond - 1
            else:
                # The extreme stays until it leaves the window or is passed by a new point.
                if found < first or compared == offsets[row]:
                    found, compared = first, first + 1
                for at in range(compared, beyond):
                    if better(values[at], values[found], what):
                        found = at
                compared = beyond
            if what >= TIME_FIRST:
                out[row, step] = float(timestamps[found]) / 1000
            else:
                out[row, step] = values[found]


@kernel(
    types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, types.boolean, _OUT_F64S, _OUT_BOOLS))
)
def variance(offsets, timestamps, values, ends, range_ms, root, out, present):
    """stdvar or stddev (`root`): Welford's recurrence, both of its sums compensated."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            present[row, step] = beyond > first
            out[row, step] = 0.0
            if beyond <= first:
                continue
            count, mean, mean_carry, square, square_carry = 0.0, 0.0, 0.0, 0.0, 0.0
            for at in range(first, beyond):
                count += 1.0
                delta = values[at] - (mean + mean_carry)
                mean, mean_carry = added(delta / count, mean, mean_carry)
                square, square_carry = added(
                    delta * (values[at] - (mean + mean_carry)), square, square_carry
                )
            found = (square + square_carry) / count
            out[row, step] = math.sqrt(found) if root else found


# --- quantiles -----------------------------------------------------------------------------------


@inlined
def place(ordered, count, value):
    """Where a value stands, or would stand, among `count` ascending ones."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def inserted(ordered, count, value):
    at = place(ordered, count, value)
    for i in range(count, at, -1):
        ordered[i] = ordered[i - 1]
    ordered[at] = value


@inlined
def removed(ordered, count, value):
    for i in range(place(ordered, count, value), count - 1):
        ordered[i] = ordered[i + 1]


@inlined
def interpolated(ordered, nans, count, quantile):
    """Between the two values next to the rank; NaNs rank below all others."""
    if quantile != quantile:
        return math.nan
    if quantile < 0:
        return -math.inf
    if quantile > 1:
        return math.inf
    rank = quantile * (float(nans + count) - 1.0)
    lower = max(0.0, math.floor(rank))
    upper = min(float(nans + count) - 1.0, lower + 1.0)
    weight = rank - math.floor(rank)
    low, high = int(lower) - nans, int(upper) - nans
    if low < 0:
        return math.nan
    return ordered[low] * (1.0 - weight) + ordered[high] * weight


@inlined
def gathered(values, first, beyond, room):
    """The numbers of a window as they come; how many, and how many NaNs there are besides."""
    count = 0
    for at in range(first, beyond):
        if values[at] == values[at]:
            room[count] = values[at]
            count += 1
    return count, beyond - first - count


@inlined
def widest(timestamps, first, stop, ends, range_ms):
    """Points of the largest window of a row."""
    most, beyond = 0, first
    for step in range(ends.size):
        first = moved(timestamps, first, stop, ends[step] - range_ms)
        beyond = moved(timestamps, beyond, stop, ends[step])
        most = max(most, beyond - first)
    return most


@inlined
def deviation_from(median, found, count, nans, room):
    """The median of distances from it."""
    kept = 0
    for at in range(count):
        distance = abs(found[at] - median)
        if distance == distance:
            room[kept] = distance
            kept += 1
    return selected(room, kept, nans + count - kept, 0.5)


@kernel(
    types.void(
        *(_I64S, _I64S, _F64S, _I64S, types.int64, _F64S, types.boolean, _SCRATCH, _SCRATCH),
        *(_OUT_F64S, _OUT_BOOLS),
    )
)
def quantiles(
    offsets, timestamps, values, ends, range_ms, wanted, deviation, ordered, spare, out, present
):
    """The quantile `wanted[step]` of each window, or the median of its deviations from that.

    A small window that moves by a few points a step is kept in order while it moves; of others
    the values next to the rank are selected. `ordered` and `spare` have room for a row.
    """
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond, nans, count = first, 0, 0
        sliding = (
            stop - first <= SLIDING_POINTS * ends.size
            and widest(timestamps, first, stop, ends, range_ms) <= SLIDING_WINDOW
        )
        for step in range(ends.size):
            if not sliding:
                first = moved(timestamps, first, stop, ends[step] - range_ms)
                beyond = moved(timestamps, beyond, stop, ends[step])
                count, nans = gathered(values, first, beyond, ordered)
            while first < stop and timestamps[first] <= ends[step] - range_ms:
                value = values[first]
                if first >= beyond:
                    pass
                elif value != value:
                    nans -= 1
                else:
                    removed(ordered, count, value)
                    count -= 1
                first += 1
            beyond = max(beyond, first)
            while beyond < stop and timestamps[beyond] <= ends[step]:
                value = values[beyond]
                if value != value:
                    nans += 1
                else:
                    inserted(ordered, count, value)
                    count += 1
                beyond += 1
            present[row, step] = beyond > first
            out[row, step] = 0.0
            if beyond <= first:
                continue
            if sliding:
                found = interpolated(ordered, nans, count, wanted[step])
            else:
                found = selected(ordered, count, nans, wanted[step])
            if deviation:
                found = deviation_from(found, ordered, count, nans, spare)
            out[row, step] = found
