"""Quantiles and fractions of classic histograms, for all groups and steps in one pass.

    in   rows of buckets ordered by group and then by upper bound; cumulative counts, presence
    out  [groups, steps]: a value where any bucket has one

A cache line of steps is gathered at a time: buckets present at a step, those of equal bound
added up. Counts that shrink are lifted to the highest before, differences that rounding makes
are ignored; the rest is linear interpolation.

Source: promql/quantile.go of Prometheus 3.5, for the order of operations only.
"""

import math

from numba import types

from tsdb.jit import inlined, kernel

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_F64S = types.Array(types.float64, 1, "C", readonly=True)
_VALUES = types.Array(types.float64, 2, "C", readonly=True)
_BOOLS = types.Array(types.boolean, 2, "C", readonly=True)
_OUT = types.Array(types.float64, 2, "C")
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")

FIRST, LATER = 1, 2
BLOCK = 8  # steps in a cache line
TOLERANCE = 1e-12  # a relative difference of counts up to here is rounding
NORMAL_MIN = 2.2250738585072014e-308  # the smallest float that is not subnormal
FLOAT_MAX = 1.7976931348623157e308


@inlined
def gather(order, bounds, begin, end, values, present, first, last, room, sizes):
    """Bounds and counts of the buckets of one group at steps first:last.

    `room` is [2 * BLOCK, buckets]: for each step a row of bounds and, BLOCK below, one of counts.
    """
    sizes[:] = 0
    for at in range(begin, end):
        row = order[at]
        for step in range(first, last):
            if not present[row, step]:
                continue
            place = step - first
            size = sizes[place]
            if size > 0 and room[place, size - 1] == bounds[at]:
                room[place + BLOCK, size - 1] += values[row, step]
            else:
                room[place, size] = bounds[at]
                room[place + BLOCK, size] = values[row, step]
                sizes[place] = size + 1


@inlined
def alike(one, other):
    """Equal but for rounding."""
    if math.isnan(one) and math.isnan(other):
        return True
    both = abs(one) + abs(other)
    apart = abs(one - other)
    if one == 0.0 or other == 0.0 or both < NORMAL_MIN:
        return apart < TOLERANCE * NORMAL_MIN
    return apart / min(both, FLOAT_MAX) < TOLERANCE


@inlined
def lift(counts, size):
    """Make counts ascend; whether one was lower than the one before, beyond rounding."""
    lifted = False
    before = counts[0]
    for at in range(1, size):
        count = counts[at]
        if count == before:
            continue
        if alike(before, count):
            counts[at] = before
        elif count < before:
            counts[at] = before
            lifted = True
        else:
            before = count
    return lifted


@inlined
def quantile_of(fraction, bounds, counts, size):
    """Of buckets that were lifted and end in +Inf."""
    total = counts[size - 1]
    if size < 2 or total == 0.0:
        return math.nan
    rank = fraction * total
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        if counts[middle] >= rank:
            high = middle
        else:
            low = middle + 1
    if low == size - 1:
        return bounds[size - 2]
    if low == 0 and bounds[0] <= 0.0:
        return bounds[0]
    start = 0.0
    count = counts[low]
    if low > 0:
        start = bounds[low - 1]
        count -= counts[low - 1]
        rank -= counts[low - 1]
    return start + (bounds[low] - start) * (rank / count)


@inlined
def rank_of(bound, bounds, counts, size):
    """How many observations are below a bound."""
    rank = 0.0
    lower = -math.inf
    for at in range(size):
        upper = bounds[at]
        if lower >= bound:
            break
        if lower < bound and upper > bound:
            rank += (counts[at] - rank) * (bound - lower) / (upper - lower)
            break
        rank = counts[at]
        lower = upper
    else:
        rank = counts[size - 1]
    return counts[size - 1] if rank > counts[size - 1] else rank


@inlined
def fraction_of(lower, upper, bounds, counts, size):
    """Of buckets that end in +Inf."""
    total = counts[size - 1]
    if total == 0.0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    below = rank_of(lower, bounds, counts, size)
    return (rank_of(upper, bounds, counts, size) - below) / total


@kernel(
    types.void(
        _I64S, _F64S, _I64S, _VALUES, _BOOLS, _F64S, _OUT, _OUT_I64S, _OUT, _OUT_BOOLS, _OUT_I64S
    )
)
def quantiles(order, bounds, begins, values, present, wanted, room, sizes, out, seen, lifted):
    """The quantile `wanted` at each step; `lifted` says of each group whether counts shrank.

    It gets FIRST if they did at the group's first step with a value, LATER if at another one.

    Buckets begins[g]:begins[g + 1] of `order` and `bounds` are those of group g. `sizes` has room
    for BLOCK; `seen` and `lifted` start as zeros.
    """
    for group in range(begins.size - 1):
        when = FIRST
        for first in range(0, values.shape[1], BLOCK):
            last = min(first + BLOCK, values.shape[1])
            gather(
                order, bounds, begins[group], begins[group + 1],
                values, present, first, last, room, sizes,
            )  # fmt: skip
            for step in range(first, last):
                place = step - first
                size, fraction = sizes[place], wanted[step]
                if size == 0:
                    continue
                seen[group, step] = True
                now, when = when, LATER
                if math.isnan(fraction):
                    out[group, step] = math.nan
                elif fraction < 0.0:
                    out[group, step] = -math.inf
                elif fraction > 1.0:
                    out[group, step] = math.inf
                elif room[place, size - 1] != math.inf:
                    out[group, step] = math.nan
                else:
                    if lift(room[place + BLOCK], size):
                        lifted[group] |= now
                    out[group, step] = quantile_of(fraction, room[place], room[place + BLOCK], size)


@kernel(
    types.void(
        _I64S, _F64S, _I64S, _VALUES, _BOOLS, _F64S, _F64S, _OUT, _OUT_I64S, _OUT, _OUT_BOOLS
    )
)
def fractions(order, bounds, begins, values, present, lower, upper, room, sizes, out, seen):
    """The share of observations between two bounds at each step; arrays as for `quantiles`."""
    for group in range(begins.size - 1):
        for first in range(0, values.shape[1], BLOCK):
            last = min(first + BLOCK, values.shape[1])
            gather(
                order, bounds, begins[group], begins[group + 1],
                values, present, first, last, room, sizes,
            )  # fmt: skip
            for step in range(first, last):
                place = step - first
                size = sizes[place]
                if size == 0:
                    continue
                seen[group, step] = True
                if room[place, size - 1] != math.inf:
                    out[group, step] = math.nan
                else:
                    out[group, step] = fraction_of(
                        lower[step], upper[step], room[place], room[place + BLOCK], size
                    )
