"""How far a node has come: a position in every log, and in every sender's count.

    in   steps: an entry of the node's own log, and what it brought
    out  positions now, and as of a checkpoint

A checkpoint names blocks that hold everything up to an entry that was applied a while ago. What
came after is in the node's own log, or if a power cut took that, in the logs of the shards. So a
checkpoint must say how far the logs were followed at that entry, not how far they are now.

All here is a function of the records of each log, as far as it was followed: a sender is
forgotten by what others wrote to the log in which it was silent, never by a clock (a leader's may
jump), never by another log.
"""

from __future__ import annotations

import struct
from collections import ChainMap, deque
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace

from xxhash import xxh3_64_intdigest

from tsdb.errors import CorruptionError

__all__ = ["EXPIRY_RECORDS", "NEVER", "Landing", "Ledger", "Mark", "Place", "Step"]

EXPIRY_RECORDS = 1 << 20
"""A sender that was silent for so many messages of a log is new there; it reckons with it
(gateway.py). No message is under way for so long."""

NEVER = 2**64 - 1
"""A copy of the shard has begun here, and nobody knows where it ends."""

_PLACES = struct.Struct("<II")  # shards, high marks
_PLACE = struct.Struct("<QQqQI")  # seq, chain, newest time, whole at, parts
_MARK = struct.Struct("<QIQQ")  # sender, shard, its seq, seq in the log
_CHAIN = struct.Struct("<QQ")


@dataclass(slots=True)
class Place:
    """In the log of one shard."""

    seq: int = 0  # of the last record that was applied
    chain: int = 0  # digest of all records so far, in order
    newest_ns: int = 0  # time of the log, which never goes back
    whole_at: int = 0  # until there its points may be those of a later record
    parts: int = 0  # that were applied of the record after it

    @property
    def is_whole(self) -> bool:
        """Whether the points are those of all records so far, and of no other."""
        return self.seq >= self.whole_at


@dataclass(frozen=True, slots=True)
class Mark:
    """The last record of a sender in a shard."""

    seq: int
    at: int  # seq in the log


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a record, done with."""

    entry_seq: int  # of the node's own log
    shard: int
    seq: int
    time_ns: int
    sender: int
    sender_seq: int  # 0: no record, but a position
    chain: int  # with this record
    parts: int  # done with of this record; 0: all


@dataclass(frozen=True, slots=True)
class Landing:
    """A shard that does not come from its log: another node's copy of it, or nothing any more."""

    entry_seq: int  # of the node's own log
    shard: int
    place: Place
    marks: tuple[tuple[int, Mark], ...] = ()  # by sender


Marks = MutableMapping[tuple[int, int], Mark]  # of (sender, shard)


@dataclass(slots=True)
class Ledger:
    """Positions after all steps so far, and those needed to tell earlier ones."""

    shards: int
    places: list[Place] = field(default_factory=list)
    high: Marks = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)  # positions that the node's own log can tell
    _base: bytes = b""
    _since: deque[Step | Landing] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.places = self.places or [Place() for _ in range(self.shards)]
        self.kept = self.kept or [place.seq for place in self.places]
        self._base = self._base or self._packed()

    def is_new(self, sender: int, shard: int, seq: int) -> bool:
        """Whether nothing is known of a sender at this place of a log, or no longer."""
        mark = self.high.get((sender, shard))
        return mark is None or mark.at < seq - EXPIRY_RECORDS

    def is_done(self, sender: int, shard: int, sender_seq: int, seq: int) -> bool:
        """Whether this record, or a later one of its sender, has had its effect."""
        if self.is_new(sender, shard, seq):
            return False
        return sender_seq <= self.high[sender, shard].seq

    def chained(self, chain: int, check: int) -> int:
        """The digest of what came before, once a record with this checksum follows it."""
        return xxh3_64_intdigest(_CHAIN.pack(chain, check))

    def take(self, step: Step | Landing) -> None:
        self._since.append(step)
        self.move(step)

    def move(self, step: Step | Landing) -> None:
        """Positions after `step`; no checkpoint will know of it."""
        if isinstance(step, Landing):
            self._land(step)
            return
        place = self.places[step.shard]
        place.parts = step.parts
        if step.parts:
            return
        place.seq, place.chain = step.seq, step.chain
        place.newest_ns = max(place.newest_ns, step.time_ns)
        self.kept[step.shard] = step.seq
        if step.sender_seq:
            self.high[step.sender, step.shard] = Mark(step.sender_seq, step.seq)

    def _land(self, landing: Landing) -> None:
        shard = landing.shard
        self.places[shard] = replace(landing.place)
        self.kept[shard] = landing.place.seq
        for key in [key for key in self.high if key[1] == shard]:
            del self.high[key]
        for sender, mark in landing.marks:
            self.high[sender, shard] = mark

    def of_shard(self, shard: int) -> tuple[Place, tuple[tuple[int, Mark], ...]]:
        """Where it stands, and its marks by sender: what a copy of it has to say."""
        marks = tuple((key[0], mark) for key, mark in self.high.items() if key[1] == shard)
        return replace(self.places[shard]), marks

    def pass_over(self, shard: int, seq: int, time_ns: int) -> None:
        """A record without effect. A replay that comes here again passes over it again."""
        place = self.places[shard]
        place.seq, place.newest_ns = seq, max(place.newest_ns, time_ns)

    def ahead(self) -> Ledger:
        """Another one, to see where steps would lead; this one does not move with it."""
        high: Marks = ChainMap({}, self.high)
        places = [replace(place) for place in self.places]
        return Ledger(self.shards, places, high, list(self.kept), self._base)

    def state(self, entry_seq: int) -> bytes:
        """Positions as of an entry of the node's own log; earlier ones cannot be told any more."""
        then = Ledger(self.shards, *_unpacked(self._base))
        while self._since and self._since[0].entry_seq <= entry_seq:
            then.move(self._since.popleft())
        then.forget()
        self.forget()
        self._base = then._packed()
        return self._base

    def forget(self) -> None:
        """Drop senders that are new again: who asks for them hears the same."""
        gone = [key for key in self.high if self.is_new(*key, self.places[key[1]].seq)]
        for key in gone:
            del self.high[key]

    def senders(self) -> set[int]:
        """Numbers that a replay from the last checkpoint, or what comes now, may build upon."""
        _, high = _unpacked(self._base)
        return {sender for sender, _ in (*high, *self.high)}

    @classmethod
    def restored(cls, data: bytes) -> Ledger:
        """Inverse of `state`. Raises CorruptionError for other bytes."""
        places, high = _unpacked(data)
        return cls(len(places), places, high)

    def _packed(self) -> bytes:
        places = [
            _PLACE.pack(p.seq, p.chain, p.newest_ns, p.whole_at, p.parts) for p in self.places
        ]
        marks = [
            _MARK.pack(sender, shard, mark.seq, mark.at)
            for (sender, shard), mark in self.high.items()
        ]
        return _PLACES.pack(len(places), len(marks)) + b"".join(places + marks)


def _unpacked(data: bytes) -> tuple[list[Place], Marks]:
    if len(data) < _PLACES.size:
        raise CorruptionError(None, 0, "positions in the logs are cut off")
    shards, marks = _PLACES.unpack_from(data)
    if not shards or len(data) != _PLACES.size + shards * _PLACE.size + marks * _MARK.size:
        raise CorruptionError(None, 0, "positions in the logs are cut off")
    begin = _PLACES.size
    end = begin + shards * _PLACE.size
    places = [Place(*fields) for fields in _PLACE.iter_unpack(data[begin:end])]
    high: Marks = {}
    for sender, shard, seq, at in _MARK.iter_unpack(data[end:]):
        if shard >= shards:
            raise CorruptionError(None, 0, f"a sender's mark in shard {shard} of {shards}")
        high[sender, shard] = Mark(seq, at)
    return places, high
