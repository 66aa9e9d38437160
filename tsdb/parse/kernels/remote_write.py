"""Prometheus remote_write 1.0 in machine code: prometheus.WriteRequest to columns.

    in   body followed by PAD_BYTES more, names known so far (remote_write_names)
    out  for each series with points its number, the offsets of its points, ticks, value bits;
         where metadata and exemplars are, how many histograms

    WriteRequest  1 timeseries, 3 metadata
    TimeSeries    1 labels, 2 samples, 3 exemplars, 4 histograms
    Sample        1 value (double), 2 timestamp (int64, ms)

The labels of a series are one range of bytes, label after label, and that range is its name: a
series costs one compare of the range with the one that came here the last time, and its labels
are not even looked at. Labels that are not side by side are copied together first (`spill`).

Price: 25 to 40 ns a series of ten labels, 3 to 4 ns a further point.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load8, load64
from tsdb.jit import forced, inlined, kernel
from tsdb.parse.kernels import protobuf, remote_write_names

# What a walk came to.
DONE, WRONG, NO_ROOM, NO_SPILL, FULL = 0, 1, 2, 3, 4
# Places in `state`.
AT, RUNS, POINTS, ASIDES, ASIDES_MORE, HISTOGRAMS, HISTOGRAM_OF = 0, 1, 2, 3, 4, 5, 6
LATE, LATE_OF, LATE_MS, SERIES, MESSAGES, STATE_SIZE = 7, 8, 9, 10, 11, 16
# Columns of `asides`: what stands beside points, to be read by hand. Number: its series', or none.
KIND, START, END, NUMBER, ASIDE_SIZE = 0, 1, 2, 3, 4
METADATA, EXEMPLAR = 0, 1

INT64_MAX = (1 << 63) - 1
U = np.uint64
SERIES_KEY, METADATA_KEY = U(0x0A), U(0x1A)
LABEL_KEY, SAMPLE_KEY, EXEMPLAR_KEY, HISTOGRAM_KEY = U(0x0A), U(0x12), U(0x1A), U(0x22)
VALUE_KEY, TIME_KEY = U(0x09), U(0x10)

BYTES = types.Array(types.uint8, 1, "C")  # one type for all: helpers are compiled once
OUT_NUMBERS = types.Array(types.uint32, 1, "C")
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_WORDS = types.Array(types.uint64, 1, "C")
OUT_ROWS = types.Array(types.int64, 2, "C")
NAMES = types.Tuple((OUT_WORDS, OUT_WORDS, OUT_NUMBERS, BYTES, OUT_INT64S))
POINTS_OUT = types.Tuple((OUT_INT64S, OUT_WORDS))


@forced
def sample(data, p, end):
    """(value bits, ms, next position) of the Sample whose length stands at p."""
    p, stop = protobuf.length_delimited(data, p, end)
    value, ms = U(0), U(0)
    if stop < 0:
        return value, np.int64(0), stop
    if stop - p > 10 and load8(data, p) == VALUE_KEY and load8(data, p + 9) == TIME_KEY:
        ms, after = protobuf.varint(data, p + 10, stop)
        if after == stop:
            return load64(data, p + 1), np.int64(ms), stop
        ms = U(0)
    while p < stop:
        key, p = protobuf.varint(data, p, stop)
        if p < 0:
            return value, np.int64(0), p
        if key == VALUE_KEY:
            value, p = protobuf.fixed64(data, p, stop)
        elif key == TIME_KEY:
            ms, p = protobuf.varint(data, p, stop)
        else:
            p = protobuf.skip(data, p, stop, key)
        if p < 0:
            return value, np.int64(0), p
    return value, np.int64(ms), stop


@forced
def put_point(stamps, values, state, n, bits, ms, scale):
    """Number of points after one more; a time that no tick can be is counted, not kept.

    `scale`: ticks a millisecond, or minus the milliseconds of a tick (nearest, half up).
    """
    values[n] = bits
    if scale < 0:
        stamps[n] = ms // -scale + (1 if ms % -scale * 2 >= -scale else 0)
        return n + 1
    if scale == 1 or (-(INT64_MAX // scale) <= ms <= INT64_MAX // scale):
        stamps[n] = ms * scale
        return n + 1
    if state[LATE] == 0:
        state[LATE_MS] = ms
        state[LATE_OF] = -1
    state[LATE] += 1
    return n


@inlined
def note_aside(asides, state, kind, start, end, number):
    row = state[ASIDES]
    if row == asides.shape[0]:
        state[ASIDES_MORE] += 1
        return
    asides[row, KIND] = kind
    asides[row, START] = start
    asides[row, END] = end
    asides[row, NUMBER] = number
    state[ASIDES] = row + 1


@inlined
def own_asides(asides, state, first, histograms, number):
    """What was noted of a series before its number was known."""
    for row in range(first, state[ASIDES]):
        asides[row, NUMBER] = number
    if histograms == 0 and state[HISTOGRAMS] > 0:
        state[HISTOGRAM_OF] = number
    if state[LATE] > 0 and state[LATE_OF] < 0:
        state[LATE_OF] = number


@inlined
def copied(source, start, end, out, used):
    for k in range(start, end):
        out[used] = source[k]
        used += 1
    return used


@kernel(
    types.int64(
        BYTES, types.int64, types.int64, NAMES, OUT_WORDS, BYTES,
        OUT_INT64S, OUT_NUMBERS, OUT_INT64S, POINTS_OUT, OUT_ROWS,
    )
)  # fmt: skip
def series(data, size, scale, names, seeds, spill, state, runs, offsets, points, asides):
    """Read a whole body: DONE, or why not."""
    p, n, run, spilled = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    known = np.int64(-1)
    _, at, following, text, _ = names
    stamps, values = points
    offsets[0] = 0
    while p < size:
        state[AT] = p
        key, p = protobuf.varint(data, p, size)
        if p < 0:
            return WRONG
        if key != SERIES_KEY:
            start = p
            p = protobuf.skip(data, p, size, key)
            if p < 0:
                return WRONG
            if key == METADATA_KEY:
                start, _ = protobuf.length_delimited(data, start, size)
                note_aside(asides, state, METADATA, start, p, -1)
                state[MESSAGES] += 1
            continue
        p, end = protobuf.length_delimited(data, p, size)
        if end < 0:
            return WRONG
        state[MESSAGES] += 1
        first_point, first_aside, first_histogram = n, state[ASIDES], state[HISTOGRAMS]
        labels, labels_end, is_spilled = p, p, False
        number = remote_write_names.guessed(following, known)
        if number >= 0:
            place, length = remote_write_names.place_of(at, number)
            if (
                length > 0
                and remote_write_names.begins_with(data, p, end, text, place, length)
                and (p + length == end or U(load8(data, p + length)) != LABEL_KEY)
            ):
                p += length
                labels_end = p
            else:
                number = np.int64(-1)
        while p < end:
            field = p
            key, p = protobuf.varint(data, p, end)
            if p < 0:
                return WRONG
            if key == SAMPLE_KEY:
                bits, ms, p = sample(data, p, end)
                if p < 0:
                    return WRONG
                if n == stamps.size:
                    return FULL
                n = put_point(stamps, values, state, n, bits, ms, scale)
                continue
            start = p
            p = protobuf.skip(data, p, end, key)
            if p < 0:
                return WRONG
            if key == LABEL_KEY:
                number = np.int64(-1)
                if labels == labels_end:
                    labels, labels_end = field, field
                if is_spilled or labels_end != field:
                    if spill.size < size:
                        return NO_SPILL
                    if not is_spilled:
                        is_spilled = True
                        begin = spilled
                        spilled = copied(data, labels, labels_end, spill, spilled)
                        labels = begin
                    spilled = copied(data, field, p, spill, spilled)
                    labels_end = spilled
                else:
                    labels_end = p
            elif key == EXEMPLAR_KEY:
                start, _ = protobuf.length_delimited(data, start, end)
                note_aside(asides, state, EXEMPLAR, start, p, -1)
            elif key == HISTOGRAM_KEY:
                state[HISTOGRAMS] += 1
        if number < 0:
            source = spill if is_spilled else data
            number = remote_write_names.find(names, seeds, source, labels, labels_end - labels)
            if number < 0:
                return NO_ROOM
        remote_write_names.follow(following, known, number)
        known = number
        own_asides(asides, state, first_aside, first_histogram, number)
        if n > first_point:
            runs[run] = number
            run += 1
            offsets[run] = n
    state[RUNS], state[POINTS] = run, n
    return DONE
