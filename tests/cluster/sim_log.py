"""The log of one shard as the cluster may rely on it, and a network that keeps none of its rules.

in   appends with an id, from any node, at any time, twice, never answered
out  an order that never changes; an ack only for what a majority has

Ids are remembered for two minutes of the log's time, as JetStream does; what comes later is a
message of its own, and replicas must see that they have had it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from replication.stream import Gap, Message

DEDUPE_NS = 120_000_000_000


@dataclass(eq=False)
class Attempt:
    """A record that a node wants in a log; `outcome` is what the node hears in the end."""

    shard: int
    payload: bytes
    message_id: str
    began_ns: int
    began_seq: int  # what the log had then
    outcome: object = None


@dataclass(eq=False)
class Flight:
    """One copy of an attempt under way, from a node to the log (`seq` None) or back."""

    node: str
    life: int  # of the node's process: an ack for an earlier one is for nobody
    attempt: Attempt
    seq: int | None = None


@dataclass(eq=False)
class SimLog:
    shard: int
    messages: list[Message] = field(default_factory=list)  # all there ever were
    ids: dict[str, tuple[int, int]] = field(default_factory=dict)  # seq, time
    first_seq: int = 1
    has_majority: bool = True

    @property
    def last_seq(self) -> int:
        return len(self.messages)

    def commit(self, payload: bytes, message_id: str, now_ns: int) -> int:
        assert self.has_majority
        known = self.ids.get(message_id)
        if known is not None and now_ns - known[1] < DEDUPE_NS:
            return known[0]
        self.messages.append(Message(self.last_seq + 1, payload, now_ns))
        self.ids[message_id] = (self.last_seq, now_ns)
        return self.last_seq

    def read(self, from_seq: int, count: int) -> list[Message]:
        if from_seq < self.first_seq:
            raise Gap(f"of shard {self.shard}", from_seq, self.first_seq)
        return self.messages[from_seq - 1 : from_seq - 1 + count]

    def trim(self, through_seq: int) -> None:
        self.first_seq = max(self.first_seq, through_seq + 1)
