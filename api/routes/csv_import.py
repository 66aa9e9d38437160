"""CSV whose columns the query describes, as VictoriaMetrics takes it.

    POST /api/v1/import/csv?format=1:label:ticker,2:metric:ask,3:time:unix_s

A raw ASGI route (api.app). `extra_label=name=value` as for the other imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import exposition_examples as examples
from api.routes.import_options import options_of
from api.routes.written import answer_of
from api.work import Reply
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.batch import Parsed

__all__ = ["PATH", "declare", "write"]

PATH = "/api/v1/import/csv"


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v1/import/csv."""
    from tsdb.parse.csv_format import CsvFormat

    exchange.route = PATH
    database = node.database()
    options = options_of(exchange.scope["query_string"], "format")
    if "format" not in options.more:
        raise InvalidInput("query parameter format is missing, such as format=1:metric:cpu")
    form = CsvFormat.parse(options.more["format"])
    body = await node.ingest.body(exchange)
    now = database.now_ticks()

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import csv_format

        extra = options.extra
        return csv_format.parse(plain, form, database.resolution, now_ticks=now, extra=extra)

    return answer_of(await node.ingest.write_body(database, exchange, body, read, options.ack))


def declare(app: FastAPI, node: Node) -> None:
    """The route as FastAPI knows it."""

    @app.post(PATH, **examples.IMPORT_CSV)
    async def import_csv(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))
