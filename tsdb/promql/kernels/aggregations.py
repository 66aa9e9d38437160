"""Aggregations over rows, for all groups and steps in one pass.

    in   for each row the number of its group; values and presence, [rows, steps]
    out  [groups, steps]; arrays that say `zeros` start as zeros

Rows are taken in their order, as Prometheus sums them: sums carry Neumaier's compensation, a mean
whose sum overflows goes on as a running mean. Both loops follow memory; the inner one has no
branch where that lets the compiler use vectors.

Source: promql/engine.go of Prometheus 3.5, for the order of operations only.
"""

import math

from numba import types

from tsdb.jit import inlined, kernel

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_F64S = types.Array(types.float64, 1, "C", readonly=True)
_VALUES = types.Array(types.float64, 2, "C", readonly=True)
_BOOLS = types.Array(types.boolean, 2, "C", readonly=True)
_OUT = types.Array(types.float64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")
_TALLIES = types.Array(types.int64, 2, "C")

BLOCK = 8  # steps in a cache line


@inlined
def compensated(total, compensation, value):
    """Total and compensation with one value more."""
    grown = total + value
    larger = abs(total) >= abs(value)
    big = total if larger else value
    small = value if larger else total
    lost = compensation + ((big - grown) + small)
    return grown, 0.0 if math.isinf(grown) else lost


@kernel(types.void(_I64S, _VALUES, _BOOLS, _OUT, _OUT, _OUT_BOOLS))
def sums(groups, values, present, totals, lost, seen):
    """Totals without their compensations, which `lost` gets; all out arrays zeros."""
    for row in range(groups.size):
        group = groups[row]
        for step in range(values.shape[1]):
            total, compensation = totals[group, step], lost[group, step]
            there = present[row, step]
            grown, more = compensated(total, compensation, values[row, step])
            totals[group, step] = grown if there else total
            lost[group, step] = more if there else compensation
            seen[group, step] |= there


@kernel(types.void(_I64S, _BOOLS, _OUT))
def counts(groups, present, out):
    """How many values there are; `out` zeros."""
    for row in range(groups.size):
        group = groups[row]
        for step in range(present.shape[1]):
            out[group, step] += 1.0 if present[row, step] else 0.0


@kernel(types.void(_I64S, _VALUES, _BOOLS, types.boolean, _OUT, _OUT_BOOLS))
def extremes(groups, values, present, largest, out, seen):
    """Largest or smallest value; NaN only of a group that has nothing else. `seen` zeros."""
    for row in range(groups.size):
        group = groups[row]
        for step in range(values.shape[1]):
            value, best = values[row, step], out[group, step]
            there = present[row, step]
            better = (value > best) if largest else (value < best)
            take = there and (better or math.isnan(best) or not seen[group, step])
            out[group, step] = value if take else best
            seen[group, step] |= there


@kernel(types.void(_I64S, _VALUES, _BOOLS, _BOOLS, _OUT_BOOLS, _OUT, _OUT, _OUT))
def careful_means(groups, values, present, wanted, running, means, lost, numbers):
    """Means of the cells that are `wanted`: those whose sum becomes infinite. Out arrays zeros.

    Until then `means` holds the sum; `running` says where it turned into a mean. The caller adds
    `lost`, and divides by `numbers` where nothing is running.
    """
    for row in range(groups.size):
        group = groups[row]
        for step in range(values.shape[1]):
            if not (present[row, step] and wanted[group, step]):
                continue
            value = values[row, step]
            number = numbers[group, step] + 1.0
            numbers[group, step] = number
            mean, compensation = means[group, step], lost[group, step]
            if number == 1.0:
                means[group, step] = value
                continue
            if not running[group, step]:
                grown, more = compensated(mean, compensation, value)
                if not math.isinf(grown):
                    means[group, step], lost[group, step] = grown, more
                    continue
                running[group, step] = True
                mean, compensation = mean / (number - 1.0), compensation / (number - 1.0)
            share = (number - 1.0) / number
            mean, compensation = compensated(share * mean, share * compensation, value / number)
            means[group, step], lost[group, step] = mean, compensation


@kernel(types.void(_I64S, _VALUES, _BOOLS, _OUT, _OUT, _OUT))
def spreads(groups, values, present, means, squares, numbers):
    """Welford's sums of squared distances; out arrays zeros. NaN if the first is not finite."""
    for row in range(groups.size):
        group = groups[row]
        for step in range(values.shape[1]):
            value, mean = values[row, step], means[group, step]
            there = present[row, step]
            number = numbers[group, step] + 1.0
            first = number == 1.0
            delta = value - mean
            moved = value if first else mean + delta / number
            distance = value * 0.0 if first else delta * (value - moved)
            means[group, step] = moved if there else mean
            squares[group, step] += distance if there else 0.0
            numbers[group, step] = number if there else numbers[group, step]


@inlined
def select(values, size, wanted):
    """Put the value of rank `wanted` in its place, none larger before and none smaller after."""
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        first, centre, last = values[low], values[middle], values[high]
        pivot = max(min(first, centre), min(max(first, centre), last))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            return


@inlined
def interpolated(values, size, nans, fraction):
    """A quantile of `nans` NaNs, which count as the smallest, and `size` values, which move."""
    if math.isnan(fraction):
        return math.nan
    if fraction < 0.0:
        return -math.inf
    if fraction > 1.0:
        return math.inf
    rank = fraction * (nans + size - 1)
    floor = math.floor(rank)
    lower = int(floor) - nans
    upper = min(lower + 1, size - 1)
    if lower < 0:
        return math.nan
    select(values, size, lower)
    low = values[lower]
    high = low
    if upper > lower:
        high = values[upper]
        for at in range(upper + 1, size):
            high = min(high, values[at])
    weight = rank - floor
    return low * (1.0 - weight) + high * weight


@kernel(
    types.void(_I64S, _I64S, _VALUES, _BOOLS, _F64S, types.int64, types.int64, _OUT, _TALLIES, _OUT)
)
def quantiles(order, begins, values, present, fractions, begin, end, room, tallies, out):
    """The quantile of each group at steps begin:end, interpolated.

    `order[begins[g]:begins[g + 1]]` are the rows of group g. `room` is [BLOCK, rows of the
    largest group], `tallies` [2, BLOCK]. Cells of groups without values are left alone.
    """
    for group in range(begins.size - 1):
        for first in range(begin, end, BLOCK):
            last = min(first + BLOCK, end)
            tallies[:] = 0
            numbers, nans = tallies[0], tallies[1]
            for at in range(begins[group], begins[group + 1]):
                row = order[at]
                for step in range(first, last):
                    if not present[row, step]:
                        continue
                    place = step - first
                    value = values[row, step]
                    if math.isnan(value):
                        nans[place] += 1
                    else:
                        room[place, numbers[place]] = value
                        numbers[place] += 1
            for step in range(first, last):
                number, nan = numbers[step - first], nans[step - first]
                if number + nan:
                    out[group, step] = interpolated(
                        room[step - first], number, nan, fractions[step]
                    )
