"""What travels in the log of a shard: the parts of one sender's group that concern it.

    in   Record
    out  bytes of one message (docs/format/record.md); and back, or CorruptionError

A record is appended whole or not at all, and applied whole, in the order of the log. Its payloads
are those of the single node's log (tsdb/log), except that refs in POINTS are the sender's own: a
replica knows what they mean from the definitions that came before (replication/senders.py). A
record without parts is a barrier: it changes nothing, and who appended it knows what came before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from tsdb import limits
from tsdb.errors import CorruptionError
from tsdb.log.protocol import Kind

__all__ = [
    "PART_BYTES_MAX",
    "RECORD_BYTES_MAX",
    "Part",
    "Record",
    "decode_record",
    "encode_record",
    "message_id",
]

MAGIC = b"SR"
VERSION = 1
PARTS_MAX = 1 << 16
RECORD_BYTES_MAX = 7 << 20  # of all parts: the log takes messages of 8 MiB
PART_BYTES_MAX = limits.ENTRY_BYTES_MAX - 1024  # with an envelope it is one entry of a log
_HEAD = struct.Struct("<2sBBHHQQ")  # magic, version, 0, shard, parts, sender, sender's seq
_PART = struct.Struct("<BI")  # kind, bytes
_CHECK = struct.Struct("<Q")  # xxh3_64 of all before
KINDS = frozenset(
    {Kind.POINTS, Kind.TOMBSTONE, Kind.METADATA, Kind.EXEMPLARS, Kind.CONTROL, Kind.MARK}
)


@dataclass(frozen=True, slots=True)
class Part:
    kind: Kind
    payload: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """`sender` is a process, `sender_seq` its count of records for this shard, from 1."""

    shard: int
    sender: int
    sender_seq: int
    parts: tuple[Part, ...]


def message_id(record: Record) -> str:
    """The same for every try to append this record: the log keeps one of them."""
    return f"{record.sender:016x}:{record.shard}:{record.sender_seq}"


def encode_record(record: Record) -> bytes:
    assert len(record.parts) < PARTS_MAX
    head = _HEAD.pack(
        MAGIC, VERSION, 0, record.shard, len(record.parts), record.sender, record.sender_seq
    )
    pieces = [head]
    for part in record.parts:
        pieces += [_PART.pack(part.kind, len(part.payload)), part.payload]
    data = b"".join(pieces)
    return data + _CHECK.pack(xxh3_64_intdigest(data))


def decode_record(data: bytes) -> Record:
    """Inverse of `encode_record`; CorruptionError on any other bytes."""
    if len(data) < _HEAD.size + _CHECK.size or data[:2] != MAGIC:
        raise CorruptionError(None, 0, f"{len(data)} bytes are no record of a shard")
    end = len(data) - _CHECK.size
    if xxh3_64_intdigest(data[:end]) != _CHECK.unpack_from(data, end)[0]:
        raise CorruptionError(None, 0, "checksum of a record does not hold")
    _, version, zero, shard, count, sender, sender_seq = _HEAD.unpack_from(data)
    if version != VERSION or zero:
        raise CorruptionError(None, 0, f"record of version {version}, {zero}")
    parts, at = [], _HEAD.size
    for _ in range(count):
        part, at = _part(data, at, end)
        parts.append(part)
    if at != end:
        raise CorruptionError(None, at, f"{end - at} bytes left over in a record")
    return Record(shard, sender, sender_seq, tuple(parts))


def _part(data: bytes, at: int, end: int) -> tuple[Part, int]:
    if at + _PART.size > end:
        raise CorruptionError(None, at, "a part of a record is cut off")
    kind, size = _PART.unpack_from(data, at)
    at += _PART.size
    if kind not in KINDS or at + size > end:
        raise CorruptionError(None, at, f"part of kind {kind} and {size} bytes in a record")
    return Part(Kind(kind), data[at : at + size]), at + size
