"""Whether the server is alive, ready, and how it is doing.

GET /-/healthy        200 as long as the process answers
GET /-/ready          200 when writes are taken; 503 with replay progress before
GET /metrics          figures in Prometheus' text format
GET /api/v1/status    the same state for people and programs, as JSON; api.routes.bounds adds limits
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from api.exchange import Answer
from api.metrics import TEXT_FORMAT, Metrics
from api.node import Node, State
from api.routes import bounds, examples
from api.work import Reply, Work

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]


def status(database: Database) -> Answer:
    stats = database.stats()
    document = {
        "status": "success",
        "state": State.READY.value,
        "resolution": database.resolution.name.lower(),
        "series": stats.series,
        "points": stats.points,
        "blocks": stats.blocks,
        "seq": stats.applied_seq,
    }
    return Answer(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def declare(app: FastAPI, node: Node, metrics: Metrics) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/-/healthy", **examples.HEALTHY)
    async def healthy() -> Response:
        return Reply(Answer(b'{"status":"success","state":"healthy"}\n'))

    @app.get("/-/ready", **examples.READY)
    async def ready() -> Response:
        if node.state is State.STARTING:
            document = {
                "status": "error",
                "errorType": "unavailable",
                "error": node.progress(),
                "code": "starting",
                "replayed": node.replayed,
                "total": node.to_replay,
            }
            body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
            return Reply(Answer(body, 503, headers=[(b"retry-after", b"1")]))
        node.check_ready()
        return Reply(Answer(b'{"status":"success","state":"ready"}\n'))

    @app.get("/metrics", **examples.METRICS)
    async def figures() -> Response:
        async with node.admin.caller():
            body = await node.admin.run(metrics.text)
        return Reply(Answer(body, media=TEXT_FORMAT))

    @app.get("/api/v1/status", **examples.STATUS)
    async def state_of_things() -> Response:
        return Work(node, status, node.admin)

    bounds.declare(app, node)
