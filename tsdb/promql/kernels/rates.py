"""How fast the values of a window change.

    in   runs of points (offsets, ascending ms, values), the ends of the windows, their length
    out  for each row and step one value, and whether there is one

Prometheus' rules, operation by operation, so that the last bit agrees: a counter that falls was
reset and counts on from its last value; what was seen is stretched to the whole window where the
points reach close enough to its borders. Both borders and the place of the next reset only move
forward: a row without resets costs its points plus its steps, whatever the window.
"""

from numba import types

from tsdb.jit import inlined, kernel
from tsdb.promql.kernels.windows import moved

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_F64S = types.Array(types.float64, 1, "C", readonly=True)
_OUT_F64S = types.Array(types.float64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")

# Points further from a border than this many mean intervals tell that the series begins or ends.
CLOSE_INTERVALS = 1.1


@inlined
def seconds(ms):
    """As Go converts a duration: whole seconds and the rest, each rounded on its own."""
    return float(ms // 1000) + float(ms % 1000 * 1_000_000) / 1e9


@inlined
def next_reset(values, at, beyond):
    """The first place from `at` on whose value is below the one before it."""
    while at < beyond and not values[at] < values[at - 1]:
        at += 1
    return at


@inlined
def around(before, seen, after, intervals):
    """Seconds that count before and behind a stretch seen, and its own; from milliseconds."""
    to_start = float(before) / 1000
    to_end = float(after) / 1000
    seen_s = float(seen) / 1000
    interval = seen_s / float(intervals)
    close = interval * CLOSE_INTERVALS
    if to_start >= close:
        to_start = interval / 2
    if to_end >= close:
        to_end = interval / 2
    return to_start, seen_s, to_end


@kernel(
    types.void(
        *(_I64S, _I64S, _F64S, _I64S, types.int64, types.boolean, types.boolean),
        *(_OUT_F64S, _OUT_BOOLS),
    )
)
def extrapolated(offsets, timestamps, values, ends, range_ms, counter, rate, out, present):
    """delta; increase (`counter`); rate (`counter` and `rate`). Needs two points a window.

    Where points come at a steady pace, windows differ in nothing but values: what only times say
    is kept from step to step, eight divisions of nine.
    """
    per = seconds(range_ms)
    known = (0, 0, 0, 0)
    to_start, seen_s, to_end, steady = 0.0, 0.0, 0.0, 0.0
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond, reset = first, first
        for step in range(ends.size):
            start = ends[step] - range_ms
            first = moved(timestamps, first, stop, start)
            beyond = moved(timestamps, beyond, stop, ends[step])
            last = beyond - 1
            there = last > first and timestamps[last] > timestamps[first]
            present[row, step] = there
            out[row, step] = 0.0
            if not there:
                continue
            change = values[last] - values[first]
            before, seen = timestamps[first] - start, timestamps[last] - timestamps[first]
            after, intervals = ends[step] - timestamps[last], last - first
            if known != (before, seen, after, intervals):
                known = (before, seen, after, intervals)
                to_start, seen_s, to_end = around(before, seen, after, intervals)
                steady = (seen_s + to_start + to_end) / seen_s
                if rate:
                    steady /= per
            factor = steady
            if counter:
                reset = next_reset(values, max(reset, first + 1), beyond)
                for at in range(reset, beyond):
                    if values[at] < values[at - 1]:
                        change += values[at - 1]
                if change > 0 and values[first] >= 0:
                    zero_s = seen_s * (values[first] / change)
                    if zero_s < to_start:  # a counter was not below zero
                        factor = (seen_s + zero_s + to_end) / seen_s
                        if rate:
                            factor /= per
            out[row, step] = change * factor


@kernel(
    types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, types.boolean, _OUT_F64S, _OUT_BOOLS))
)
def latest_change(offsets, timestamps, values, ends, range_ms, rate, out, present):
    """idelta and irate (`rate`): from the last two points of a window."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            last = beyond - 1
            there = last > first and timestamps[last] > timestamps[last - 1]
            present[row, step] = there
            out[row, step] = 0.0
            if not there:
                continue
            change = values[last] - values[last - 1]
            if rate:
                if values[last] < values[last - 1]:
                    change = values[last]
                change /= float(timestamps[last] - timestamps[last - 1]) / 1000
            out[row, step] = change


@inlined
def differs(before, after, falls):
    if falls:
        return 1 if after < before else 0
    return 1 if after != before and (after == after or before == before) else 0


@kernel(
    types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, types.boolean, _OUT_F64S, _OUT_BOOLS))
)
def events(offsets, timestamps, values, ends, range_ms, falls, out, present):
    """resets (`falls`) or changes: how many points differ so from the one before.

    A count only grows at the right border and shrinks at the left one. NaN equals NaN here.
    """
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond, count = first, 0
        for step in range(ends.size):
            while first < stop and timestamps[first] <= ends[step] - range_ms:
                first += 1
                if first < beyond:
                    count -= differs(values[first - 1], values[first], falls)
            beyond = max(beyond, first)
            while beyond < stop and timestamps[beyond] <= ends[step]:
                if beyond > first:
                    count += differs(values[beyond - 1], values[beyond], falls)
                beyond += 1
            present[row, step] = beyond > first
            out[row, step] = float(count)
