"""The cluster, to people and to its other nodes.

GET /api/v1/cluster        nodes, shards, leaders, positions, digests; asks all nodes
GET /api/v1/cluster/node   this node's copies alone
GET /api/v1/cluster/snapshot   its data, for a node that has none or has lost it
GET /api/v1/cluster/verify     whether the copies of a shard hold the same points
GET /api/v1/cluster/shard      one shard of it, for a node that shall keep it
POST /api/v1/cluster/read      what its shards have to say, for a node that gathers
POST, DELETE /api/v1/cluster/moves      a shard begins to move, or does not
POST /api/v1/cluster/drain, /rebalance  many do
POST /api/v1/cluster/evict     logs have their copies on a node no more

404 on a server that is no node of a cluster.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from api.errors import Forbidden, NotFound
from api.exchange import Answer
from api.node import Node
from api.routes import cluster_examples as examples
from api.routes.admin import SNAPSHOTS
from api.work import Work
from replication.archive import packed
from replication.calling import SECRET_HEADER, Calls, knows
from replication.copying import framed
from replication.database import ClusterDatabase
from replication.questions import NOT_HERE, Question, encoded_error
from replication.settings import SHARDS_MAX, ClusterSettings, Peer
from replication.shard_map import Move, ShardMap
from replication.status import Seen, document, leaders, view
from tsdb.database.database import Database
from tsdb.database.opening import ensure_folder
from tsdb.errors import CorruptionError, InvalidInput, TSDBError, Unavailable
from tsdb.vfs import OsFiles, remove_tree

if TYPE_CHECKING:
    from replication.keeping import Keeping

__all__ = ["declare"]

ASK_S = 1.0
HTTP_OK = 200
OCTETS = b"application/octet-stream"
ShardNumber = Annotated[int, Query(ge=0, lt=SHARDS_MAX, examples=[["3"]])]
NodeName = Annotated[str, Query(examples=[["node-4"]])]
ASKED_AT_ONCE = 16
SETTLED_S, COMPARED = 3_600.0, 5


class Nodes:
    """The other nodes, as they answered last."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._calls = Calls(settings)
        self._answered: dict[str, float] = {}

    def seen(self, database: ClusterDatabase) -> dict[str, Seen]:
        """What every node says of its copies now; runs in a reader's thread."""
        others = [p for p in self._settings.peers if p.node != self._settings.node]
        found = {self._settings.node: Seen(view(database, self._settings.node), 0.0)}
        if not others:
            return found
        with ThreadPoolExecutor(min(len(others), ASKED_AT_ONCE)) as pool:
            for peer, said in zip(others, pool.map(self._asked, others), strict=True):
                found[peer.node] = self._noted(peer.node, said)
        return found

    def _asked(self, peer: Peer) -> dict[str, Any] | None:
        """A node's own view, None when it does not answer in time."""
        try:
            with contextlib.closing(self._calls.connected(peer, ASK_S)) as connection:
                connection.request("GET", "/api/v1/cluster/node", headers=self._calls.headers)
                response = connection.getresponse()
                body = response.read()
                said = orjson.loads(body)["data"] if response.status == HTTP_OK else None
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None
        return said if isinstance(said, dict) else None

    def _noted(self, node: str, said: dict[str, Any] | None) -> Seen:
        now = time.monotonic()
        if said is not None:
            self._answered[node] = now
        last = self._answered.get(node)
        return Seen(said, None if last is None else round(now - last, 3))


def declare(app: FastAPI, node: Node) -> None:
    settings = node.settings.cluster
    nodes = None if settings is None else Nodes(settings)

    @app.get("/api/v1/cluster", **examples.CLUSTER)
    async def whole() -> Response:
        def work(database: Database) -> Answer:
            assert isinstance(database, ClusterDatabase)
            assert nodes is not None
            shard_map = _keeping(database).map_of()
            return _data(document(known, shard_map, nodes.seen(database), leaders(database)))

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
    async def data(request: Request) -> Response:
        _check_node(node, settings, request)
        return Work(node, _packed, node.admin)

    _declare_between_nodes(app, node, settings)
    _declare_moves(app, node, settings, nodes)


def _declare_between_nodes(app: FastAPI, node: Node, settings: ClusterSettings | None) -> None:
    @app.get("/api/v1/cluster/shard", **examples.SHARD)
    async def shard(shard: ShardNumber, request: Request) -> Response:
        _check_node(node, settings, request)
        return Work(node, functools.partial(_copied, shard=shard), node.admin)

    @app.get("/api/v1/cluster/verify", **examples.VERIFY)
    async def verify(shard: ShardNumber, before: float | None = None) -> Response:
        """Seconds since 1970; an hour ago unless given."""
        _settings(settings)
        return Work(node, functools.partial(_compared, shard=shard, before=before), node.admin)

    @app.post("/api/v1/cluster/read", **examples.READ)
    async def read(request: Request) -> Response:
        _check_node(node, settings, request)
        body = await node.ingest.body(request.scope["exchange"])
        return Work(node, functools.partial(_answered, body=body), node.between, settled=False)


def _declare_moves(
    app: FastAPI, node: Node, settings: ClusterSettings | None, nodes: Nodes | None
) -> None:
    def changed(step: Callable[[ShardMap, list[str]], ShardMap]) -> Response:
        def work(database: Database) -> Answer:
            assert isinstance(database, ClusterDatabase)
            assert nodes is not None
            alive = [name for name, one in nodes.seen(database).items() if one.view is not None]
            made = database.shell.run(_keeping(database).change(lambda found: step(found, alive)))
            return _data({"epoch": made.epoch, "moves": _moves(made)})

        _settings(settings)
        node.door.check_admin()
        return Work(node, work, node.admin)

    def evicted(name: str) -> Response:
        def work(database: Database) -> Answer:
            assert isinstance(database, ClusterDatabase)
            logs = database.shell.run(_keeping(database).evict(name))
            return _data({"node": name, "logs": logs})

        node.door.check_admin()
        return Work(node, work, node.admin)

    @app.post("/api/v1/cluster/moves", **examples.MOVE)
    async def move(shard: ShardNumber, comes: NodeName, leaves: str = "") -> Response:
        known = _settings(settings)
        if comes not in {peer.node for peer in known.peers}:
            raise InvalidInput(f"{comes[:80]!r} is no node of this cluster")
        return changed(lambda found, _: found.with_move(shard, Move(comes, leaves)))

    @app.delete("/api/v1/cluster/moves", **examples.UNMOVE)
    async def unmove(shard: ShardNumber, comes: NodeName) -> Response:
        return changed(lambda found, _: found.without_move(shard, comes))

    @app.post("/api/v1/cluster/drain", **examples.DRAIN)
    async def drain(node: NodeName, to: str = "") -> Response:
        known = {peer.node for peer in _settings(settings).peers}
        for name in (node, to or node):
            if name not in known:
                raise InvalidInput(f"{name[:80]!r} is no node of this cluster")
        return changed(lambda found, alive: found.emptied(node, alive, to=to))

    @app.post("/api/v1/cluster/evict", **examples.EVICT)
    async def evict(node: NodeName) -> Response:
        if node not in {peer.node for peer in _settings(settings).peers}:
            raise InvalidInput(f"{node[:80]!r} is no node of this cluster")
        return evicted(node)

    @app.post("/api/v1/cluster/rebalance", **examples.REBALANCE)
    async def rebalance(without: str = "") -> Response:
        return changed(
            lambda found, alive: found.rebalanced([each for each in alive if each != without])
        )


def _check_node(node: Node, settings: ClusterSettings | None, request: Request) -> None:
    """What nodes ask each other is for nodes. Raises Forbidden, NotFound."""
    known = _settings(settings)
    if not known.secret:
        node.door.check_admin()
    elif not knows(known, request.scope["exchange"].headers.get(SECRET_HEADER.encode())):
        raise Forbidden(f"only nodes ask this, and show what `secret` of {known.path} names")


def _moves(found: ShardMap) -> list[dict[str, Any]]:
    return [
        {"shard": shard, "comes": move.comes, "leaves": move.leaves or None}
        for shard, move in found.moves
    ]


def _keeping(database: Database) -> Keeping:
    assert isinstance(database, ClusterDatabase)
    assert database.keeping is not None
    return database.keeping


def _compared(database: Database, *, shard: int, before: float | None) -> Answer:
    """Late writes make copies differ for a moment: they are looked at again then."""
    assert isinstance(database, ClusterDatabase)
    if shard >= len(database.acked):
        raise InvalidInput(f"there is no shard {shard}: they are 0 to {len(database.acked) - 1}")
    moment = time.time() - SETTLED_S if before is None else before
    end = int(moment * database.resolution.ticks_per_s)
    for _ in range(COMPARED):
        found = database.digests(shard, end)
        if len({one for one in found.values() if one is not None}) <= 1:
            break
        time.sleep(ASK_S)
    copies = [
        {
            "node": node,
            "digest": None if one is None else f"{one[0]:016x}",
            "points": None if one is None else one[1],
        }
        for node, one in found.items()
    ]
    known = {one for one in found.values() if one is not None}
    return _data({"shard": shard, "before": moment, "equal": len(known) == 1, "copies": copies})


def _copied(database: Database, *, shard: int) -> Answer:
    assert isinstance(database, ClusterDatabase)
    parts = database.shelf.copy(shard)
    return Answer(b"", media=OCTETS, rest=framed(parts))


def _answered(database: Database, *, body: bytes) -> Answer:
    """Errors are answers, too: another node says them to its client."""
    assert isinstance(database, ClusterDatabase)
    try:
        found = database.shelf.found(Question.decoded(body))
        return Answer(found.encoded(database.resolution), media=OCTETS)
    except CorruptionError as error:
        raise InvalidInput(str(error)) from error
    except TSDBError as error:
        return Answer(encoded_error(error), media=OCTETS)


def _packed(database: Database) -> Answer:
    """A snapshot as a tar file; it is removed behind the last piece."""
    assert isinstance(database, ClusterDatabase)
    if database.elsewhere is not None:
        raise Unavailable("this node does not keep all shards", code=NOT_HERE)
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
