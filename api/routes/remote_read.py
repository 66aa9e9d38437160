"""POST /api/v1/read: stored points for a Prometheus or Thanos that reads from here.

Answers hold samples; streamed chunks are not offered, and every client takes samples.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cramjam
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import remote_read
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import series_examples as examples
from api.work import Work
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]

PROTOBUF = b"application/x-protobuf"


def read(database: Database, *, body: bytes, points_max: int) -> Answer:
    """Runs in a reader thread."""
    queries = remote_read.queries_of(_decompressed(body))
    results = [_result(database, query, points_max) for query in queries]
    whole = b"".join(remote_read.field(1, result) for result in results)
    packed = bytes(cramjam.snappy.compress_raw(whole))
    return Answer(packed, media=PROTOBUF, headers=[(b"content-encoding", b"snappy")])


def _result(database: Database, query: remote_read.ReadQuery, points_max: int) -> bytes:
    per_s = database.resolution.ticks_per_s
    start = max(-(-query.start_ms * per_s // 1000), -(2**63))
    end = min(((query.end_ms + 1) * per_s - 1) // 1000, 2**63 - 1)
    if end < start:
        return b""
    found = database.select(query.matchers, start, end, points_max=points_max)
    ordered = sorted(found, key=lambda each: list(each.labels.items()))
    return b"".join(
        remote_read.field(
            1, remote_read.series(each.labels, each.timestamps * 1000 // per_s, each.values)
        )
        for each in ordered
    )


def _decompressed(body: bytes) -> bytes:
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > limits.FORM_BYTES_MAX:
            raise LimitExceeded(
                "the request is too long", limit="FORM_BYTES_MAX", value=limits.FORM_BYTES_MAX
            )
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise InvalidInput(f"the body is not compressed with snappy: {error}") from error


def declare(app: FastAPI, node: Node) -> None:
    """The route as FastAPI knows it."""

    @app.post("/api/v1/read", **examples.READ)
    async def remote_read_points(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        body = await node.ingest.body(exchange)
        asked = functools.partial(read, body=body, points_max=node.points_max)
        return Work(node, asked, node.readers)
