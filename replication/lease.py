"""Who does what is to be done once in the cluster: one node at a time, told by a key with an end.

    in   the keys of the cluster
    out  `is_held`: whether it is this node's turn, by this node's own clock

The key vanishes unless its holder writes it again; only who wrote it last may. A holder counts its
time from before it asked, and less than the key's, so it stops before another begins, as long as
clocks run at nearly the same pace; its clock goes on while the machine sleeps. Who was suspended
must ask again before each effect; what is then on its way to the logs may still arrive, so what is
done under a lease must do no harm when it is done twice, as writing the same points does none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from tsdb.errors import TSDBError

if TYPE_CHECKING:
    from replication.nats.kv import Value

__all__ = ["Lease", "clock_s"]

KEY_S = 8
HELD_S = 6.0  # after it was asked for
RENEW_S = 2.0


def clock_s() -> float:
    """Goes on while the machine sleeps, where there is such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Keys(Protocol):
    """As replication/nats/kv.py has them."""

    async def get(self, key: str) -> Value | None: ...

    async def create(self, key: str, value: bytes, *, ttl_s: int | None = None) -> int | None: ...

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl_s: int | None = None
    ) -> int | None: ...

    async def delete(self, key: str, revision: int | None = None) -> bool: ...


class Lease:
    """One duty of one node. `is_held` and `holder` may be asked by any thread."""

    def __init__(self, name: str, node: str, clock: Callable[[], float] = clock_s) -> None:
        self.holder = ""  # as this node heard last
        self._key = f"lease.{name}"
        self._node = node
        self._clock = clock
        self._until = float("-inf")
        self._revision: int | None = None

    def is_held(self) -> bool:
        """Whether it is this node's now."""
        return self._clock() < self._until

    async def run(self, bucket: Callable[[], Awaitable[Keys]]) -> None:
        """Until it is cancelled; then give it back."""
        keys: Keys | None = None
        try:
            while True:
                try:
                    keys = keys or await bucket()
                    await self.ask(keys)
                except TSDBError:  # no majority: whoever has it keeps it until it ends
                    self._revision = None
                await asyncio.sleep(RENEW_S)
        finally:
            if keys is not None:
                await self.give_back(keys)

    async def ask(self, keys: Keys) -> None:
        """Get it, keep it, or hear who has it."""
        since, value = self._clock(), self._node.encode()
        made = None
        if self._revision is not None:
            made = await keys.update(self._key, value, self._revision, ttl_s=KEY_S)
        if made is None:
            made = await keys.create(self._key, value, ttl_s=KEY_S)
        self._revision = made
        if made is not None:
            self.holder, self._until = self._node, since + HELD_S
            return
        self._until = float("-inf")
        found = await keys.get(self._key)
        self.holder = "" if found is None else found.value.decode()

    async def give_back(self, keys: Keys) -> None:
        """Another one may have it at once."""
        revision, self._revision, self._until = self._revision, None, float("-inf")
        if revision is None:
            return
        try:
            async with asyncio.timeout(1.0):
                await keys.delete(self._key, revision)
        except (TSDBError, TimeoutError):
            return  # it ends by itself
