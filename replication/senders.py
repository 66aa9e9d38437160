"""What the refs of senders mean: each process that writes numbers its series for itself.

    in   definitions, as they come in records
    out  this node's refs for a sender's

A sender defines a series in the first record that names it, and again in every one until one of
them was acked. So whoever applies a log in order knows what each ref means. Refs of one sender lie
in one array, whatever their shards. A sender that was silent for long is forgotten: the ledger
says who.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from tsdb.batch import U32s
from tsdb.errors import CorruptionError
from tsdb.index.registry import NO_REF

__all__ = ["Sender", "Senders"]

_COUNT = struct.Struct("<I")
_SENDER = struct.Struct("<QI")  # number, refs


class Sender:
    """One process that writes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._refs: U32s = np.empty(0, np.uint32)

    def define(self, theirs: U32s, ours: U32s) -> None:
        if not theirs.size:
            return
        room = int(theirs.max()) + 1
        if room > self._refs.size:
            grown = np.full(max(room, 2 * self._refs.size), NO_REF, np.uint32)
            grown[: self._refs.size] = self._refs
            self._refs = grown
        self._refs[theirs] = ours

    def ours(self, theirs: U32s) -> U32s:
        """Refs of this node. Raises CorruptionError if one was never defined."""
        if theirs.size and int(theirs.max()) >= self._refs.size:
            raise CorruptionError(None, 0, f"sender {self.number:016x} names an unknown series")
        found = self._refs[theirs]
        if (found == NO_REF).any():
            raise CorruptionError(None, 0, f"sender {self.number:016x} names an unknown series")
        return found

    def known(self) -> U32s:
        """This node's refs that the sender has a ref for, ascending."""
        found: U32s = np.unique(self._refs[self._refs != NO_REF])
        return found

    def named(self, ours: U32s) -> tuple[U32s, U32s]:
        """Of this node's refs (ascending) those that the sender has a ref for, and that."""
        theirs = np.flatnonzero(np.isin(self._refs, ours)).astype(np.uint32)
        return self._refs[theirs], theirs

    def state(self) -> bytes:
        known = np.flatnonzero(self._refs != NO_REF)
        refs = self._refs[: int(known[-1]) + 1 if known.size else 0]
        return _SENDER.pack(self.number, refs.size) + refs.tobytes()


class Senders:
    """All that wrote to logs this node follows."""

    def __init__(self, known: Iterable[Sender] = ()) -> None:
        self._senders = {sender.number: sender for sender in known}

    def of(self, number: int) -> Sender:
        found = self._senders.get(number)
        if found is None:
            found = self._senders[number] = Sender(number)
        return found

    def __iter__(self) -> Iterator[Sender]:
        return iter(list(self._senders.values()))

    def __len__(self) -> int:
        return len(self._senders)

    def retain(self, numbers: Collection[int]) -> None:
        """Forget all others."""
        self._senders = {s.number: s for s in self if s.number in numbers}

    def state(self) -> bytes:
        return _COUNT.pack(len(self)) + b"".join(sender.state() for sender in self)

    @classmethod
    def restored(cls, data: bytes) -> Senders:
        """Inverse of `state`. Raises CorruptionError for other bytes."""
        known, at = [], _COUNT.size
        try:
            for _ in range(_COUNT.unpack_from(data)[0]):
                number, count = _SENDER.unpack_from(data, at)
                at += _SENDER.size
                sender = Sender(number)
                sender.define(*_known(np.frombuffer(data[at : at + 4 * count], "<u4", count)))
                known.append(sender)
                at += 4 * count
        except (struct.error, ValueError) as error:
            raise CorruptionError(None, at, f"refs of senders: {error}") from error
        if at != len(data):
            raise CorruptionError(None, at, "bytes left over behind the refs of senders")
        return cls(known)


def _known(refs: U32s) -> tuple[U32s, U32s]:
    there = np.flatnonzero(refs != NO_REF)
    return there.astype(np.uint32), refs[there]
