"""InfluxDB's line protocol in machine code: `measurement,tag=value field=1,field=2i time`.

    in   text followed by PAD_BYTES newlines; how times scale to ticks; the clock in ticks
    out  a run a value: byte range of the head (measurement and tags), of the tail (field name),
         ticks, value bits

Takes what senders write and leaves the rest to `tsdb.parse.line_protocol.slow_line`, which alone
refuses. A head is read eight bytes at a time and its commas and equals signs checked; one that is
the line before's is the same range. So is a field name that stands where it stood the line before:
it is compared, never searched.

Price: 8 to 15 ns a value with ten tags and ten fields, 60 ns with one field a line.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import ctz64, float_bits, load64
from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import decimal
from tsdb.parse.kernels.graphite import after_blanks, line_end

# States of one call.
DONE, SLOW, FULL = 0, 1, 2
# Places in `state`: LINE is that of the line at AT, SLOW_LINE that of the one left over; the runs
# of the last good line are FIRST up to LAST.
AT, LINE, RUNS, STRINGS, FIRST, LAST = 0, 1, 2, 3, 4, 5
SLOW_AT, SLOW_END, SLOW_LINE, STATE_SIZE = 6, 7, 8, 9
# Times of precision `auto`: below the first bound seconds, then milliseconds, then microseconds.
AUTO_BOUNDS = (5 * 10**9, 5 * 10**12, 5 * 10**15)
UNITS = 4

U = np.uint64
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
INT64S = types.Array(types.int64, 1, "C", readonly=True)
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_WORDS = types.Array(types.uint64, 1, "C")

_ONES, _HIGHS, _LOWS = U(0x0101010101010101), U(0x8080808080808080), U(0x7F7F7F7F7F7F7F7F)
_SPACES, _COMMAS = _ONES * U(33), _ONES * U(44)
_EQUALS, _BACKSLASHES = _ONES * U(61), _ONES * U(92)
_ALL = ~U(0)
_FOUR, _FIVE = U(0xFFFFFFFF), U(0xFFFFFFFFFF)
_TRUE = tuple(U(int.from_bytes(text, "little")) for text in (b"true", b"True", b"TRUE"))
_FALSE = tuple(U(int.from_bytes(text, "little")) for text in (b"false", b"False", b"FALSE"))
_TRUE_1, _TRUE_2, _TRUE_3 = _TRUE
_FALSE_1, _FALSE_2, _FALSE_3 = _FALSE
_ONE_BITS, _SIGN = U(0x3FF0000000000000), U(1 << 63)
_INT64_MAX = U((1 << 63) - 1)
_WHOLE_MAX = (1 << 63) - 1


@inlined
def is_escape(data, p):
    """Whether the backslash at p takes the meaning from the byte after it."""
    c = decimal.byte(data, p + 1)
    return c == 44 or c == 61 or c == 32 or c == 92


@inlined
def same(data, p, start, end):
    """Whether the bytes at p are data[start:end]; both have eight readable ones behind them."""
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
def head_end(data, p, utf8):
    """Position of the space that ends the measurement and tags at p; -1 for the slow twin."""
    part = 0  # 0 measurement, 1 name of a tag, 2 value of a tag
    since = p
    beyond = U(0) if utf8 else _HIGHS
    while True:
        word = load64(data, p)
        x, y, z = word ^ _COMMAS, word ^ _EQUALS, word ^ _BACKSLASHES
        found = (
            ~(((x & _LOWS) + _LOWS) | x)
            | ~(((y & _LOWS) + _LOWS) | y)
            | ~(((z & _LOWS) + _LOWS) | z)
            | ((word - _SPACES) & ~word)  # exact up to the first, which ends the head
            | (word & beyond)
        ) & _HIGHS
        step = 8
        while found != U(0):
            place = np.int64(ctz64(found) >> U(3))
            at = p + place
            found &= found - U(1)
            c = decimal.byte(data, at)
            if c == 61:
                if part == 1:
                    if at == since:
                        return -1
                    part = 2
                    since = at + 1
                elif part == 2:
                    return -1
            elif c == 44 or c == 32:
                if part == 1 or at == since:
                    return -1
                if c == 32:
                    return at
                part = 1
                since = at + 1
            elif c == 92:
                if is_escape(data, at):
                    step = place + 2
                    found = U(0)
            else:
                return -1
        p += step


@inlined
def name_end(data, p, utf8):
    """Position of the equals sign after the field name at p; -1 for the slow twin."""
    start = p
    while True:
        c = decimal.byte(data, p)
        if c == 61:
            return p if p > start else -1
        if c == 92 and is_escape(data, p):
            p += 2
            continue
        if c <= 32 or c == 44 or (c >= 128 and not utf8):
            return -1
        p += 1


@inlined
def string_end(data, p, size):
    """After the quoted text at p: (end, newlines inside); -1 where it is never closed."""
    feeds = 0
    p += 1
    while p < size:
        c = decimal.byte(data, p)
        if c == 34:
            return p + 1, feeds
        if c == 92:
            p += 1
            c = decimal.byte(data, p)
        if c == 10:
            feeds += 1
        p += 1
    return -1, feeds


@inlined
def boolean(data, p):
    """t, T, true, True, TRUE and their opposites at p: (bits, end)."""
    word = load64(data, p)
    c = word & U(0xDF)
    four, five = word & _FOUR, word & _FIVE
    if c == U(84):
        whole = four in (_TRUE_1, _TRUE_2, _TRUE_3)
        return _ONE_BITS, (p + 4 if whole else p + 1)
    whole = five in (_FALSE_1, _FALSE_2, _FALSE_3)
    return U(0), (p + 5 if whole else p + 1)


@inlined
def numeric(data, p):
    """Number at p with its suffix: (bits, end), end < 0 for the slow twin."""
    start = p
    negative = decimal.byte(data, p) == 45
    if negative:
        p += 1
    mantissa, end = decimal.digits(data, p, U(0))
    count = end - p
    c = decimal.byte(data, end)
    if count == 0 or count > 18 or c == 46 or c | 32 == 101:
        bits, end, kind = decimal.float64(data, start)
        return bits, (end if kind == decimal.EXACT else -1)
    if c == 117 and negative:
        return U(0), -1
    bits = float_bits(np.float64(np.int64(mantissa)))
    if c == 105 or c == 117:
        end += 1
        if mantissa == U(0):
            negative = False  # -0i is an integer
    return (bits | _SIGN if negative else bits), end


@inlined
def stamp(data, p, auto, scales):
    """Time at p in ticks, to the nearest: (ticks, end), end < 0 for the slow twin."""
    negative = decimal.byte(data, p) == 45
    if negative:
        p += 1
    mantissa, end = decimal.digits(data, p, U(0))
    count = end - p
    if count == 0 or count > 19 or mantissa > _INT64_MAX:
        return 0, -1
    whole = np.int64(mantissa)
    unit = 0
    if auto:
        unit = 3
        if whole < AUTO_BOUNDS[0]:
            unit = 0
        elif whole < AUTO_BOUNDS[1]:
            unit = 1
        elif whole < AUTO_BOUNDS[2]:
            unit = 2
    factor, divisor = scales[U(unit)], scales[U(unit + UNITS)]
    if negative:
        whole = -whole
    if divisor != 1:
        ticks = whole // divisor
        if whole - ticks * divisor >= (divisor + 1) >> 1:
            ticks += 1
        return ticks, end
    if factor != 1 and np.int64(mantissa) > _WHOLE_MAX // factor:
        return 0, -1
    return whole * factor, end


@inlined
def line_after(data, p, size):
    """The newline that ends the line at p, whatever is in it: (position, newlines inside)."""
    feeds = 0
    fields = False
    p = after_blanks(data, p)
    comment = decimal.byte(data, p) == 35
    while p < size:
        c = decimal.byte(data, p)
        if c == 10:
            return p, feeds
        if comment:
            p += 1
            continue
        if c == 92 and decimal.byte(data, p + 1) != 10:
            p += 2
            continue
        if c == 32:
            fields = True
        if fields and c == 61 and decimal.byte(data, p + 1) == 34:
            p, inside = string_end(data, p + 1, size)
            feeds += inside
            if p < 0:
                return size, feeds
            continue
        p += 1
    return size, feeds


@kernel(
    types.int64(
        BYTES, types.int64, types.boolean, types.boolean, INT64S, types.int64,
        OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_WORDS,
    )
)  # fmt: skip
def lines(
    data, size, utf8, auto, scales, now,
    state, key_starts, key_ends, tail_starts, tail_ends, timestamps, values,
):  # fmt: skip
    """Read on from state[AT] to the end, a line for the slow twin, or the end of the room."""
    p, line, run = state[AT], state[LINE], state[RUNS]
    strings, first, last = state[STRINGS], state[FIRST], state[LAST]
    room = values.size
    status = DONE
    while p < size:
        start = p
        p = after_blanks(data, p)
        c = decimal.byte(data, p)
        if c == 10 or c == 13 or c == 35:
            end = line_end(data, p)
            if c == 35:
                end, _ = line_after(data, p, size)
            if end >= 0:  # an empty line, or a comment
                p = end + 1
                line += 1
                continue
        begun, strings_before, feeds = run, strings, 0
        cursor = first
        head = p
        end = -1
        if last > first:  # the head of the line before, if this is it
            head, end = key_starts[U(first)], key_ends[U(first)]
            same_head = p + (end - head) < size and same(data, p, head, end)
            if same_head and decimal.byte(data, p + end - head) == 32:
                p += end - head
            else:
                head, end = p, -1
        if end < 0:
            end = head_end(data, p, utf8)
            p = end
        good = end >= 0
        head_stop = end
        if good:
            p = after_blanks(data, p)
        while good:
            # A field: its name
            name, stop = p, -1
            if cursor < last:
                name, stop = tail_starts[U(cursor)], tail_ends[U(cursor)]
                end = p + stop - name
                if end < size and decimal.byte(data, end) == 61 and same(data, p, name, stop):
                    p = end
                else:
                    name, stop = p, -1
            if stop < 0:
                stop = name_end(data, p, utf8)
                p = stop
                if stop < 0:
                    good = False
                    break
            # its value
            p += 1
            c = decimal.byte(data, p)
            if c == 34:
                end, inside = string_end(data, p, size)
                feeds += inside
                strings += 1
            else:
                if run >= room:
                    status = FULL
                    break
                if c == 116 or c == 84 or c == 102 or c == 70:
                    bits, end = boolean(data, p)
                else:
                    bits, end = numeric(data, p)
                key_starts[U(run)], key_ends[U(run)] = head, head_stop
                tail_starts[U(run)], tail_ends[U(run)] = name, stop
                values[U(run)] = bits
                run += 1
                cursor += 1
            if end < 0:
                good = False
                break
            p = end
            if decimal.byte(data, p) != 44:
                break
            p += 1
        if status == FULL:  # on with this line, once there is more room
            p, run, strings = start, begun, strings_before
            break
        if good:
            ticks = now
            if decimal.byte(data, p) == 32:
                p = after_blanks(data, p)
                c = decimal.byte(data, p)
                if 48 <= c <= 57 or c == 45:
                    ticks, p = stamp(data, p, auto, scales)
            end = line_end(data, p) if p >= 0 else -1
            good = end >= 0
            if good:
                for i in range(begun, run):
                    timestamps[U(i)] = ticks
                if run > begun:
                    first, last = begun, run
                line += 1 + feeds
                p = end + 1
        if not good:
            end, inside = line_after(data, start, size)
            state[SLOW_AT], state[SLOW_END], state[SLOW_LINE] = start, end, line
            line += 1 + inside
            p = end + 1
            run, strings = begun, strings_before
            status = SLOW
            break
    state[AT], state[LINE], state[RUNS] = p, line, run
    state[STRINGS], state[FIRST], state[LAST] = strings, first, last
    return status
