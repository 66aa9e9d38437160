"""The ASGI application: writes by table (api.routes.writers), everything else through FastAPI.

    in   scope, receive, send
    out  one answer, whatever happens

Writes cost 68 µs a request this way and 194 µs as FastAPI routes
(docs/decisions/0007-hot-routes.md); FastAPI declares the same paths, so OpenAPI is whole, and
would answer them the same way. This is a process boundary: an error we did not expect is logged
with its request id and becomes a 500 that says no more than that id.
"""

from __future__ import annotations

import functools
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from api import errors
from api.auth.scopes import is_between_nodes
from api.duties import ELSEWHERE, answer_of_holder
from api.errors import NotAllowed, NotFound, Refusal
from api.exchange import Answer, ClientGone, Exchange, Receive, Scope, Send
from api.logs import LOG
from api.metrics import Metrics
from api.node import Node
from api.openapi import finished
from api.routes import (
    admin,
    bulk,
    cluster,
    collectd,
    correlate,
    csv_import,
    exposition,
    federate,
    health,
    influx,
    kv,
    metadata,
    opentsdb,
    otlp,
    pages,
    prometheus_admin,
    prometheus_status,
    promql,
    promql_text,
    pushgateway,
    query_cost,
    remote_read,
    remote_write,
    rules,
    search,
    series,
    targets,
)
from api.routes.writers import writer_of
from api.work import Reply
from tsdb import limits
from tsdb.errors import CorruptionError, InvalidInput, LimitExceeded, TSDBError

__all__ = ["Application", "declared"]

SLOW_S = 1.0
DESCRIPTION = (
    "A time-series key-value database. 2xx means on disk: a write is answered after its fsync. "
    "Errors are JSON with `status`, `errorType` and `error`, which names the culprit. Every answer "
    "carries `X-Request-Id`, yours if you sent one."
)
PREFIX = b"/prometheus"
# What dashboards ask most: found without FastAPI's machinery, which costs 0.2 ms a request. These
# read their parameters themselves.
VALUES = ("/api/v1/label/", "/values")
DIRECT = frozenset(
    {
        "/api/v1/query",
        "/api/v1/query_range",
        "/api/v1/series",
        "/api/v1/labels",
        "{name}".join(VALUES),
    }
)
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Application:
    """One server's."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._metrics = Metrics(node)
        self.api = declared(node, self._metrics)
        self._routes = [r for r in self.api.routes if isinstance(r, Route)]
        self._direct = {
            (method, route.path): route.endpoint
            for route in self._routes
            if route.path in DIRECT
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", scope["type"]
        began = time.perf_counter()
        exchange = Exchange(scope, receive, send)
        scope["exchange"] = exchange
        try:
            await self._respond(exchange)
        except ClientGone:
            pass
        except TSDBError as error:
            await _say(exchange, _judged(error, exchange))
        except Exception as error:
            LOG.error("internal_error", **_facts(exchange), exc_info=error)
            await _say(exchange, errors.internal())
        self._note(exchange, time.perf_counter() - began)
        # The circles that hold each other: else a request stays in memory until the collector runs.
        del scope["exchange"]
        scope.pop("answer_whole", None)

    def _is_node(self, exchange: Exchange) -> bool:
        """Whether another node of the cluster asks what is for nodes."""
        cluster, scope = self._node.settings.cluster, exchange.scope
        if cluster is None or not is_between_nodes(scope["method"], scope["raw_path"]):
            return False
        from replication.calling import SECRET_HEADER, knows

        return knows(cluster, exchange.headers.get(SECRET_HEADER.encode()))

    async def _respond(self, exchange: Exchange) -> None:
        scope = exchange.scope
        _strip_prefix(scope)
        method, path = scope["method"], scope["raw_path"]
        self._node.door.check(method, exchange.headers)
        if self._node.guard is not None and not self._is_node(exchange):
            await self._node.guard.check(exchange)
        if scope["query_string"]:
            _check_query_string(scope["query_string"])
        if method not in READING:
            write = writer_of(method, path)
            if write is not None:
                await exchange.answer(await write(self._node, exchange))
                return
        if method == "OPTIONS":
            await exchange.answer(self._options(path.decode("ascii")))
            return
        if path in ELSEWHERE and self._node.cluster is not None and not self._is_node(exchange):
            elsewhere = await answer_of_holder(self._node, exchange)
            if elsewhere is not None:
                await exchange.answer(elsewhere)
                return
        if await self._answer_directly(exchange, method, path.decode("ascii")):
            return
        # Routes match the path as it came: decoded, a key may hold what no route expects. A HEAD
        # is a GET whose body the server drops.
        scope = {
            **scope,
            "path": path.decode("ascii"),
            "method": "GET" if method == "HEAD" else method,
        }
        await self.api(scope, exchange.receive, exchange.send)
        route = scope.get("route")
        if isinstance(route, Route):
            exchange.route = route.path_format

    async def _answer_directly(self, exchange: Exchange, method: str, path: str) -> bool:
        """Whether it is one of DIRECT, and answered."""
        route, scope = path, exchange.scope
        if path.startswith(VALUES[0]) and path.endswith(VALUES[1]):
            route = "{name}".join(VALUES)
            scope["path_params"] = {"name": path[len(VALUES[0]) : -len(VALUES[1])]}
        answer = self._direct.get((method, route))
        if answer is None:
            return False
        exchange.route = route
        response = await answer(Request(scope))
        await response(scope, exchange.receive, exchange.send)
        return True

    def _options(self, path: str) -> Answer:
        allowed = methods_of(self._routes, None if path == "*" else path)
        if not allowed:
            raise NotFound(_nothing_at(path))
        return Answer(status=204, headers=[(b"allow", ", ".join(allowed).encode())])

    def _note(self, exchange: Exchange, seconds: float) -> None:
        """Count it, and log what an operator would ask about."""
        status, method = exchange.status, exchange.scope["method"]
        if exchange.refused is not None:
            self._node.refusals.note_error(exchange.refused)
        self._metrics.observe(exchange.route, method, status, seconds)
        # A 503 while starting or too busy is counted, not logged: clients repeat it by the second.
        wanted = self._node.settings.access_log or seconds >= SLOW_S or status == 500
        if wanted and status:
            took_ms = round(seconds * 1e3, 3)
            LOG.info("request", status=status, took_ms=took_ms, **_facts(exchange))


def _strip_prefix(scope: Scope) -> None:
    """Data sources that expect Prometheus at a path of that name find it there."""
    if scope["raw_path"].startswith(PREFIX + b"/"):
        scope["raw_path"] = scope["raw_path"][len(PREFIX) :]
        scope["path"] = scope["path"].removeprefix(PREFIX.decode())


def declared(node: Node, metrics: Metrics) -> FastAPI:
    """All routes, declared."""
    app = FastAPI(
        title="Silverback",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json",
    )
    for routes in (
        kv,
        bulk,
        remote_write,
        admin,
        opentsdb,
        otlp,
        collectd,
        influx,
        exposition,
        pushgateway,
        csv_import,
        rules,
        targets,
        cluster,
        metadata,
        promql,
        promql_text,
        query_cost,
        correlate,
        series,
        search,
        federate,
        remote_read,
        prometheus_status,
        prometheus_admin,
    ):
        routes.declare(app, node)
    health.declare(app, node, metrics)
    pages.declare(app)
    for kind in (TSDBError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, functools.partial(_on_error, app))
    make = app.openapi
    app.openapi = lambda: finished(make())  # type: ignore[method-assign]
    return app


def methods_of(routes: list[Route], path: str | None) -> tuple[str, ...]:
    """Methods there are at a path, or at all."""
    scope: Scope = {"type": "http", "path": path, "method": "?", "headers": []}
    found = {
        method
        for route in routes
        if path is None or route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    if not found:
        return ()
    return tuple(sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())))


async def _on_error(app: FastAPI, request: Request, error: Exception) -> Response:
    """FastAPI's own refusals and what routes raise, in the one form that errors have."""
    exchange: Exchange = request.scope["exchange"]
    if exchange.started:
        raise error
    if isinstance(error, RequestValidationError):
        error = InvalidInput(_complaint(error))
    elif isinstance(error, HTTPException):
        error = _of_http(app, request, error)
    if isinstance(error, TSDBError):
        refused = _judged(error, exchange)
    else:
        refused = errors.internal()
    return Reply(_answer(exchange, refused))


def _of_http(app: FastAPI, request: Request, error: HTTPException) -> TSDBError:
    path = request.scope["path"]
    if error.status_code == 405:
        routes = [r for r in app.routes if isinstance(r, Route)]
        allowed = methods_of(routes, path)
        there = ", ".join(allowed)
        return NotAllowed(f"{request.method} is not possible here, but {there}", allowed)
    if error.status_code == 404:
        return NotFound(_nothing_at(path))
    return InvalidInput(str(error.detail))


def _nothing_at(path: str) -> str:
    return f"there is nothing at {path[:200]}; / lists what there is"


def _complaint(error: RequestValidationError) -> str:
    """The first thing that is wrong with the parameters, by name."""
    problem: dict[str, Any] = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "extra_forbidden":
        return f"query parameter {name!r} is unknown"
    if problem["type"] == "missing":
        return f"query parameter {name} is missing"
    message = problem["msg"]
    return f"query parameter {name}: {message[:1].lower()}{message[1:]}"


def _judged(error: TSDBError, exchange: Exchange) -> Refusal:
    """The table's verdict; what an operator must know goes to the log too."""
    refused = errors.refusal(error)
    exchange.refused = error
    if isinstance(error, CorruptionError):
        LOG.error("corruption", error=str(error), **_facts(exchange))
    elif refused.status == 500:
        LOG.error("internal_error", error=repr(error), **_facts(exchange))
    return refused


def _answer(exchange: Exchange, refused: Refusal) -> Answer:
    extra = {"requestId": exchange.id.decode()} if refused.status == 500 else {}
    return Answer(refused.body(**extra), refused.status, headers=refused.headers)


async def _say(exchange: Exchange, refused: Refusal) -> None:
    if not exchange.started:  # else the connection is cut, which says that it is not all
        await exchange.answer(_answer(exchange, refused))


def _facts(exchange: Exchange) -> dict[str, Any]:
    scope = exchange.scope
    client = scope.get("client")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "client": client[0] if client else None,
        "request_id": exchange.id.decode(),
    }


def _check_query_string(query_string: bytes) -> None:
    if len(query_string) > limits.QUERY_STRING_BYTES_MAX:
        raise LimitExceeded(
            "the query string is too long",
            limit="QUERY_STRING_BYTES_MAX",
            value=limits.QUERY_STRING_BYTES_MAX,
        )
    try:
        unquote_to_bytes(query_string).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the query string is not valid UTF-8") from error
