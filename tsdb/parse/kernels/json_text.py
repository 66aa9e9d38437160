"""Points in JSON text in machine code: lines of series, and one array of pairs.

    in   text followed by PAD_BYTES of an end mark; how timestamps scale to ticks
    out  byte range of each metric object, offsets, timestamps, value bits

A kernel takes what senders really send and leaves everything else, right or wrong, to the slow
twin (`tsdb.parse.json_lines`, `tsdb.parse.points_json`): it never refuses. So it may be simple:
no escapes in keys, no nested unknown values, no null, no key twice.

The end mark is a newline where lines count, else NUL. Both are control characters, which no JSON
string or number holds, so every scan ends without a test for the end of the buffer.

Price: about 15 ns a point of a 13-digit timestamp and a value of two decimals.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import ctz64, load32, load64
from tsdb.jit import forced, inlined, kernel
from tsdb.parse.kernels import decimal

# States of one call of `lines`.
DONE, SLOW = 0, 1
# Places in its `state`: where to go on, which line that is, what is filled, what was left over.
AT, LINE, RUNS, POINTS, HARDS, SLOW_AT, SLOW_END, STATE_SIZE = 0, 1, 2, 3, 4, 5, 6, 7

U = np.uint64
_ONES, _HIGHS = U(0x0101010101010101), U(0x8080808080808080)
_QUOTES, _BACKSLASHES, _SPACES = _ONES * U(34), _ONES * U(92), _ONES * U(32)


def _word(text: bytes) -> np.uint64:
    return U(int.from_bytes(text, "little"))


_METRIC, _VALUES, _LOW_56 = _word(b'metric"'), _word(b'values"'), U((1 << 56) - 1)
_TIMESTAM, _PS, _LOW_24 = _word(b"timestam"), _word(b'ps"'), U((1 << 24) - 1)
_LOW_32, _LOW_40 = U((1 << 32) - 1), U((1 << 40) - 1)
_NAN, _INF, _INF_PLUS, _INF_MINUS = (_word(t) for t in (b'NaN"', b'Inf"', b'+Inf"', b'-Inf"'))
_INFINITY, _INFINITY_MINUS = _word(b"Infinity"), _word(b"-Infinit")
_STALE = _word(b"StaleNaN")
_NULL, _TRUE, _FALS = _word(b"null"), _word(b"true"), _word(b"fals")
NAN_BITS, INFINITY_BITS, SIGN_BIT = U(0x7FF8 << 48), U(0x7FF << 52), U(1 << 63)
STALE_BITS = U(0x7FF0000000000002)

_OUT_BYTES = types.Array(types.uint8, 1, "C")
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_INT64S = types.Array(types.int64, 1, "C")
_INT64S = types.Array(types.int64, 1, "C", readonly=True)
_OUT_WORDS = types.Array(types.uint64, 1, "C")


@forced
def skip_space(data, p, newlines):
    """The next byte that is not white space; newlines are only if `newlines`."""
    c = decimal.byte(data, p)
    while c <= 32 and (c == 32 or c == 9 or c == 13 or (c == 10 and newlines)):
        p += 1
        c = decimal.byte(data, p)
    return p


@inlined
def hex_digits(data, p):
    """Whether data[p:p+4] are hexadecimal digits."""
    for i in range(4):
        c = decimal.byte(data, p + i)
        if not (48 <= c <= 57 or 97 <= (c | 32) <= 102):
            return False
    return True


@forced
def string_end(data, p, doubtful):
    """Position of the quote that ends the string whose text starts at p; -1 for broken text.

    doubtful: the high bits of all bytes where text above ASCII is not known to be UTF-8, else 0.
    """
    while True:
        word = load64(data, p)
        quotes = word ^ _QUOTES
        slashes = word ^ _BACKSLASHES
        hit = ((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes)
        hit = ((hit | ((word - _SPACES) & ~word)) & _HIGHS) | (word & doubtful)
        if hit == U(0):
            p += 8
            continue
        p += np.int64(ctz64(hit) >> U(3))
        c = decimal.byte(data, p)
        if c == 34:
            return p
        if c != 92:
            return -1
        c = decimal.byte(data, p + 1)
        if c == 117 and hex_digits(data, p + 2):
            p += 6
        elif c in (34, 92, 47, 98, 102, 110, 114, 116):
            p += 2
        else:
            return -1


@inlined
def metric_end(data, p, doubtful):
    """Position after the flat object of strings that starts at p; -1 for anything else."""
    if decimal.byte(data, p) != 123:
        return -1
    p = skip_space(data, p + 1, False)
    if decimal.byte(data, p) == 125:
        return p + 1
    while True:
        for ends in (58, 44):  # a name and its colon, a value and its comma
            if decimal.byte(data, p) != 34:
                return -1
            p = string_end(data, p + 1, doubtful)
            if p < 0:
                return -1
            p = skip_space(data, p + 1, False)
            c = decimal.byte(data, p)
            if c != ends:
                return p + 1 if ends == 44 and c == 125 else -1
            p = skip_space(data, p + 1, False)


@inlined
def special(data, p):
    """A value written as a string whose text starts at p: (bits, end), end -1 if it is none."""
    word = load64(data, p)
    if word & _LOW_32 == _NAN:
        return NAN_BITS, p + 4
    if word & _LOW_32 == _INF:
        return INFINITY_BITS, p + 4
    if word & _LOW_40 == _INF_PLUS:
        return INFINITY_BITS, p + 5
    if word & _LOW_40 == _INF_MINUS:
        return INFINITY_BITS | SIGN_BIT, p + 5
    if word == _INFINITY and decimal.byte(data, p + 8) == 34:
        return INFINITY_BITS, p + 9
    if word == _STALE and decimal.byte(data, p + 8) == 34:
        return STALE_BITS, p + 9
    if (
        word == _INFINITY_MINUS
        and decimal.byte(data, p + 8) == 121
        and decimal.byte(data, p + 9) == 34
    ):
        return INFINITY_BITS | SIGN_BIT, p + 10
    return U(0), -1


@forced
def value(data, p):
    """A value at p: (bits, end, BAD | EXACT | HARD)."""
    if decimal.byte(data, p) == 34:
        bits, end = special(data, p + 1)
        return bits, end, (decimal.BAD if end < 0 else decimal.EXACT)
    return decimal.float64(data, p)


@forced
def next_item(data, p, newlines):
    """After an item at p: (where the next one starts, whether there is one); start -1 if broken."""
    p = skip_space(data, p, newlines)
    c = decimal.byte(data, p)
    if c == 44:
        return skip_space(data, p + 1, newlines), True
    return (p + 1 if c == 93 else -1), False


@inlined
def values_array(data, p, newlines, out, at, hards, hard_count):
    """Array after its bracket: (end or -1, points, hard_count). Room: out[at:]."""
    first = at
    more = decimal.byte(data, p) != 93
    if not more:
        p += 1
    while more:
        if at == out.size:
            return -1, 0, hard_count
        bits, end, kind = value(data, p)
        if kind == decimal.BAD:
            return -1, 0, hard_count
        if kind == decimal.HARD:
            hards[2 * hard_count] = at
            hards[2 * hard_count + 1] = p
            hard_count += 1
        out[at] = bits
        at += 1
        p, more = next_item(data, end, newlines)
    return p, at - first, hard_count


@inlined
def timestamps_array(data, p, newlines, out, at, scale):
    """Array after its bracket: (end or -1, points). Room: out[at:]."""
    first = at
    more = decimal.byte(data, p) != 93
    if not more:
        p += 1
    while more:
        if at == out.size:
            return -1, 0
        stamp, end, kind = decimal.ticks(data, p, scale)
        if kind != decimal.EXACT:
            return -1, 0
        out[at] = stamp
        at += 1
        p, more = next_item(data, end, newlines)
    return p, at - first


@inlined
def plain_key_end(data, p):
    """Position of the quote that ends a key of plain ASCII whose text starts at p, else -1."""
    c = decimal.byte(data, p)
    while c != 34:
        if c < 32 or c > 126 or c == 92:
            return -1
        p += 1
        c = decimal.byte(data, p)
    return p


@inlined
def scalar_end(data, p, doubtful):
    """Position after the string, number or word at p; -1 for anything else."""
    c = decimal.byte(data, p)
    if c == 34:
        end = string_end(data, p + 1, doubtful)
        return end + 1 if end > 0 else -1
    word = load32(data, p)
    if word in (_NULL, _TRUE):
        return p + 4
    if word == _FALS and decimal.byte(data, p + 4) == 101:
        return p + 5
    _, end, kind = decimal.float64(data, p)
    return -1 if kind == decimal.BAD else end


@kernel(
    types.int64(
        _BYTES, types.int64, types.int64, types.int64, types.boolean, types.uint64,
        _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_WORDS, _OUT_INT64S,
    )
)  # fmt: skip
def lines(
    data, size, line_bytes_max, scale, whole, doubtful,
    state, key_starts, key_ends, offsets, timestamps, values, hards,
):  # fmt: skip
    """Objects {"metric": {...}, "values": [...], "timestamps": [...]}, one a line, from state[AT].

    whole    the text is one object without a metric, and newlines are white space
    hards    [2 * numbers] (point, position) of values that float() must read
    returns  DONE; or SLOW, and state says which line the caller has to read: SLOW_AT:SLOW_END.
             Calling again goes on behind it.
    """
    p = state[AT]
    line = state[LINE]
    run = state[RUNS]
    point = state[POINTS]
    hard_count = state[HARDS]
    status = DONE
    while p < size and status == DONE:
        start = p
        line += 1
        key_start = 0
        key_end = 0
        value_count = -1
        stamp_count = -1
        hard_before = hard_count
        p = skip_space(data, p, whole)
        c = decimal.byte(data, p)
        if c == 10 and not whole:
            p += 1
            continue
        status = SLOW
        more = c == 123
        p = skip_space(data, p + more, whole)
        while more:
            more = False
            if decimal.byte(data, p) != 34:
                break
            p += 1
            word = load64(data, p)
            kind = 0
            if word & _LOW_56 == _VALUES and value_count < 0:
                kind, p = 1, p + 7
            elif word == _TIMESTAM and load32(data, p + 8) & _LOW_24 == _PS and stamp_count < 0:
                kind, p = 2, p + 11
            elif word & _LOW_56 == _METRIC and key_end == 0 and not whole:
                kind, p = 3, p + 7
            else:
                end = plain_key_end(data, p)
                same = word & _LOW_56 == _VALUES or word & _LOW_56 == _METRIC
                if end < 0 or same or word == _TIMESTAM:
                    break
                p = end + 1
            p = skip_space(data, p, whole)
            if decimal.byte(data, p) != 58:
                break
            p = skip_space(data, p + 1, whole)
            if kind == 1 or kind == 2:
                if decimal.byte(data, p) != 91:
                    break
                at = skip_space(data, p + 1, whole)
                if kind == 1:
                    end, value_count, hard_count = values_array(
                        data, at, whole, values, point, hards, hard_count
                    )
                else:
                    end, stamp_count = timestamps_array(data, at, whole, timestamps, point, scale)
            elif kind == 3:
                end = metric_end(data, p, doubtful)
                key_start, key_end = p, end
            else:
                end = scalar_end(data, p, doubtful)
            if end < 0:
                break
            p = skip_space(data, end, whole)
            c = decimal.byte(data, p)
            p = skip_space(data, p + 1, whole) if c == 44 or c == 125 else p
            more = c == 44
            if c == 125 and (decimal.byte(data, p) == 10 if not whole else p >= size):
                status = DONE
        complete = value_count == stamp_count and value_count >= 0
        complete &= whole or (key_end > 0 and p - start <= line_bytes_max)
        if status == DONE and complete:
            p += 1
            if value_count > 0:
                key_starts[run] = key_start
                key_ends[run] = key_end
                run += 1
                point += value_count
                offsets[run] = point
        else:
            status = SLOW
            hard_count = hard_before
            while p < size and (whole or decimal.byte(data, p) != 10):
                p += 1
            state[SLOW_AT] = start
            state[SLOW_END] = min(p, size)
            p += 1
    state[AT] = p
    state[LINE] = line
    state[RUNS] = run
    state[POINTS] = point
    state[HARDS] = hard_count
    return status


@forced
def array_of_pairs(data, place, scale, timestamps, values, count):
    """Points of one array, put behind the first `count`; how many there are then, or -1."""
    start, size = place
    p = skip_space(data, start, True)
    if decimal.byte(data, p) != 91:
        return -1
    p = skip_space(data, p + 1, True)
    more = decimal.byte(data, p) != 93
    if not more:
        p += 1
    while more:
        if count == timestamps.size or decimal.byte(data, p) != 91:
            return -1
        p = skip_space(data, p + 1, True)
        stamp, end, kind = decimal.ticks(data, p, scale)
        if kind != decimal.EXACT:
            return -1
        p, second = next_item(data, end, True)
        if not second:
            return -1
        bits, end, kind = value(data, p)
        if kind != decimal.EXACT:
            return -1
        p, third = next_item(data, end, True)
        if third or p < 0:
            return -1
        timestamps[count] = stamp
        values[count] = bits
        count += 1
        p, more = next_item(data, p, True)
    if p < 0 or skip_space(data, p, True) < size:
        return -1
    return count


@kernel(types.int64(_BYTES, _INT64S, types.int64, _OUT_INT64S, _OUT_WORDS, _OUT_INT64S))
def pairs(data, bodies, scale, timestamps, values, offsets):
    """Arrays [[timestamp, value], ...]: how many of them are read.

    Body i is at `bodies[2 * i]:bodies[2 * i + 1]`, END_MARK behind it; its points go to
    `offsets[i]:offsets[i + 1]`. It ends before the first body that the slow twin has to read.
    """
    for i in range(bodies.size // 2):
        place = bodies[2 * i], bodies[2 * i + 1]
        end = array_of_pairs(data, place, scale, timestamps, values, offsets[i])
        if end < 0:
            return i
        offsets[i + 1] = end
    return bodies.size // 2
