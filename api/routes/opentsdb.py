"""OpenTSDB's HTTP API, as far as senders and name pickers use it.

    POST /api/put?summary|details|sync   one data point or an array; a raw ASGI route (api.app)
    GET  /api/version                    which protocol this is
    GET  /api/aggregators                what a range can be folded with
    GET  /api/suggest?type=&q=&max=      names that begin with q; POST takes the same as JSON

Answers have OpenTSDB's shapes: 204, or 400 with `details` of each point that was refused; the
others are kept. Errors are {"error":{"code":...,"message":...}}. `sync` changes nothing: every
answer comes after the fsync.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api.errors import Refusal, refusal
from api.exchange import Answer, Exchange
from api.listeners.dialects import OPENTSDB_VERSION
from api.node import Node
from api.queries import parameters_of
from api.routes import opentsdb_examples as examples
from api.routes.written import TOO_MANY_REQUESTS, refused_for_now
from api.work import Reply, Work
from tsdb.commit.request import Ack
from tsdb.errors import InvalidInput, TSDBError

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.database.database import Database
    from tsdb.parse.opentsdb_json import Reading

__all__ = ["declare", "write"]

PUT = "/api/put"
AGGREGATORS = ("avg", "count", "first", "last", "max", "min", "sum")
SUGGESTED, SUGGESTED_MAX = 25, 10_000
DETAILS_MAX = 1_000
_STAMP = re.compile(r": timestamp (-?\d+) is ")
SEE_DETAILS = (
    'Please see the log of the server or append "details" to the put request '
    "to see which points were refused"
)


async def write(node: Node, exchange: Exchange) -> Answer:
    """POST /api/put."""
    exchange.route = PUT
    try:
        options = _options(exchange.scope["query_string"])
        return await _put(node, exchange, options)
    except TSDBError as error:
        refused = refusal(error)
        if refused.status == 500:
            raise
        exchange.refused = error
        return _error(refused)


async def _put(node: Node, exchange: Exchange, options: set[str]) -> Answer:
    database = node.database()
    body = await node.ingest.body(exchange)
    found: list[Reading] = []

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import opentsdb_json

        found.append(opentsdb_json.parse(plain, database.resolution))
        return found[-1].points

    try:
        written = await node.ingest.write_body(database, exchange, body, read, Ack.DISK)
    except InvalidInput as error:
        if not found or refusal(error).status == TOO_MANY_REQUESTS:
            raise
        return _answer(found[-1], 0, (str(error),), options)
    later = refused_for_now(written)
    if later is not None:  # sent again as a whole: what is kept is the same a second time
        return _error(later)
    return _answer(found[-1], written.points, written.refused, options)


def _errors(reading: Reading, whys: tuple[str, ...]) -> list[dict[str, object]]:
    """Points that were refused while reading, and those that the gate refused for their time."""
    told = {refused.why for refused in reading.refusals}
    errors = [{"datapoint": r.point, "error": r.why} for r in reading.refusals[:DETAILS_MAX]]
    stamps = reading.points.columns.timestamps.tolist()
    for why in whys:
        if any(why.endswith(text) for text in told):
            continue
        found = _STAMP.search(why)
        row = stamps.index(int(found[1])) if found and int(found[1]) in stamps else None
        point = None if row is None else reading.rows[row]
        errors.append({"datapoint": point, "error": why})
    return errors


def _answer(reading: Reading, kept: int, whys: tuple[str, ...], options: set[str]) -> Answer:
    failed = reading.count - kept
    if not failed and not options:
        return Answer(status=204)
    status = 400 if failed else 200
    counts: dict[str, object] = {"success": kept, "failed": failed}
    if "details" in options:
        counts["errors"] = _errors(reading, whys) if failed else []
    elif "summary" not in options:
        message = "One or more data points had errors"
        return _error(Refusal(status, "bad_data", message), details=SEE_DETAILS)
    return Answer(orjson.dumps(counts, option=orjson.OPT_NON_STR_KEYS), status)


def _error(refused: Refusal, **more: str) -> Answer:
    error = {"code": refused.status, "message": refused.message, **more}
    return Answer(orjson.dumps({"error": error}), refused.status, headers=refused.headers)


def _options(query_string: bytes) -> set[str]:
    """`summary` and `details` as they stand, with any value but false."""
    if not query_string:
        return set()
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    unknown = {name for name, _ in pairs} - {"summary", "details", "sync", "sync_timeout"}
    if unknown:
        raise InvalidInput(f"query parameter {min(unknown)!r} is unknown")
    return {n for n, v in pairs if n in ("summary", "details") and v.lower() != "false"}


# --- names --------------------------------------------------------------------------------------


def suggest(database: Database, *, kind: str, prefix: str, most: int) -> Answer:
    """Metric names, tag names or tag values; runs in a reader thread."""
    names = [name for name in _names(database, kind) if name.startswith(prefix)]
    return Answer(orjson.dumps(sorted(names)[:most]))


def _names(database: Database, kind: str) -> set[str]:
    if kind == "metrics":
        return set(database.label_values("__name__"))
    tags = [name for name in database.label_names() if name != "__name__"]
    if kind == "tagk":
        return set(tags)
    return {value for name in tags for value in database.label_values(name)}


def _suggesting(asked: Mapping[str, object]) -> Callable[[Database], Answer]:
    """`suggest` as it was asked; InvalidInput says what it is not asked like."""
    kind, prefix, most = (
        asked.get("type", "metrics"),
        asked.get("q", ""),
        asked.get("max", SUGGESTED),
    )
    if kind not in ("metrics", "tagk", "tagv"):
        raise InvalidInput("type is one of metrics, tagk, tagv")
    if not isinstance(prefix, str) or not str(most).isdecimal() or len(str(most)) > 9:
        raise InvalidInput("q is text, max a number")
    most = min(int(str(most)), SUGGESTED_MAX)
    return functools.partial(suggest, kind=str(kind), prefix=prefix, most=most)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.post(PUT, **examples.PUT)
    async def put(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.get("/api/version", **examples.VERSION)
    async def tell_version() -> Response:
        ours = version("silverback-tsdb")
        document = {"version": OPENTSDB_VERSION, "repo": "silverback", "short_revision": ours}
        return Reply(Answer(orjson.dumps(document)))

    @app.get("/api/aggregators", **examples.AGGREGATORS)
    async def aggregators() -> Response:
        return Reply(Answer(orjson.dumps(AGGREGATORS)))

    @app.get("/api/suggest", **examples.SUGGEST)
    async def suggest_names(request: Request) -> Response:
        return Work(node, _suggesting(request.query_params), node.readers)

    @app.post("/api/suggest", **examples.SUGGEST_POST)
    async def suggest_names_of_body(request: Request) -> Response:
        body = await node.ingest.body(request.scope["exchange"])
        return Work(node, _suggesting(parameters_of(body)), node.readers)
