"""OpenTelemetry's gauges and sums in machine code: where everything stands, and the numbers.

    in   body followed by PAD_BYTES more
    out  rows of resources and metrics (places in the body), and of each data point the place of its
         attributes, its tick and its value's bits

    ExportMetricsServiceRequest  1 resource_metrics
    ResourceMetrics              1 resource, 2 scope_metrics
    ScopeMetrics                 2 metrics
    Metric                       1 name, 2 description, 3 unit, 5 gauge, 7 sum
    Gauge, Sum                   1 data points, 2 temporality, 3 is monotonic
    NumberDataPoint              2 start, 3 time, 4 double, 6 int, 7 attributes, 8 flags

Attributes of a point are one range of bytes, and that range with the metric and the resource is the
name of its series. A metric with anything else in it is marked ODD and read by hand; bytes that are
no such message cost the walk, and who reads them by hand says why.

Source: opentelemetry-proto, metrics/v1/metrics.proto. Price: 30 ns a data point of ten attributes.
"""

import numpy as np
from numba import types

from tsdb.jit import forced, inlined, kernel
from tsdb.parse.kernels import protobuf

DONE, WRONG, NO_ROOM = 0, 1, 2
# Places in `counts`.
RESOURCES, METRICS, POINTS, COUNTS_SIZE = 0, 1, 2, 4
# Columns of `resources`: its message, the first of its metrics and the one behind the last.
START, END, FIRST, BEHIND, RESOURCE_SIZE = 0, 1, 2, 3, 4
# Columns of `metrics`: places in the body, what it is, its rows, its first and last time.
NAME, NAME_END, HELP, HELP_END, UNIT, UNIT_END = 2, 3, 4, 5, 6, 7
KIND, TEMPORALITY, MONOTONIC, ROW, ROWS, ODD, OLDEST, NEWEST = 8, 9, 10, 11, 12, 13, 14, 15
METRIC_SIZE = 16
GAUGE, SUM = 5, 7
NO_RECORDED_VALUE = 1

U = np.uint64
BYTES = types.Array(types.uint8, 1, "C")
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_WORDS = types.Array(types.uint64, 1, "C")
OUT_FLOATS = types.Array(types.float64, 1, "C")
OUT_ROWS = types.Array(types.int64, 2, "C")
STALE = U(0x7FF0000000000002)
LENGTH = U(protobuf.LENGTH)


@forced
def point(data, p, end, row, ns_per_tick, tails, ticks, bits, floats, times):
    """1 for a plain data point in [p, end), 0 for an odd one, BAD where it is none."""
    tail, tail_end, ns, flags, valued = p, p, U(0), U(0), False
    while p < end:
        at = p
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return protobuf.BAD
        if key == U(0x3A):  # an attribute
            if tail_end > tail and at != tail_end:
                return 0
            if tail_end == tail:
                tail = at
            _, p = protobuf.length_delimited(data, p, end)
            tail_end = p
        elif key == U(0x19):
            ns, p = protobuf.fixed64(data, p, end)
        elif key == U(0x21):
            word, p = protobuf.fixed64(data, p, end)
            bits[row] = word
            valued = True
        elif key == U(0x31):
            word, p = protobuf.fixed64(data, p, end)
            floats[row] = np.float64(np.int64(word))
            valued = True
        elif key == U(0x40):
            flags, p = protobuf.varint(data, p, end)
        elif key != U(0x11) and U(2) <= key >> U(3) <= U(8):
            return 0  # exemplars; a field of another type
        else:
            p = protobuf.skip(data, p, end, key)
        if p < 0:
            return protobuf.BAD
    tick = ns // ns_per_tick
    if flags & U(NO_RECORDED_VALUE):
        bits[row] = STALE
        valued = True
    if not valued or tick >> U(63) or ns >> U(63):
        return 0
    tails[row, 0], tails[row, 1] = tail, tail_end
    ticks[row] = np.int64(tick)
    times[0], times[1] = min(times[0], np.int64(ns)), max(times[1], np.int64(ns))
    return 1


@inlined
def points(data, p, end, metric, ns_per_tick, counts, tails, ticks, bits, floats, times):
    """The data points of a gauge or a sum; DONE, WRONG or NO_ROOM."""
    while p < end:
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return WRONG
        if key == U(0x0A):
            start, p = protobuf.length_delimited(data, p, end)
            if p < 0:
                return WRONG
            row = counts[POINTS]
            if row >= ticks.size:
                return NO_ROOM
            plain = point(data, start, p, row, ns_per_tick, tails, ticks, bits, floats, times)
            if plain < 0:
                return WRONG
            if plain == 0:
                metric[ODD] = 1
            counts[POINTS] += 1
            continue
        if key == U(0x10) or key == U(0x18):
            value, p = protobuf.varint(data, p, end)
            # A gauge has no such field: its slow reader would take them, and nobody looks.
            if key == U(0x10):
                metric[TEMPORALITY] = np.int64(value)
            else:
                metric[MONOTONIC] = np.int64(value != U(0))
        elif U(1) <= key >> U(3) <= U(3):
            metric[ODD] = 1
            p = protobuf.skip(data, p, end, key)
        else:
            p = protobuf.skip(data, p, end, key)
        if p < 0:
            return WRONG
    return DONE


@inlined
def metric_at(data, p, end, metric, ns_per_tick, counts, tails, ticks, bits, floats, times):
    """One metric; DONE, WRONG or NO_ROOM."""
    metric[:] = 0
    metric[START], metric[END], metric[ROW] = p, end, counts[POINTS]
    times[0], times[1] = np.iinfo(np.int64).max, 0
    while p < end:
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return WRONG
        field = key >> U(3)
        if key & U(7) == LENGTH and U(1) <= field <= U(3):
            start, p = protobuf.length_delimited(data, p, end)
            if p < 0:
                return WRONG
            metric[2 * np.int64(field)], metric[2 * np.int64(field) + 1] = start, p
        elif key & U(7) == LENGTH and (field == U(GAUGE) or field == U(SUM)):
            start, p = protobuf.length_delimited(data, p, end)
            if p < 0:
                return WRONG
            if metric[KIND] != 0:
                metric[ODD] = 1
            metric[KIND] = np.int64(field)
            status = points(
                data, start, p, metric, ns_per_tick, counts, tails, ticks, bits, floats, times
            )
            if status != DONE:
                return status
        else:
            if U(1) <= field <= U(11) and field != U(4) and field != U(6) and field != U(8):
                metric[ODD] = 1
            p = protobuf.skip(data, p, end, key)
            if p < 0:
                return WRONG
    if metric[KIND] == 0:
        metric[ODD] = 1
    if metric[ODD]:
        counts[POINTS] = metric[ROW]
    metric[ROWS] = counts[POINTS] - metric[ROW]
    metric[OLDEST], metric[NEWEST] = times[0], times[1]
    return DONE


@inlined
def scope(data, p, end, metrics, ns_per_tick, counts, tails, ticks, bits, floats, times):
    """All metrics of one scope."""
    while p < end:
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return WRONG
        if key == U(0x12):
            start, p = protobuf.length_delimited(data, p, end)
            if p < 0:
                return WRONG
            number = counts[METRICS]
            if number >= metrics.shape[0]:
                return NO_ROOM
            status = metric_at(
                data, start, p, metrics[number], ns_per_tick, counts, tails, ticks, bits, floats,
                times,
            )  # fmt: skip
            if status != DONE:
                return status
            counts[METRICS] += 1
        elif key >> U(3) == U(2):
            return WRONG
        else:
            p = protobuf.skip(data, p, end, key)
            if p < 0:
                return WRONG
    return DONE


@inlined
def resource_at(
    data, p, end, resource, metrics, ns_per_tick, counts, tails, ticks, bits, floats, times
):
    """A resource and all that it says."""
    resource[:] = 0
    resource[FIRST] = counts[METRICS]
    told = False
    while p < end:
        key, p = protobuf.varint(data, p, end)
        if p < 0:
            return WRONG
        if key == U(0x0A) and not told:
            resource[START], p = protobuf.length_delimited(data, p, end)
            resource[END] = p
            told = True
        elif key == U(0x12):
            start, p = protobuf.length_delimited(data, p, end)
            if p < 0:
                return WRONG
            status = scope(
                data, start, p, metrics, ns_per_tick, counts, tails, ticks, bits, floats, times
            )
            if status != DONE:
                return status
        elif U(1) <= key >> U(3) <= U(2):
            return WRONG  # not in one piece, or of another type: to be read by hand
        else:
            p = protobuf.skip(data, p, end, key)
        if p < 0:
            return WRONG
    resource[BEHIND] = counts[METRICS]
    return DONE


@kernel(
    types.int64(
        BYTES, types.int64, types.uint64, OUT_ROWS, OUT_ROWS, OUT_ROWS, OUT_INT64S, OUT_WORDS,
        OUT_FLOATS, OUT_INT64S, OUT_INT64S,
    )
)  # fmt: skip
def walk(data, size, ns_per_tick, resources, metrics, tails, ticks, bits, floats, times, counts):
    """The whole body. `floats` is `bits` under another type; `times` is scratch for two."""
    p = 0
    counts[:] = 0
    while p < size:
        key, p = protobuf.varint(data, p, size)
        if p < 0:
            return WRONG
        if key == U(0x0A):
            start, p = protobuf.length_delimited(data, p, size)
            if p < 0:
                return WRONG
            number = counts[RESOURCES]
            if number >= resources.shape[0]:
                return NO_ROOM
            status = resource_at(
                data, start, p, resources[number], metrics, ns_per_tick, counts, tails, ticks,
                bits, floats, times,
            )  # fmt: skip
            if status != DONE:
                return status
            counts[RESOURCES] += 1
        elif key >> U(3) == U(1):
            return WRONG
        else:
            p = protobuf.skip(data, p, size, key)
            if p < 0:
                return WRONG
    return DONE
