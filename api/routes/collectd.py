"""What collectd's write_http plugin sends.

    POST /collectd   a JSON array of value lists, or PUTVAL lines; a raw ASGI route (api.app)

collectd reads no answers: it logs a status that is not 2xx, and counts its buffer as lost. So a
body of which something is kept is a success, and what was refused is in the answer for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.queries import ack_of
from api.routes.collectd_examples import COLLECTD
from api.routes.written import answer_of
from api.work import Reply

if TYPE_CHECKING:
    from tsdb.batch import Parsed

__all__ = ["declare", "write"]

PATH = "/collectd"


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /collectd."""
    exchange.route = PATH
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import collectd

        return collectd.parse(plain, database.resolution, database.now_ticks())

    return answer_of(await node.ingest.write_body(database, exchange, body, read, ack))


def declare(app: FastAPI, node: Node) -> None:
    """The route as FastAPI knows it."""

    @app.post(PATH, **COLLECTD)
    async def put_values(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))
