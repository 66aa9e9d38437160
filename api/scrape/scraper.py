"""All targets of a server: who is asked, who is not, and what changes while it runs.

    in   a configuration file; files it names
    out  a loop a target, the lists that /api/v1/targets shows

Reloading reads the file first; what is wrong with it leaves everything as it is. Then targets that
stay keep their loop, their connection and their turn; what is new begins, what is gone ends.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from api import duty
from api.logs import LOG
from api.scrape import reading
from api.scrape.config import Config, FileSource, Job
from api.scrape.connection import ScrapeFailed
from api.scrape.discovery import Files
from api.scrape.fetch import Fetched
from api.scrape.harvest import Memory
from api.scrape.loop import Counts, Health, Means, TargetLoop
from api.scrape.targets import Target, discovered_labels, target_of
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import compression

if TYPE_CHECKING:
    from api.node import Node
    from tsdb.commit.request import Written
    from tsdb.database.database import Database

__all__ = ["Dropped", "NodeWriter", "Pool", "Scraper"]

TURN_TARGETS = 100  # begun in one turn of the event loop: 20 ms
LOOK_S = 1.0  # files are looked at this often; a look is one stat a file


class NodeWriter:
    """The node's database, as loops see it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._database: Database = node.database()

    @property
    def resolution(self) -> Resolution:
        return self._database.resolution

    def write(self, parse: Callable[[], Parsed], size_bytes: int) -> Awaitable[Written]:
        from tsdb.commit.request import Ack

        def checked() -> Parsed:
            duty.check(self._node.has_duty)
            return parse()

        return self._node.ingest.write(self._database, checked, size_bytes, Ack.DISK)

    def decode(self, fetched: Fetched, bytes_max: int) -> bytes:
        return compression.decode(fetched.body, fetched.encoding, bytes_max=bytes_max)

    def parse(self, body: bytes, job: Job, ticks: int, openmetrics: bool) -> Parsed:
        from tsdb.parse import exposition

        return exposition.parse(
            body,
            self._database.resolution,
            now_ticks=ticks,
            openmetrics=openmetrics,
            timestamps=job.honor_timestamps,
            strict=True,
        )


class _Room:
    """Bytes of answers under way, of all targets together."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._claimed = 0

    def claim(self, size: int) -> None:
        if self._claimed + size > self._bytes_max:
            raise ScrapeFailed(
                f"answers under way hold {self._claimed:,} bytes "
                f"(limit queue_bytes_max = {self._bytes_max:,})"
            )
        self._claimed += size

    def release(self, size: int) -> None:
        self._claimed -= size


@dataclass(frozen=True, slots=True)
class Dropped:
    """A target that the rules of its job drop."""

    job: str
    discovered: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Pool:
    """One job and its targets."""

    job: Job
    files: list[Files] = field(default_factory=list)
    loops: dict[tuple[object, ...], TargetLoop] = field(default_factory=dict)
    leaving: dict[tuple[object, ...], TargetLoop] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    dropped_count: int = 0
    watcher: asyncio.Task[None] | None = None

    def listed(self) -> tuple[list[Target], list[Dropped]]:
        """Who there is by now: targets, each once, and those the rules drop."""
        targets: dict[tuple[object, ...], Target] = {}
        dropped = []
        groups = [*self.job.groups, *(g for files in self.files for g in files.groups())]
        for group in groups:
            for address in group.addresses:
                discovered = discovered_labels(self.job, group, address)
                try:
                    target = target_of(self.job, discovered)
                except InvalidInput as error:
                    LOG.error(
                        "target_unusable", job=self.job.name, of=group.source, error=str(error)
                    )
                    continue
                if target is None:
                    dropped.append(Dropped(self.job.name, tuple(sorted(discovered.items()))))
                else:
                    targets.setdefault(target.identity, target)
        return list(targets.values()), dropped

    def left(
        self, identity: tuple[object, ...], loop: TargetLoop, task: asyncio.Task[None]
    ) -> None:
        """Its loop is over: it was ended, or by a bug, which the log has."""
        if not task.cancelled() and task.exception() is not None:
            loop.health = Health(False, "internal error: it is not scraped any more")
        if self.leaving.get(identity) is loop:
            del self.leaving[identity]


class Scraper:
    """Lives on the event loop's thread."""

    def __init__(self, path: Path, node: Node) -> None:
        self._path = path
        self._node = node
        self._config = reading.load(path)  # wrong: nobody has to wait for the database to hear it
        self._means: Means | None = None  # until the database is open
        self.counts = Counts()
        self._pools: dict[str, Pool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    @property
    def pools(self) -> list[Pool]:
        """By name. Any thread may ask."""
        known = self._pools.copy()
        return [known[name] for name in sorted(known)]

    def targets_by_health(self) -> dict[str, int]:
        """Any thread may ask."""
        ups = [loop.health.up for loop in self._loops()]
        return {"up": ups.count(True), "down": ups.count(False), "unknown": ups.count(None)}

    def memories(self) -> list[Memory]:
        """Of every target that is asked; may be called from the gate's thread."""
        return [loop.memory for loop in self._loops()]

    def _loops(self) -> list[TargetLoop]:
        pools = list(self._pools.values())
        return [loop for pool in pools for loop in list(pool.loops.values())]

    async def start(self) -> None:
        """The database is open: begin."""
        settings = self._node.settings
        async with self._reloading:
            self._means = Means(
                NodeWriter(self._node),
                _Room(settings.queue_bytes_max),
                settings.body_bytes_max,
                self.counts,
            )
            await self._apply(self._config)
        LOG.info("scraping", config=str(self._path), targets=sum(len(p.loops) for p in self.pools))

    async def reload(self) -> None:
        """Read the file again; InvalidInput says what is wrong with it, and nothing changes."""
        async with self._reloading:
            config = await asyncio.to_thread(reading.load, self._path)
            if self._means is not None:
                await self._apply(config)
            self._config = config
        LOG.info("scrape_config_reloaded", config=str(self._path))

    def start_soon(self) -> None:
        self._keep(self.start(), "scrape start")

    def reload_soon(self) -> None:
        """On a signal: what is wrong goes to the log."""
        self._keep(self._reload_or_log(), "scrape reload")

    async def _reload_or_log(self) -> None:
        try:
            await self.reload()
        except InvalidInput as error:
            LOG.error("scrape_config_refused", error=str(error))

    async def stop(self) -> None:
        """Ask nobody any more. Series stay as they are: the server may be back in a moment."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # connections are closed in the turn after

    async def _apply(self, config: Config) -> None:
        named = {job.name: job for job in config.jobs}
        for name in set(self._pools) - set(named):
            pool = self._pools.pop(name)
            if pool.watcher is not None:
                pool.watcher.cancel()
            pool.files, pool.job = [], Job(name)
            await self._settle(pool)
        for name, job in named.items():
            pool = self._pools.setdefault(name, Pool(job))
            if pool.watcher is not None:
                pool.watcher.cancel()
                pool.watcher = None
            known = {files.source: files for files in pool.files}
            pool.job = job
            pool.files = [known.get(source) or Files(source) for source in job.files]
            for files in pool.files:
                await asyncio.to_thread(files.look)
            await self._settle(pool)
            if pool.files:
                pool.watcher = self._keep(self._watch(pool), f"watch {name}")

    async def _watch(self, pool: Pool) -> None:
        clock = asyncio.get_running_loop().time
        read_at = dict.fromkeys(range(len(pool.files)), clock())
        while True:
            await asyncio.sleep(min(LOOK_S, *(_refresh_s(f.source) for f in pool.files), LOOK_S))
            news = False
            for i, files in enumerate(pool.files):
                again = clock() - read_at[i] >= _refresh_s(files.source)
                if again:
                    read_at[i] = clock()
                news |= await asyncio.to_thread(files.look, all_again=again)
            if news:
                await self._settle(pool)

    async def _settle(self, pool: Pool) -> None:
        """Loops for who is there, none for who is not."""
        targets, dropped = await asyncio.to_thread(pool.listed)
        kept = pool.job.keep_dropped_targets
        pool.dropped, pool.dropped_count = dropped[: kept or None], len(dropped)
        wanted = {target.identity: target for target in targets}
        for identity in set(pool.loops) - set(wanted):
            loop = pool.loops.pop(identity)
            pool.leaving[identity] = loop
            loop.end()
        for i, (identity, target) in enumerate(wanted.items()):
            if i % TURN_TARGETS == TURN_TARGETS - 1:
                await asyncio.sleep(0)  # others have their turn on the loop
            try:
                self._place(pool, identity, target)
            except InvalidInput as error:
                LOG.error("target_unusable", job=pool.job.name, url=target.url, error=str(error))
        limit = pool.job.bounds.targets
        over = bool(limit) and len(wanted) > limit
        why = f"target_limit exceeded: {len(wanted)} targets (limit {limit})" if over else ""
        for loop in pool.loops.values():
            loop.forbidden = why

    def _place(self, pool: Pool, identity: tuple[object, ...], target: Target) -> None:
        assert self._means is not None
        loop = pool.loops.get(identity)
        if loop is None:
            leaving = pool.leaving.get(identity)
            if leaving is not None and leaving.revive():
                loop = pool.loops[identity] = pool.leaving.pop(identity)
        if loop is not None:
            loop.reconfigure(pool.job, target)
            return
        loop = TargetLoop(pool.job, target, self._means)
        pool.loops[identity] = loop
        task = self._keep_task(loop.start(self.memories))
        task.add_done_callback(functools.partial(pool.left, identity, loop))

    def _keep(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return self._keep_task(asyncio.create_task(work, name=name))

    def _keep_task(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """A task nobody holds may be collected; one that ends by a bug must be heard."""
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.critical("scrape_bug", task=task.get_name(), exc_info=task.exception())


def _refresh_s(source: FileSource) -> float:
    return source.refresh_ms / 1_000
