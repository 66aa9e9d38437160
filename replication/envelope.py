"""How a part of a record lies in a node's own log: an entry of the kind REPLICATED.

    in   Arrived, of the log of a shard; Copied, of another node's copy of it
    out  the payload of an entry (docs/format/record.md); and back, or CorruptionError

Parts of one record are entries of their own, since the engine counts in those; the last one moves
the position. Its node writes them without a sync of their own: what a power cut takes away, the
log of the shard still has. Each names the digest of all records before its own, so that a replay
sees when one is missing in between.

A copy of a shard (replication/copying.py) begins with a part of the kind TOMBSTONE, which clears
what was there, and ends with one of the kind MARK, which says where in the log it stands. What
lies between names its series by refs of the copy's own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from replication.record import Part
from tsdb.errors import CorruptionError
from tsdb.log.protocol import Kind

__all__ = ["Arrived", "Copied", "decode_entry", "encode_arrived", "encode_copied"]

_HEAD = struct.Struct("<BBHIIQqQQQQ")
"""version, kind, shard, part, parts, seq, time, sender, sender's seq, digest before, and after"""
_COPIED = struct.Struct("<BBHQ")  # version, kind, shard, copy
VERSION, VERSION_COPIED = 1, 2


@dataclass(frozen=True, slots=True)
class Arrived:
    """Part `number` (from 0) of `parts` of the record at `seq` of its shard's log."""

    shard: int
    seq: int
    time_ns: int
    sender: int
    sender_seq: int
    number: int
    parts: int
    before: int
    chain: int
    part: Part

    @property
    def is_last(self) -> bool:
        return self.number == self.parts - 1


@dataclass(frozen=True, slots=True)
class Copied:
    """A part of a copy of a shard; `copy` is the number under which it is made."""

    shard: int
    copy: int
    part: Part


def encode_copied(copied: Copied) -> bytes:
    head = _COPIED.pack(VERSION_COPIED, copied.part.kind, copied.shard, copied.copy)
    return head + copied.part.payload


def decode_entry(payload: bytes) -> Arrived | Copied:
    """Raises CorruptionError for what is neither."""
    if payload[:1] != bytes([VERSION_COPIED]):
        return decode_arrived(payload)
    if len(payload) < _COPIED.size:
        raise CorruptionError(None, 0, f"{len(payload)} bytes are no part of a copy")
    _, kind, shard, copy = _COPIED.unpack_from(payload)
    if kind not in Kind.__members__.values():
        raise CorruptionError(None, 0, f"a part of a copy of kind {kind}")
    return Copied(shard, copy, Part(Kind(kind), payload[_COPIED.size :]))


def encode_arrived(arrived: Arrived) -> bytes:
    head = _HEAD.pack(
        VERSION,
        arrived.part.kind,
        arrived.shard,
        arrived.number,
        arrived.parts,
        arrived.seq,
        arrived.time_ns,
        arrived.sender,
        arrived.sender_seq,
        arrived.before,
        arrived.chain,
    )
    return head + arrived.part.payload


def decode_arrived(payload: bytes) -> Arrived:
    if len(payload) < _HEAD.size or payload[0] != VERSION:
        raise CorruptionError(None, 0, f"{len(payload)} bytes are no part of a record")
    _, kind, shard, number, parts, *places = _HEAD.unpack_from(payload)
    if number >= parts or kind not in Kind.__members__.values():
        raise CorruptionError(None, 0, f"part {number} of {parts}, kind {kind}")
    seq, time_ns, sender, sender_seq, before, chain = places
    part = Part(Kind(kind), payload[_HEAD.size :])
    return Arrived(shard, seq, time_ns, sender, sender_seq, number, parts, before, chain, part)
