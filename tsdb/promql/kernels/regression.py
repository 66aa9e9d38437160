"""Lines and trends through the values of a window.

    in   runs of points (offsets, ascending ms, values), the ends of the windows, their length
    out  for each row and step one value, and whether there is one

Least squares with compensated sums, and double exponential smoothing; operation by operation as
Prometheus, so that the last bit agrees. Both need two points a window.
"""

import math

from numba import types

from tsdb.jit import inlined, kernel
from tsdb.promql.kernels.over_time import added
from tsdb.promql.kernels.windows import moved

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_F64S = types.Array(types.float64, 1, "C", readonly=True)
_OUT_F64S = types.Array(types.float64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")


@inlined
def line(timestamps, values, first, beyond, origin):
    """Slope a second and height at `origin` of the line next to all points."""
    count = 0.0
    sum_x, carry_x, sum_y, carry_y = 0.0, 0.0, 0.0, 0.0
    sum_xy, carry_xy, sum_xx, carry_xx = 0.0, 0.0, 0.0, 0.0
    constant = True
    for at in range(first, beyond):
        y = values[at]
        if at > first and y != values[first]:
            constant = False
        count += 1.0
        x = float(timestamps[at] - origin) / 1e3
        sum_x, carry_x = added(x, sum_x, carry_x)
        sum_y, carry_y = added(y, sum_y, carry_y)
        sum_xy, carry_xy = added(x * y, sum_xy, carry_xy)
        sum_xx, carry_xx = added(x * x, sum_xx, carry_xx)
    if constant:
        if math.isinf(values[first]):
            return math.nan, math.nan
        return 0.0, values[first]
    sum_x += carry_x
    sum_y += carry_y
    sum_xy += carry_xy
    sum_xx += carry_xx
    slope = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count)
    return slope, sum_y / count - slope * sum_x / count


@kernel(types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, _OUT_F64S, _OUT_BOOLS)))
def slopes(offsets, timestamps, values, ends, range_ms, out, present):
    """deriv: the slope a second."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            present[row, step] = beyond > first + 1
            out[row, step] = 0.0
            if beyond > first + 1:
                slope, _ = line(timestamps, values, first, beyond, timestamps[first])
                out[row, step] = slope


@kernel(types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, _I64S, _F64S, _OUT_F64S, _OUT_BOOLS)))
def predictions(offsets, timestamps, values, ends, range_ms, nows, ahead_s, out, present):
    """predict_linear: where the line is `ahead_s[step]` after `nows[step]`."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            present[row, step] = beyond > first + 1
            out[row, step] = 0.0
            if beyond > first + 1:
                slope, height = line(timestamps, values, first, beyond, nows[step])
                out[row, step] = slope * ahead_s[step] + height


@kernel(types.void(*(_I64S, _I64S, _F64S, _I64S, types.int64, _F64S, _F64S, _OUT_F64S, _OUT_BOOLS)))
def smoothed(offsets, timestamps, values, ends, range_ms, levels, trends, out, present):
    """Double exponential smoothing with a level and a trend factor a step."""
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        beyond = first
        for step in range(ends.size):
            first = moved(timestamps, first, stop, ends[step] - range_ms)
            beyond = moved(timestamps, beyond, stop, ends[step])
            present[row, step] = beyond > first + 1
            out[row, step] = 0.0
            if beyond <= first + 1:
                continue
            level, trend = levels[step], trends[step]
            before, now = 0.0, values[first]
            slope = values[first + 1] - values[first]
            for at in range(first + 1, beyond):
                if at > first + 1:
                    slope = trend * (now - before) + (1 - trend) * slope
                before, now = now, level * values[at] + (1 - level) * (now + slope)
            out[row, step] = now
