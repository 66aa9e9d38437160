"""Fields of a protobuf message, one by one: for what is too rare to have a kernel.

    in   bytes of a message
    out  (field number, wire type, value): an int for varints and fixed widths, bytes for the rest

Slow twin of `tsdb.parse.kernels.protobuf`: groups, field number 0 and varints of more than ten
bytes are InvalidInput here as there. Price: 1 µs a field.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tsdb.errors import InvalidInput

__all__ = ["double", "fields", "packed", "signed", "varint"]

VARINT, I64, LENGTH, I32 = 0, 1, 2, 5
VARINT_BYTES_MAX = 10
KEY_MAX = (1 << 32) - 1
_DOUBLE = struct.Struct("<d")


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(field number, wire type, value) in the order they stand."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, wire = key >> 3, key & 7
        if not number or key > KEY_MAX:
            raise InvalidInput(f"{key} is no protobuf field")
        if wire == VARINT:
            value, at = varint(message, at)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, at = varint(message, at)
        elif wire in (I64, I32):
            size = 8 if wire == I64 else 4
        else:
            raise InvalidInput(f"protobuf wire type {wire} is not one of 0, 1, 2, 5")
        piece = message[at : at + size]
        if len(piece) < size:
            raise InvalidInput("a protobuf field is cut off")
        at += size
        yield number, wire, piece if wire == LENGTH else int.from_bytes(piece, "little")


def packed(value: int | bytes) -> list[int]:
    """Numbers of a repeated varint field, packed or one alone."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        numbers.append(number)
    return numbers


def signed(value: int) -> int:
    """int64 of a varint."""
    return value - (1 << 64) if value >> 63 else value


def double(bits: int) -> float:
    found: float = _DOUBLE.unpack(bits.to_bytes(8, "little"))[0]
    return found


def varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for i, byte in enumerate(message[at : at + VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number & (1 << 64) - 1, at + i + 1
    raise InvalidInput("a protobuf varint is cut off or too long")
