"""Prometheus' text and OpenMetrics, pushed.

    POST /api/v1/import/prometheus                            series as they come
    POST /api/v1/import/prometheus/metrics/job/<job>/...      with the labels of the path

Raw ASGI routes (api.app). Options are VictoriaMetrics': `extra_label=name=value` (repeatable, in
place of the body's own), `timestamp=` (ms) for lines that bring none. The body is OpenMetrics if
`Content-Type` says so, or says nothing of Prometheus' text and the body ends with # EOF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import exposition_examples as examples
from api.routes.import_options import Pairs, options_of
from api.routes.push_path import group_of
from api.routes.written import answer_of
from api.work import Reply

if TYPE_CHECKING:
    from tsdb.batch import Parsed

__all__ = ["GROUPS", "PATH", "declare", "is_openmetrics", "write", "write_group"]

PATH = "/api/v1/import/prometheus"
GROUPS = b"/api/v1/import/prometheus/metrics"
OPENMETRICS = b"application/openmetrics-text"
TEXT_VERSION = b"version=0.0.4"
END = b"# EOF"


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v1/import/prometheus."""
    exchange.route = PATH
    return await _write(node, exchange, ())


async def write_group(node: Node, exchange: Exchange) -> Answer:
    """POST or PUT /api/v1/import/prometheus/metrics/job/..."""
    exchange.route = f"{PATH}/metrics/job/{{group}}"
    return await _write(node, exchange, group_of(exchange.scope["raw_path"].removeprefix(GROUPS)))


async def _write(node: Node, exchange: Exchange, group: Pairs) -> Answer:
    database = node.database()
    options = options_of(exchange.scope["query_string"], "timestamp")
    body = await node.ingest.body(exchange)
    media = exchange.headers.get(b"content-type", b"")
    extra = tuple({**dict(group), **dict(options.extra)}.items())
    now = database.now_ticks()

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import exposition, times

        exponent = times.decimal_exponent(database.resolution)
        moment = now
        if "timestamp" in options.more:
            moment = times.ticks_from_decimal(options.more["timestamp"], exponent - 3)
        form = exposition.Format(exponent, moment, is_openmetrics(media, plain))
        return exposition.read(plain, form, extra=extra).parsed

    return answer_of(await node.ingest.write_body(database, exchange, body, read, options.ack))


def is_openmetrics(media: bytes, body: bytes) -> bool:
    """Whether a body is to be read as OpenMetrics."""
    if media.startswith(OPENMETRICS):
        return True
    return TEXT_VERSION not in media and body[-8:].rstrip().endswith(END)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.post(PATH, **examples.IMPORT)
    async def import_exposition(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.post(PATH + "/metrics/job/{group:path}", **examples.IMPORT_GROUP)
    async def import_exposition_group(request: Request) -> Response:
        return Reply(await write_group(node, request.scope["exchange"]))
