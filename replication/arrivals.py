"""What a message of a shard's log means for a node: the decisions, without any I/O.

    in   messages, in the order of each log
    out  parts to be written and applied; nothing for a duplicate or a barrier

Several are judged before the first is applied, each as if those before it had been.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from replication.envelope import Arrived
from replication.ledger import Ledger, Step
from replication.record import PART_BYTES_MAX, Part, decode_record
from tsdb.errors import CorruptionError
from tsdb.log.protocol import Kind

__all__ = ["PASSED_MAX", "Arrivals", "Received"]

PASSED_MAX = 256
"""Messages without effect that a start may have to read again; the log must hold them so long."""
_CHECK = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a shard's log."""

    shard: int
    seq: int
    time_ns: int
    payload: bytes


class Arrivals:
    """Of one group of messages."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger.ahead()

    def of(self, received: Received) -> list[Arrived]:
        """Parts that are to be applied. Raises CorruptionError when it cannot follow."""
        place = self._ledger.places[received.shard]
        if received.seq != place.seq + 1:
            raise CorruptionError(
                None, 0, f"shard {received.shard}: {received.seq} follows {place.seq} in its log"
            )
        record = decode_record(received.payload)
        if record.shard != received.shard:
            raise CorruptionError(
                None, 0, f"a record of shard {record.shard} in the log of {received.shard}"
            )
        if any(len(part.payload) > PART_BYTES_MAX for part in record.parts):
            raise CorruptionError(None, 0, f"a part of more than {PART_BYTES_MAX} bytes")
        done = self._ledger.is_done(record.sender, record.shard, record.sender_seq, received.seq)
        if done or not record.parts:
            self._ledger.pass_over(received.shard, received.seq, received.time_ns)
            return []
        check = _CHECK.unpack_from(received.payload, len(received.payload) - _CHECK.size)[0]
        chain = self._ledger.chained(place.chain, check)
        arrived = [
            Arrived(
                record.shard,
                received.seq,
                received.time_ns,
                record.sender,
                record.sender_seq,
                number,
                len(record.parts),
                place.chain,
                chain,
                part,
            )
            for number, part in enumerate(record.parts)
        ]
        self._ledger.move(step_of(0, arrived[-1]))
        return arrived

    def passed(self, shard: int) -> list[Arrived]:
        """A position to keep, when many messages since the last one had no effect."""
        place = self._ledger.places[shard]
        if place.seq - self._ledger.kept[shard] < PASSED_MAX:
            return []
        mark = Part(Kind.MARK, b"")
        return [
            Arrived(shard, place.seq, place.newest_ns, 0, 0, 0, 1, place.chain, place.chain, mark)
        ]


def step_of(entry_seq: int, arrived: Arrived) -> Step:
    """Where the ledger is with a part, once it is applied under this entry."""
    return Step(
        entry_seq,
        arrived.shard,
        arrived.seq,
        arrived.time_ns,
        arrived.sender,
        arrived.sender_seq,
        arrived.chain,
        0 if arrived.is_last else arrived.number + 1,
    )
