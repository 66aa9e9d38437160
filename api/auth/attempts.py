"""How often an address may still be wrong: a bucket of failed logins each, in bounded memory.

    in   addresses, at the moment they try and when they turn out right
    out  seconds to wait, 0 to go on

An attempt is taken before the password is looked at and given back when it was right, so a
hundred guesses at once are a hundred guesses. An IPv6 customer has 2^64 addresses: they share the
bucket of their /64.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from tsdb import limits

__all__ = ["Attempts"]


class Attempts:
    """One server's; lives on the event loop's thread."""

    def __init__(
        self,
        *,
        per_minute: int = limits.LOGINS_FAILED_PER_MINUTE_MAX,
        addresses_max: int = limits.LOGIN_ADDRESSES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._full = float(per_minute)
        self._per_s = per_minute / 60
        self._addresses_max = addresses_max
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # attempts, at what time

    def take(self, address: str) -> int:
        """Use up one attempt; returns 0, or the seconds until there is one."""
        key = _network(address)
        left = self._left_of(key)
        if left < 1:
            return math.ceil((1 - left) / self._per_s)
        self._set(key, left - 1)
        return 0

    def give_back(self, address: str) -> None:
        key = _network(address)
        self._set(key, self._left_of(key) + 1)

    def __len__(self) -> int:
        return len(self._left)

    def _left_of(self, key: str) -> float:
        known = self._left.get(key)
        if known is None:
            return self._full
        left, at = known
        return min(self._full, left + (self._clock() - at) * self._per_s)

    def _set(self, key: str, left: float) -> None:
        if left >= self._full:
            self._left.pop(key, None)
            return
        self._left[key] = (left, self._clock())
        self._left.move_to_end(key)
        if len(self._left) > self._addresses_max:
            self._left.popitem(last=False)  # the one that has been quiet for longest


def _network(address: str) -> str:
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address.partition("%")[0])
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
