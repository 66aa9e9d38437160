"""From entries to answers: what makes a prepared group durable and visible.

    in   Pending entries, in order
    out  for each, where it stands and what it touched

`LocalCommit` is the single node's: one write and one sync of its own log, then apply. A cluster
brings another one (replication), which hands the entries to the logs of their shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tsdb import limits
from tsdb.commit.assembly import Pending
from tsdb.engine.engine import Engine
from tsdb.log.protocol import Log

__all__ = ["Commit", "Committed", "LocalCommit"]


@dataclass(frozen=True, slots=True)
class Committed:
    seq: int
    series: int = 0  # touched by a delete
    position: str = ""


class Commit(Protocol):
    """Used by one thread. Groups come one after the other."""

    def commit(self, entries: Sequence[Pending], *, sync: bool) -> list[Committed]:
        """All entries are in the log, in this order, durable if `sync`.

        Raises Unavailable (this group is not kept, or nobody knows; later ones may succeed) or
        StorageFailed (nothing succeeds any more).
        """

    def idle(self) -> None:
        """Nothing was written for a while."""


class LocalCommit:
    """One log, one engine, both here."""

    def __init__(self, log: Log, engine: Engine) -> None:
        self._log = log
        self._engine = engine

    def commit(self, entries: Sequence[Pending], *, sync: bool) -> list[Committed]:
        last_seq = self._log.append([(e.kind, e.payload) for e in entries], sync=sync)
        seqs = _seqs(entries, last_seq)
        return [
            Committed(seq, self._apply(entry, seq))
            for entry, seq in zip(entries, seqs, strict=True)
        ]

    def idle(self) -> None:
        self._log.mark()

    def _apply(self, entry: Pending, seq: int) -> int:
        if entry.delete is not None:
            return self._engine.apply_delete(seq, entry.delete)
        if entry.batch is not None:
            self._engine.apply_batch(seq, entry.batch)
        elif entry.horizon is not None:
            self._engine.apply_horizon(seq, entry.horizon)
        elif entry.metadata:
            self._engine.apply_metadata(seq, entry.metadata)
        else:
            assert entry.exemplars
            self._engine.apply_exemplars(seq, entry.exemplars)
        return 0


def _seqs(entries: Sequence[Pending], last_seq: int) -> list[int]:
    """The seq of each entry; one that is larger than ENTRY_BYTES_MAX took several."""
    seqs = []
    for entry in reversed(entries):
        seqs.append(last_seq)
        last_seq -= max(1, -(-len(entry.payload) // limits.ENTRY_BYTES_MAX))
    return seqs[::-1]
