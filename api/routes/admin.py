"""/api/v1/admin: what an operator asks for. POST only, on loopback only, never from another site.

POST /api/v1/admin/flush      points in memory become blocks now
POST /api/v1/admin/snapshot   a consistent copy under DIR/snapshots, by hard links
"""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from api.exchange import Answer
from api.node import Node
from api.routes import examples
from api.work import Work

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]

SNAPSHOTS = "snapshots"


def flush(database: Database) -> Answer:
    return Answer(b'{"status":"success","blocks":%d}\n' % database.flush())


def snapshot(database: Database, *, name: str) -> Answer:
    """The name is ours, so that no text of a request reaches a path."""
    folder = database.path / SNAPSHOTS
    folder.mkdir(exist_ok=True)
    database.snapshot(folder / name)
    return Answer(orjson.dumps({"status": "success", "name": name, "folder": SNAPSHOTS}) + b"\n")


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.post("/api/v1/admin/flush", **examples.FLUSH)
    async def flush_now() -> Response:
        node.door.check_admin()
        return Work(node, flush, node.admin)

    @app.post("/api/v1/admin/snapshot", **examples.SNAPSHOT)
    async def snapshot_now() -> Response:
        node.door.check_admin()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{moment}-{os.urandom(4).hex()}"
        return Work(node, functools.partial(snapshot, name=name), node.admin)
