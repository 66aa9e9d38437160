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
from replication.envelope import Arrived, decode_arrived
from replication.ledger import Ledger
from replication.senders import Senders
from tsdb.batch import Batch, SeriesDefinitions
from tsdb.engine.engine import Engine, definitions_only
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
        if len(self.ledger.places) != shards:
            raise CorruptionError(
                None,
                0,
                f"the data is of {len(self.ledger.places)} shards, the settings say {shards}",
            )

    def apply(self, entry: Entry) -> None:
        """An entry of the node's own log, when that is replayed."""
        arrived = decode_arrived(entry.payload)
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

    def _apply(self, entry_seq: int, arrived: Arrived, own: Batch | None) -> int:
        kind, payload = arrived.part.kind, arrived.part.payload
        touched = 0
        if kind == Kind.POINTS:
            batch = self._ours(arrived, decode_points(payload) if own is None else own)
            self._engine.apply_batch(entry_seq, batch)
        elif kind == Kind.TOMBSTONE:
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

    def _ours(self, arrived: Arrived, batch: Batch) -> Batch:
        """The same points under this node's refs; series it has not seen begin here."""
        number, theirs = arrived.sender, batch.definitions
        new = SeriesDefinitions.none()
        if self.ledger.is_new(number, arrived.shard, arrived.seq):
            batch = _self_contained(batch)
        sender = self._senders.of(number)
        if theirs.count:
            data = np.frombuffer(theirs.keys, np.uint8)
            refs, new = self._engine.registry.assign_many(data, theirs.offsets)
            sender.define(theirs.refs, refs)
        return Batch(sender.ours(batch.refs), batch.columns, new)

    def state(self, seq: int) -> bytes:
        with self.lock:
            ledger = self.ledger.state(seq)
            self._senders.retain(self.ledger.senders())
            senders = self._senders.state()
        return _SIZES.pack(len(ledger), len(senders)) + ledger + senders

    def positions(self) -> list[int]:
        with self.lock:
            return [place.seq for place in self.ledger.places]

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
    if len(state) < _SIZES.size:
        raise CorruptionError(None, 0, "state of the replica is cut off")
    ledger_bytes, senders_bytes = _SIZES.unpack_from(state)
    at = _SIZES.size + ledger_bytes
    if len(state) != at + senders_bytes:
        raise CorruptionError(None, 0, "state of the replica is cut off")
    return Ledger.restored(state[_SIZES.size : at]), Senders.restored(state[at:])
