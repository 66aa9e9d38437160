"""Payloads of the entries that are not points: deletes and the retention horizon.

    in   Tombstone, Horizon
    out  bytes of a TOMBSTONE or CONTROL entry; docs/format/control.md is the layout

Control travels in the log like everything else, so a replay or a replica deletes and forgets
at the same position as the first run did. A selector travels as text: it is evaluated where it
is applied, against the series known at that position.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tsdb.errors import CorruptionError

_RANGE = struct.Struct("<qq")
_CONTROL = struct.Struct("<Bq")
_HORIZON = 1
EXACTLY = "="  # and the hexadecimal digits of a canonical key
OF_SHARD = "%"  # and `shard/shards:` and a selector


@dataclass(frozen=True, slots=True)
class Delete:
    """Points of the series that match `selector`, from `start` to `end` ticks inclusive.

    A selector that begins with EXACTLY, which no selector in a question can, means one series;
    one that begins with OF_SHARD those of one shard that the rest of it means.
    """

    selector: str
    start: int
    end: int

    @classmethod
    def of_key(cls, key: bytes, start: int, end: int) -> Delete:
        """Of the series with this canonical key and no other."""
        return cls(EXACTLY + key.hex(), start, end)

    def of_shard(self, shard: int, shards: int) -> Delete:
        """The part of it that concerns one shard of a cluster."""
        if self.selector.startswith((EXACTLY, OF_SHARD)):
            return self
        return Delete(f"{OF_SHARD}{shard}/{shards}:{self.selector}", self.start, self.end)

    def __post_init__(self) -> None:
        assert self.start <= self.end


@dataclass(frozen=True, slots=True)
class Horizon:
    """Points older than `ticks` are gone and refused. Only ever moves forward."""

    ticks: int


def encode_delete(delete: Delete) -> bytes:
    return _RANGE.pack(delete.start, delete.end) + delete.selector.encode()


def decode_delete(payload: bytes) -> Delete:
    """Raises CorruptionError when the payload is none that `encode_delete` makes."""
    if len(payload) < _RANGE.size:
        raise CorruptionError(None, 0, f"tombstone of {len(payload)} bytes, need {_RANGE.size}")
    start, end = _RANGE.unpack_from(payload)
    if start > end:
        raise CorruptionError(None, 0, f"tombstone range {start} to {end} is reversed")
    try:
        return Delete(payload[_RANGE.size :].decode(), start, end)
    except UnicodeDecodeError as error:
        raise CorruptionError(None, _RANGE.size, f"tombstone selector: {error}") from error


def shard_of(selector: str) -> tuple[int, int, str] | None:
    """The shard, how many there are, and the selector within, None if it is for all shards.

    Raises CorruptionError when it begins like one and is none.
    """
    if not selector.startswith(OF_SHARD):
        return None
    place, colon, within = selector[len(OF_SHARD) :].partition(":")
    shard, _, shards = place.partition("/")
    if not (colon and shard.isdecimal() and shards.isdecimal() and int(shard) < int(shards)):
        raise CorruptionError(None, _RANGE.size, f"tombstone shard: {selector[:40]}")
    return int(shard), int(shards), within


def key_of(selector: str) -> bytes | None:
    """The canonical key in the selector of a delete, None if it names series by matchers.

    Raises CorruptionError when it is neither; whether the key is canonical is not looked at.
    """
    if not selector.startswith(EXACTLY):
        return None
    try:
        return bytes.fromhex(selector[len(EXACTLY) :])
    except ValueError as error:
        raise CorruptionError(None, _RANGE.size, f"tombstone key: {error}") from error


def encode_horizon(horizon: Horizon) -> bytes:
    return _CONTROL.pack(_HORIZON, horizon.ticks)


def decode_control(payload: bytes) -> Horizon:
    """Raises CorruptionError when the payload is none that this version knows."""
    if len(payload) != _CONTROL.size:
        raise CorruptionError(None, 0, f"control entry of {len(payload)} bytes")
    kind, ticks = _CONTROL.unpack(payload)
    if kind != _HORIZON:
        raise CorruptionError(None, 0, f"control entry of unknown type {kind}")
    return Horizon(ticks)
