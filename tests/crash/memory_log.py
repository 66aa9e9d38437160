"""The smallest log there can be: a list. It shows what the contract says and no more."""

from __future__ import annotations

from collections.abc import Iterator

from tsdb.errors import Unavailable
from tsdb.log.protocol import FRAMING, Entry, LogInfo
from tsdb.log.record import split


class MemoryLog:
    """`tsdb.log.protocol.Log` without a disk. `entries` may be handed to a new one: a restart."""

    def __init__(self, entries: list[Entry] | None = None, last_seq: int = 0) -> None:
        self.entries = entries if entries is not None else []
        self._last_seq, self._durable_seq = last_seq, last_seq
        self._closed = False

    def append(self, entries, *, sync: bool = True) -> int:
        self._check_open()
        assert not any(kind in FRAMING for kind, _ in entries)
        parts = split(entries, self._last_seq + 1)
        ends = [seq for _, _, seq, part, count in parts if part == count - 1]
        counts = [count for _, _, _, part, count in parts if part == count - 1]
        for (kind, payload), seq, count in zip(entries, ends, counts, strict=True):
            self.entries.append(Entry(seq, kind, bytes(payload), count - 1, count))
        if parts:
            self._last_seq = parts[-1][2]
        if sync:
            self._durable_seq = self._last_seq
        return self._last_seq

    def read(self, from_seq: int) -> Iterator[Entry]:
        return iter([entry for entry in self.entries if entry.seq >= from_seq])

    def barrier(self) -> int:
        self._check_open()
        self._durable_seq = self._last_seq
        return self._last_seq

    def trim(self, through_seq: int) -> None:
        self._check_open()
        self.entries[:] = [entry for entry in self.entries if entry.seq > through_seq]

    def seal(self) -> None:
        self.barrier()

    def mark(self) -> None:
        self.barrier()

    def info(self) -> LogInfo:
        first = self.entries[0].first_seq if self.entries else self._last_seq + 1
        size = sum(len(entry.payload) for entry in self.entries)
        return LogInfo(first, self._last_seq, self._durable_seq, 1, size)

    def close(self) -> None:
        self._durable_seq = self._last_seq
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("log is closed", code="closed")
