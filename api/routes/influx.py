"""What InfluxDB's clients and agents write to, in all three of its APIs.

    POST /write               1: db, rp, precision n, ns, u, us, ms, s, m, h
    POST /api/v2/write        2: org, bucket, precision ns, us, ms, s
    POST /api/v3/write_lp     3: db, precision auto, nanosecond ..., accept_partial, no_sync
    POST /api/v2/delete       2: start, stop, predicate
    GET  /ping, /health, /ready, /api/v2/buckets, /api/v2/orgs

Writes are raw ASGI routes (api.app). Good lines are kept and the others told, in the form each API
has for that. A database or bucket needs no creating: it is a label (setting `influx_db_label`).
Every 2xx is fsynced; `no_sync=true` is our `ack=memory`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api.auth.scope_names import READ
from api.errors import Refusal, refusal
from api.exchange import Answer, Exchange
from api.node import Node, State
from api.queries import ack_of_word
from api.routes import influx_examples as examples
from api.routes import influx_query
from api.routes.influx_delete import delete_of
from api.routes.written import refused_for_now
from api.work import Reply, Work
from tsdb.commit.request import Ack, Written
from tsdb.errors import InvalidInput, TSDBError

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.parse.line_protocol import LineProtocol
    from tsdb.parse.line_protocol_keys import Naming

__all__ = ["declare", "delete", "write_v1", "write_v2", "write_v3"]

WRITE_1, WRITE_2, WRITE_3 = "/write", "/api/v2/write", "/api/v3/write_lp"
DELETE = "/api/v2/delete"
VERSION = "1.8.10"
"""The InfluxDB whose protocol this is; clients look at the first number."""
ORIGINAL_BYTES_MAX = 256
SHORT = {"n": "ns", "ns": "ns", "u": "us", "us": "us", "µ": "us", "ms": "ms", "s": "s", "m": "m",
         "h": "h"}  # fmt: skip
LONG = {"auto": "auto", "nanosecond": "ns", "microsecond": "us", "millisecond": "ms",
        "second": "s"} | {unit: unit for unit in ("ns", "us", "ms", "s")}  # fmt: skip
# What a status is called in the body of a version 2 error.
CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    413: "request too large",
    429: "too many requests",
    503: "unavailable",
}
_LINE = re.compile(r"line (\d+): (.*)", re.S)


@dataclass(slots=True)
class Asked:
    """What the query string of a write says."""

    database: str
    precision: str
    ack: Ack = Ack.DISK
    whole: bool = False  # all lines or none


@dataclass(slots=True)
class Reading:
    """What became of a body, for the answer: filled by the thread that parses."""

    body: bytes = b""
    found: list[LineProtocol] = field(default_factory=list)

    def line(self, number: int) -> str:
        """The text of a line, cut where it is long."""
        at = 0
        for _ in range(number - 1):
            at = self.body.find(b"\n", at) + 1
            if not at:
                return ""
        end = self.body.find(b"\n", at)
        text = self.body[at : len(self.body) if end < 0 else end]
        return text[:ORIGINAL_BYTES_MAX].decode(errors="replace").rstrip("\r")


Form = Callable[[Refusal, "list[str]", int, Reading], Answer]


async def write_v1(node: Node, exchange: Exchange) -> Answer:
    """POST /write."""
    exchange.route = WRITE_1
    known = ("db", "rp", "precision", "consistency", "u", "p", "ack")

    return await _write(node, exchange, known, functools.partial(_asked, "db"), _error_1)


async def write_v2(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v2/write."""
    exchange.route = WRITE_2
    known = ("org", "orgID", "bucket", "precision", "ack")

    return await _write(node, exchange, known, functools.partial(_asked, "bucket"), _error_2)


async def write_v3(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v3/write_lp."""
    exchange.route = WRITE_3
    known = ("db", "org", "precision", "accept_partial", "no_sync", "ack")

    def asked(query: dict[str, str]) -> Asked:
        unit = _one_of(query, "precision", LONG, "auto")
        ack = Ack.MEMORY if _flag(query, "no_sync", default=False) else _ack(query)
        whole = not _flag(query, "accept_partial", default=True)
        return Asked(query.get("db", ""), unit, ack, whole)

    return await _write(node, exchange, known, asked, _error_3)


async def _write(
    node: Node,
    exchange: Exchange,
    known: Collection[str],
    asked_of: Callable[[dict[str, str]], Asked],
    form: Form,
) -> Answer:
    reading = Reading()
    try:
        asked = asked_of(_query(exchange.scope["query_string"], known))
        written = await _written(node, exchange, asked, reading)
    except TSDBError as error:
        refused = refusal(error)
        if refused.status == 500:
            raise
        exchange.refused = error
        told = list(reading.found[-1].points.skipped) if reading.found else []
        return form(refused, told or [refused.message], 0, reading)
    node.texts_skipped += reading.found[-1].strings
    if not written.refused_count:
        return Answer(status=204)
    later = refused_for_now(written)
    if later is not None:  # sent again as a whole: what is kept is the same a second time
        return form(later, list(written.refused), written.points, reading)
    partial = Refusal(400, "bad_data", _partial(written))
    return form(partial, list(written.refused), written.points, reading)


async def _written(node: Node, exchange: Exchange, asked: Asked, reading: Reading) -> Written:
    database = node.database()
    body = await node.ingest.body(exchange)
    naming = naming_of(node, asked.database)

    def read(plain: bytes) -> Parsed:
        from tsdb.parse import line_protocol

        reading.body = plain
        reading.found.append(
            line_protocol.parse(
                plain,
                database.resolution,
                precision=asked.precision,
                now_ticks=database.now_ticks(),
                naming=naming,
            )
        )
        points = reading.found[-1].points
        if asked.whole and points.skipped:
            raise InvalidInput(f"{points.skipped[0]} (accept_partial is false: nothing is kept)")
        return points

    return await node.ingest.write_body(database, exchange, body, read, asked.ack)


def naming_of(node: Node, database: str) -> Naming:
    from tsdb.parse.line_protocol_keys import Naming

    settings = node.settings
    return Naming(
        database, settings.influx_db_label, settings.influx_separator, settings.influx_bare_value
    )


# --- what query strings say ---------------------------------------------------------------------


def _query(query_string: bytes, known: Collection[str]) -> dict[str, str]:
    """A misspelt `precison` must not become a time that is wrong by a factor of a million."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query_string.decode(), keep_blank_values=True):
        if name not in known:
            raise InvalidInput(f"query parameter {name!r} is unknown; there are {', '.join(known)}")
        found[name] = value
    return found


def _asked(database: str, query: dict[str, str]) -> Asked:
    """What versions 1 and 2 ask for; they call the database differently."""
    unit = _one_of(query, "precision", SHORT, "ns")
    return Asked(query.get(database, ""), unit, _ack(query))


def _one_of(query: dict[str, str], name: str, known: dict[str, str], default: str) -> str:
    text = query.get(name) or default
    if text not in known:
        raise InvalidInput(f"{name}={text!r} is not one of {', '.join(known)}")
    return known[text]


def _flag(query: dict[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name) or str(default)
    if text.lower() not in ("true", "false"):
        raise InvalidInput(f"{name}={text!r} is neither true nor false")
    return text.lower() == "true"


def _ack(query: dict[str, str]) -> Ack:
    return ack_of_word(query.get("ack", Ack.DISK))


# --- answers ------------------------------------------------------------------------------------


def _partial(written: Written) -> str:
    more = written.refused_count - 1
    others = f" (and {more:,} more)" if more else ""
    return (
        f"partial write: {written.refused[0]}{others}; "
        f"{written.points:,} values kept, dropped={written.refused_count}"
    )


def _error_1(refused: Refusal, told: list[str], kept: int, reading: Reading) -> Answer:
    body = orjson.dumps({"error": refused.message}, option=orjson.OPT_APPEND_NEWLINE)
    message = refused.message.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")
    headers = [*refused.headers, (b"x-influxdb-error", message[:512])]
    return Answer(body, refused.status, headers=headers)


def _error_2(refused: Refusal, told: list[str], kept: int, reading: Reading) -> Answer:
    code = CODES.get(refused.status, "internal error")
    document: dict[str, object] = {"code": code, "message": refused.message}
    found = _LINE.match(told[0])
    if found is not None:
        document["line"] = int(found[1])
    body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return Answer(body, refused.status, headers=refused.headers)


def _error_3(refused: Refusal, told: list[str], kept: int, reading: Reading) -> Answer:
    lines = [_told_3(sentence, reading) for sentence in told]
    document: dict[str, object] = {"error": refused.message}
    if kept:
        document = {"error": "partial write of line protocol occurred", "data": lines}
    elif reading.found and reading.found[-1].points.skipped:
        document = {"error": "parsing failed for write_lp endpoint", "data": lines}
    body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return Answer(body, refused.status, headers=refused.headers)


def _told_3(sentence: str, reading: Reading) -> dict[str, object]:
    found = _LINE.match(sentence)
    if found is None:
        return {"error_message": sentence, "line_number": None, "original_line": None}
    number = int(found[1])
    return {
        "error_message": found[2],
        "line_number": number,
        "original_line": reading.line(number),
    }


# --- deletes, pings and the like ----------------------------------------------------------------


async def delete(node: Node, exchange: Exchange) -> Answer:
    """POST /api/v2/delete."""
    exchange.route = DELETE
    try:
        query = _query(exchange.scope["query_string"], ("org", "orgID", "bucket", "bucketID"))
        database = node.database()
        body = await node.ingest.body(exchange)
        work = functools.partial(
            delete_of, database, body, naming_of(node, query.get("bucket", ""))
        )
        async with node.admin.caller():
            await node.admin.run(work)
    except TSDBError as error:
        refused = refusal(error)
        if refused.status == 500:
            raise
        exchange.refused = error
        return _error_2(refused, [refused.message], 0, Reading())
    return Answer(status=204)


def _health(node: Node) -> Answer:
    ready = node.state is State.READY and node.failure is None
    document: dict[str, object] = {
        "name": "influxdb",
        "message": "ready for queries and writes" if ready else "not ready for writes",
        "status": "pass" if ready else "fail",
        "checks": [],
        "version": VERSION,
        "commit": "silverback",
    }
    return Answer(orjson.dumps(document), 200 if ready else 503)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""
    versions = [(b"x-influxdb-version", VERSION.encode()), (b"x-influxdb-build", b"silverback")]
    writes = {
        WRITE_1: (write_v1, examples.WRITE_1),
        WRITE_2: (write_v2, examples.WRITE_2),
        WRITE_3: (write_v3, examples.WRITE_3),
        DELETE: (delete, examples.DELETE),
    }
    for path, (answered, example) in writes.items():
        _declare_writer(app, node, path, answered, example)

    @app.get("/ping", **examples.PING)
    async def ping() -> Response:
        return Reply(Answer(status=204, headers=list(versions)))

    @app.get("/health", **examples.HEALTH)
    async def health() -> Response:
        return Reply(_health(node))

    @app.get("/ready", **examples.READY)
    async def ready() -> Response:
        node.check_ready()
        return Reply(Answer(b'{"status":"ready"}'))

    @app.get("/api/v2/buckets", **examples.BUCKETS)
    async def buckets(request: Request) -> Response:
        name = request.query_params.get("name")
        work = functools.partial(
            influx_query.buckets, label=node.settings.influx_db_label, name=name
        )
        return Work(node, work, node.readers)

    @app.get("/query", **examples.QUERY)
    async def query(request: Request) -> Response:
        return await influx_query.answer(node, dict(request.query_params), versions)

    @app.post("/query", **examples.QUERY_POST)
    async def query_of_form(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        body = await node.ingest.body(exchange)
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        asked = form | dict(request.query_params)
        if not exchange.scope.get("account_scopes", READ) & READ:
            return await influx_query.answer_of_writer(node, asked, versions)
        return await influx_query.answer(node, asked, versions)

    @app.post("/api/v2/query", include_in_schema=False)
    async def flux() -> Response:
        message = "Flux is not spoken here: ask GET /query with InfluxQL, or GET /api/v1/export"
        return Reply(_error_2(Refusal(400, "bad_data", message), [message], 0, Reading()))


def _declare_writer(
    app: FastAPI, node: Node, path: str, write: Callable[..., object], example: dict[str, object]
) -> None:
    @app.post(path, **example)  # type: ignore[arg-type]
    async def put_lines(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))  # type: ignore[misc]
