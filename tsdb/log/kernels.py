"""Columns of log payloads in machine code: numbers with runs of zeros, trimmed values.

    number   LEB128; a zero is followed by how many more zeros come, LEB128 too
    value    control byte lead << 4 | trail, then the bytes of (bits XOR previous bits of the run)
             without its leading and trailing zero bytes, low byte first; 0x80: no change

A `get_` kernel reads any bytes: it returns the byte after the column, or 0 when the bytes end too
early, hold a number beyond 64 bits or say more than was asked for. docs/format/points.md.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import clz64, ctz64, store64
from tsdb.codec.kernels import get_uvarint, put_uvarint
from tsdb.jit import forced, kernel

U = np.uint64
U0, U1, U3, U4, U8, U15 = U(0), U(1), U(3), U(4), U(8), U(15)
UNCHANGED = U(0x80)
VALUE_BYTES_MAX, NUMBER_BYTES_MAX = 1 + 8 + 8, 20  # a value's last store spills up to 8 bytes

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_U64S = types.Array(types.uint64, 1, "C")


@kernel(types.uint64(_U64S, _OUT_BYTES, types.uint64))
def put_numbers(numbers, out, pos):
    """Append a column; `out` has NUMBER_BYTES_MAX a number. Returns the byte after it."""
    count = U(numbers.size)
    i = U0
    while i < count:
        x = numbers[i]
        pos = put_uvarint(out, pos, x)
        i += U1
        if x == U0:
            more = U0
            while i < count and numbers[i] == U0:
                more += U1
                i += U1
            pos = put_uvarint(out, pos, more)
    return pos


@kernel(types.uint64(_BYTES, types.uint64, types.uint64, _OUT_U64S))
def get_numbers(data, pos, end, out):
    """Read out.size numbers from data[pos:end]; the byte after them, or 0."""
    count = U(out.size)
    i = U0
    while i < count:
        x, pos = get_uvarint(data, pos, end)
        if pos == U0:
            return U0
        out[i] = x
        i += U1
        if x == U0:
            more, pos = get_uvarint(data, pos, end)
            if pos == U0 or more > count - i:
                return U0
            for _ in range(more):
                out[i] = U0
                i += U1
    return pos


@kernel(types.uint64(_I64S, _U64S, _OUT_BYTES, types.uint64))
def put_values(offsets, bits, out, pos):
    """Append the values of all runs; `out` has VALUE_BYTES_MAX a value."""
    for run in range(U(offsets.size - 1)):
        before = U0
        for i in range(U(offsets[run]), U(offsets[run + U1])):
            x = bits[i] ^ before
            before = bits[i]
            if x == U0:
                out[pos] = np.uint8(UNCHANGED)
                pos += U1
                continue
            lead = clz64(x) >> U3
            trail = ctz64(x) >> U3
            out[pos] = np.uint8((lead << U4) | trail)
            store64(out, pos + U1, x >> (trail << U3))
            pos += U1 + U8 - lead - trail
    return pos


@forced
def get_value(data, pos, end):
    """(xor, byte after it); the byte is 0 when there is no sound value."""
    if pos >= end:
        return U0, U0
    control = U(data[pos])
    pos += U1
    if control == UNCHANGED:
        return U0, pos
    lead = control >> U4
    trail = control & U15
    if lead + trail >= U8:
        return U0, U0
    size = U8 - lead - trail
    if pos + size > end:
        return U0, U0
    x = U0
    for k in range(size):
        x |= U(data[pos + k]) << (k << U3)
    return x << (trail << U3), pos + size


@kernel(types.uint64(_BYTES, types.uint64, types.uint64, _I64S, _OUT_U64S))
def get_values(data, pos, end, offsets, out):
    """Read the values of all runs from data[pos:end]; the byte after them, or 0."""
    for run in range(U(offsets.size - 1)):
        before = U0
        for i in range(U(offsets[run]), U(offsets[run + U1])):
            x, pos = get_value(data, pos, end)
            if pos == U0:
                return U0
            before ^= x
            out[i] = before
    return pos
