"""Which shards this node keeps, and how it comes to them and leaves them.

    in   the shard map, as it is stored for all nodes; this node's positions
    out  logs that are followed, copies that are made, a map that says when a shard has arrived

A node asks nobody whether it shall keep a shard: the map says so. It follows the log from its
beginning where that is still there, else it copies the shard from a replica and goes on behind the
copy. When it has come up to everything acked, it says so in the map by compare-and-set; with that
it serves, and the node that leaves for it does not. A shard that has stopped here (its log begins
after this node's position, a record is damaged) is copied anew, while others answer for it.

A map that was seen is remembered beside the data, so that a node without the others knows what it
may answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from replication.applier import Applier
from replication.calling import Calls
from replication.copying import nothing
from replication.database import ClusterDatabase
from replication.nats.connection import Nats
from replication.nats.eviction import evict
from replication.nats.kv import Keys
from replication.nats.replies import Absent
from replication.peers import Peers
from replication.settings import ClusterSettings
from replication.shard_map import ShardMap
from replication.shell import Logs, Shell
from tsdb.errors import CorruptionError, InvalidInput, TSDBError, Unavailable
from tsdb.vfs import Files, write_whole

__all__ = ["BUCKET", "MAP_FILE", "Keeping"]

MAP_FILE = "SHARD-MAP"
BUCKET, KEY = "nodes", "map.shards"
ROUND_S = 1.0
AGAIN_S = 0.25
LOOK_AGAIN_S = 5.0
LEAVE_S = 2.0  # reads that began before the map changed
CATCH_UP_S = 20.0
COPY_PACE = 1.0  # a pause as long as the work before it: others write and read meanwhile
LOG = logging.getLogger(__name__)


class Keeping:
    """One node's. `map_of` and `kept` may be asked by any thread; the rest is of the logs' loop."""

    def __init__(
        self, settings: ClusterSettings, files: Files, path: Path, peers: Peers | None = None
    ) -> None:
        self._settings = settings
        self._me = settings.node
        self._files = files
        self._file = path / MAP_FILE
        self._peers = peers or Peers(settings.peers, Calls(settings))
        self._map: ShardMap | None = self._remembered()
        self._coming = set(range(settings.shards))  # not served: it is not known to be whole
        self._kept: frozenset[int] = frozenset()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._told = ""
        self._is_joining = False
        self._keys: Keys | None = None
        self.on_heal: Callable[[], None] = _nothing

    # --- what others ask --------------------------------------------------------------------

    @property
    def me(self) -> str:
        """The name of this node."""
        return self._me

    @property
    def peers(self) -> Peers:
        return self._peers

    def map_of(self) -> ShardMap:
        """As this node saw it last. Raises Unavailable before it has seen any."""
        if self._map is None:
            raise Unavailable("this node has not seen the shard map yet", code="starting")
        return self._map

    def kept(self) -> frozenset[int]:
        """Shards that this node answers for."""
        stopped = self._applier.stopped
        return self._kept - stopped.keys() if stopped else self._kept

    async def change(self, step: Callable[[ShardMap], ShardMap]) -> ShardMap:
        """The map after `step`, for all nodes. Raises what `step` does; Unavailable."""
        keys = await self._bucket()
        while True:
            found = await keys.get(KEY)
            if found is None:
                raise Unavailable("there is no shard map yet", code="starting")
            before = ShardMap.decoded(found.value, found.revision)
            after = step(before)
            if after == before:
                return before
            epoch = await keys.update(KEY, after.encoded(), before.epoch)
            if epoch is not None:
                made = replace(after, epoch=epoch)
                await self._see(made)
                return made

    async def evict(self, node: str) -> int:
        """Copies of logs that a node had are made on others; how many. May be called again.

        Raises InvalidInput when it keeps points, too, or answers; Unavailable as `evict`.
        """
        kept = (await self.change(lambda found: found)).followed_by(node)
        if kept:
            shards = ", ".join(map(str, kept))
            raise InvalidInput(
                f"{node} keeps points of shards {shards}: give them to others first "
                f"(silverback cluster drain, or replace)"
            )
        return await evict(self._nats, node)

    # --- life ---------------------------------------------------------------------------------

    def begin(self, database: ClusterDatabase) -> None:
        """The node's data is open: shards of which it has something are served."""
        self._database = database
        self._applier: Applier = database.applier
        self._shell: Shell = database.shell
        self._shards = self._settings.shards
        self._coming = {
            shard
            for shard, seq in enumerate(self._applier.applied)
            if seq == 0 or not self._applier.is_whole(shard)
        }
        self._reckon()

    async def run(
        self, nats: Nats, logs: Logs, on_failure: Callable[[BaseException], None]
    ) -> None:
        """Until it is cancelled."""
        self._nats, self._logs = nats, logs
        watching = asyncio.create_task(self._watch(on_failure))
        looking = asyncio.create_task(self._look_again(on_failure))
        try:
            while True:
                self._changed.clear()
                self._round(on_failure)
                try:
                    await asyncio.wait_for(self._changed.wait(), ROUND_S)
                except TimeoutError:
                    continue
        finally:
            tasks = [watching, looking, *self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._peers.close()

    async def _watch(self, on_failure: Callable[[BaseException], None]) -> None:
        """See every change of the map; make it where there is none."""
        while True:
            try:
                keys = await self._bucket()
                if await keys.get(KEY) is None:
                    names = [peer.node for peer in self._settings.peers]
                    first = ShardMap.first(
                        names, self._shards, self._settings.replicas, founded=self._has_base()
                    )
                    await keys.create(KEY, first.encoded())
                async for change in keys.watch("map."):
                    if change is not None and change.key == KEY and change.value is not None:
                        await self._see(ShardMap.decoded(change.value, change.revision))
            except TSDBError as error:
                self._tell(error, on_failure)
                await asyncio.sleep(AGAIN_S)

    def _has_base(self) -> bool:
        """Whether the points here are older than all records: copies of a single server's."""
        at = zip(self._applier.chains(), self._applier.applied, strict=True)
        return all(chain and not seq for (_, chain), seq in at)

    async def _look_again(self, on_failure: Callable[[BaseException], None]) -> None:
        """Whatever became of the watch: a node that does not see the map holds up every move."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                found = await (await self._bucket()).get(KEY)
                if found is not None:
                    await self._see(ShardMap.decoded(found.value, found.revision))
            except TSDBError as error:
                self._tell(error, on_failure)

    async def _bucket(self) -> Keys:
        if self._keys is None:
            self._keys = await self._nats.keys(BUCKET)
        return self._keys

    async def _see(self, seen: ShardMap) -> None:
        if len(seen.shards) != self._shards:
            raise CorruptionError(
                None,
                0,
                f"the cluster has {len(seen.shards)} shards, {self._settings.path} says "
                f"{self._shards}",
            )
        if self._has_base() and not seen.founded:
            raise CorruptionError(
                self._file.parent,
                0,
                "there were points here before the cluster, which was made without them: put a "
                "copy of them on every node before the first start, or none here",
            )
        if self._map is not None and seen.epoch <= self._map.epoch:
            return
        self._map = seen
        self._reckon()
        await asyncio.to_thread(self._remember, seen)
        self._changed.set()

    def _reckon(self) -> None:
        mine = () if self._map is None else self._map.kept_by(self._me)
        self._kept = frozenset(mine) - self._coming

    def _remember(self, seen: ShardMap) -> None:
        data = b"%d\n%b" % (seen.epoch, seen.encoded())
        write_whole(self._files, self._file, data)

    def _remembered(self) -> ShardMap | None:
        if not self._files.exists(self._file):
            return None
        file = self._files.open_read(self._file)
        try:
            epoch, _, data = file.pread(file.size(), 0).partition(b"\n")
        finally:
            file.close()
        try:
            return ShardMap.decoded(data, int(epoch))
        except (CorruptionError, ValueError):
            LOG.warning("%s is damaged; the cluster is asked", self._file)
            return None

    # --- what is to be done -------------------------------------------------------------------

    def _round(self, on_failure: Callable[[BaseException], None]) -> None:
        if self._map is None:
            return
        for shard, kept in enumerate(self._map.shards):
            if shard in self._busy:
                continue
            if self._me in kept.nodes:
                if shard in self._applier.stopped or shard not in self._applier.followed:
                    self._start(shard, self._come(shard), on_failure)
                elif self._me not in kept.replicas:
                    self._start(shard, self._arrive(shard), on_failure)
            elif shard in self._applier.followed or not self._applier.is_empty(shard):
                self._start(shard, self._leave(shard), on_failure)
        wanted = self._map.kept_by(self._me)
        if not self._is_joining and self._applier.followed.issuperset(wanted):
            self._is_joining = True
            self._database.join()

    def _start(
        self,
        shard: int,
        step: Coroutine[Any, Any, None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        async def run() -> None:
            try:
                await step
            except TSDBError as error:
                self._tell(error, on_failure)
                await asyncio.sleep(AGAIN_S)
            finally:
                self._busy.pop(shard, None)
                self._changed.set()

        self._busy[shard] = asyncio.create_task(run())

    def _tell(self, error: TSDBError, on_failure: Callable[[BaseException], None]) -> None:
        if str(error) == self._told:
            return
        self._told = str(error)
        if isinstance(error, Unavailable | Absent):
            LOG.warning("%s", error)
        else:
            on_failure(error)

    async def _come(self, shard: int) -> None:
        """Follow the log of a shard, behind a copy where that does not hold all of it."""
        if shard not in self._applier.stopped and await self._log_is_enough(shard):
            await self._shell.begin([shard], self._applier)
            if not self._applier.is_whole(shard):
                await self._catch_up(shard)
            self._whole(shard)
            return
        sources = [node for node in self.map_of().replicas(shard) if node != self._me]
        if not sources:
            if shard not in self._applier.stopped:
                why = "its log begins later, and no other node keeps it"
                self._applier.stop(shard, CorruptionError(None, 0, f"shard {shard}: {why}"))
            await asyncio.sleep(ROUND_S)
            return
        self._coming.add(shard)
        self._reckon()
        await self._end(shard)
        await self._copy(shard, sources)
        await self._shell.begin([shard], self._applier)
        await self._catch_up(shard)
        self._whole(shard)
        if not self._applier.stopped:
            self.on_heal()

    async def _log_is_enough(self, shard: int) -> bool:
        if self._applier.applied[shard]:
            return True  # if it is not, whoever follows it finds out
        if not self._applier.is_whole(shard):
            return False  # half of a copy is here
        if self.map_of().founded and self._applier.is_empty(shard):
            return False  # the log does not tell what was there before it
        state = await self._logs.log(shard).state()
        return state.first_seq <= 1

    def _whole(self, shard: int) -> None:
        self._coming.discard(shard)
        self._reckon()

    async def _arrive(self, shard: int) -> None:
        """It is here, up to what was acked a moment ago: say so."""
        await self._catch_up(shard)
        await self.change(lambda found: found.arrived(shard, self._me))

    async def _catch_up(self, shard: int) -> None:
        ((_, seq),) = await self._shell.barriers([shard])
        before, deadline = -1, 0.0
        while (now := self._applier.applied[shard]) < seq:
            if now > before:  # it comes nearer, however busy the machine is
                before, deadline = now, time.monotonic() + CATCH_UP_S
            if shard in self._applier.stopped or time.monotonic() > deadline:
                raise Unavailable(
                    f"shard {shard} is at {now}, not at {seq}, yet",
                    code="behind",
                )
            await asyncio.sleep(AGAIN_S / 10)

    async def _leave(self, shard: int) -> None:
        """Others have it: what is here goes, once nobody reads it any more."""
        await asyncio.sleep(LEAVE_S)
        if self._me in self.map_of().shards[shard].nodes:
            return
        await self._end(shard)
        parts = nothing(shard, self._shards)
        await asyncio.to_thread(self._applier.bring, shard, _number(), parts)
        self._coming.add(shard)
        LOG.info("shard %d has left this node", shard)

    async def _end(self, shard: int) -> None:
        await self._shell.end(shard, self._applier)
        while self._applier.has_waiting(shard):
            await asyncio.sleep(AGAIN_S / 10)

    async def _copy(self, shard: int, sources: list[str]) -> None:
        """From the first that has it."""
        for node in sources:
            try:
                await asyncio.to_thread(self._copy_of, node, shard)
            except (Unavailable, CorruptionError) as error:
                LOG.warning("no copy of shard %d from %s: %s", shard, node, error)
            else:
                return
        raise Unavailable(f"no replica of shard {shard} gives a copy", code="missing")

    def _copy_of(self, node: str, shard: int) -> None:
        began, copy, size = time.monotonic(), _number(), 0
        for part in self._peers.copy(node, shard):
            since = time.monotonic()
            self._applier.bring(shard, copy, [part])
            size += len(part.payload)
            time.sleep(COPY_PACE * (time.monotonic() - since))
        took_s = time.monotonic() - began
        LOG.info("copied shard %d of %s: %d bytes in %.1f s", shard, node, size, took_s)


def _number() -> int:
    """Of a copy: none of another process is the same."""
    return int.from_bytes(os.urandom(8), "little")


def _nothing() -> None:
    """Nobody wants to know."""
