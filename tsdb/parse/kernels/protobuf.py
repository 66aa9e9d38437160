"""Protobuf's wire format in machine code: what every walker over a message needs.

    in   bytes of a body followed by at least PAD_BYTES more; a position p and the end of the
         message, p <= end
    out  (value, next position), or a next position of BAD (-1) where the bytes are no message

A walker is a loop over keys: read one, take the fields it knows, `skip` the others. Every position
handed back lies within (p, end], so loops end and nothing behind the message is ever used; eight
bytes behind it may be read.

    while p < end:
        key, p = varint(data, p, end)
        if p < 0: return WRONG
        if key == LABELS:                       # number << 3 | wire type
            start, p = length_delimited(data, p, end)
        else:
            p = skip(data, p, end, key)
        if p < 0: return WRONG

Field number 0, groups (wire types 3 and 4) and varints of more than ten bytes are BAD: no sender
of metrics writes them. Senders may write a field twice (the last one counts) and must not be
relied on to write fields in order. proto3 leaves fields out that are 0 or empty.

Source: https://protobuf.dev/programming-guides/encoding/
Price: 1 ns a varint.
"""

import numpy as np

from tsdb.codec.bits import ctz64, load8, load64
from tsdb.jit import forced, inlined

# Wire types.
VARINT, I64, LENGTH, I32 = 0, 1, 2, 5
PAD_BYTES = 16
BAD = -1

U = np.uint64
_HIGHS = U(0x8080808080808080)
_SEVENS = U(0x7F7F7F7F7F7F7F7F)
_FOURTEENS_LOW, _FOURTEENS_HIGH = U(0x007F007F007F007F), U(0x7F007F007F007F00)
_TWENTY_EIGHTS_LOW, _TWENTY_EIGHTS_HIGH = U(0x00003FFF00003FFF), U(0x3FFF00003FFF0000)
_LOW, _HIGH = U(0x000000000FFFFFFF), U(0x0FFFFFFF00000000)


@forced
def varint(data, p, end):
    """(uint64, next position) of the varint at p; (0, BAD) if it does not end before `end`."""
    word = load64(data, p)
    if word & U(0x80) == U(0):
        return (word & U(0x7F), p + 1) if p < end else (U(0), BAD)
    return _wide_varint(data, p, end, word)


@inlined
def _wide_varint(data, p, end, word):
    """Two bytes or more."""
    stops = ~word & _HIGHS
    if stops == U(0):
        return _long_varint(data, p, end, word)
    last = ctz64(stops)  # bit 7 of the last byte
    after = p + np.int64(last >> U(3)) + 1
    if after > end:
        return U(0), BAD
    return _seven_bits(word & (U(0xFFFFFFFFFFFFFFFF) >> (U(63) - last))), after


@inlined
def _seven_bits(word):
    """The low seven bits of each of eight bytes, put together."""
    word = word & _SEVENS
    word = (word & _FOURTEENS_LOW) | ((word & _FOURTEENS_HIGH) >> U(1))
    word = (word & _TWENTY_EIGHTS_LOW) | ((word & _TWENTY_EIGHTS_HIGH) >> U(2))
    return (word & _LOW) | ((word & _HIGH) >> U(4))


@inlined
def _long_varint(data, p, end, word):
    """Nine or ten bytes: what is negative. Bits past the 64th are dropped, as protobuf does."""
    value = _seven_bits(word)
    ninth = load8(data, p + 8)
    value |= (ninth & U(0x7F)) << U(56)
    if ninth < U(0x80):
        return (value, p + 9) if p + 9 <= end else (U(0), BAD)
    tenth = load8(data, p + 9)
    if tenth >= U(0x80) or p + 10 > end:
        return U(0), BAD
    return value | (tenth & U(1)) << U(63), p + 10


@forced
def length_delimited(data, p, end):
    """(start, end) of the bytes whose length stands at p: the end is also the next position."""
    size, start = varint(data, p, end)
    if start < 0 or size > U(end - start):
        return p, BAD
    return start, start + np.int64(size)


@forced
def fixed64(data, p, end):
    """(uint64, next position) of eight bytes: a double's bits, sfixed64, fixed64."""
    return (load64(data, p), p + 8) if p + 8 <= end else (U(0), BAD)


@inlined
def zigzag(value):
    """int64 of a sint64 varint."""
    return np.int64(value >> U(1)) ^ -np.int64(value & U(1))


@inlined
def skip(data, p, end, key):
    """Next position after the value at p of a field that nobody wants; `key` is what led to it."""
    wire = key & U(7)
    if key < U(8) or key > U(0xFFFFFFFF):
        return BAD
    if wire == U(LENGTH):
        _, after = length_delimited(data, p, end)
        return after
    if wire == U(VARINT):
        _, after = varint(data, p, end)
        return after
    if wire == U(I64):
        return p + 8 if p + 8 <= end else BAD
    if wire == U(I32):
        return p + 4 if p + 4 <= end else BAD
    return BAD
