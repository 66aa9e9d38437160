"""Queries as text: formatted, and taken apart.

GET, POST /api/v1/format_query   the same query, as Prometheus would write it
GET, POST /api/v1/parse_query    its tree
"""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import promql_text_examples as examples
from api.routes.promql_form import form_of
from api.work import Reply

__all__ = ["declare"]


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them. Neither needs a database."""

    async def text_of(request: Request) -> str:
        exchange: Exchange = request.scope["exchange"]
        return (await form_of(node, exchange)).text("query")

    @app.get("/api/v1/format_query", **examples.FORMAT)
    @app.post("/api/v1/format_query", **examples.FORMAT_POST)
    async def format_query(request: Request) -> Response:
        from tsdb.promql.parse import parse
        from tsdb.promql.printing import pretty

        text = await text_of(request)
        async with node.admin.caller():
            return _data(await node.admin.run(lambda: pretty(parse(text, node.settings.features))))

    @app.get("/api/v1/parse_query", **examples.PARSE)
    @app.post("/api/v1/parse_query", **examples.PARSE_POST)
    async def parse_query(request: Request) -> Response:
        from tsdb.promql.parse import parse
        from tsdb.promql.printing import described

        text = await text_of(request)
        async with node.admin.caller():
            return _data(
                await node.admin.run(lambda: described(parse(text, node.settings.features)))
            )


def _data(found: object) -> Reply:
    # Not orjson: it refuses what is nested deeper than 254, and a sum of 300 terms is.
    return Reply(Answer(json.dumps({"status": "success", "data": found}).encode()))
