"""Work that is too long for the event loop: a few threads, shared fairly by clients.

    in   a function that computes an answer; iterators of its further pieces; whose it is
    out  its result on the event loop, or Unavailable when too many wait already

A caller counts from when it asks until its last piece is sent, so that slow clients cannot pile up
selections in memory. Clients take turns (api/turns.py), and one that is named gets all threads but
one: that one is left to somebody else. Work that finds out it needs more memory than is free raises
Postponed: it gives its thread back and begins again once the memory is there.

All is decided on the event loop; a thread gets a job only when it is idle, so what waits can leave
at any moment and has cost nothing. To hand a job over and back costs two wake-ups; the futures and
locks of an executor cost 0.06 ms more, of the 0.42 that `1+1` took. Python holds the interpreter
lock for little of the work: kernels, checksums and compression release it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from api.turns import Memory, Turns
from tsdb.errors import Unavailable

__all__ = ["Job", "Postponed", "Readers"]

T = TypeVar("T")


class Postponed(Exception):
    """Raised by work that `Memory.take` has told no: it waits for these bytes."""

    def __init__(self, bytes_: int) -> None:
        super().__init__(bytes_)
        self.bytes = bytes_


class Job:
    """One piece of work; `done` is its result, on the event loop."""

    __slots__ = ("bytes", "client", "done", "running", "stopped", "work")

    def __init__(self, client: str, work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        self.client, self.work, self.done = client, work, done
        self.running = False
        self.bytes = 0  # that it waits for
        self.stopped: Exception | None = None


class Readers:
    """`threads` work, at most `callers_max` are being served. Used on the event loop alone."""

    def __init__(
        self,
        what: str,
        *,
        threads: int,
        callers_max: int,
        limit: str = "READS_MAX",
        memory: Memory | None = None,
    ) -> None:
        self._what, self._limit = what, limit
        self._callers_max = callers_max
        self._callers = 0
        self._memory = memory
        self._threads: list[threading.Thread] = []
        self._threads_max = self._idle = threads
        self._share = max(1, threads - 1)  # of one client
        self._running: Counter[str] = Counter()
        self._jobs: SimpleQueue[tuple[Job, asyncio.AbstractEventLoop] | None] = SimpleQueue()
        self._waiting: Turns[Job] = Turns()
        self._hungry: Turns[Job] = Turns()
        self._closed = False

    @property
    def callers(self) -> int:
        return self._callers

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken up."""
        return len(self._waiting) + len(self._hungry)

    @property
    def running(self) -> int:
        return self._threads_max - self._idle

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

    async def run(self, work: Callable[[], T], client: str = "", *, soon: bool = False) -> T:
        """The result of `work`, computed in a thread; whoever awaits it may be canceled."""
        job = self.begin(work, client, soon=soon)
        try:
            found: T = await job.done
            return found
        finally:
            self.leave(job)

    def begin(self, work: Callable[[], T], client: str = "", *, soon: bool = False) -> Job:
        """As soon as it is the client's turn. `leave` it, whatever becomes of it."""
        assert self._callers, "take a place first"
        job = Job(client, work, asyncio.get_running_loop().create_future())
        if self._closed:
            job.done.cancel()
        elif self._idle and not len(self._waiting) and self._may(client):
            self._start(job)
        else:
            self._waiting.put(client, job, soon=soon)
            self.look()
        return job

    def leave(self, job: Job) -> None:
        """If it waits, it does not any more, and nothing was done for it."""
        if job.running:
            return
        if self._hungry.drop(job.client, job):
            assert self._memory is not None
            self._memory.leave()
            self.look()  # others may have waited behind it
        else:
            self._waiting.drop(job.client, job)

    def stop(self, job: Job, error: Exception) -> None:
        """If it waits, or as soon as it would have to, it ends with this error."""
        job.stopped = error
        if not job.running and not job.done.done():
            job.done.set_exception(error)

    async def pull(self, pieces: Iterator[bytes], client: str = "") -> bytes | None:
        """The next piece, or None after the last."""
        return await self.run(functools.partial(next, pieces, None), client, soon=True)

    def look(self) -> None:
        """Start what can start. For when memory was given back."""
        while self._idle:
            job = self._next()
            if job is None:
                return
            self._start(job)

    def close(self) -> None:
        """Wait for the threads; what waits is dropped. For when the event loop stands still."""
        self._closed = True
        for job in [*self._waiting.drain(), *self._hungry.drain()]:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody awaits it
                job.done.cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    # --- how ---------------------------------------------------------------------------------

    def _may(self, client: str) -> bool:
        return not client or self._running[client] < self._share

    def _next(self) -> Job | None:
        found = self._hungry.peek(self._may)
        if found is not None:
            assert self._memory is not None
            client, job = found
            if self._memory.take(job.bytes, waited=True):
                self._hungry.done(client, job)
                return job
        found = self._waiting.peek(self._may)
        if found is None:
            return None
        client, job = found
        self._waiting.done(client, job)
        return job

    def _start(self, job: Job) -> None:
        job.running = True
        self._idle -= 1
        if job.client:
            self._running[job.client] += 1
        if len(self._threads) < self._threads_max - self._idle:
            name = f"{self._what}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._serve, name=name, daemon=True))
            self._threads[-1].start()
        self._jobs.put((job, asyncio.get_running_loop()))

    def _serve(self) -> None:
        """In a thread, until there is nothing more."""
        while (got := self._jobs.get()) is not None:
            job, loop = got
            result, error = None, None
            try:
                result = job.work()
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._ended, job, result, error)
            del got, job, loop, result, error  # not kept until the next one comes

    def _ended(self, job: Job, result: object, error: BaseException | None) -> None:
        job.running = False
        self._idle += 1
        if job.client:
            self._running[job.client] -= 1
            if not self._running[job.client]:
                del self._running[job.client]
        if isinstance(error, Postponed):
            self._postpone(job, error.bytes)
        elif not job.done.done():
            if error is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(error)
        self.look()

    def _postpone(self, job: Job, bytes_: int) -> None:
        assert self._memory is not None
        if job.done.done() or self._closed:  # nobody awaits it any more
            self._memory.leave()
        elif job.stopped is not None:
            self._memory.leave()
            job.done.set_exception(job.stopped)
        else:
            job.bytes = bytes_
            self._hungry.put(job.client, job)
