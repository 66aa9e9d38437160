"""Points as decimal text in machine code: exact times, shortest floats.

    in   runs of timestamps and value bits, and the texts that stand around them
    out  text

A float64 is written with the fewest digits that read back to the same bits. Whole numbers and up
to four decimals, which most metrics are, are found by one multiplication and proved by one
division: at most 15 digits that read back are the only ones that do. The rest goes through
Schubfach (Giulietti, "The Schubfach way to render doubles", 2020), which needs no fallback. Layout
as Prometheus and JavaScript: plain for 1e-6 <= |x| < 1e21, with an exponent otherwise.

Slow twin: repr(). Price: 20 ns for a short decimal, 50 ns for one of 17 digits.
"""

# Typed by their signatures, as kernels are; a module outside tsdb has to say so itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, type-arg, operator"
# ruff: noqa: ANN001, ANN201, PLR0917

import numpy as np
from numba import types

from tsdb.codec.bits import bits_float, clz64, load64, mulhi64, store8, store16, store64
from tsdb.jit import forced, inlined, kernel

POINT_BYTES_MAX = 64  # a time and a value, whatever they are
STAMP_BYTES_MAX = 24  # a sign, 16 digits and three decimals of seconds, and what is around them
SLACK_BYTES = 16  # stores may spill behind the text

# How the points of a run are arranged.
POINTS, ROWS, LINES = 0, 1, 2
# How values are written that JSON has no number for.
TEXT, JSON, EXPORT = 0, 1, 2

U = np.uint64
U1, U2, U4, U10, U100, U1000 = U(1), U(2), U(4), U(10), U(100), U(1000)
_ABSOLUTE, _FRACTION, _HIDDEN_BIT = U((1 << 63) - 1), U((1 << 52) - 1), U(1 << 52)
_INFINITY, _STALE = U(0x7FF << 52), U(0x7FF0000000000002)
_SHORT_DECIMALS, _SHORT_SCALE, _SHORT_MAX = 4, 1e4, 1e15

WORD_POWERS = np.array([10**k for k in range(20)], np.uint64)
TWO_DIGITS = np.frombuffer(b"".join(b"%02d" % i for i in range(100)), "<u2").astype(np.uint64)


def _word(text: bytes) -> np.uint64:
    return U(int.from_bytes(text, "little"))


_NAN, _INF, _PLUS_INF = _word(b"NaN"), _word(b"Inf"), _word(b"+Inf")
_STALE_NAN, _INFINITY_WORD = _word(b"StaleNaN"), _word(b"Infinity")
_NULLITY = _word(b"-0.0")

_POWER_MIN, _POWER_MAX = -292, 324


def _powers_of_ten() -> np.ndarray:
    """10^k scaled to 126 bits and rounded up, as (high, low), for k in -292..324."""
    rows = []
    for k in range(_POWER_MIN, _POWER_MAX + 1):
        shift = 127 - ((k * 1741647) >> 19)  # 128 bits less floor(log2(10^k)) and one
        numerator = 10 ** max(k, 0) << max(shift, 0)
        denominator = 10 ** max(-k, 0) << max(-shift, 0)
        scaled = -(-numerator // denominator)
        rows.append((scaled >> 64, scaled & (1 << 64) - 1))
    return np.array(rows, np.uint64).ravel()


POWERS = _powers_of_ten()

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_INT64S = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_INT64S = types.Array(types.int64, 1, "C")


@forced
def digit_count(value):
    """Decimal digits of a uint64; 1 for 0."""
    value |= U1  # powers of ten above 1 are even, so this changes no answer
    guess = ((U(64) - clz64(value)) * U(1233)) >> U(12)
    return np.int64(guess) + np.int64(value >= WORD_POWERS[guess])


@forced
def put_digits(out, p, value, width):
    """`value` in exactly `width` digits, zeros in front; returns the end."""
    at = p + width
    while at - p >= 2:
        rest = value // U100
        at -= 2
        store16(out, at, TWO_DIGITS[value - rest * U100])
        value = rest
    if at > p:
        store8(out, p, U(48) + value % U10)
    return p + width


@forced
def put_bytes(out, p, texts, first, last):
    """texts[first:last], read and written eight bytes at a time; returns the end."""
    for i in range(first, last, 8):
        store64(out, p + i - first, load64(texts, i))
    return p + last - first


@forced
def put_ticks(out, p, ticks, decimals):
    """ticks / 10^decimals, exactly, without zeros at the end of its decimals."""
    value = U(ticks)
    if ticks < 0:
        store8(out, p, U(45))
        p += 1
        value = ~value + U1
    if decimals <= 0:
        p = put_digits(out, p, value, digit_count(value))
        if ticks != 0:
            for _ in range(-decimals):
                store8(out, p, U(48))
                p += 1
        return p
    power = WORD_POWERS[U(decimals)]
    whole = value // power
    rest = value - whole * power
    p = put_digits(out, p, whole, digit_count(whole))
    if rest != U(0):
        while rest % U10 == U(0):
            rest //= U10
            decimals -= 1
        store8(out, p, U(46))
        p = put_digits(out, p + 1, rest, decimals)
    return p


@forced
def round_to_odd(at, scaled):
    """High word of POWERS[at] * scaled; its lowest bit also says whether anything was cut off."""
    low = mulhi64(POWERS[at + U1], scaled)
    middle = POWERS[at] * scaled + low
    high = mulhi64(POWERS[at], scaled) + U(middle < low)
    return high | U(middle > U1)


@forced
def shortest(bits):
    """A positive finite float64 as (digits, exponent), shortest and then nearest."""
    fraction = bits & _FRACTION
    biased = np.int64(bits >> U(52))
    c = fraction | _HIDDEN_BIT if biased != 0 else fraction
    q = max(biased, 1) - 1075
    odd = c & U1
    # Below a power of two the next float is only half as far away.
    closer = fraction == U(0) and biased > 1
    k = (q * 1262611 - (524031 if closer else 0)) >> 22
    h = U(q + ((-k * 1741647) >> 19) + 1)
    at = U(-k - _POWER_MIN) << U1
    lower = round_to_odd(at, (U4 * c - U2 + U(closer)) << h) + odd
    middle = round_to_odd(at, (U4 * c) << h)
    upper = round_to_odd(at, (U4 * c + U2) << h) - odd
    s = middle >> U2
    if s >= U10:
        tens = s // U10
        below = lower <= U(40) * tens
        above = U(40) * tens + U(40) <= upper
        if below != above:
            return tens + U(above), k + 1
    below = lower <= U4 * s
    above = U4 * s + U4 <= upper
    if below != above:
        return s + U(above), k
    half = U4 * s + U2
    return s + U(middle > half or (middle == half and (s & U1) == U1)), k


@forced
def put_decimal(out, p, digits, exponent):
    """digits * 10^exponent, digits != 0, plain or with an exponent as its size demands."""
    while digits % U10 == U(0):
        digits //= U10
        exponent += 1
    count = digit_count(digits)
    point = count + exponent  # where the decimal point stands, from the first digit
    if point < -5 or point > 21:
        first = digits // WORD_POWERS[U(count - 1)]
        store8(out, p, U(48) + first)
        p += 1
        if count > 1:
            store8(out, p, U(46))
            p = put_digits(out, p + 1, digits - first * WORD_POWERS[U(count - 1)], count - 1)
        power = point - 1
        store16(out, p, U(0x2B65) if power >= 0 else U(0x2D65))  # e+ or e-
        size = U(abs(power))
        return put_digits(out, p + 2, size, max(2, digit_count(size)))
    if exponent >= 0:
        p = put_digits(out, p, digits, count)
        for _ in range(exponent):
            store8(out, p, U(48))
            p += 1
        return p
    if point > 0:
        power = WORD_POWERS[U(-exponent)]
        whole = digits // power
        p = put_digits(out, p, whole, point)
        store8(out, p, U(46))
        return put_digits(out, p + 1, digits - whole * power, -exponent)
    store16(out, p, U(0x2E30))  # 0.
    p += 2
    for _ in range(-point):
        store8(out, p, U(48))
        p += 1
    return put_digits(out, p, digits, count)


@inlined
def put_special(out, p, bits, style):
    """NaN or an infinity; quoted in JSON."""
    if style != TEXT:
        store8(out, p, U(34))
        p += 1
    if bits & _ABSOLUTE > _INFINITY:
        if bits == _STALE and style == EXPORT:
            store64(out, p, _STALE_NAN)
            p += 8
        else:
            store64(out, p, _NAN)
            p += 3
    else:
        if bits != _INFINITY:
            store8(out, p, U(45))
            p += 1
        if style == EXPORT:
            store64(out, p, _INFINITY_WORD)
            p += 8
        elif bits == _INFINITY:
            store64(out, p, _PLUS_INF)
            p += 4
        else:
            store64(out, p, _INF)
            p += 3
    if style != TEXT:
        store8(out, p, U(34))
        p += 1
    return p


@forced
def put_float(out, p, bits, style):
    """The float64 of these bits; returns the end."""
    absolute = bits & _ABSOLUTE
    if absolute >= _INFINITY:
        return put_special(out, p, bits, style)
    if absolute == U(0):
        if bits == U(0):
            store8(out, p, U(48))
            return p + 1
        # As JSON -0 would be read as an integer, which has no sign.
        store64(out, p, _NULLITY)
        return p + (2 if style == TEXT else 4)
    if bits != absolute:
        store8(out, p, U(45))
        p += 1
    x = bits_float(absolute)
    if x < _SHORT_MAX:
        whole = np.int64(x)
        if np.float64(whole) == x:
            return put_digits(out, p, U(whole), digit_count(U(whole)))
        nearest = np.rint(x * _SHORT_SCALE)
        if nearest < _SHORT_MAX and nearest / _SHORT_SCALE == x:
            return put_decimal(out, p, U(np.int64(nearest)), -_SHORT_DECIMALS)
    digits, exponent = shortest(absolute)
    return put_decimal(out, p, digits, exponent)


@kernel(
    types.int64(
        _INT64S, _INT64S, _WORDS, _BYTES, _INT64S, _BYTES, _INT64S,
        types.int64, types.int64, types.int64, _OUT_INT64S, _OUT_BYTES,
    )
)  # fmt: skip
def write_runs(
    offsets, timestamps, values, heads, head_ends, texts, ends,
    mode, decimals, style, state, out,
):  # fmt: skip
    """Runs as text from run state[0], point state[1] on; returns the size of the text.

    heads      what run i starts with: heads[head_ends[i]:head_ends[i + 1]]
    texts      before, between, behind, separator and tail, which end at ends[0..4]
    mode       POINTS  head (before time between value behind) separator (...) ... tail
               ROWS    (head before time between value behind) for each point
               LINES   head value separator value ... between time separator time ... tail
    decimals   of a timestamp: 3 writes ticks of a ms as seconds; -3 adds three zeros
    out        written while there is room for the worst next step; then state says where to go on

    heads and texts are followed by SLACK_BYTES more.
    """
    before, between, behind, separator, tail = ends[0], ends[1], ends[2], ends[3], ends[4]
    run, point = state[0], state[1]
    p = 0
    while run < offsets.size - 1:
        first, last = offsets[run], offsets[run + 1]
        head, head_end = head_ends[run], head_ends[run + 1]
        # The worst next step: a line, or a point with what stands around it.
        room = tail + SLACK_BYTES + POINT_BYTES_MAX
        if mode == LINES:
            room += (last - first) * (POINT_BYTES_MAX + 2 * (separator - behind))
        elif mode == ROWS:
            room += head_end - head
        if p + head_end - head + room > out.size:
            break
        if mode == LINES:
            p = put_bytes(out, p, heads, head, head_end)
            for i in range(first, last):
                if i > first:
                    p = put_bytes(out, p, texts, behind, separator)
                p = put_float(out, p, values[U(i)], style)
            p = put_bytes(out, p, texts, before, between)
            for i in range(first, last):
                if i > first:
                    p = put_bytes(out, p, texts, behind, separator)
                p = put_ticks(out, p, timestamps[U(i)], decimals)
            p = put_bytes(out, p, texts, separator, tail)
            run += 1
            continue
        if point == 0 and mode == POINTS:
            p = put_bytes(out, p, heads, head, head_end)
        i = first + point
        while i < last and p + room <= out.size:
            if mode == ROWS:
                p = put_bytes(out, p, heads, head, head_end)
            elif i > first:
                p = put_bytes(out, p, texts, behind, separator)
            p = put_bytes(out, p, texts, 0, before)
            p = put_ticks(out, p, timestamps[U(i)], decimals)
            p = put_bytes(out, p, texts, before, between)
            p = put_float(out, p, values[U(i)], style)
            p = put_bytes(out, p, texts, between, behind)
            i += 1
        point = i - first
        if i < last:
            break
        if mode == POINTS:
            p = put_bytes(out, p, texts, separator, tail)
        run += 1
        point = 0
    state[0], state[1] = run, point
    return p


@kernel(
    types.int64(
        types.Array(types.uint64, 2, "C", readonly=True),
        types.Array(types.boolean, 2, "C", readonly=True),
        _BYTES, _INT64S, _BYTES, _INT64S, _BYTES, _OUT_INT64S, _OUT_BYTES,
    )
)  # fmt: skip
def write_matrix(values, present, heads, head_ends, stamps, stamp_ends, tail, state, out):
    """Rows of a matrix as text from row state[0], step state[1] on; returns the size of the text.

    A row is head (stamp value "] , ...) tail, of the steps where it has a value. Stamps are texts
    too: all rows share them. state[2] says whether the row under way has a point already.
    heads, stamps and tail are followed by SLACK_BYTES more.
    """
    row, step, some = state[0], state[1], state[2]
    steps = values.shape[1]
    p = 0
    while row < values.shape[0]:
        head, head_end = head_ends[row], head_ends[row + 1]
        tail_size = tail.size - SLACK_BYTES
        room = tail_size + SLACK_BYTES + 2 * POINT_BYTES_MAX
        if p + head_end - head + room > out.size:
            break
        if step == 0:
            p = put_bytes(out, p, heads, head, head_end)
            some = 0
        while step < steps and p + room <= out.size:
            if present[row, step]:
                if some:
                    store8(out, p, U(44))
                    p += 1
                some = 1
                p = put_bytes(out, p, stamps, stamp_ends[step], stamp_ends[step + 1])
                p = put_float(out, p, values[row, step], TEXT)
                store16(out, p, U(0x5D22))  # "]
                p += 2
            step += 1
        if step < steps:
            break
        p = put_bytes(out, p, tail, 0, tail_size)
        row += 1
        step = 0
    state[0], state[1], state[2] = row, step, some
    return p


@kernel(types.int64(_INT64S, _OUT_INT64S, _OUT_BYTES))
def write_stamps(times, ends, out):
    """[seconds," for each time in ms, three decimals unless it is whole; returns the size.

    Stamp i is out[ends[i]:ends[i + 1]]; `out` has STAMP_BYTES_MAX for each and SLACK_BYTES more.
    """
    p = 0
    ends[0] = 0
    for i in range(times.size):
        store8(out, p, U(0x5B))  # [
        p += 1
        ms = U(times[i])
        if times[i] < 0:
            store8(out, p, U(45))
            p += 1
            ms = ~ms + U1
        seconds = ms // U1000
        p = put_digits(out, p, seconds, digit_count(seconds))
        if ms != seconds * U1000:
            store8(out, p, U(46))
            p = put_digits(out, p + 1, ms - seconds * U1000, 3)
        store16(out, p, U(0x222C))  # ,"
        p += 2
        ends[i + 1] = p
    return p
