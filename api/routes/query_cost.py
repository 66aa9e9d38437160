"""What a query would cost, without asking it.

GET, POST /api/v1/query_cost     the parameters of /api/v1/query, or with `step` of query_range
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import admission
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import query_cost_examples as examples
from api.routes.promql import instant_of, range_of, source_of
from api.routes.promql_form import Form, form_of
from api.running import Running
from api.work import Work

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/api/v1/query_cost", **examples.COST)
    @app.post("/api/v1/query_cost", **examples.COST_POST)
    async def query_cost(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        of = range_of if form.text("step") else instant_of
        query = of(node, exchange, form)
        return Work(node, functools.partial(_told, node, query, form), node.readers)


def _told(node: Node, query: Running, form: Form, _: Database) -> Answer:
    """In a reader's thread."""
    cost = admission.cost_of(node, query, source_of(node, query, form))
    found = admission.described(cost, node)
    return Answer(orjson.dumps({"status": "success", "data": found}))
