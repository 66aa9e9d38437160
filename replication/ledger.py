"""How far a node has come: a position in every log, and in every sender's count.

    in   steps: an entry of the node's own log, and what it brought
    out  positions now, and as of a checkpoint

A checkpoint names blocks that hold everything up to an entry that was applied a while ago. What
came after is in the node's own log, or if a power cut took that, in the logs of the shards. So a
checkpoint must say how far the logs were followed at that entry, not how far they are now.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from xxhash import xxh3_64_intdigest

from tsdb.errors import CorruptionError

__all__ = ["Ledger", "Place", "Step"]

_PLACES = struct.Struct("<II")  # shards, high marks
_PLACE = struct.Struct("<QQqI")  # seq, chain, newest time, incarnation
_MARK = struct.Struct("<QIQ")  # sender, shard, its seq
_CHAIN = struct.Struct("<Q")


@dataclass(slots=True)
class Place:
    """In the log of one shard."""

    seq: int = 0  # of the last record that was applied
    chain: int = 0  # digest of all records so far, in order
    newest_ns: int = 0  # time of the log, which never goes back
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One record, done with."""

    entry_seq: int  # of the node's own log
    shard: int
    seq: int
    time_ns: int
    sender: int
    sender_seq: int
    chain: int


@dataclass(slots=True)
class Ledger:
    """Positions after all steps so far, and those needed to tell earlier ones."""

    shards: int
    places: list[Place] = field(default_factory=list)
    high: dict[tuple[int, int], int] = field(default_factory=dict)  # (sender, shard) -> its seq
    _base: bytes = b""
    _since: deque[Step] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.places = self.places or [Place() for _ in range(self.shards)]
        self._base = self._packed()

    def is_done(self, sender: int, shard: int, sender_seq: int) -> bool:
        """Whether this record, or a later one of its sender, has had its effect."""
        return sender_seq <= self.high.get((sender, shard), 0)

    def chained(self, chain: int, data: bytes) -> int:
        """The digest of what came before, once `data` follows it."""
        return xxh3_64_intdigest(_CHAIN.pack(chain) + data)

    def take(self, step: Step) -> None:
        self._since.append(step)
        self._move(step)

    def pass_over(self, shard: int, seq: int) -> None:
        """A record without effect. A replay that comes here again passes over it again."""
        self.places[shard].seq = seq

    def state(self, entry_seq: int) -> bytes:
        """Positions as of an entry of the node's own log; earlier ones cannot be told any more."""
        now, self.places, self.high = (self.places, self.high), *_unpacked(self._base)
        while self._since and self._since[0].entry_seq <= entry_seq:
            self._move(self._since.popleft())
        self._base = self._packed()
        self.places, self.high = now
        return self._base

    def forget(self, senders: set[int]) -> None:
        self.high = {key: seq for key, seq in self.high.items() if key[0] not in senders}

    @classmethod
    def restored(cls, data: bytes) -> Ledger:
        """Inverse of `state`."""
        places, high = _unpacked(data)
        return cls(len(places), places, high)

    def _move(self, step: Step) -> None:
        place = self.places[step.shard]
        place.seq, place.chain = step.seq, step.chain
        place.newest_ns = max(place.newest_ns, step.time_ns)
        self.high[step.sender, step.shard] = step.sender_seq

    def _packed(self) -> bytes:
        places = [_PLACE.pack(p.seq, p.chain, p.newest_ns, p.incarnation) for p in self.places]
        marks = [_MARK.pack(sender, shard, seq) for (sender, shard), seq in self.high.items()]
        return _PLACES.pack(len(places), len(marks)) + b"".join(places + marks)


def _unpacked(data: bytes) -> tuple[list[Place], dict[tuple[int, int], int]]:
    shards, marks = _PLACES.unpack_from(data)
    if len(data) != _PLACES.size + shards * _PLACE.size + marks * _MARK.size:
        raise CorruptionError(None, 0, "positions in the logs are cut off")
    at = _PLACES.size
    places = []
    for number in range(shards):
        seq, chain, newest_ns, incarnation = _PLACE.unpack_from(data, at + number * _PLACE.size)
        places.append(Place(seq, chain, newest_ns, incarnation))
    at += shards * _PLACE.size
    high = {}
    for number in range(marks):
        sender, shard, seq = _MARK.unpack_from(data, at + number * _MARK.size)
        high[sender, shard] = seq
    return places, high
