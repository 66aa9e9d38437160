"""What the cluster asks of the replicated log of one shard, whoever keeps it.

    in   payloads with a message id, appended by any node
    out  messages with a seq, the same on every node, in the same order, for ever

An ack means that a majority of the copies has fsynced the payload. Appending the same message id
again within two minutes answers the seq of the first; replicas keep their own high-water marks for
what comes later than that. A barrier is an append like any other: what it is acked with is a seq
that no stale leader can give, which `state` is not.

`replication.nats.jetstream.ShardStream` keeps it in NATS JetStream; the simulator has its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tsdb.errors import TSDBError

__all__ = ["Gap", "LogState", "Message", "PeerState", "Rewound", "ShardLog"]


class Gap(TSDBError):
    """The log no longer holds what was asked for: it was trimmed. A snapshot has it."""

    def __init__(self, name: str, wanted_seq: int, first_seq: int) -> None:
        super().__init__(f"log {name} begins at seq {first_seq:,}, {wanted_seq:,} was trimmed")
        self.wanted_seq = wanted_seq
        self.first_seq = first_seq


class Rewound(TSDBError):
    """The log holds something else where it had been read before: it lost its tail."""

    def __init__(self, name: str, seq: int) -> None:
        super().__init__(
            f"log {name} lost its end: seq {seq:,} was read before, now it is another or not there"
        )
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Message:
    """`time_ns` is the log's own timestamp, the same on all nodes; it may step back."""

    seq: int
    payload: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class PeerState:
    """One copy of the log; `lag` counts what its leader thinks it has still to get."""

    node: str
    current: bool
    lag: int


@dataclass(frozen=True, slots=True)
class LogState:
    """As one server sees it now, which may be a leader no longer: for figures, never for reads."""

    first_seq: int
    last_seq: int
    messages: int
    size_bytes: int
    leader: str | None
    peers: tuple[PeerState, ...]
    sealed: bool

    @property
    def is_contiguous(self) -> bool:
        """No seq is missing in between: the log itself never drops single messages."""
        return self.messages == self.last_seq - self.first_seq + 1


class ShardLog(Protocol):
    """The log of one incarnation of one shard; many may append and tail at once."""

    async def append(self, payload: bytes, message_id: str, *, timeout_s: float) -> int:
        """The seq of `payload`, once a majority has fsynced it; tries again until then.

        Raises Unavailable: "unknown" (it may be in the log, or turn up later), "no_leader" (it is
        not, and nobody took it in time), "log_full", "sealed", "closed"; LimitExceeded for a
        payload larger than the log takes.
        """

    def tail(self, from_seq: int) -> AsyncIterator[Message]:
        """Every message from `from_seq` on, without end, none missing, none twice.

        Outlives servers, leaders and connections. Raises Gap, Rewound, CorruptionError (a hole in
        every copy that was asked), and Unavailable "closed" or "absent". `aclose` it to leave it
        early.
        """

    async def trim(self, through_seq: int) -> None:
        """Messages up to `through_seq` are gone; never asked for by accident, so never undone."""

    async def seal(self) -> None:
        """Nothing is appended to this incarnation any more, for ever."""

    async def state(self) -> LogState: ...
