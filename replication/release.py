"""A node's data as that of a single server: the way out of a cluster, and back from a backup.

    in   a data directory of a node, or a snapshot of one; nobody has it open
    out  the same directory, without its place in the logs

What the node's own log holds beyond the last checkpoint is applied first. The points stay as they
are; what the node did not keep is not there. Copied to every node of a new cluster before its first
start, such a directory is what that cluster begins with.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tsdb
from replication.ledger import Ledger
from replication.replica import SIZES, Replica
from tsdb.block import manifest as manifests
from tsdb.commit.commit import LocalCommit
from tsdb.database.opening import Replicated
from tsdb.engine.engine import Engine
from tsdb.errors import CorruptionError, InvalidInput
from tsdb.index.registry import Registry
from tsdb.vfs import Files, OsFiles

__all__ = ["release"]


def release(path: Path, files: Files | None = None) -> int:
    """How many shards the node knew. Raises InvalidInput for a directory that is no node's,
    Unavailable "locked", CorruptionError."""
    files = files or OsFiles()
    manifest = manifests.load(files, path) if files.exists(path) else None
    if manifest is None:
        raise InvalidInput(f"{path} holds no database")
    if manifest.companion is None:
        raise InvalidInput(f"{path} is a single server's already")
    shards: list[int] = []

    def companion(engine: Engine, state: bytes | None, base: int) -> Replica:
        assert state is not None
        shards.append(_shards(state))
        return Replica(engine, shards[0], state, base)

    replicated = Replicated(
        companion, lambda parts: LocalCommit(parts.log, parts.engine), Registry()
    )
    with tsdb.open(path, files=files, background=False, replicated=replicated) as database:
        stopped = database.parts.store.companion
        assert isinstance(stopped, Replica)
        for shard, why in stopped.stopped.items():
            raise CorruptionError(path, 0, f"shard {shard} of this node has stopped: {why}")
        database.flush()
    manifest = manifests.load(files, path)
    assert manifest is not None
    manifests.store(
        files, path, replace(manifest, generation=manifest.generation + 1, companion=None)
    )
    return shards[0]


def _shards(state: bytes) -> int:
    """That the replica's state is of."""
    ledger_bytes, _ = SIZES.unpack_from(state)
    return Ledger.restored(state[SIZES.size : SIZES.size + ledger_bytes]).shards
