"""Prometheus remote_write, 1.0 and 2.0.

    POST /api/v1/write   a raw ASGI route (api.app); /api/v1/push is the same, as Mimir has it

`Content-Type` says which message it is: application/x-protobuf, with proto=prometheus.WriteRequest
(or without) or proto=io.prometheus.write.v2.Request. The body is snappy's block format; where
`Content-Encoding` is missing it is taken to be, and zstd is understood too, as vmagent sends it.
Anything else is 415, after which senders fall back to what we know.

204 when all is kept, after the fsync. What is wrong for good (too old, no such label set, native
histograms) is 400 with the reasons, the rest being kept: senders do not repeat that. 429 and 503
they do. Answers to 2.0 count what was written in three headers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from api.errors import Refusal, UnsupportedMedia, refusal
from api.exchange import Answer, Exchange, Headers
from api.node import Node
from api.queries import WriteQuery, ack_of
from api.routes import remote_write_examples as examples
from api.routes.written import refused_for_now
from api.work import Reply
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.commit.request import Written
    from tsdb.database.database import Database
    from tsdb.parse.remote_names import KnownNames

__all__ = ["PATHS", "declare", "write"]

PATHS = ("/api/v1/write", "/api/v1/push")
MEDIA = "application/x-protobuf"
MESSAGES = {"prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}
ENCODINGS = {"": "snappy", "snappy": "snappy", "zstd": "zstd"}
VARINT_BYTES = 5

# What the senders of each open database named their series by.
_known: WeakKeyDictionary[Database, KnownNames] = WeakKeyDictionary()


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v1/write and /api/v1/push."""
    exchange.route = PATHS[0]
    version = version_of(exchange.headers.get(b"content-type", b""))
    encoding = _encoding_of(exchange.headers.get(b"content-encoding", b""))
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)
    exemplars: list[int] = []

    def parse() -> Parsed:
        from tsdb.parse import compression, remote_write

        known = _known_of(database)
        plain = compression.decode_padded(
            body, encoding, bytes_max=node.ingest.body_bytes_max, buffers=known.buffers
        )
        read = remote_write.parse_1 if version == 1 else remote_write.parse_2
        parsed = read(plain, database.resolution, known)
        known.buffers.give(plain)
        exemplars.append(len(parsed.exemplars))
        return parsed

    size = node.ingest.decoded_bytes(body, encoding)
    if encoding == "snappy":
        size = max(len(body), min(_declared_bytes(body), node.ingest.body_bytes_max))
    try:
        written = await node.ingest.write(database, parse, size, ack, exchange)
    except InvalidInput as error:
        if version == 1:
            raise
        refused = refusal(error)
        return Answer(refused.body(), refused.status, headers=[*refused.headers, *_counts(0, 0)])
    counts = _counts(written.points, exemplars[0]) if version == 2 else []
    return _answer(written, counts)


def _answer(written: Written, counts: Headers) -> Answer:
    if not written.refused_count:
        return Answer(status=204, headers=counts)
    kept: dict[str, object] = {
        "points": written.points,
        "refused_count": written.refused_count,
        "refused": list(written.refused),
    }
    first = written.refused[0] if written.refused else "no reason is known"
    message = f"{written.points:,} kept, {written.refused_count:,} refused: {first}"
    refused = refused_for_now(written) or Refusal(400, "bad_data", message)
    return Answer(refused.body(**kept), refused.status, headers=[*refused.headers, *counts])


def _counts(points: int, exemplars: int) -> Headers:
    return [
        (b"x-prometheus-remote-write-samples-written", b"%d" % points),
        (b"x-prometheus-remote-write-histograms-written", b"0"),
        (b"x-prometheus-remote-write-exemplars-written", b"%d" % exemplars),
    ]


@functools.lru_cache(maxsize=64)
def version_of(content_type: bytes) -> int:
    """1 or 2; UnsupportedMedia for messages we do not know."""
    media, *parameters = content_type.decode("latin-1").split(";")
    if not media.strip():
        return 1  # senders older than the specification say nothing
    if media.strip().lower() != MEDIA:
        raise UnsupportedMedia(f"content type {media.strip()!r} is not {MEDIA}")
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip().lower() != "proto":
            continue
        message = text.strip().strip('"')
        if message not in MESSAGES:
            known = ", ".join(MESSAGES)
            raise UnsupportedMedia(f"remote_write message {message!r} is not one of {known}")
        return MESSAGES[message]
    return 1


@functools.lru_cache(maxsize=64)
def _encoding_of(content_encoding: bytes) -> str:
    name = content_encoding.decode("latin-1").strip().lower()
    if name not in ENCODINGS:
        raise UnsupportedMedia(f"content encoding {name!r} is not snappy")
    return ENCODINGS[name]


def _declared_bytes(body: bytes) -> int:
    """What the body decodes to, as snappy's first bytes say: a varint."""
    size = 0
    for i, byte in enumerate(body[:VARINT_BYTES]):
        size |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    return size


def _known_of(database: Database) -> KnownNames:
    from tsdb.parse.remote_names import KnownNames

    known = _known.get(database)
    if known is None:
        known = _known.setdefault(database, KnownNames())
    return known


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    for path in PATHS:

        @app.post(path, **examples.WRITE[path])
        async def remote_write(request: Request, query: Annotated[WriteQuery, Query()]) -> Response:
            return Reply(await write(node, request.scope["exchange"]))
