"""Many series at once, as JSON lines: import and export.

    POST /api/v1/import   a raw ASGI route (api.app), declared for OpenAPI
    GET /api/v1/export    streams what import takes

An export of more points than fit in memory goes range by range of time; each range is one
consistent look at the database, ranges follow each other.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from api import pieces
from api.exchange import Answer, Exchange
from api.node import Node
from api.queries import ExportQuery, WriteQuery, ack_of, span
from api.routes import examples
from api.routes.written import answer_of
from api.work import Reply, Work
from tsdb import limits
from tsdb.errors import LimitExceeded

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.query.selection import Selection, Series

__all__ = ["NDJSON", "declare", "write"]

NDJSON = "application/x-ndjson"


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v1/import."""
    exchange.route = "/api/v1/import"
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)
    encoding = exchange.headers.get(b"content-encoding", b"").decode("latin-1")

    def parse() -> Parsed:
        from tsdb.parse import compression, json_lines

        plain = compression.decode(body, encoding, bytes_max=node.ingest.body_bytes_max)
        return json_lines.parse(plain, database.resolution)

    size = node.ingest.decoded_bytes(body, encoding)
    return answer_of(await node.ingest.write(database, parse, size, ack))


def export(database: Database, *, query: ExportQuery, exchange: Exchange) -> Answer:
    """All series that match, in lines; runs in reader threads, piece by piece."""
    from api.encode import json_lines
    from tsdb.index.selector import parse_selector

    start, end = span(database, query.start, query.end)
    selectors = [parse_selector(text, allow_empty=True) for text in dict.fromkeys(query.match)]
    lines = json_lines.stream(_series(database, selectors, start, end), database.resolution)
    return pieces.answer_of(lines, NDJSON.encode(), exchange.headers.get(b"accept-encoding", b""))


def _series(
    database: Database, selectors: list[tuple[Matcher, ...]], start: int, end: int
) -> Iterator[Series]:
    """Each matching series once a range, whichever of the selectors match it."""
    registry = database.parts.engine.registry
    told = np.empty(0, np.uint32)
    for matchers in selectors:
        for selection in _ranges(database, matchers, *_clipped(database, start, end)):
            fresh = ~np.isin(selection.refs, told)
            yield from (selection[i] for i in np.flatnonzero(fresh).tolist())
        told = np.union1d(told, registry.select(matchers))


def _ranges(
    database: Database, matchers: tuple[Matcher, ...], start: int, end: int
) -> Iterator[Selection]:
    """The selection, in ranges of time that hold at most EXPORT_POINTS."""
    ranges = [(start, end)]
    while ranges:
        low, high = ranges.pop()
        if low > high:
            continue
        most = limits.EXPORT_POINTS if low < high else limits.POINTS_PER_SELECT_MAX
        try:
            yield database.select(matchers, low, high, points_max=most)
        except LimitExceeded as error:
            if error.limit != "POINTS_PER_SELECT_MAX" or low == high:
                raise
            middle = low + (high - low) // 2
            ranges += [(middle + 1, high), (low, middle)]


def _clipped(database: Database, start: int, end: int) -> tuple[int, int]:
    """The part of the range that holds points: halving an endless one would take long."""
    engine = database.parts.engine
    version = engine.version
    heads = [g.head for g in (*version.frozen, engine.active) if g.head.points]
    metas = [block.meta for block in version.blocks]
    lows = [h.min_ts for h in heads] + [m.min_ts for m in metas]
    highs = [h.max_ts for h in heads] + [m.max_ts for m in metas]
    if not lows:
        return start, end
    return max(start, min(lows)), min(end, max(highs))


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
