"""POST /api/v1/read: stored points for a Prometheus or Thanos that reads from here.

An answer holds samples, whole and compressed with snappy, or streamed chunks, whichever the client
names first. Samples are bounded by the points of one selection; a stream is not, as it holds a
group of series at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cramjam
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import pieces, remote_read
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
STREAM = b"application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


def read(database: Database, *, body: bytes, points_max: int) -> Answer:
    """Runs in a reader thread."""
    plain = _decompressed(body)
    queries = remote_read.queries_of(plain)
    if remote_read.kind_of(plain) == remote_read.CHUNKS:
        return pieces.answer_of(_frames(database, queries), STREAM)
    results = [_result(database, query, points_max) for query in queries]
    whole = b"".join(remote_read.field(1, result) for result in results)
    packed = bytes(cramjam.snappy.compress_raw(whole))
    return Answer(packed, media=PROTOBUF, headers=[(b"content-encoding", b"snappy")])


def _frames(database: Database, queries: list[remote_read.ReadQuery]) -> Iterator[bytes]:
    """Group by group of series, so that an answer of any length needs little memory."""
    from api.remote_read_chunks import frames

    for number, query in enumerate(queries):
        start, end = _ticks(database, query)
        if start <= end:
            yield from frames(database.select_in_groups(query.matchers, start, end), number)


def _result(database: Database, query: remote_read.ReadQuery, points_max: int) -> bytes:
    start, end = _ticks(database, query)
    if end < start:
        return b""
    found = database.select(query.matchers, start, end, points_max=points_max)
    columns = remote_read.in_milliseconds(found.columns(), found.resolution)
    bounds = columns.offsets.tolist()
    named = sorted((list(labels.items()), i) for i, labels in enumerate(found.labels()))
    return b"".join(
        remote_read.field(
            1,
            remote_read.series(
                dict(labels),
                columns.timestamps[bounds[i] : bounds[i + 1]],
                columns.values[bounds[i] : bounds[i + 1]],
            ),
        )
        for labels, i in named
    )


def _ticks(database: Database, query: remote_read.ReadQuery) -> tuple[int, int]:
    per_s = database.resolution.ticks_per_s
    start = max(-(-query.start_ms * per_s // 1000), -(2**63))
    return start, min(((query.end_ms + 1) * per_s - 1) // 1000, 2**63 - 1)


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
