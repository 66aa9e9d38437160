"""A node's copy of its shards: the machine that follows their logs.

    in   parts of records, in the order of each log (`apply`, `apply_arrived`)
    out  points in the node's engine, positions, digests

It reads no clock, no random, no local setting: whoever applies the same records has the same
points. Logs of different shards may be followed at any pace against each other, since no record
touches a series of another shard.
"""

from __future__ import annotations

import struct
import threading

import numpy as np

from replication.envelope import Arrived, decode_arrived
from replication.ledger import Ledger, Step
from replication.senders import Senders
from tsdb.batch import Batch, SeriesDefinitions
from tsdb.engine.engine import Engine
from tsdb.errors import CorruptionError, TSDBError
from tsdb.log.annotations import decode_exemplars, decode_metadata
from tsdb.log.control import decode_control, decode_delete
from tsdb.log.points import decode_points
from tsdb.log.protocol import Entry, Kind

__all__ = ["Replica"]

_SIZES = struct.Struct("<II")  # bytes of ledger, bytes of senders


class Replica:
    """All shards of one node. One thread applies; `state` and the positions from any."""

    def __init__(self, engine: Engine, shards: int, state: bytes | None = None) -> None:
        self.lock = threading.Lock()
        self.stopped: dict[int, TSDBError] = {}  # shards that cannot go on, and why
        self._engine = engine
        if state is None:
            self.ledger, self._senders = Ledger(shards), Senders()
        else:
            self.ledger, self._senders = _restored(state)
        self._chains = [place.chain for place in self.ledger.places]  # of a record under way, too
        if len(self.ledger.places) != shards:
            raise CorruptionError(
                None,
                0,
                f"the data is of {len(self.ledger.places)} shards, the settings say {shards}",
            )

    def apply(self, entry: Entry) -> None:
        """An entry of the node's own log, when that is replayed."""
        arrived = decode_arrived(entry.payload)
        if arrived.shard in self.stopped:
            return
        try:
            self.apply_arrived(entry.seq, arrived)
        except CorruptionError as error:  # the other shards are sound
            self.stopped[arrived.shard] = error

    def apply_arrived(self, entry_seq: int, arrived: Arrived, own: Batch | None = None) -> int:
        """A part, under the entry it has in the node's own log; the series a delete touched.

        `own` is what the part says, if this node has it decoded still. Raises CorruptionError
        when it cannot be what the log of the shard holds.
        """
        kind, payload = arrived.part.kind, arrived.part.payload
        touched = 0
        if kind == Kind.POINTS:
            batch = decode_points(payload) if own is None else own
            self._engine.apply_batch(entry_seq, self._ours(arrived.sender, batch))
        elif kind == Kind.TOMBSTONE:
            touched = self._engine.apply_delete(entry_seq, decode_delete(payload))
        elif kind == Kind.CONTROL:
            self._engine.apply_horizon(entry_seq, decode_control(payload))
        elif kind == Kind.METADATA:
            self._engine.apply_metadata(entry_seq, decode_metadata(payload))
        elif kind == Kind.EXEMPLARS:
            self._engine.apply_exemplars(entry_seq, decode_exemplars(payload))
        else:
            raise CorruptionError(None, 0, f"a record with a part of kind {kind.name}")
        with self.lock:
            self._move(entry_seq, arrived)
        return touched

    def _ours(self, number: int, batch: Batch) -> Batch:
        """The same points under this node's refs; series it has not seen begin here."""
        sender, theirs = self._senders.of(number), batch.definitions
        new = SeriesDefinitions.none()
        if theirs.count:
            data = np.frombuffer(theirs.keys, np.uint8)
            refs, new = self._engine.registry.assign_many(data, theirs.offsets)
            sender.define(theirs.refs, refs)
        return Batch(sender.ours(batch.refs), batch.columns, new)

    def _move(self, entry_seq: int, arrived: Arrived) -> None:
        ledger, shard = self.ledger, arrived.shard
        before = self._chains[shard] if arrived.number else ledger.places[shard].chain
        chain = self._chains[shard] = ledger.chained(before, arrived.part.payload)
        if not arrived.is_last:
            return
        sender = self._senders.of(arrived.sender)
        sender.newest_ns = max(sender.newest_ns, arrived.time_ns)
        ledger.take(
            Step(
                entry_seq,
                shard,
                arrived.seq,
                arrived.time_ns,
                arrived.sender,
                arrived.sender_seq,
                chain,
            )
        )

    def state(self, seq: int) -> bytes:
        with self.lock:
            newest = max(place.newest_ns for place in self.ledger.places)
            self.ledger.forget(self._senders.expire(newest))
            ledger, senders = self.ledger.state(seq), self._senders.state()
        return _SIZES.pack(len(ledger), len(senders)) + ledger + senders

    def positions(self) -> list[int]:
        with self.lock:
            return [place.seq for place in self.ledger.places]

    def chains(self) -> list[tuple[int, int]]:
        """(position, digest of all records up to it) of each shard."""
        with self.lock:
            return [(place.seq, place.chain) for place in self.ledger.places]


def _restored(state: bytes) -> tuple[Ledger, Senders]:
    ledger_bytes, senders_bytes = _SIZES.unpack_from(state)
    at = _SIZES.size + ledger_bytes
    if len(state) != at + senders_bytes:
        raise CorruptionError(None, 0, "state of the replica is cut off")
    return Ledger.restored(state[_SIZES.size : at]), Senders.restored(state[at:])
