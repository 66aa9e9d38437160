"""Who is next, and what all of them may hold together.

    in   jobs of clients; bytes that queries want
    out  the job whose turn it is; whether bytes are free

Clients take turns, and the work of one client is done in its order: whoever asks for a lot waits
for it himself. Pieces of an answer under way come before new work of the same client, as they set
memory free.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from api.exchange import Scope

__all__ = ["Memory", "Turns", "asker_of"]

J = TypeVar("J")
LITTLE = 64  # one of so many parts of the bytes is granted before those who wait


def asker_of(scope: Scope) -> str:
    """Whose share a request takes from: an account's, else an address's."""
    client = scope.get("client")
    return scope.get("account") or (client[0] if client else "")


class Turns(Generic[J]):
    """Lines of clients, asked in turn. For one thread."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[deque[J], deque[J]]] = {}  # the next client first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: str, job: J, *, soon: bool = False) -> None:
        """At the end of a client's line; `soon` is before all that is not."""
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = (deque(), deque())
        line[0 if soon else 1].append(job)
        self._count += 1

    def peek(self, may: Callable[[str], bool]) -> tuple[str, J] | None:
        """The next client that may have something done, and what."""
        for client, (soon, later) in self._lines.items():
            if may(client):
                return client, (soon or later)[0]
        return None

    def done(self, client: str, job: J) -> None:
        """It is taken up: this client comes last now."""
        self.drop(client, job)
        line = self._lines.pop(client, None)
        if line is not None:
            self._lines[client] = line

    def drop(self, client: str, job: J) -> bool:
        """It leaves the line, and nobody's turn changes. False if it is in none."""
        line = self._lines.get(client)
        if line is None:
            return False
        for part in line:
            if job in part:
                part.remove(job)
                break
        else:
            return False
        self._count -= 1
        if not any(line):
            del self._lines[client]
        return True

    def drain(self) -> list[J]:
        """All there are leave."""
        left = [job for line in self._lines.values() for part in line for job in part]
        self._lines.clear()
        self._count = 0
        return left


class Memory:
    """Bytes that all queries under way may hold together. For any thread.

    Who does not get them waits, and from then on others get none before him, unless they want so
    few that it does not matter. One alone gets whatever he wants.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.taken = 0
        self._waiting = 0
        self._lock = threading.Lock()

    def take(self, bytes_: int, *, waited: bool = False) -> bool:
        """Whether they are granted. Who is told no for the first time waits from then on, until
        he asks as one who `waited` and is told yes, or until he `leaves`."""
        with self._lock:
            behind = self._waiting and not waited and bytes_ > self.bytes_max // LITTLE
            if behind or (self.taken and self.taken + bytes_ > self.bytes_max):
                self._waiting += not waited
                return False
            self._waiting -= waited
            self.taken += bytes_
            return True

    def leave(self) -> None:
        """One that waited does not want them any more."""
        with self._lock:
            self._waiting -= 1
            assert self._waiting >= 0, "who leaves has waited"

    def give(self, bytes_: int) -> None:
        with self._lock:
            self.taken -= bytes_
            assert self.taken >= 0, "more is given back than was taken"
