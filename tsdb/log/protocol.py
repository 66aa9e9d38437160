"""What a log is: an ordered, durable list of entries, whoever keeps it.

    in   payloads with a kind
    out  entries with a seq, in the order in which they were appended, for ever the same

The engine is a deterministic machine over this order (apply), so the log is the database and
everything else is derived. Implementations: `tsdb.log.wal.Wal` (own files), the cluster's
replicated log, and an in-memory one in the tests; tests/tsdb/log/test_log_contract.py is the
contract that all of them pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from tsdb.vfs import Buffer


class Kind(IntEnum):
    """What a payload is. Numbers are part of the format and never change meaning."""

    POINTS = 0
    SERIES = 1
    TOMBSTONE = 2
    MARK = 3
    SEGMENT = 4
    SEAL = 5
    METADATA = 6
    EXEMPLARS = 7
    CONTROL = 8
    HISTOGRAMS = 9
    REPLICATED = 10


FRAMING = frozenset({Kind.MARK, Kind.SEGMENT, Kind.SEAL})
"""Kinds that a log writes for itself: never appended by a caller, never read back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One appended payload.

    A payload larger than `limits.ENTRY_BYTES_MAX` took `parts` consecutive seqs; it is read
    back as one entry whose seq is the last of them and whose `part` is `parts` - 1.
    """

    seq: int
    kind: Kind
    payload: bytes
    part: int = 0
    parts: int = 1

    @property
    def first_seq(self) -> int:
        return self.seq - self.part


@dataclass(frozen=True, slots=True)
class Hole:
    """Stored bytes that no longer say what was written there.

    `first_seq` to `last_seq` are the entries that are lost; `last_seq` is `first_seq` - 1 when
    the damaged bytes held none.
    """

    first_seq: int
    last_seq: int
    path: Path
    offset_bytes: int
    size_bytes: int
    reason: str

    @property
    def entries(self) -> int:
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class LogInfo:
    """`first_seq` is `last_seq` + 1 when the log holds no entry."""

    first_seq: int
    last_seq: int
    durable_seq: int
    segments: int
    size_bytes: int
    torn_bytes: int = 0
    holes: tuple[Hole, ...] = ()


class Log(Protocol):
    """One thread appends; `read` and `info` may be called from any thread beside it."""

    def append(self, entries: Sequence[tuple[Kind, Buffer]], *, sync: bool = True) -> int:
        """Append payloads in this order with one write; the seq of the last of them.

        Durable on return unless `sync` is False (then `barrier` makes them so). After a crash
        each payload is there whole or not at all.

        Raises LimitExceeded (payload too large, nothing appended), Unavailable (disk full or
        closed: these payloads are not kept, later appends may succeed; after a crash that
        follows at once they may turn up), StorageFailed (outcome unknown, nothing succeeds
        any more).
        """

    def read(self, from_seq: int) -> Iterator[Entry]:
        """Entries with seq >= `from_seq`, in order, as appended before the call.

        Split payloads are joined; one that a crash cut off is left out. Trimming meanwhile may
        take entries from the front, or end the reading early, but leaves no gap in it. Raises
        CorruptionError where stored bytes are damaged and `info().holes` does not say so.
        """

    def barrier(self) -> int:
        """Everything appended is durable when this returns; the last seq."""

    def trim(self, through_seq: int) -> None:
        """Entries up to `through_seq` are no longer needed; some or all of them may go."""

    def seal(self) -> None:
        """Let what is appended from now on live apart from what is there, for `trim`."""

    def mark(self) -> None:
        """Record that the last entry is durable; called when nothing was appended for a while."""

    def info(self) -> LogInfo: ...

    def close(self) -> None: ...
