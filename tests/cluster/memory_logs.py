"""Logs of shards in memory, shared by nodes in one process.

in   appends of any node, from any event loop
out  the same messages to all, each at its position; duplicates of an id are dropped
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from replication.stream import Gap, LogState, Message
from tsdb.errors import Unavailable


@dataclass
class MemoryLog:
    messages: list[Message] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    first_seq: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_down: bool = False  # no majority

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.messages) - 1

    def put(self, payload: bytes, message_id: str) -> int:
        with self.lock:
            if message_id not in self.ids:
                seq = self.last_seq + 1
                self.messages.append(Message(seq, bytes(payload), 1_700_000_000_000_000_000 + seq))
                self.ids[message_id] = seq
            return self.ids[message_id]

    def get(self, seq: int) -> Message | None:
        with self.lock:
            if seq < self.first_seq:
                raise Gap("memory", seq, self.first_seq)
            return self.messages[seq - self.first_seq] if seq <= self.last_seq else None


class Cluster:
    """The logs of all shards."""

    def __init__(self, shards: int) -> None:
        self.logs = [MemoryLog() for _ in range(shards)]

    async def connect(self) -> Connection:
        return Connection(self)


class Connection:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def log(self, shard: int) -> Reached:
        return Reached(self.cluster.logs[shard])

    async def close(self) -> None:
        return None


class Reached:
    def __init__(self, log: MemoryLog) -> None:
        self.inner = log

    async def append(self, payload: bytes, message_id: str, *, timeout_s: float) -> int:
        if self.inner.is_down:
            raise Unavailable("no majority", code="unknown")
        return self.inner.put(payload, message_id)

    async def tail(self, from_seq: int):
        while True:
            message = self.inner.get(from_seq)
            if message is None:
                await asyncio.sleep(0.001)
                continue
            yield message
            from_seq += 1

    async def trim(self, through_seq: int) -> None:
        with self.inner.lock:
            gone = through_seq - self.inner.first_seq + 1
            del self.inner.messages[:gone]
            self.inner.first_seq = through_seq + 1

    async def state(self) -> LogState:
        inner = self.inner
        count = len(inner.messages)
        return LogState(inner.first_seq, inner.last_seq, count, 0, "one", (), False)
