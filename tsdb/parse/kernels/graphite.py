"""Lines of Graphite in machine code: a path, a value, a time, between spaces.

    in   text followed by PAD_BYTES newlines; how seconds scale to ticks; what -1 stands for
    out  byte range of each line's path, ticks, value bits

Takes what senders write and leaves the rest to `tsdb.parse.graphite.slow_line`, which alone
refuses. A path is named by its bytes in the text.

Price: 45 ns a line of 60 bytes.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import ctz64, load64
from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import decimal

# States of one call.
DONE, SLOW = 0, 1
# Places in `state`.
AT, RUNS, SLOW_AT, SLOW_END, STATE_SIZE = 0, 1, 2, 3, 4

U = np.uint64
_ONES, _HIGHS = U(0x0101010101010101), U(0x8080808080808080)
_SPACES = _ONES * U(33)  # every byte below is a space or a control
_CONTROLS = _ONES * U(14)  # every byte below is a newline, a tab, or nothing a line has

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OUT_BYTES = types.Array(types.uint8, 1, "C")
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_WORDS = types.Array(types.uint64, 1, "C")


@inlined
def word_end(data, p):
    """Position of the first byte from p on that is a space or a control."""
    while True:
        word = load64(data, p)
        low = (word - _SPACES) & ~word & _HIGHS
        if low != U(0):
            return p + np.int64(ctz64(low) >> U(3))
        p += 8


@inlined
def text_end(data, p):
    """Position of the first byte from p on that is below 14: newline, tab, carriage return."""
    while True:
        word = load64(data, p)
        low = (word - _CONTROLS) & ~word & _HIGHS
        if low != U(0):
            return p + np.int64(ctz64(low) >> U(3))
        p += 8


@inlined
def after_blanks(data, p):
    """Position of the first byte from p on that is neither space nor tab."""
    while decimal.byte(data, p) in (32, 9):
        p += 1
    return p


@inlined
def is_blank(data, p):
    return decimal.byte(data, p) in (32, 9)


@inlined
def line_end(data, p):
    """Position of the newline at p or after blanks and carriage returns, else -1."""
    while decimal.byte(data, p) in (32, 9, 13):
        p += 1
    return p if decimal.byte(data, p) == 10 else -1


@inlined
def left_over(data, p, state):
    """Note the line that starts at p for the slow twin; position of the line after it."""
    state[SLOW_AT] = p
    while decimal.byte(data, p) != 10:
        p = text_end(data, p + 1)
    state[SLOW_END] = p
    return p + 1


@kernel(
    types.int64(
        BYTES, types.int64, types.int64, types.int64,
        OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_WORDS,
    )
)  # fmt: skip
def lines(data, size, scale, now, state, key_starts, key_ends, timestamps, values):
    """Read on from state[AT] to the end, or to a line for the slow twin: DONE or SLOW."""
    p, run = state[AT], state[RUNS]
    while p < size:
        start = after_blanks(data, p)
        path_end = word_end(data, start)
        end = path_end
        if path_end == start:
            end = line_end(data, start)
            if end >= 0:  # an empty line
                p = end + 1
                continue
        good = is_blank(data, path_end) and path_end > start
        if good:
            bits, end, kind = decimal.float64(data, after_blanks(data, path_end))
            good = kind == decimal.EXACT and is_blank(data, end)
            if good:
                end = after_blanks(data, end)
                ticks = now
                if decimal.byte(data, end) == 45:
                    good = decimal.byte(data, end + 1) == 49
                    end += 2
                else:
                    ticks, end, kind = decimal.ticks(data, end, scale)
                    good = kind == decimal.EXACT
                end = line_end(data, end)
                good = good and end >= 0
                if good:
                    key_starts[run] = start
                    key_ends[run] = path_end
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
