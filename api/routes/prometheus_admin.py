"""Prometheus' admin API: POST or PUT, with the scope admin, never from another site.

/api/v1/admin/tsdb/delete_series      points of match[] from start to end
/api/v1/admin/tsdb/snapshot           as /api/v1/admin/snapshot
/api/v1/admin/tsdb/clean_tombstones   rewrites blocks that hold deleted points

Deleted points are invisible at once, durably; `clean_tombstones` is only about room on the disk.
"""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import prometheus_admin_examples as examples
from api.routes.admin import SNAPSHOTS
from api.routes.promql_form import Form, form_of
from api.routes.series import matcher_sets, ticks_of
from api.work import Work
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]


def delete_series(database: Database, *, form: Form) -> Answer:
    """All selectors are read before the first is acted on."""
    sets = matcher_sets(form.all("match[]"))
    if not sets:
        raise InvalidInput("no match[] parameter provided")
    start, end = ticks_of(database, form)
    if end < start:
        raise InvalidInput("end timestamp must not be before start time")
    for matchers in sets:
        database.delete(matchers, start, end)
    return Answer(status=204)


def snapshot(database: Database, *, name: str) -> Answer:
    folder = database.path / SNAPSHOTS
    folder.mkdir(exist_ok=True)
    database.snapshot(folder / name)
    return Answer(orjson.dumps({"status": "success", "data": {"name": name}}))


def clean_tombstones(database: Database) -> Answer:
    database.clean_tombstones()
    return Answer(status=204)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.put("/api/v1/admin/tsdb/delete_series", include_in_schema=False)
    @app.post("/api/v1/admin/tsdb/delete_series", **examples.DELETE)
    async def delete_matching(request: Request) -> Response:
        node.door.check_admin()
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        return Work(node, functools.partial(delete_series, form=form), node.admin)

    @app.put("/api/v1/admin/tsdb/snapshot", include_in_schema=False)
    @app.post("/api/v1/admin/tsdb/snapshot", **examples.SNAPSHOT)
    async def take_snapshot() -> Response:
        node.door.check_admin()
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(8).hex()}"
        return Work(node, functools.partial(snapshot, name=name), node.admin)

    @app.put("/api/v1/admin/tsdb/clean_tombstones", include_in_schema=False)
    @app.post("/api/v1/admin/tsdb/clean_tombstones", **examples.CLEAN)
    async def clean() -> Response:
        node.door.check_admin()
        return Work(node, clean_tombstones, node.admin)
