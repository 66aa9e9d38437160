"""A node that belongs: its data, and the servers of the replicated log.

    in   a data directory, ClusterSettings
    out  ClusterDatabase, at once; what it may answer by then is for `check_joined` to say

The node serves what it has while the log has no majority: reads that may be stale, and no write.
It has joined once a barrier in every log came back and all before it was applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replication.announcing import Announcer
from replication.barriers import barriers
from replication.database import ClusterDatabase
from replication.gather import Gather
from replication.keeping import BUCKET, Keeping
from replication.lease import Lease
from replication.nats.connection import Nats
from replication.nats.damage import tend
from replication.node import open_node
from replication.rebuild import ensure_data, mark, unmark
from replication.settings import ClusterSettings
from replication.stream import ShardLog
from tsdb.errors import TSDBError, Unavailable
from tsdb.vfs import OsFiles

__all__ = ["open_member"]

LOG_FOLDER = "nats"  # in the data directory: what the log's server keeps
INCARNATION = 1
AGAIN_S = 0.25
LOG = logging.getLogger(__name__)


def open_member(
    path: Path,
    settings: ClusterSettings,
    *,
    on_failure: Callable[[BaseException], None],
    **options: Any,
) -> ClusterDatabase:
    """Open the data and follow the logs. `options` are those of `tsdb.open`.

    Raises what that raises, and InvalidInput or Unavailable when the log's server cannot be
    started here.
    """

    files = OsFiles()
    ensure_data(files, path, settings, LOG.info)

    async def connect() -> _Logs:
        return await _Logs.open(settings, path / LOG_FOLDER)

    keeping = Keeping(settings, files, path)
    database = open_node(
        path,
        connect,
        shards=settings.shards,
        on_failure=on_failure,
        kept=keeping.kept,
        **options,
    )

    def stopped(shard: int, why: TSDBError) -> None:
        mark(files, path, f"shard {shard}: {why}")

    database.applier.on_stop = stopped
    for shard, why in list(database.applier.stopped.items()):
        stopped(shard, why)
    keeping.on_heal = lambda: unmark(files, path)
    keeping.begin(database)
    peers = keeping.peers
    database.gather_with(
        Gather(settings.node, database.shelf, peers.ask, keeping.map_of, failed=peers.has_failed)
    )
    database.keeping = keeping
    database.lease = Lease("duties", settings.node)
    with contextlib.ExitStack() as undo:
        undo.callback(database.close)
        logs = database.shell.logs
        assert isinstance(logs, _Logs)
        database.shell.run(logs.serve(database, keeping, on_failure))
        undo.pop_all()
    return database


class _Logs:
    """The logs of all shards, made when there are servers enough to make them."""

    def __init__(self, nats: Nats, shards: int) -> None:
        self._nats = nats
        self._logs = [nats.log(shard, INCARNATION) for shard in range(shards)]
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, settings: ClusterSettings, directory: Path) -> _Logs:
        return cls(await Nats.open(settings, directory), settings.shards)

    def log(self, shard: int) -> ShardLog:
        return self._logs[shard]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._nats.close()

    async def serve(
        self,
        database: ClusterDatabase,
        keeping: Keeping,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Make the logs of a new cluster; tell the others where this node is, trim what it leads.

        Copies of logs on this node that are damaged are made anew from the others'.

        A log that this node has followed is never made: if it is gone, that is to be seen.
        """
        applier = database.applier
        new = [shard for shard, seq in enumerate(applier.applied) if seq == 0]
        announcer = Announcer(self._nats, self, applier, keeping.map_of, on_failure=on_failure)
        self._tasks += [
            asyncio.create_task(keeping.run(self._nats, self, on_failure)),
            asyncio.create_task(database.lease.run(lambda: self._nats.keys(BUCKET))),
            asyncio.create_task(self._make(new, on_failure)),
            asyncio.create_task(announcer.run()),
            asyncio.create_task(tend(self._nats, barriers())),
        ]

    async def _make(self, missing: list[int], on_failure: Callable[[BaseException], None]) -> None:
        told = ""
        while missing:
            try:
                await self._nats.create_log(missing[0], INCARNATION)
            except TSDBError as error:  # not enough servers yet, as a rule
                if not isinstance(error, Unavailable) and str(error) != told:
                    told = str(error)
                    on_failure(error)
                await asyncio.sleep(AGAIN_S)
                continue
            missing.pop(0)
