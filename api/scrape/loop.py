"""One target's life: asked at its turn of every interval until it is no more.

    in   a target, the way to write
    out  writes; and the state that /api/v1/targets shows

Turns lie on a grid of the clock, shifted by a hash of the target: the same after every restart,
and spread evenly over the interval. A scrape that begins within ALIGN_MS of its turn is stamped
with the turn itself: evenly spaced timestamps cost a bit each, uneven ones ten. A turn that comes
while the one before is still under way is left out.

A new configuration is taken over at the next turn, so that a target that stays has no gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from api.logs import LOG
from api.scrape.config import Job
from api.scrape.connection import ScrapeFailed
from api.scrape.fetch import Fetched, Fetcher, Room
from api.scrape.harvest import Harvest, Memory, Moment
from api.scrape.targets import Target
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, StorageFailed, TSDBError, Unavailable

if TYPE_CHECKING:
    from tsdb.commit.request import Written

__all__ = ["Counts", "Health", "Means", "TargetLoop", "Writer"]

ALIGN_MS = 10  # a busy event loop is late by some milliseconds
ALIGN_SHARE = 100  # never by more than this part of the interval
SMALL_BYTES = 4 << 10  # what a write without a body is taken to hold
RETRY_S = 0.1
AFTERWARDS = 1.1  # intervals after the last turn in which a target may come back


class Writer(Protocol):
    """The database, as scrapes see it."""

    @property
    def resolution(self) -> Resolution: ...

    def write(self, parse: Callable[[], Parsed], size_bytes: int) -> Awaitable[Written]: ...

    def decode(self, fetched: Fetched, bytes_max: int) -> bytes:
        """The body itself; InvalidInput where it is broken or too large."""

    def parse(self, body: bytes, job: Job, ticks: int, openmetrics: bool) -> Parsed:
        """Its points; InvalidInput names the line that is none."""


@dataclass(slots=True)
class Health:
    """How the last scrape went. `up` is None before the first."""

    up: bool | None = None
    error: str = ""
    at_ms: int = 0
    took_s: float = 0.0


@dataclass(slots=True)
class Counts:
    """Of all targets of a server, since it started."""

    scrapes: int = 0
    failed: int = 0
    unwritten: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What all loops of a server share."""

    writer: Writer
    room: Room
    body_bytes_max: int
    counts: Counts


@dataclass(slots=True)
class _Outcome:
    """Of one write. `first` of the points it refused is told."""

    error: str
    written: bool = False
    refused: int = 0
    first: str = ""
    refused_whole: bool = False


class TargetLoop:
    """Made, started and ended on the event loop. Raises InvalidInput where it can never work."""

    def __init__(self, job: Job, target: Target, means: Means) -> None:
        self.job = job
        self.target = target
        self.health = Health()
        self.forbidden = ""  # why it is not asked at all: too many targets in its job
        self.memory = Memory(job, target)
        self._means = means
        self._writer = means.writer
        self._complained = False
        self._fetcher = self._new_fetcher(job, target)
        self._next: tuple[Job, Target, Fetcher] | None = None
        self._changed = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    def start(self, others: Callable[[], Iterable[Memory]]) -> asyncio.Task[None]:
        """Begin; `others` are the targets there are when this one ends."""
        self._task = asyncio.create_task(self._run(others), name=f"scrape {self.target.url}")
        return self._task

    def reconfigure(self, job: Job, target: Target) -> None:
        """From the next turn on. Raises InvalidInput, and then nothing changes."""
        same = (job, target) == (self.job, self.target)
        if same and self._fetcher.tls is None:
            self._next = None
            return
        fetcher = self._new_fetcher(job, target)
        if not same:
            Memory(job, target)
        elif fetcher.tls is self._fetcher.tls:
            self._next = None
            return
        self._next = (job, target, fetcher)
        if target.interval_ms != self.target.interval_ms:
            self._changed.set()

    def end(self) -> None:
        """The target is no more: its series get stale markers, later."""
        self._ending = True
        self._changed.set()

    def revive(self) -> bool:
        """The target is back before its markers were written; False if it is too late."""
        if self._task is None or self._task.done() or not self._ending:
            return False
        self._ending = False
        self._changed.set()
        return True

    def _new_fetcher(self, job: Job, target: Target) -> Fetcher:
        means = self._means
        return Fetcher(job, target, body_bytes_max=means.body_bytes_max, room=means.room)

    async def _run(self, others: Callable[[], Iterable[Memory]]) -> None:
        try:
            await self._live(others)
        finally:
            self._fetcher.close()

    async def _live(self, others: Callable[[], Iterable[Memory]]) -> None:
        turn_ms = _next_turn(self.target, _now_ms())
        while True:
            ending = self._ending
            back_ms = int(self.target.interval_ms * AFTERWARDS) if ending else 0
            if await self._changed_before(turn_ms + back_ms):
                self._changed.clear()
                if not self._ending:
                    self._take_over()
                    turn_ms = _next_turn(self.target, _now_ms())
            elif ending:
                await self._write_end(turn_ms, others)
                return
            else:
                self._take_over()
                await self._scrape(_aligned(turn_ms, _now_ms(), self.target.interval_ms))
                turn_ms = _next_turn(self.target, _later(turn_ms, _now_ms(), self.target))

    async def _changed_before(self, until_ms: int) -> bool:
        """Wait until then, or until something changed: whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((until_ms - time.time() * 1_000) / 1_000):
                await self._changed.wait()
        return self._changed.is_set()

    def _take_over(self) -> None:
        if self._next is None:
            return
        (job, target, fetcher), self._next = self._next, None
        self._fetcher.close()
        self._fetcher = fetcher
        if (job, target) != (self.job, self.target):
            self.memory = self.memory.reconfigured(job, target)
            self.job, self.target = job, target

    async def _scrape(self, at_ms: int) -> None:
        began = time.perf_counter()
        fetched = await self._fetched()

        def took_s() -> float:
            return time.perf_counter() - began

        outcome = await self._kept(fetched, at_ms, took_s)
        if outcome.refused_whole:  # the database takes none of it: then it is a failed scrape
            why = outcome.error
            outcome = await self._kept(why, at_ms, took_s)
            outcome.error = outcome.error or why
        counts = self._means.counts
        counts.scrapes += 1
        counts.failed += bool(outcome.error)
        counts.unwritten += not outcome.written
        counts.refused += outcome.refused
        self._complain(outcome)
        self._note(at_ms, took_s(), outcome.error)

    async def _kept(
        self, fetched: Fetched | str, at_ms: int, took_s: Callable[[], float]
    ) -> _Outcome:
        """Write what the scrape came to."""
        memory = self.memory
        harvests: list[Harvest] = []

        def parse() -> Parsed:
            harvests[:] = [self._harvest(memory, fetched, self._ticks(at_ms), took_s)]
            return harvests[0].parsed

        size_bytes = 0 if isinstance(fetched, str) else len(fetched.body)
        outcome = await self._written(parse, max(SMALL_BYTES, size_bytes))
        for harvest in harvests:
            if outcome.written:
                memory.commit(harvest)
                outcome.error = harvest.error
            if harvest.refused:
                outcome.refused += len(harvest.refused)
                outcome.first = harvest.refused[0]
        return outcome

    def _harvest(
        self, memory: Memory, fetched: Fetched | str, ticks: int, took_s: Callable[[], float]
    ) -> Harvest:
        """On the gate's thread; the loop waits meanwhile."""
        if isinstance(fetched, str):
            return memory.failed(fetched, Moment(ticks, took_s, -1))
        writer = self._writer
        try:
            body = writer.decode(fetched, self._fetcher.body_bytes_max)
        except InvalidInput as error:
            return memory.failed(str(error), Moment(ticks, took_s, -1))

        def parse() -> Parsed:
            return writer.parse(body, memory.job, ticks, fetched.openmetrics)

        return memory.succeeded(parse, Moment(ticks, took_s, len(body)))

    async def _fetched(self) -> Fetched | str:
        """The answer, or why there is none."""
        if self.forbidden:
            return self.forbidden
        try:
            async with asyncio.timeout(self.target.timeout_ms / 1_000):
                return await self._fetcher.fetch()
        except TimeoutError:
            return f"no answer within {self.target.timeout_ms / 1_000:g} s"
        except ScrapeFailed as failure:
            return str(failure)

    async def _written(self, parse: Callable[[], Parsed], size_bytes: int) -> _Outcome:
        deadline = time.monotonic() + self.target.interval_ms / 1_000 / 2
        while True:
            try:
                written = await self._writer.write(parse, size_bytes)
            except InvalidInput as error:
                return _Outcome(f"not kept: {error}", refused_whole=True)
            except TSDBError as error:
                busy = isinstance(error, Unavailable) and error.code == "busy"
                if not busy or time.monotonic() > deadline:
                    return _Outcome(f"not written: {error}")
                await asyncio.sleep(RETRY_S)
            else:
                first = written.refused[0] if written.refused else ""
                return _Outcome("", True, written.refused_count, first)

    async def _write_end(self, turn_ms: int, others: Callable[[], Iterable[Memory]]) -> None:
        memory = self.memory

        def parse() -> Parsed:
            return memory.ended(self._ticks(turn_ms), [m for m in others() if m is not memory])

        try:
            await self._writer.write(parse, SMALL_BYTES)
        except (InvalidInput, Unavailable, StorageFailed) as error:
            LOG.warning("scrape_end_not_written", target=self.target.url, error=str(error))

    def _ticks(self, at_ms: int) -> int:
        return at_ms * self._writer.resolution.ticks_per_s // 1_000

    def _complain(self, outcome: _Outcome) -> None:
        """Once, until a scrape is whole again."""
        count = outcome.refused
        if count and not self._complained:
            url = self.target.url
            LOG.warning("scrape_incomplete", target=url, refused=count, first=outcome.first)
        self._complained = bool(count)

    def _note(self, at_ms: int, took_s: float, error: str) -> None:
        before = self.health
        self.health = Health(not error, error, at_ms, took_s)
        if error and error != before.error:
            LOG.warning("scrape_failed", target=self.target.url, job=self.job.name, error=error)
        elif not error and before.up is False:
            LOG.info("scrape_recovered", target=self.target.url, job=self.job.name)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _next_turn(target: Target, after_ms: int) -> int:
    """The first turn later than `after_ms`."""
    interval_ms = target.interval_ms
    offset_ms = target.spread % interval_ms
    return (after_ms - offset_ms) // interval_ms * interval_ms + offset_ms + interval_ms


def _later(turn_ms: int, now_ms: int, target: Target) -> int:
    """Now; or the turn itself where its timer was a little early, so that it comes once.

    A clock that was put back further means what it says.
    """
    early = 0 < turn_ms - now_ms <= target.interval_ms
    return turn_ms if early else now_ms


def _aligned(turn_ms: int, now_ms: int, interval_ms: int) -> int:
    late_ms = now_ms - turn_ms
    tolerated_ms = min(ALIGN_MS, max(1, interval_ms // ALIGN_SHARE))
    return turn_ms if 0 <= late_ms <= tolerated_ms else now_ms
