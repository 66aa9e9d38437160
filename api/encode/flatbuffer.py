"""Flatbuffers, as far as Arrow's messages need them.

    in   Table of slots: scalars, texts, vectors, tables
    out  bytes, a multiple of 8

Written front to back: a table, then what it refers to, so every reference points forward as the
format wants it; each table has its own vtable in front. All tables and the items of all vectors
start at multiples of 8, which is more than any field needs. Format: flatbuffers.dev, "Internals".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Field", "Table", "Text", "Vector", "serialized"]


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    text: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Tables, or structs of a multiple of 8 bytes that are packed already."""

    items: Sequence[Table | bytes]


@dataclass(frozen=True, slots=True)
class Table:
    """Fields by slot number: (struct format, scalar) or what the field refers to."""

    slots: Mapping[int, Field]


Field: TypeAlias = "tuple[str, int] | Text | Vector | Table"


def serialized(root: Table) -> bytes:
    """The buffer with `root` as its root table."""
    out = bytearray(4)
    struct.pack_into("<I", out, 0, _put_table(out, root))
    _align(out, 8)
    return bytes(out)


def _put_table(out: bytearray, table: Table) -> int:
    """Append vtable, table and all it refers to; the table's position."""
    slots = max(table.slots, default=-1) + 1
    vtable_size = 4 + 2 * slots
    _align(out, 8, ahead=vtable_size)
    vtable = len(out)
    start = vtable + vtable_size
    offsets, size = _field_offsets(table)
    out += struct.pack("<HH", vtable_size, size)
    out += struct.pack(f"<{slots}H", *(offsets.get(slot, 0) for slot in range(slots)))
    out += bytes(size)
    struct.pack_into("<i", out, start, vtable_size)
    for slot, field in table.slots.items():
        at = start + offsets[slot]
        if isinstance(field, tuple):
            struct.pack_into("<" + field[0], out, at, field[1])
        else:
            _refer(out, at, field)
    return start


def _field_offsets(table: Table) -> tuple[dict[int, int], int]:
    """Where each field lies in the table, and the table's size."""
    offsets: dict[int, int] = {}
    size = 4  # the reference to the vtable
    for slot, field in table.slots.items():
        width = struct.calcsize("<" + field[0]) if isinstance(field, tuple) else 4
        size = -(-size // width) * width
        offsets[slot] = size
        size += width
    return offsets, size


def _refer(out: bytearray, at: int, field: Text | Vector | Table) -> None:
    """Append `field` and let the four bytes at `at` point to it."""
    if isinstance(field, Table):
        target = _put_table(out, field)
    elif isinstance(field, Text):
        _align(out, 4)
        target = len(out)
        text = field.text.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    else:
        target = _put_vector(out, field)
    struct.pack_into("<I", out, at, target - at)


def _put_vector(out: bytearray, vector: Vector) -> int:
    _align(out, 8, ahead=4)
    target = len(out)
    out += struct.pack("<I", len(vector.items))
    for item in vector.items:
        out += item if isinstance(item, bytes) else bytes(4)
    for i, item in enumerate(vector.items):
        if not isinstance(item, bytes):
            _refer(out, target + 4 + 4 * i, item)
    return target


def _align(out: bytearray, size: int, *, ahead: int = 0) -> None:
    """Pad so that what comes `ahead` bytes later starts at a multiple of `size`."""
    out += bytes(-(len(out) + ahead) % size)
