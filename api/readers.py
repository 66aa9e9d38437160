"""Work that is too long for the event loop: a few threads, a bounded number of callers.

    in   a function that computes an answer; iterators of its further pieces
    out  its result on the event loop, or Unavailable when too many wait already

A caller counts from when it asks until its last piece is sent, so that slow clients cannot pile up
selections in memory. Python holds the interpreter lock for little of it: kernels, checksums and
compression release it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from tsdb.errors import Unavailable

__all__ = ["Readers"]

T = TypeVar("T")


class Readers:
    """`threads` work, at most `callers_max` are being served."""

    def __init__(
        self, what: str, *, threads: int, callers_max: int, limit: str = "READS_MAX"
    ) -> None:
        self._what, self._limit = what, limit
        self._callers_max = callers_max
        self._callers = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=what)

    @property
    def callers(self) -> int:
        return self._callers

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[None]:
        """Hold a place for one request, its answer included. Raises Unavailable."""
        if self._callers >= self._callers_max:
            raise Unavailable(
                f"too many {self._what} requests are under way: retry later "
                f"(limit {self._limit} = {self._callers_max})",
                code="overloaded",
            )
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, computed in a thread."""
        assert self._callers, "take a place first"
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def pull(self, pieces: Iterator[bytes]) -> bytes | None:
        """The next piece, or None after the last."""
        return await self.run(functools.partial(next, pieces, None))

    def close(self) -> None:
        """Wait for the threads; what waits is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)
