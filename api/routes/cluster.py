"""The cluster, to people and to its other nodes.

GET /api/v1/cluster        nodes, shards, leaders, positions, digests; asks all nodes
GET /api/v1/cluster/node   this node's copies alone
GET /api/v1/cluster/snapshot   its data, for a node that has none or has lost it

404 on a server that is no node of a cluster.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from api.errors import NotFound
from api.exchange import Answer
from api.node import Node
from api.routes import cluster_examples as examples
from api.routes.admin import SNAPSHOTS
from api.work import Work
from replication.archive import packed
from replication.database import ClusterDatabase
from replication.settings import ClusterSettings, Peer
from replication.status import Seen, document, leaders, view
from tsdb.database.database import Database
from tsdb.database.opening import ensure_folder
from tsdb.vfs import OsFiles, remove_tree

__all__ = ["declare"]

ASK_S = 1.0
HTTP_OK = 200
ASKED_AT_ONCE = 16


class Nodes:
    """The other nodes, as they answered last."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._answered: dict[str, float] = {}

    def seen(self, database: ClusterDatabase) -> dict[str, Seen]:
        """What every node says of its copies now; runs in a reader's thread."""
        others = [p for p in self._settings.peers if p.node != self._settings.node]
        found = {self._settings.node: Seen(view(database, self._settings.node), 0.0)}
        if not others:
            return found
        with ThreadPoolExecutor(min(len(others), ASKED_AT_ONCE)) as pool:
            for peer, said in zip(others, pool.map(_asked, others), strict=True):
                found[peer.node] = self._noted(peer.node, said)
        return found

    def _noted(self, node: str, said: dict[str, Any] | None) -> Seen:
        now = time.monotonic()
        if said is not None:
            self._answered[node] = now
        last = self._answered.get(node)
        return Seen(said, None if last is None else round(now - last, 3))


def _asked(peer: Peer) -> dict[str, Any] | None:
    """A node's own view, None when it does not answer in time."""
    connection = http.client.HTTPConnection(peer.http.host, peer.http.port, timeout=ASK_S)
    try:
        connection.request("GET", "/api/v1/cluster/node")
        response = connection.getresponse()
        body = response.read()
        said = orjson.loads(body)["data"] if response.status == HTTP_OK else None
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) else None


def declare(app: FastAPI, node: Node) -> None:
    settings = node.settings.cluster
    nodes = None if settings is None else Nodes(settings)

    @app.get("/api/v1/cluster", **examples.CLUSTER)
    async def whole() -> Response:
        def work(database: Database) -> Answer:
            assert isinstance(database, ClusterDatabase)
            assert nodes is not None
            return _data(document(known, nodes.seen(database), leaders(database)))

        known = _settings(settings)
        return Work(node, work, node.admin)

    @app.get("/api/v1/cluster/node", **examples.NODE)
    async def own() -> Response:
        def work(database: Database) -> Answer:
            assert isinstance(database, ClusterDatabase)
            return _data(view(database, known.node))

        known = _settings(settings)
        return Work(node, work, node.admin)

    @app.get("/api/v1/cluster/snapshot", **examples.SNAPSHOT)
    async def data() -> Response:
        _settings(settings)
        node.door.check_admin()
        return Work(node, _packed, node.admin)


def _packed(database: Database) -> Answer:
    """A snapshot as a tar file; it is removed behind the last piece."""
    files, folder = OsFiles(), database.path / SNAPSHOTS
    ensure_folder(files, folder)
    place = database.snapshot(folder / f"leaving-{os.urandom(8).hex()}")

    def pieces() -> Iterator[bytes]:
        try:
            yield from packed(files, place)
        finally:
            remove_tree(files, place)

    return Answer(b"", media=b"application/x-tar", rest=pieces())


def _settings(settings: ClusterSettings | None) -> ClusterSettings:
    if settings is None:
        raise NotFound("this server is no node of a cluster: `silverback serve --cluster FILE`")
    return settings


def _data(data: dict[str, Any]) -> Answer:
    return Answer(orjson.dumps({"status": "success", "data": data}) + b"\n")
