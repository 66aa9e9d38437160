"""Prometheus' text and OpenMetrics in machine code: `name{label="value"} value time`.

    in   text followed by PAD_BYTES newlines; what the format is; how times scale to ticks
    out  a run a line: byte range of the series as written, ticks, value bits; lines of metadata,
         one behind the other; where exemplars stand

Takes what exporters write and leaves the rest to `exposition_text.read_line`, which alone
refuses. A metric name that is the line before's is compared eight bytes at a time; label values
are searched for their end in the same way.

Price: 40 ns a line without labels, 55 to 90 with two, 140 to 190 with ten.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import ctz64, load64
from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import decimal
from tsdb.parse.kernels.graphite import after_blanks, line_end, text_end

# States of one call.
DONE, SLOW = 0, 1
# Places in `state`: LINE is that of the line at AT, SLOW_LINE that of the one left over.
AT, LINE, RUNS, NOTES, NOTE_BYTES, EXEMPLARS, STAMPED = 0, 1, 2, 3, 4, 5, 6
SLOW_AT, SLOW_END, SLOW_LINE, STATE_SIZE = 7, 8, 9, 10
# Bits of `flags`.
OPENMETRICS, STAMPS, UTF8 = 1, 2, 4
# Columns of `exemplars`.
RUN, START, END, AT_LINE = 0, 1, 2, 3

U = np.uint64
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OUT_BYTES = types.Array(types.uint8, 1, "C")
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_ROWS = types.Array(types.int64, 2, "C")
OUT_WORDS = types.Array(types.uint64, 1, "C")

_ONES, _HIGHS, _LOWS = U(0x0101010101010101), U(0x8080808080808080), U(0x7F7F7F7F7F7F7F7F)
_QUOTES, _BACKSLASHES, _NEWLINES = _ONES * U(34), _ONES * U(92), _ONES * U(10)
_SEVEN, _THREE = U((1 << 56) - 1), U((1 << 24) - 1)
_HELP, _TYPE, _UNIT = (
    U(int.from_bytes(text, "little")) for text in (b"# HELP ", b"# TYPE ", b"# UNIT ")
)
_NAN, _INF = U(int.from_bytes(b"NaN", "little")), U(int.from_bytes(b"Inf", "little"))
NAN_BITS = 0x7FF8000000000001  # as Prometheus writes every NaN that is no stale marker
_NAN_BITS, _INF_BITS, _MINUS_INF_BITS = U(NAN_BITS), U(0x7FF << 52), U(0xFFF << 52)


def _name_bytes() -> np.ndarray:
    """1 for what a label name is made of, 2 for a colon, which a metric name may hold."""
    found = np.zeros(256, np.uint8)
    for first, last in ("az", "AZ", "09", "__"):
        found[ord(first) : ord(last) + 1] = 1
    found[ord(":")] = 2
    return found


_NAME_BYTES = _name_bytes()


@inlined
def word_tail(data, p, most):
    while 0 < _NAME_BYTES[data[U(p)]] <= most:
        p += 1
    return p


@inlined
def word_end(data, p, most):
    """Position of the first byte from p on that no name holds; p if a digit is first."""
    return p if 48 <= decimal.byte(data, p) <= 57 else word_tail(data, p, most)


@inlined
def is_same(data, p, start, end):
    """Whether the bytes at p are data[start:end]."""
    size = end - start
    at = 0
    while at + 8 <= size:
        if load64(data, p + at) != load64(data, start + at):
            return False
        at += 8
    if at == size:
        return True
    left = U(8 - (size - at)) << U(3)
    return (load64(data, p + at) ^ load64(data, start + at)) << left == U(0)


@inlined
def quote_end(data, p, beyond):
    """Position of the quote that closes the text at p; -1 for the slow twin."""
    while True:
        word = load64(data, p)
        x, y, z = word ^ _QUOTES, word ^ _BACKSLASHES, word ^ _NEWLINES
        found = (
            ((x - _ONES) & ~x) | ((y - _ONES) & ~y) | ((z - _ONES) & ~z) | (word & beyond)
        ) & _HIGHS  # exact up to the first
        if found == U(0):
            p += 8
            continue
        p += np.int64(ctz64(found) >> U(3))
        c = decimal.byte(data, p)
        if c == 34:
            return p
        if c != 92 or decimal.byte(data, p + 1) == 10 or decimal.byte(data, p + 1) >= 128:
            return -1
        p += 2


@inlined
def labels_end(data, p, named, beyond):
    """Position after the brace that closes the labels at p; -1 for the slow twin."""
    while True:
        while decimal.byte(data, p) == 32:
            p += 1
        c = decimal.byte(data, p)
        if c == 125:
            return p + 1 if named else -1
        if c == 34:
            end = quote_end(data, p + 1, beyond)
            if end < p + 2:
                return -1
            p = end + 1
        else:
            end = word_end(data, p, 1)
            if end == p:
                return -1
            p = end
        if decimal.byte(data, p) == 61:
            if decimal.byte(data, p + 1) != 34:
                return -1
            end = quote_end(data, p + 2, beyond)
            if end < 0:
                return -1
            p = end + 1
        elif named or c != 34:
            return -1
        else:
            named = True
        c = decimal.byte(data, p)
        if c == 44:
            p += 1
        elif c != 125:
            return -1


@inlined
def value(data, p):
    """The number at p: (bits, end); end < 0 for the slow twin."""
    c = decimal.byte(data, p)
    if c == 78:
        return _NAN_BITS, (p + 3 if load64(data, p) & _THREE == _NAN else -1)
    if c == 43 or (c == 45 and decimal.byte(data, p + 1) == 73):
        found = load64(data, p + 1) & _THREE == _INF
        return (_INF_BITS if c == 43 else _MINUS_INF_BITS), (p + 4 if found else -1)
    bits, end, kind = decimal.float64(data, p)
    return bits, (end if kind == decimal.EXACT else -1)


@inlined
def stamp(data, p, scale, openmetrics):
    """The time at p: (ticks, end); end < 0 for the slow twin. Text has no fractions."""
    digits = p + 1 if decimal.byte(data, p) == 45 else p
    _, whole = decimal.digits(data, digits, U(0))
    ticks, end, kind = decimal.ticks(data, p, scale)
    good = kind == decimal.EXACT and (openmetrics or whole == end)
    return ticks, (end if good else -1)


@inlined
def point(data, p, now, scale, flags):
    """What follows a series: (bits, ticks, has a time, position of the newline, of an exemplar).

    A newline below 0 is for the slow twin; an exemplar's position is 0 where there is none.
    """
    bits, end = value(data, after_blanks(data, p))
    ticks, stamped, exemplar = now, 0, 0
    if end < 0:
        return bits, ticks, stamped, end, exemplar
    feed = line_end(data, end)
    if feed < 0:
        at = after_blanks(data, end)
        if at == end:
            return bits, ticks, stamped, -1, exemplar
        if decimal.byte(data, at) != 35:
            ticks, end = stamp(data, at, scale, flags & OPENMETRICS)
            stamped = 1
            if end < 0:
                return bits, ticks, stamped, end, exemplar
            feed = line_end(data, end)
            at = after_blanks(data, end)
        if feed < 0 and at > end and flags & OPENMETRICS and decimal.byte(data, at) == 35:
            exemplar = feed = at
            while decimal.byte(data, feed) != 10:
                feed = text_end(data, feed + 1)
    if stamped and not flags & STAMPS:
        ticks = now
    return bits, ticks, stamped, feed, exemplar


@inlined
def comment_end(data, p, openmetrics, state, notes, note_lines):
    """Position of the newline after the comment at p, noted if it says something; -1: slow."""
    word = load64(data, p) & _SEVEN
    noted = word in (_HELP, _TYPE) or (openmetrics and word == _UNIT)
    if not noted:
        if openmetrics:
            return -1
        c = decimal.byte(data, after_blanks(data, p + 1))
        if c == 72 or c == 84:  # H, T: metadata that is written otherwise, or just words
            return -1
    end = p
    while decimal.byte(data, end) != 10:
        end = text_end(data, end + 1)
    if noted:
        at = state[NOTE_BYTES]
        for i in range(end + 1 - p):
            notes[U(at + i)] = data[U(p + i)]
        state[NOTE_BYTES] = at + end + 1 - p
        note_lines[state[NOTES]] = state[LINE]
        state[NOTES] += 1
    return end


@kernel(
    types.int64(
        BYTES, types.int64, types.int64, types.int64, types.int64, OUT_INT64S,
        OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_WORDS, OUT_BYTES, OUT_INT64S, OUT_ROWS,
    )
)  # fmt: skip
def lines(
    data, size, scale, now, flags, state,
    key_starts, key_ends, timestamps, values, notes, note_lines, exemplars,
):  # fmt: skip
    """Read on from state[AT] to the end, or to a line for the slow twin: DONE or SLOW."""
    p, run = state[AT], state[RUNS]
    name, name_end = p, p  # of the line before
    beyond = U(0) if flags & UTF8 else _HIGHS
    while p < size:
        feed = -1
        c = decimal.byte(data, p)
        if c == 35:
            feed = comment_end(data, p, flags & OPENMETRICS, state, notes, note_lines)
        elif c == 10 and not flags & OPENMETRICS:
            feed = p
        else:
            end = p
            if name_end > name and is_same(data, p, name, name_end):
                end = word_tail(data, p + name_end - name, 2)
            else:
                end = word_end(data, p, 2)
            name, name_end = p, end
            if decimal.byte(data, end) == 123:
                end = labels_end(data, end + 1, end > p, beyond)
            elif end == p:
                end = -1
            if end >= 0 and (decimal.byte(data, end) in (32, 9)):
                bits, ticks, stamped, feed, exemplar = point(data, end, now, scale, flags)
                if feed >= 0:
                    key_starts[run] = p
                    key_ends[run] = end
                    timestamps[run] = ticks
                    values[run] = bits
                    state[STAMPED] += stamped
                    if exemplar:
                        row = exemplars[state[EXEMPLARS]]
                        row[RUN], row[START], row[END] = run, exemplar, feed
                        row[AT_LINE] = state[LINE]
                        state[EXEMPLARS] += 1
                    run += 1
        state[LINE] += 1
        if feed < 0:
            state[SLOW_AT], state[SLOW_LINE] = p, state[LINE] - 1
            while decimal.byte(data, p) != 10:
                p = text_end(data, p + 1)
            state[SLOW_END], state[AT], state[RUNS] = p, p + 1, run
            return SLOW
        p = feed + 1
    state[AT], state[RUNS] = p, run
    return DONE
