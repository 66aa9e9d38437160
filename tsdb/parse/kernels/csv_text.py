"""Rows of CSV in machine code: a time, values, and the fields that name a series.

    in   text followed by PAD_BYTES newlines; what each column holds; how numbers scale to ticks
    out  byte range of each run's name, offsets, timestamps, value bits and which are there

As the JSON kernels, it takes what programs write and leaves the rest to its slow twin
(`tsdb.parse.csv_lines`), which alone refuses. Names are neither copied nor unquoted: a run is
named by its bytes in the text, from the first column of its name to the last.

Price: 30 to 60 ns a row of one value; dates cost no more than numbers.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load64
from tsdb.jit import forced, inlined, kernel
from tsdb.parse.kernels import decimal

# What a column holds.
TIME, VALUE, NAME = 1, 2, 3
# States of one call.
DONE, SLOW = 0, 1
# Places in `state`.
AT, LINE, RUNS, ROWS, SLOW_AT, SLOW_END, SLOW_LINE, STATE_SIZE = 0, 1, 2, 3, 4, 5, 6, 7

U = np.uint64
NAN_BITS, INFINITY_BITS, SIGN_BIT = U(0x7FF8 << 48), U(0x7FF << 52), U(1 << 63)
_LOW_24 = U((1 << 24) - 1)
_NAN, _INF = (U(int.from_bytes(t, "little")) for t in (b"NaN", b"Inf"))
_INT64_MAX = (1 << 63) - 1
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_TICKS = np.array([10**k for k in range(10)], np.int64)

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_INT64S = types.Array(types.int64, 1, "C")
_OUT_WORDS = types.Array(types.uint64, 1, "C")


@inlined
def field_end(data, p, size, delimiter):
    """Where the field at p ends: its delimiter, its newline, or `size` inside open quotes.

    As Python's csv module: quotes open at the start of a field only, and are doubled inside.
    """
    if decimal.byte(data, p) == 34:
        p += 1
        while p < size:
            if decimal.byte(data, p) == 34:
                if decimal.byte(data, p + 1) != 34:
                    break
                p += 1
            p += 1
        if p >= size:
            return size
        p += 1
    c = decimal.byte(data, p)
    while c not in (delimiter, 10, 13):
        p += 1
        c = decimal.byte(data, p)
    return p


@inlined
def record_end(data, p, size, delimiter):
    """Position of the newline that ends the record at p; `size` or more if there is none."""
    while p < size:
        p = field_end(data, p, size, delimiter)
        if p >= size or decimal.byte(data, p) == 10:
            return p
        p += 1
    return size


@inlined
def two_digits(data, p):
    """0 to 99, or a number below 0."""
    tens, ones = decimal.byte(data, p) - 48, decimal.byte(data, p + 1) - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1000
    return tens * 10 + ones


@inlined
def days_of(year, month, day):
    """Days since 1970 of a date of the years 1 to 9999; -10^9 for one that does not exist."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _DAYS[U(month - 1)] + leap:
        return -1_000_000_000
    # Years from March, so that the leap day is the last one.
    shifted = year - (month <= 2)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468


@inlined
def date_time(data, p, exponent):
    """2026-08-01[T12:00[:00[.25]]][Z|+02:00] at p as ticks of 10^-exponent s: (ticks, end or -1).

    Without offset UTC. More than nine decimals are left to the slow twin.
    """
    century, of_century = two_digits(data, p), two_digits(data, p + 2)
    month, day = two_digits(data, p + 5), two_digits(data, p + 8)
    if century < 0 or of_century < 0 or decimal.byte(data, p + 7) != 45:
        return 0, -1
    seconds = days_of(century * 100 + of_century, month, day) * 86_400
    fraction = 0
    p += 10
    if decimal.byte(data, p) in (84, 116, 32) and two_digits(data, p + 1) >= 0:
        hour, minute = two_digits(data, p + 1), two_digits(data, p + 4)
        if hour > 23 or minute < 0 or minute > 59 or decimal.byte(data, p + 3) != 58:
            return 0, -1
        seconds += hour * 3600 + minute * 60
        p += 6
        if decimal.byte(data, p) == 58:
            second = two_digits(data, p + 1)
            if second < 0 or second > 59:
                return 0, -1
            seconds += second
            p += 3
            if decimal.byte(data, p) == 46:
                mantissa, end = decimal.digits(data, p + 1, U(0))
                count = end - p - 1
                if count == 0 or count > 9:
                    return 0, -1
                fraction = np.int64(mantissa)
                if count <= exponent:
                    fraction *= _TICKS[U(exponent - count)]
                else:
                    step = _TICKS[U(count - exponent)]
                    fraction = (fraction + step // 2) // step
                p = end
        c = decimal.byte(data, p)
        if c in (90, 122):
            p += 1
        elif c in (43, 45):
            hour, minute = two_digits(data, p + 1), two_digits(data, p + 4)
            if hour < 0 or hour > 23 or minute < 0 or minute > 59:
                return 0, -1
            if decimal.byte(data, p + 3) != 58:
                return 0, -1
            offset = hour * 3600 + minute * 60
            seconds += offset if c == 45 else -offset
            p += 6
    most = _INT64_MAX // _TICKS[U(exponent)] - 1
    if seconds > most or seconds < -min(most, 70_000_000_000):
        return 0, -1
    return seconds * _TICKS[U(exponent)] + fraction, p


@inlined
def timestamp(data, p, scale, exponent):
    """A date, or a number times 10^scale: (ticks, end or -1)."""
    if decimal.byte(data, p + 4) == 45 and decimal.byte(data, p) != 45:
        return date_time(data, p, exponent)
    ticks, end, kind = decimal.ticks(data, p, scale)
    return ticks, (end if kind == decimal.EXACT else -1)


@forced
def value(data, p):
    """A JSON number or NaN, Inf, +Inf, -Inf: (bits, end or -1)."""
    c = decimal.byte(data, p)
    if 48 <= c <= 57 or (c == 45 and decimal.byte(data, p + 1) != 73):
        bits, end, kind = decimal.float64(data, p)
        return bits, (end if kind == decimal.EXACT else -1)
    if load64(data, p) & _LOW_24 == _NAN:
        return NAN_BITS, p + 3
    signed = c in (43, 45)
    if load64(data, p + signed) & _LOW_24 == _INF:
        return INFINITY_BITS | (SIGN_BIT if c == 45 else U(0)), p + 3 + signed
    return U(0), -1


@forced
def skip_blanks(data, p, delimiter):
    """The next byte that is no space (and no tab, unless tabs delimit)."""
    c = decimal.byte(data, p)
    while c == 32 or (c == 9 and delimiter != 9):
        p += 1
        c = decimal.byte(data, p)
    return p


@inlined
def same_bytes(data, p, q, size):
    """Whether data[p:p+size] and data[q:q+size] are the same."""
    i = 0
    while i + 8 <= size:
        if load64(data, p + i) != load64(data, q + i):
            return False
        i += 8
    while i < size:
        if decimal.byte(data, p + i) != decimal.byte(data, q + i):
            return False
        i += 1
    return True


@kernel(
    types.int64(
        _BYTES, types.int64, types.int64, types.int64, types.int64, types.int64, _BYTES,
        _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_INT64S, _OUT_WORDS, _OUT_BYTES,
    )
)  # fmt: skip
def rows(
    data, size, line_bytes_max, scale, exponent, delimiter, kinds,
    state, key_starts, key_ends, offsets, timestamps, values, present,
):  # fmt: skip
    """Complete records of data[:size] from state[AT] on.

    kinds    [columns] TIME (one), VALUE (any number), NAME (columns side by side)
    values   [rows * VALUE columns] row by row, and `present` for each; a missing one is 0, 0
    offsets  [runs + 1] rows: neighbours of the same name share a run
    returns  DONE, and state[AT] is where the last, incomplete record starts; or SLOW, and the
             caller has to read the record SLOW_AT:SLOW_END, which starts on line SLOW_LINE
    """
    p = state[AT]
    line = state[LINE]
    run = state[RUNS]
    row = state[ROWS]
    width = 0
    for kind in kinds:
        width += kind == VALUE
    named = False
    for kind in kinds:
        named |= kind == NAME
    while p < size:
        start = p
        key_start, key_end = -1, -1
        at = row * width
        ticks = 0
        quotes = False
        complete = False
        for i in range(kinds.size):
            kind = kinds[U(i)]
            if kind == NAME:
                end = field_end(data, p, size, delimiter)
                quotes |= decimal.byte(data, p) == 34
                key_start = p if key_start < 0 else key_start
                key_end = end
                p = end
            else:
                p = skip_blanks(data, p, delimiter)
                quoted = decimal.byte(data, p) == 34
                p += quoted
                if kind == TIME:
                    ticks, end = timestamp(data, p, scale, exponent)
                else:
                    c = decimal.byte(data, p)
                    missing = width > 1 and (c in (delimiter, 10, 13) or (quoted and c == 34))
                    bits, end = U(0), p
                    if not missing:
                        bits, end = value(data, p)
                    values[at] = bits
                    present[at] = not missing
                    at += 1
                if end < 0 or (quoted and decimal.byte(data, end) != 34):
                    break
                p = skip_blanks(data, end + quoted, delimiter)
            c = decimal.byte(data, p)
            last = i + 1 == kinds.size
            if last and c == 13 and decimal.byte(data, p + 1) == 10:
                p += 1
                c = 10
            if c != (10 if last else delimiter):
                break
            complete = last
            p += 1
        if complete and p <= size and p - start <= line_bytes_max:
            line += 1
            if quotes:
                for i in range(start, p - 1):
                    line += decimal.byte(data, i) == 10
            timestamps[row] = ticks
            length = key_end - key_start
            # The name of a run that the slow twin added lies behind the text.
            again = run > 0 and (
                not named
                or (
                    key_ends[run - 1] <= size
                    and key_ends[run - 1] - key_starts[run - 1] == length
                    and same_bytes(data, key_starts[run - 1], key_start, length)
                )
            )
            if not again:
                key_starts[run] = key_start
                key_ends[run] = key_end
                run += 1
            row += 1
            offsets[run] = row
            continue
        end = record_end(data, start, size, delimiter)
        p = start
        if end >= size:
            break
        state[SLOW_AT], state[SLOW_END], state[SLOW_LINE] = start, end, line + 1
        for i in range(start, end + 1):
            line += decimal.byte(data, i) == 10
        p = end + 1
        state[AT], state[LINE], state[RUNS], state[ROWS] = p, line, run, row
        return SLOW
    state[AT], state[LINE], state[RUNS], state[ROWS] = p, line, run, row
    return DONE
