"""A node's data anew, from another node: what a new one begins with, and what a damaged one needs.

    in   a data directory that is empty or marked, the other nodes
    out  the same directory with another node's data, as of a moment ago

Where all nodes hold the same, the data says itself how far in each log it is. So a copy of a
snapshot of any of them is a node's data, and the logs bring what came after. Where shards are
spread over nodes a node begins empty and copies its shards one by one (replication/keeping.py).
What was there before is kept, in `quarantine/`.

A node marks itself when it meets what it cannot follow: a log that begins after its position, a
record that is none, data that is damaged. It is rebuilt when it is started the next time. The mark
stands until the new data is in place, so a rebuilding that was cut off begins again.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from pathlib import Path

from replication.archive import unpack
from replication.calling import Calls
from replication.settings import ClusterSettings, Peer
from tsdb.block import manifest as manifests
from tsdb.database.opening import ensure_folder
from tsdb.errors import CorruptionError
from tsdb.vfs import Files, remove_tree, write_whole

__all__ = ["MARK", "SNAPSHOT_PATH", "ensure_data", "mark"]

MARK = "REBUILD"
ARRIVING, QUARANTINE = "arriving", "quarantine"
KEPT = frozenset(
    {"nats", QUARANTINE, "LOCK", ARRIVING, "snapshots", MARK, "SHARD-MAP"}
)  # not part of the data
SNAPSHOT_PATH = "/api/v1/cluster/snapshot"
SILENT_S = 60.0
HTTP_OK = 200
Tell = Callable[[str], None]


def mark(files: Files, path: Path, why: str) -> None:
    """Have this data directory rebuilt when its node starts the next time."""
    write_whole(files, path / MARK, f"{why}\n".encode())


def unmark(files: Files, path: Path) -> None:
    """What it was marked for is mended."""
    if files.exists(path / MARK):
        files.unlink(path / MARK)
        files.sync_dir(path)


def ensure_data(files: Files, path: Path, settings: ClusterSettings, tell: Tell) -> bool:
    """Fetch the data of another node if this one has none, or is marked; whether it was fetched.

    A node without data begins empty where nobody has any: then the cluster is new, or all logs
    are whole. Raises CorruptionError when a marked node finds nobody to copy from.
    """
    ensure_folder(files, path)
    marked = files.exists(path / MARK)
    spread = len(settings.peers) > settings.replicas
    if spread:
        if marked:
            _set_aside(files, path)
            unmark(files, path)
        return False
    if not marked and any(name.startswith("MANIFEST-") for name in files.list(path)):
        return False
    for peer in settings.peers:
        if peer.node != settings.node and _fetched(files, path, peer, Calls(settings), tell):
            if not marked:
                mark(files, path, f"data of {peer.node}")
            _put_in_place(files, path)
            files.unlink(path / MARK)
            files.sync_dir(path)
            return True
    if marked:
        raise CorruptionError(
            path / MARK, 0, "this node is to be rebuilt, and no other answers with its data"
        )
    return False


def _fetched(files: Files, path: Path, peer: Peer, calls: Calls, tell: Tell) -> bool:
    """Whether the peer's data lies in `arriving/` now."""
    arriving = path / ARRIVING
    if files.exists(arriving):
        remove_tree(files, arriving)
    files.mkdir(arriving)
    try:
        with contextlib.closing(calls.connected(peer, SILENT_S)) as connection:
            connection.request("GET", SNAPSHOT_PATH, headers=calls.headers)
            response = connection.getresponse()
            if response.status != HTTP_OK:
                tell(f"no data of {peer.node}: status {response.status}")
                return False
            tell(f"copying the data of {peer.node}")
            began = time.monotonic()
            size = unpack(files, response, arriving)
    except (OSError, http.client.HTTPException, CorruptionError) as error:
        tell(f"no data of {peer.node}: {error}")
        return False
    manifest = manifests.load(files, arriving)
    if manifest is None or manifest.companion is None:
        return False
    tell(f"copied {size:,} bytes of {peer.node} in {time.monotonic() - began:.1f} s")
    return True


def _put_in_place(files: Files, path: Path) -> None:
    """The arrived data instead of what is there, which is kept aside."""
    _set_aside(files, path)
    arriving = path / ARRIVING
    names = [name for name in files.list(arriving) if name != QUARANTINE]
    _move(files, [n for n in names if not n.startswith("MANIFEST-")], arriving, path)
    _move(files, [n for n in names if n.startswith("MANIFEST-")], arriving, path)
    remove_tree(files, arriving)


def _set_aside(files: Files, path: Path) -> None:
    old = [name for name in files.list(path) if name not in KEPT]
    if old:
        aside = path / QUARANTINE / f"rebuilt-{time.time_ns()}"
        ensure_folder(files, aside)
        _move(files, old, path, aside)


def _move(files: Files, names: list[str], source: Path, target: Path) -> None:
    for name in names:
        files.rename(source / name, target / name)
    files.sync_dir(target)
    files.sync_dir(source)
