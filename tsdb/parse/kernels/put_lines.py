"""OpenTSDB's put lines in machine code: `put metric time value tag=value tag=value`.

    in   text followed by PAD_BYTES newlines, to be written into; ticks of a second
    out  byte range of each line's name, ticks, value bits

A line names its series at both ends, before the time and after the value. The metric is moved
right in front of the tags, over the time and the value that are read by then, so that one range
of bytes names the series and nothing is copied elsewhere. Lines left to the slow twin
(`tsdb.parse.opentsdb_lines.slow_line`) are left as they came.

Price: 50 to 60 ns a line of 70 bytes.
"""

import numpy as np
from numba import types

from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import decimal
from tsdb.parse.kernels.graphite import (
    AT,
    DONE,
    OUT_BYTES,
    OUT_INT64S,
    OUT_WORDS,
    RUNS,
    SLOW,
    after_blanks,
    is_blank,
    left_over,
    line_end,
    text_end,
    word_end,
)

U = np.uint64
SECONDS_MAX = 0xFFFFFFFF  # what is more is milliseconds, as in OpenTSDB
MILLISECONDS_MAX = 9_999_999_999_999  # OpenTSDB's own bound
_INT64_MAX = (1 << 63) - 1


@inlined
def stamp(data, p, second):
    """Whole seconds or milliseconds at p in ticks: (ticks, end), end < 0 for the slow twin."""
    mantissa, end = decimal.digits(data, p, U(0))
    number = np.int64(mantissa)
    if end == p or end - p > 13 or number == 0:
        return 0, -1
    if number <= SECONDS_MAX:
        return number * second, end
    if second == 1:
        return (number + 500) // 1000, end
    each = second // 1000
    if number > _INT64_MAX // each:
        return 0, -1
    return number * each, end


@inlined
def moved(data, start, end, to):
    """Move data[start:end] so that it ends where a space before `to` begins; its new start."""
    data[U(to - 1)] = 32
    q = to - 2
    i = end - 1
    while i >= start:
        data[U(q)] = data[U(i)]
        q -= 1
        i -= 1
    return q + 1


@kernel(
    types.int64(
        OUT_BYTES, types.int64, types.int64,
        OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_WORDS,
    )
)  # fmt: skip
def lines(data, size, second, state, key_starts, key_ends, timestamps, values):
    """Read on from state[AT] to the end, or to a line for the slow twin: DONE or SLOW."""
    p, run = state[AT], state[RUNS]
    while p < size:
        start = after_blanks(data, p)
        end = line_end(data, start)
        if end >= 0:  # an empty line
            p = end + 1
            continue
        good = (
            decimal.byte(data, start) == 112
            and decimal.byte(data, start + 1) == 117
            and decimal.byte(data, start + 2) == 116
            and is_blank(data, start + 3)
        )
        if good:
            metric = after_blanks(data, start + 3)
            metric_end = word_end(data, metric)
            good = metric_end > metric and is_blank(data, metric_end)
            if good:
                ticks, end = stamp(data, after_blanks(data, metric_end), second)
                good = end >= 0 and is_blank(data, end)
                if good:
                    bits, end, kind = decimal.float64(data, after_blanks(data, end))
                    good = kind == decimal.EXACT and is_blank(data, end)
                    if good:
                        tags = after_blanks(data, end)
                        tags_end = text_end(data, tags)
                        end = line_end(data, tags_end)
                        good = end >= 0 and tags_end > tags
                        if good:
                            while decimal.byte(data, tags_end - 1) == 32:
                                tags_end -= 1
                            key_starts[run] = moved(data, metric, metric_end, tags)
                            key_ends[run] = tags_end
                            timestamps[run] = ticks
                            values[run] = bits
                            run += 1
                            p = end + 1
        if not good:
            p = left_over(data, p, state)
            state[AT], state[RUNS] = p, run
            return SLOW
    state[AT], state[RUNS] = p, run
    return DONE
