"""OpenTelemetry metrics over HTTP: OTLP in protobuf or JSON.

    POST /v1/metrics                   what exporters call unless told otherwise
    POST /api/v1/otlp/v1/metrics       the same, as Prometheus has it
    POST /opentelemetry/v1/metrics     the same, as VictoriaMetrics has it

`Content-Type` says which: application/x-protobuf or application/json; anything else is 415. Answers
are in the same encoding. 200 with an ExportMetricsServiceResponse once all is on disk; where some
data points are left out it has a partial_success with their number and the first reasons. What is
wrong as a whole is a google.rpc.Status: 400, which exporters drop; 429 and 503, which they repeat
after `Retry-After`, the same points twice being the same.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated
from weakref import WeakKeyDictionary

import orjson
from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from api.errors import Refusal, UnsupportedMedia, refusal
from api.exchange import JSON, Answer, Exchange
from api.node import Node
from api.queries import WriteQuery, ack_of
from api.routes import otlp_examples as examples
from api.routes.written import refused_for_now
from api.work import Reply
from tsdb.errors import TSDBError

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.commit.request import Written
    from tsdb.database.database import Database
    from tsdb.parse.otlp.bulk import KnownOrigins
    from tsdb.parse.otlp.parse import Found
    from tsdb.parse.otlp.series import Options

__all__ = ["PATHS", "declare", "write"]

PATHS = ("/v1/metrics", "/api/v1/otlp/v1/metrics", "/opentelemetry/v1/metrics")
PROTOBUF = b"application/x-protobuf"
MEDIA = {PROTOBUF.decode(): PROTOBUF, "application/protobuf": PROTOBUF, JSON.decode(): JSON}
REASONS_MAX = 10
# google.rpc.Code by status.
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 3, 422: 3, 429: 8, 500: 13, 503: 14}
UNKNOWN = 2
_known: WeakKeyDictionary[Database, KnownOrigins] = WeakKeyDictionary()


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST to any of the three."""
    exchange.route = PATHS[0]
    media = media_of(exchange.headers.get(b"content-type", b""))
    try:
        return await _write(node, exchange, media)
    except TSDBError as error:
        refused = refusal(error)
        if refused.status == 500:
            raise
        exchange.refused = error
        return _status(refused, media)


async def _write(node: Node, exchange: Exchange, media: bytes) -> Answer:
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)
    options = _options(node)
    found: list[Found] = []

    def read(plain: bytes) -> Parsed:
        from tsdb.parse.otlp import bulk, parse

        if media == JSON:
            found.append(parse.parse_json(plain, database.resolution, options))
        else:
            known = _known_of(database)
            found.append(bulk.parse_bulk(plain, database.resolution, options, known))
        return found[-1].parsed

    written = await node.ingest.write_body(database, exchange, body, read, ack)
    return _answer(written, found[-1], media)


def _known_of(database: Database) -> KnownOrigins:
    from tsdb.parse.otlp.bulk import KnownOrigins

    known = _known.get(database)
    if known is None:
        known = _known.setdefault(database, KnownOrigins())
    return known


def _options(node: Node) -> Options:
    settings = node.settings
    return _told(settings.otlp_promote_resource_attributes, settings.otlp_delta)


@functools.lru_cache(maxsize=8)
def _told(promote: str, delta: str) -> Options:
    from tsdb.parse.otlp.series import Options

    keys = frozenset(key.strip() for key in promote.split(",") if key.strip())
    return Options(keys, delta == "as-is")


def _answer(written: Written, found: Found, media: bytes) -> Answer:
    for_now = refused_for_now(written)
    if for_now is not None:
        return _status(for_now, media)
    if not written.refused_count:
        return Answer(b"{}" if media == JSON else b"", media=media)
    by_gate = written.refused_count - found.told
    rejected = min(found.points, found.refused + max(0, by_gate))
    reasons = "; ".join(written.refused[:REASONS_MAX])
    if media == JSON:
        partial = {"rejectedDataPoints": str(rejected), "errorMessage": reasons}
        return Answer(orjson.dumps({"partialSuccess": partial}))
    return Answer(_field(1, _number(1, rejected) + _field(2, reasons.encode())), media=media)


def _status(refused: Refusal, media: bytes) -> Answer:
    """A google.rpc.Status."""
    code, message = CODES.get(refused.status, UNKNOWN), refused.message
    if media == JSON:
        body = orjson.dumps({"code": code, "message": message})
    else:
        body = _number(1, code) + _field(2, message.encode(errors="replace"))
    return Answer(body, refused.status, media, refused.headers)


def _number(field: int, value: int) -> bytes:
    """A protobuf field; empty for 0, as proto3 has it."""
    return bytes([field << 3]) + _varint(value) if value else b""


def _field(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


@functools.lru_cache(maxsize=64)
def media_of(content_type: bytes) -> bytes:
    """Protobuf's or JSON's; UnsupportedMedia for others."""
    name = content_type.decode("latin-1").partition(";")[0].strip().lower()
    if name not in MEDIA:
        raise UnsupportedMedia(
            f"content type {name!r} is not {PROTOBUF.decode()} or {JSON.decode()}"
        )
    return MEDIA[name]


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    for path in PATHS:

        @app.post(path, **examples.WRITE[path])
        async def otlp_metrics(request: Request, query: Annotated[WriteQuery, Query()]) -> Response:
            return Reply(await write(node, request.scope["exchange"]))
