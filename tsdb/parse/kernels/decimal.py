"""One decimal number in machine code: JSON's grammar, exactly rounded.

    in   bytes followed by at least PAD_BYTES readable ones, the first of which ends every number
    out  mantissa and exponent; the nearest float64 (ties to even); the nearest integer tick

Digits are read eight at a time (SWAR). Floats: two exact operands and one division where both
fit (Clinger, PLDI 1990), else one or two 64 x 128-bit products (Eisel-Lemire: Lemire, "Number
parsing at a gigabyte per second", 2021; Mushtak and Lemire, 2023, proved that up to 19 digits
never need more). Longer numbers are bracketed by their first 19 digits and that plus one; the few
that stay undecided are reported as HARD and Python's float() reads them.

Slow twins: float() and `tsdb.parse.times.ticks_from_decimal`.
Price: 4 to 8 ns a number of up to 16 digits, 10 to 15 ns for 17 to 19.
"""

import numpy as np

from tsdb.codec.bits import bits_float, clz64, ctz64, float_bits, load8, load64, mulhi64
from tsdb.jit import forced, inlined

PAD_BYTES = 16

# What `number` found, and what `float64` and `ticks` made of it.
BAD, EXACT, LONG, HARD = 0, 1, 2, 3

U = np.uint64
U1, U8, U10 = U(1), U(8), U(10)
_ZEROS = U(0x3030303030303030)
_SIXES = U(0x7676767676767676)
_HIGHS = U(0x8080808080808080)
_PAIRS = U(0x000000FF000000FF)
_MUL_1, _MUL_2 = U(0x000F424000000064), U(0x0000271000000001)
_SIXTEEN, _THIRTY_TWO = U(16), U(32)

_EXACT_MANTISSA_MAX = U(1 << 53)
_HIDDEN_BIT = U(1 << 52)
_LOW_9, _LOW_2 = U(0x1FF), U(3)
_INFINITY = U(0x7FF << 52)
_INT64_MAX = U((1 << 63) - 1)
_EXPONENT_MIN, _EXPONENT_MAX = -342, 308

FLOAT_POWERS = np.array([10.0**k for k in range(23)])  # all exact
WORD_POWERS = np.array([10**k for k in range(20)], np.uint64)


def _powers_of_ten() -> np.ndarray:
    """The top 128 bits of 10^q as (high, low) for q in -342..308: cut for q >= 0, up for q < 0."""
    rows = []
    for q in range(_EXPONENT_MIN, _EXPONENT_MAX + 1):
        power = 5 ** abs(q)
        if q >= 0:
            size = power.bit_length()
            top = power << (128 - size) if size <= 128 else power >> (size - 128)
        else:
            bits = (power - 1).bit_length()
            top = (1 << (bits + 127 if q >= -27 else 2 * bits + 128)) // power + 1
            top >>= max(0, top.bit_length() - 128)
        rows.append((top >> 64, top & (1 << 64) - 1))
    return np.array(rows, np.uint64).ravel()


POWERS = _powers_of_ten()


@forced
def byte(data, p):
    """data[p] as int64: no test for a negative index, comparable with literals."""
    return np.int64(load8(data, p))


@forced
def digits(data, p, mantissa):
    """Append the run of digits at p to `mantissa` (wraps past 19): (mantissa, end)."""
    while True:
        word = load64(data, p) ^ _ZEROS
        # A byte's high bit is set where it is no digit; exact up to the first such byte.
        count = ctz64(((word + _SIXES) | word) & _HIGHS) >> U(3)
        if count == U(0):
            return mantissa, p
        word <<= (U8 - count) << U(3)  # leading zeros in front of fewer than eight digits
        word = word * U10 + (word >> U8)
        word = ((word & _PAIRS) * _MUL_1 + ((word >> _SIXTEEN) & _PAIRS) * _MUL_2) >> _THIRTY_TWO
        mantissa = mantissa * WORD_POWERS[count] + word
        p += np.int64(count)
        if count < U8:
            return mantissa, p


@inlined
def first_19(data, p, end):
    """The first 19 significant digits of data[p:end] (digits and a point), and how many it left."""
    mantissa = U(0)
    taken = 0
    left = 0
    while p < end:
        c = byte(data, p)
        p += 1
        if c == 46:
            continue
        if taken == 19:
            left += 1
            continue
        mantissa = mantissa * U10 + U(c - 48)
        if mantissa != U(0):
            taken += 1
    return mantissa, left


@inlined
def exponent(data, p):
    """A decimal exponent of one to five digits after the e: (value, end), end < 0 if it is none."""
    negative = byte(data, p) == 45
    if negative or byte(data, p) == 43:
        p += 1
    start = p
    value = 0
    while 48 <= byte(data, p) <= 57 and p - start < 6:
        value = value * 10 + byte(data, p) - 48
        p += 1
    if p == start or p - start > 5:
        return 0, -1
    return (-value if negative else value), p


@forced
def number(data, p):
    """JSON number at p: (negative, mantissa, exponent, end, BAD | EXACT | LONG).

    LONG: more than 19 significant digits; it lies in [mantissa, mantissa + 1] * 10^exponent.
    """
    negative = byte(data, p) == 45
    if negative:
        p += 1
    start = p
    mantissa, p = digits(data, p, U(0))
    count = p - start
    if count == 0 or (count > 1 and byte(data, start) == 48):
        return negative, mantissa, 0, p, BAD
    power = 0
    if byte(data, p) == 46:
        mantissa, end = digits(data, p + 1, mantissa)
        power = p + 1 - end
        count -= power
        p = end
        if power == 0:
            return negative, mantissa, 0, p, BAD
    end = p
    if (byte(data, p) | 32) == 101:
        extra, p = exponent(data, p + 1)
        if p < 0:
            return negative, mantissa, 0, end, BAD
        power += extra
    if count > 19:
        mantissa, left = first_19(data, start, end)
        if left > 0:
            return negative, mantissa, power + left, p, LONG
    return negative, mantissa, power, p, EXACT


@inlined
def eisel_lemire(mantissa, power):
    """Bits of the float64 nearest to mantissa * 10^power; infinity past the largest."""
    if mantissa == U(0) or power < _EXPONENT_MIN:
        return U(0)
    if power > _EXPONENT_MAX:
        return _INFINITY
    at = U(power - _EXPONENT_MIN) << U1
    zeros = clz64(mantissa)
    shifted = mantissa << zeros
    high = mulhi64(shifted, POWERS[at])
    low = shifted * POWERS[at]
    if (high & _LOW_9) == _LOW_9:
        second = mulhi64(shifted, POWERS[at + U1])
        low += second
        if low < second:
            high += U1
    top = high >> U(63)
    shift = top + U(9)
    result = high >> shift
    # floor(power * log2(10)), then the position of the top bit, then the bias.
    binary = ((217706 * power) >> 16) + 63 + np.int64(top) - np.int64(zeros) + 1023
    if binary <= 0:
        if binary < -62:
            return U(0)
        result >>= U(1 - binary)
        # 2^52 here is the smallest normal number, as bits and as value.
        return (result + (result & U1)) >> U1
    # Exactly halfway: only these powers can be; to even.
    if low <= U1 and -4 <= power <= 23 and (result & _LOW_2) == U1 and result << shift == high:
        result &= ~U1
    result = (result + (result & U1)) >> U1
    if result >= U(1 << 53):
        result = _HIDDEN_BIT
        binary += 1
    if binary >= 0x7FF:
        return _INFINITY
    return (result & ~_HIDDEN_BIT) | (U(binary) << U(52))


@forced
def float64(data, p):
    """JSON number at p as (bits of the nearest float64, end, BAD | EXACT | HARD).

    BAD as well when it is past the largest float64: nobody means infinity by 1e999.
    """
    negative, mantissa, power, end, kind = number(data, p)
    if kind == BAD:
        return U(0), end, BAD
    if kind == EXACT and mantissa <= _EXACT_MANTISSA_MAX and -22 <= power <= 22:
        value = np.float64(np.int64(mantissa))
        if power < 0:
            value /= FLOAT_POWERS[U(-power)]
        else:
            value *= FLOAT_POWERS[U(power)]
        bits = float_bits(value)
    else:
        bits = eisel_lemire(mantissa, power)
        above = eisel_lemire(mantissa + U1, power) if kind == LONG else bits
        if above == _INFINITY:
            return bits, end, BAD
        if above != bits:
            return bits, end, HARD
    return bits | (U(negative) << U(63)), end, EXACT


@forced
def ticks(data, p, scale):
    """JSON number at p times 10^scale as (nearest integer, ties up; end; BAD | EXACT | HARD).

    HARD: more than 19 digits or past int64; the slow twin decides.
    """
    negative, mantissa, power, end, kind = number(data, p)
    if kind != EXACT or end - p > 40:
        return 0, end, (BAD if kind == BAD else HARD)
    power += scale
    if power != 0 and mantissa != U(0):
        if power < -19 or power > 19:
            return 0, end, HARD
        if power > 0:
            step = WORD_POWERS[U(power)]
            if mantissa > _INT64_MAX // step:
                return 0, end, HARD
            mantissa *= step
        else:
            step = WORD_POWERS[U(-power)]
            half = step >> U1
            low = mantissa % step
            # Ties go up: away from zero above it, towards zero below.
            mantissa = mantissa // step + U(low > half or (low == half and not negative))
    if mantissa > _INT64_MAX:
        return 0, end, HARD
    whole = np.int64(mantissa)
    return (-whole if negative else whole), end, EXACT


@inlined
def float_of(bits):
    """The float64 of a bit pattern, for kernels that compare values."""
    return bits_float(bits)
