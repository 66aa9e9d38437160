"""A node of a cluster: its database, the logs it follows, the thread between them.

    in   where the data lies, how to reach the logs, how many shards there are
    out  ClusterDatabase

Order of beginning: the node's own log is replayed, then the logs of the shards are followed from
where that ends, then writes are taken. Until a node has come up to what the logs held when it
began, `is_caught_up` says no.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import tsdb
from replication.applier import Applier
from replication.database import ClusterDatabase
from replication.gateway import Gateway, Naming
from replication.replica import Replica
from replication.shell import Logs, Shell
from tsdb.database.database import Parts
from tsdb.database.opening import Replicated
from tsdb.engine.engine import Engine
from tsdb.errors import CorruptionError, TSDBError

__all__ = ["open_node"]


class _Making:
    """The parts that come to be while the data directory is opened."""

    def __init__(
        self, shards: int, shell: Shell, on_failure: Callable[[BaseException], None]
    ) -> None:
        self.naming = Naming(shards)
        self._shards = shards
        self._shell = shell
        self._on_failure = on_failure
        self.replica: Replica
        self.applier: Applier
        self.gateway: Gateway
        self.elsewhere: ClusterDatabase

    def companion(self, engine: Engine, state: bytes | None, base: int) -> Replica:
        self.replica = Replica(engine, self._shards, state, base)
        return self.replica

    def commit(self, parts: Parts) -> Gateway:
        self.applier = Applier(parts.log, self.replica, on_failure=self._on_failure)
        self.gateway = Gateway(
            self.naming,
            parts.engine.resolution,
            self._shell.append,
            self.applier,
            touched=self._touched,
        )
        return self.gateway

    def _touched(self, shard: int, seq: int) -> Sequence[int]:
        """What deletes hit in a shard that this node does not keep."""
        reading = self.elsewhere.elsewhere
        return () if reading is None else reading.touched(shard, seq)


def open_node(
    path: Path,
    connect: Callable[[], Awaitable[Logs]],
    *,
    shards: int,
    on_failure: Callable[[BaseException], None],
    kept: Callable[[], Collection[int]] | None = None,
    **options: Any,
) -> ClusterDatabase:
    """Open or create the data of a node, and follow the logs of all shards.

    With `kept`, which says what shards it serves, whoever opens it says what it follows, too.
    `options` are those of `tsdb.open`. Raises what that raises, and what `connect` does.
    """
    shell = Shell(connect, on_failure=on_failure)
    making = _Making(shards, shell, on_failure)
    replicated = Replicated(making.companion, making.commit, making.naming.registry)
    opened = tsdb.open(path, on_failure=on_failure, replicated=replicated, **options)
    making.replica.stopped |= _damaged(opened.parts, shards)
    database = ClusterDatabase(
        opened.path,
        opened.parts,
        opened.now_ticks,
        gateway=making.gateway,
        applier=making.applier,
        shell=shell,
        kept=(lambda: range(shards)) if kept is None else kept,
    )
    making.elsewhere = database
    with contextlib.ExitStack() as undo:
        undo.callback(database.close)
        shell.start()
        making.applier.start()
        if kept is None:
            shell.follow(range(shards), making.applier)
            database.join()
        else:
            making.applier.followed.clear()
        undo.pop_all()
    return database


def _damaged(parts: Parts, shards: int) -> dict[int, TSDBError]:
    """Shards that cannot be served since points are missing from this node's blocks: all or none.

    A single node answers around its damage and says so. Here there are nodes that have it all.
    """
    holes = parts.store.manifest.holes
    if not holes:
        return {}
    path = parts.store.directory / holes[0].file
    return dict.fromkeys(range(shards), CorruptionError(path, 0, holes[0].reason))
