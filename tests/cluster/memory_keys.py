"""Keys of a cluster in memory, as replication/nats/kv.py gives them: compare-and-set, and a watch.

in   the same calls
out  revisions that grow over all keys; changes, in their order
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from replication.nats.kv import Change, Value


@dataclass
class MemoryKeys:
    """Shared by the nodes of one process; `keys` makes it a Nats as far as Keeping asks."""

    history: list[Change] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    now: Callable[[], float] = time.monotonic
    ends: dict[str, float] = field(default_factory=dict)

    async def keys(self, bucket: str) -> MemoryKeys:
        return self

    async def get(self, key: str) -> Value | None:
        found = self._last(key)
        return None if found is None or found.value is None else Value(found.value, found.revision)

    async def create(self, key: str, value: bytes, *, ttl_s: int | None = None) -> int | None:
        found = self._last(key)
        gone = found is not None and found.value is None
        return await self.update(key, value, found.revision if gone else 0, ttl_s=ttl_s)

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl_s: int | None = None
    ) -> int | None:
        with self.lock:
            found = self._last(key)
            if (0 if found is None else found.revision) != revision:
                return None
            self.history.append(Change(key, value, len(self.history) + 1))
            self.ends[key] = math.inf if ttl_s is None else self.now() + ttl_s
            return len(self.history)

    async def delete(self, key: str, revision: int | None = None) -> bool:
        with self.lock:
            found = self._last(key)
            if found is None or revision not in (None, found.revision):
                return False
            self.history.append(Change(key, None, len(self.history) + 1))
            return True

    async def watch(self, prefix: str = "") -> AsyncGenerator[Change | None, None]:
        at = 0
        while True:
            for change in self.history[at:]:
                at += 1
                if change.key.startswith(prefix):
                    yield change
            await asyncio.sleep(0.005)

    def _last(self, key: str) -> Change | None:
        found = next((c for c in reversed(self.history) if c.key == key), None)
        if found is not None and found.value is not None and self.now() >= self.ends[key]:
            found = Change(key, None, len(self.history) + 1)  # its time is over
            self.history.append(found)
        return found
