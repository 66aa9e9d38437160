"""Many series at once, as JSON lines: import and export.

    POST /api/v1/import   a raw ASGI route (api.app), declared for OpenAPI
    GET /api/v1/export    streams what import takes

An export of more points than fit in memory goes range by range of time (api.whole).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from api import pieces
from api.exchange import Answer, Exchange
from api.node import Node
from api.queries import ExportQuery, WriteQuery, ack_of, span
from api.routes import examples
from api.routes.written import answer_of
from api.whole import all_series
from api.work import Reply, Work

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.database.database import Database

__all__ = ["NDJSON", "declare", "write"]

NDJSON = "application/x-ndjson"


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v1/import."""
    exchange.route = "/api/v1/import"
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import json_lines

        return json_lines.parse(plain, database.resolution)

    return answer_of(await node.ingest.write_body(database, exchange, body, read, ack))


def export(database: Database, *, query: ExportQuery, exchange: Exchange) -> Answer:
    """All series that match, in lines; runs in reader threads, piece by piece."""
    from api.encode import json_lines
    from tsdb.index.selector import parse_selector

    start, end = span(database, query.start, query.end)
    selectors = [parse_selector(text, allow_empty=True) for text in dict.fromkeys(query.match)]
    lines = json_lines.stream(all_series(database, selectors, start, end), database.resolution)
    return pieces.answer_of(lines, NDJSON.encode(), exchange.headers.get(b"accept-encoding", b""))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.post("/api/v1/import", **examples.IMPORT)
    async def import_lines(request: Request, query: Annotated[WriteQuery, Query()]) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.get("/api/v1/export", **examples.EXPORT)
    async def export_lines(request: Request, query: Annotated[ExportQuery, Query()]) -> Response:
        exchange: Exchange = request.scope["exchange"]
        work = functools.partial(export, query=query, exchange=exchange)
        return Work(node, work, node.readers)
