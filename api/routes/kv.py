"""/kv: series by key. Write points, read a range, delete a range, list keys.

PUT, POST /kv/{key}   points of one series; a raw ASGI route (api.app), declared for OpenAPI
GET /kv/{key}         points as JSON, CSV or an Arrow stream, folded into steps on request
DELETE /kv/{key}      points from start to end
GET /kv               keys, page by page
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import numpy as np
import orjson
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from api import keys, pieces
from api.errors import NotFound
from api.exchange import Answer, Exchange
from api.node import Node
from api.queries import DeleteQuery, ListQuery, ReadQuery, WriteQuery, ack_of, span
from api.routes import examples
from api.routes.written import answer_of
from api.work import Reply, Work
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.batch import Columns, Parsed
    from tsdb.database.database import Database
    from tsdb.index.labels import Labels
    from tsdb.query.selection import Selection

__all__ = ["MEDIA", "declare", "write"]

Key = Annotated[str, Path(**examples.KEY)]

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
MEDIA = (JSON, CSV, ARROW)
_PLAIN = re.compile(r"[A-Za-z0-9_]")


async def write(node: Node, exchange: Exchange) -> Answer:
    """PUT or POST /kv/{key}."""
    exchange.route = "/kv/{key}"
    database = node.database()
    ack = ack_of(exchange.scope["query_string"])
    key = keys.canonical_of(exchange.scope["raw_path"])
    body = await node.ingest.body(exchange)
    now = database.now_ticks()
    if b"content-encoding" not in exchange.headers and len(body) <= node.ingest.body_bytes_max:
        from tsdb.parse.points_json import PointsBody

        plain = PointsBody(body, key, database.resolution, now)
        return answer_of(await node.ingest.write(database, plain, len(body), ack, exchange))

    def read_points(plain: bytes) -> Parsed:
        from tsdb.parse import points_json

        return points_json.parse(plain, key, database.resolution, now)

    return answer_of(await node.ingest.write_body(database, exchange, body, read_points, ack))


def read(
    database: Database, *, node: Node, labels: Labels, query: ReadQuery, exchange: Exchange
) -> Answer:
    """Points of one series; runs in a reader thread."""
    media = pieces.media_of(exchange.headers.get(b"accept", b""), MEDIA)
    start, end = span(database, query.start, query.end)
    if query.agg is not None and query.step is None:
        raise InvalidInput(f"agg={query.agg} needs a step, such as step=5m")
    matchers = keys.exactly(database, labels)
    found = database.select(matchers, start, end, points_max=node.points_max)
    selection = _shaped(found, query, start)
    answer = pieces.answer_of(
        _rendered(selection, keys.text_of(labels), media),
        media.encode(),
        exchange.headers.get(b"accept-encoding", b""),
    )
    answer.headers += [(b"warning", _warning(text)) for text in selection.warnings[:8]]
    return answer


def _shaped(found: Selection, query: ReadQuery, start: int) -> Selection:
    """Folded into steps and cut to the limit."""
    from api.times import duration_ticks
    from tsdb.query import steps
    from tsdb.query.selection import Selection

    columns = found.columns()
    if query.step is not None:
        step = duration_ticks(query.step, ticks_per_s=found.resolution.ticks_per_s)
        if query.start is None and columns.points and step > 0:
            start = int(columns.timestamps[0]) // step * step
        columns = steps.fold(columns, start, step, query.agg or "avg")
    if query.limit is not None:
        columns = _cut(columns, query.limit)
    if columns is found.columns():
        return found
    by_ref = dict(zip(found.refs.tolist(), found.labels(), strict=True))
    return Selection(
        found.refs,
        columns,
        labels_of=by_ref.__getitem__,
        resolution=found.resolution,
        warnings=found.warnings,
    )


def _cut(columns: Columns, limit: int) -> Columns:
    """The first `limit` points of one run, or its last `-limit`."""
    from tsdb.batch import Columns

    assert columns.runs <= 1
    taken = slice(0, limit) if limit >= 0 else slice(max(0, columns.points + limit), None)
    stamps, values = columns.timestamps[taken], columns.values[taken]
    offsets = np.array([0, stamps.size][: columns.runs + 1], np.int64)
    return Columns(offsets, stamps, values)


def _rendered(selection: Selection, key: str, media: str) -> Iterable[bytes]:
    from api.encode import arrow_stream, csv_rows, points_json

    if media == ARROW:
        return arrow_stream.stream(selection)
    if media == CSV:
        return csv_rows.stream(selection, selection.resolution)
    columns = selection.columns()
    return points_json.stream(key, columns.timestamps, columns.values, selection.resolution)


def _warning(text: str) -> bytes:
    plain = re.sub(r'[^ -~]|["\\]', "?", text)[:500]
    return f'199 - "{plain}"'.encode()


def delete(database: Database, *, labels: Labels, query: DeleteQuery) -> Answer:
    """Delete points of one series; runs in a thread, returns when the delete is durable."""
    start, end = span(database, query.start, query.end)
    if not database.holds(labels):
        raise NotFound(f"there is no series {keys.text_of(labels)}")
    series = database.delete_one(labels, start, end)
    return Answer(b'{"status":"success","series":%d,"durable":true}\n' % series)


def listing(database: Database, *, query: ListQuery, exchange: Exchange) -> Answer:
    """One page of keys, in the order of their labels."""
    from tsdb.index.labels import METRIC_NAME, canonical
    from tsdb.index.matchers import Matcher, Op
    from tsdb.index.selector import parse_selector

    matchers = parse_selector(query.match, allow_empty=True) if query.match else ()
    if query.prefix:
        pattern = "".join(c if _PLAIN.match(c) or ord(c) > 127 else "\\" + c for c in query.prefix)
        matchers += (Matcher(METRIC_NAME, Op.MATCH, pattern + ".*"),)
    index, found = database.find(matchers)
    refs = index.sort_refs(found).tolist()
    if query.after:
        after = canonical(keys.labels_of_text(query.after))
        refs = refs[bisect_right(refs, after, key=index.key) :]
    page = [keys.text_of(index.labels(ref)) for ref in refs[: query.limit]]
    document = {
        "status": "success",
        "keys": page,
        "next": page[-1] if len(refs) > query.limit else None,
    }
    body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return pieces.answer_of([body], JSON.encode(), exchange.headers.get(b"accept-encoding", b""))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.post("/kv/{key:path}", **examples.WRITE_KEY_POST)
    @app.put("/kv/{key:path}", **examples.WRITE_KEY)
    async def write_points(
        key: Key, request: Request, query: Annotated[WriteQuery, Query()]
    ) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.get("/kv/{key:path}", **examples.READ_KEY)
    async def read_points(
        key: Key, request: Request, query: Annotated[ReadQuery, Query()]
    ) -> Response:
        exchange: Exchange = request.scope["exchange"]
        node.database()
        labels = keys.labels_of(request.scope["raw_path"])
        work = functools.partial(read, node=node, labels=labels, query=query, exchange=exchange)
        return Work(node, work, node.readers)

    @app.delete("/kv/{key:path}", **examples.DELETE_KEY)
    async def delete_points(
        key: Key, request: Request, query: Annotated[DeleteQuery, Query()]
    ) -> Response:
        node.database()
        labels = keys.labels_of(request.scope["raw_path"])
        return Work(node, functools.partial(delete, labels=labels, query=query), node.admin)

    @app.get("/kv", **examples.LIST_KEYS)
    async def list_keys(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
        exchange: Exchange = request.scope["exchange"]
        work = functools.partial(listing, query=query, exchange=exchange)
        return Work(node, work, node.readers)
