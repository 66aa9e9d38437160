"""A node's copy of its shards: the machine that follows their logs.

    in   parts of records, in the order of each log (`apply_arrived`; `apply` at a replay)
    out  points in the node's engine, positions, digests

It reads no clock, no random, no local setting: whoever applies the same records has the same
points. Logs of different shards may be followed at any pace against each other, since no record
touches a series of another shard.
"""

from __future__ import annotations

import struct
import threading

import numpy as np

from replication.arrivals import step_of
from replication.copying import Standing, decode_standing
from replication.envelope import Arrived, Copied, decode_entry
from replication.ledger import NEVER, Landing, Ledger, Place
from replication.senders import Senders
from tsdb.batch import Batch, SeriesDefinitions
from tsdb.engine.engine import Engine, definitions_only
from tsdb.errors import CorruptionError, TSDBError
from tsdb.log.annotations import decode_exemplars, decode_metadata
from tsdb.log.control import decode_control, decode_delete
from tsdb.log.points import decode_points
from tsdb.log.protocol import Entry, Kind

__all__ = ["SIZES", "Replica"]

SIZES = struct.Struct("<II")  # bytes of ledger, bytes of senders


class Replica:
    """All shards of one node. One thread applies; `state` and the positions from any."""

    def __init__(
        self, engine: Engine, shards: int, state: bytes | None = None, base: int = 0
    ) -> None:
        """`base` stands for points that were here before any record."""
        self.lock = threading.Lock()
        self.stopped: dict[int, TSDBError] = {}  # shards that cannot go on, and why
        self._engine = engine
        self._copies: dict[int, int | None] = {}  # by number: the entry with which it ended
        if state is None:
            places = [Place(chain=base) for _ in range(shards)]
            self.ledger, self._senders = Ledger(shards, places), Senders()
        else:
            self.ledger, self._senders = _restored(state)
            known = self.ledger.senders()
            self._copies = {s.number: None for s in self._senders if s.number not in known}
        if len(self.ledger.places) != shards:
            raise CorruptionError(
                None,
                0,
                f"the data is of {len(self.ledger.places)} shards, the settings say {shards}",
            )

    def apply(self, entry: Entry) -> None:
        """An entry of the node's own log, when that is replayed."""
        arrived = decode_entry(entry.payload)
        if isinstance(arrived, Copied):
            try:
                self.apply_copied(entry.seq, arrived)
            except CorruptionError as error:
                self.stopped[arrived.shard] = error
            return
        if arrived.shard in self.stopped or not self._follows(arrived):
            return
        try:
            self.apply_arrived(entry.seq, arrived)
        except CorruptionError as error:  # the other shards are sound
            self.stopped[arrived.shard] = error

    def _follows(self, arrived: Arrived) -> bool:
        """Whether nothing is missing before it; else the log of the shard is read from there."""
        if arrived.shard >= len(self.ledger.places):
            return False
        place = self.ledger.places[arrived.shard]
        if arrived.before != place.chain or arrived.seq <= place.seq:
            return False
        return arrived.number in (0, place.parts)

    def apply_arrived(self, entry_seq: int, arrived: Arrived, own: Batch | None = None) -> int:
        """A part, under the entry it has in the node's own log; the series a delete touched.

        `own` is what the part says, if this node has it decoded still. Raises CorruptionError
        when it cannot be what the log of the shard holds.
        """
        with self.lock:  # a checkpoint has it whole or not at all
            touched = self._apply(entry_seq, arrived, own)
            self.ledger.take(step_of(entry_seq, arrived))
        return touched

    def apply_copied(self, entry_seq: int, copied: Copied) -> None:
        """A part of a copy. Raises CorruptionError when it cannot be one."""
        kind, payload, shard = copied.part.kind, copied.part.payload, copied.shard
        with self.lock:
            self._copies[copied.copy] = None
            if kind == Kind.MARK:
                self._land(entry_seq, copied, decode_standing(payload))
            elif kind in (Kind.SERIES, Kind.POINTS):
                batch = self._under_own_refs(copied.copy, decode_points(payload))
                self._engine.apply_batch(entry_seq, batch)
            else:
                self._apply_plain(entry_seq, kind, payload)
            if kind == Kind.TOMBSTONE:
                self.stopped.pop(shard, None)
                self.ledger.take(Landing(entry_seq, shard, Place(whole_at=NEVER)))

    def abandon(self) -> None:
        """Copies that have not ended will not: nobody brings more of them."""
        with self.lock:
            self._copies = {copy: end for copy, end in self._copies.items() if end is not None}

    def _land(self, entry_seq: int, copied: Copied, standing: Standing) -> None:
        """All of it is here: the shard goes on behind it, and its senders are known."""
        copy = self._senders.of(copied.copy)
        for number, theirs, refs in standing.senders:
            self._senders.of(number).define(theirs, copy.ours(refs))
        self._engine.apply_batch(entry_seq, definitions_only(SeriesDefinitions.none()))
        self.ledger.take(Landing(entry_seq, copied.shard, standing.place, standing.marks))
        self._copies[copied.copy] = entry_seq

    def standing(self, shard: int) -> Standing | None:
        """Where a shard stands, for a copy of it; None in the middle of a record."""
        places = self._engine.registry.places(len(self.ledger.places))
        with self.lock:
            place, marks = self.ledger.of_shard(shard)
            if place.parts:
                return None
            senders = []
            for number, _ in marks:
                sender = self._senders.of(number)
                refs, theirs = sender.named(places.within(sender.known(), [shard]))
                senders.append((number, theirs, refs))
        return Standing(place, marks, tuple(senders))

    def _apply(self, entry_seq: int, arrived: Arrived, own: Batch | None) -> int:
        kind, payload = arrived.part.kind, arrived.part.payload
        if kind == Kind.POINTS:
            batch = decode_points(payload) if own is None else own
            if self.ledger.is_new(arrived.sender, arrived.shard, arrived.seq):
                batch = _self_contained(batch)
            self._engine.apply_batch(entry_seq, self._under_own_refs(arrived.sender, batch))
            return 0
        return self._apply_plain(entry_seq, kind, payload)

    def _apply_plain(self, entry_seq: int, kind: Kind, payload: bytes) -> int:
        """A part that names no series by ref; series that a delete touched."""
        touched = 0
        if kind == Kind.TOMBSTONE:
            touched = self._engine.apply_delete(entry_seq, decode_delete(payload))
        elif kind == Kind.CONTROL:
            self._engine.apply_horizon(entry_seq, decode_control(payload))
        elif kind == Kind.METADATA:
            self._engine.apply_metadata(entry_seq, decode_metadata(payload))
        elif kind == Kind.EXEMPLARS:
            self._engine.apply_exemplars(entry_seq, decode_exemplars(payload))
        elif kind != Kind.MARK:  # which is a position and nothing else
            raise CorruptionError(None, 0, f"a record with a part of kind {kind.name}")
        return touched

    def _under_own_refs(self, sender_number: int, batch: Batch) -> Batch:
        """The points of a sender, or a copy; series this node has not seen begin here."""
        sender, theirs = self._senders.of(sender_number), batch.definitions
        new = SeriesDefinitions.none()
        if theirs.count:
            data = np.frombuffer(theirs.keys, np.uint8)
            refs, new = self._engine.registry.assign_many(data, theirs.offsets)
            sender.define(theirs.refs, refs)
        return Batch(sender.ours(batch.refs), batch.columns, new)

    def state(self, seq: int) -> bytes:
        with self.lock:
            ledger = self.ledger.state(seq)
            ended = [copy for copy, end in self._copies.items() if end is not None and end <= seq]
            for copy in ended:
                del self._copies[copy]
            self._senders.retain(self.ledger.senders() | self._copies.keys())
            senders = self._senders.state()
        return SIZES.pack(len(ledger), len(senders)) + ledger + senders

    def positions(self) -> list[int]:
        with self.lock:
            return [place.seq for place in self.ledger.places]

    def is_whole(self, shard: int) -> bool:
        """Whether a shard's points are those of its position, and not half of a copy."""
        return self.ledger.places[shard].is_whole

    def is_empty(self, shard: int) -> bool:
        """Whether nothing was ever put into it here, or all of it is gone."""
        return self.ledger.places[shard] == Place()

    def chains(self) -> list[tuple[int, int]]:
        """(position, digest of all records up to it) of each shard."""
        with self.lock:
            return [(place.seq, place.chain) for place in self.ledger.places]


def _self_contained(batch: Batch) -> Batch:
    """The batch, or nothing of it when it builds upon records of a sender that was forgotten.

    Some nodes may know those still, and all must do the same. Its sender sees by the position it
    is acked with that this may have happened, and does not answer that it is kept (gateway.py).
    """
    if np.isin(batch.refs, batch.definitions.refs).all():
        return batch
    return definitions_only(batch.definitions)


def _restored(state: bytes) -> tuple[Ledger, Senders]:
    if len(state) < SIZES.size:
        raise CorruptionError(None, 0, "state of the replica is cut off")
    ledger_bytes, senders_bytes = SIZES.unpack_from(state)
    at = SIZES.size + ledger_bytes
    if len(state) != at + senders_bytes:
        raise CorruptionError(None, 0, "state of the replica is cut off")
    return Ledger.restored(state[SIZES.size : at]), Senders.restored(state[at:])
