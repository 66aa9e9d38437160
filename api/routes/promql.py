"""PromQL over HTTP, as Prometheus 3.5 answers it.

GET, POST /api/v1/query          at one moment
GET, POST /api/v1/query_range    from start to end, every step
GET /api/v1/status/active_queries          what is being computed
DELETE /api/v1/status/active_queries/{id}  stop one
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import pieces
from api.exchange import Answer, ClientGone, Exchange, Receive, Scope, Send
from api.node import Node
from api.routes import promql_examples as examples
from api.routes import promql_explain
from api.routes.promql_form import Form, form_of
from api.running import Running
from api.work import Reply
from tsdb import limits
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.promql import query as promql
    from tsdb.promql.trace import Trace
    from tsdb.query.selection import Selection

__all__ = ["Asking", "declare", "evaluated", "range_of", "source_of"]

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
MEDIA = (JSON, ARROW)
PATIENCE_S = 0.05
T = TypeVar("T")


class Asking(Response):
    """A query that a reader computes; it stops when its client goes away."""

    def __init__(self, node: Node, query: Running, compute: Callable[[Exchange], Answer]) -> None:
        self.background = None
        self.status_code = 200
        self._node, self._query, self._compute = node, query, compute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        readers, queries = self._node.readers, self._node.queries
        async with readers.caller():
            queries.begin(self._query)
            try:
                work = functools.partial(self._computed, exchange)
                answer = await _unless_gone(exchange, self._query, readers.run(work))
                await exchange.answer(answer, readers.pull)
            finally:
                queries.end(self._query)

    def _computed(self, exchange: Exchange) -> Answer:
        """In a reader's thread."""
        self._query.evaluated = time.perf_counter()
        self._query.check()
        with self._node.settled(exchange):
            return self._compute(exchange)


async def _unless_gone(exchange: Exchange, query: Running, work: Coroutine[Any, Any, T]) -> T:
    """The result; ClientGone if nobody waits for it any more, once the thread is free."""
    computing = asyncio.ensure_future(work)
    # Most are done before it is worth looking whether anybody listens.
    done, _ = await asyncio.wait({computing}, timeout=PATIENCE_S)
    if done:
        return computing.result()
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait({computing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not computing.done():
            query.canceled = "its client went away"
            await asyncio.wait({computing})
            computing.exception()
            raise ClientGone
        return computing.result()
    finally:
        gone.cancel()


def _answered(node: Node, query: Running, form: Form, exchange: Exchange) -> Answer:
    """The answer in the form that was asked for; in a reader's thread."""
    from tsdb.promql.parse import parse
    from tsdb.promql.trace import Trace

    media = pieces.media_of(exchange.headers.get(b"accept", b""), MEDIA)
    trace = Trace() if form.text("explain") else None
    began = time.perf_counter()
    parse(query.text, node.settings.features)  # is remembered
    parsed = time.perf_counter()
    found = evaluated(source_of(node, query, form, trace), query)
    ended = time.perf_counter()
    return pieces.answer_of(
        _rendered(found, media, form, _stats(query, (began, parsed, ended)), trace),
        media.encode(),
        exchange.headers.get(b"accept-encoding", b""),
    )


def source_of(node: Node, query: Running, form: Form, trace: Trace | None = None) -> promql.Source:
    """Where a query of this request finds its points, counted and stopped as it is told."""
    from tsdb.promql import query as promql

    database = node.database()
    lookback = form.duration("lookback_delta") if form.text("lookback_delta") else 0
    return promql.Source(
        _counted(database, query),
        ticks_per_s=database.resolution.ticks_per_s,
        lookback_ms=int(lookback) if lookback > 0 else limits.LOOKBACK_MS,
        points_max=node.points_max,
        check=query.check,
        features=frozenset(node.settings.features),
        trace=trace,
    )


def evaluated(source: promql.Source, query: Running) -> promql.Answer:
    """Raises InvalidInput, QueryFailed, LimitExceeded, QueryCanceled, ..."""
    from tsdb.promql import query as promql

    if query.step is None:
        return promql.instant(source, query.text, query.start)
    return promql.over_range(source, query.text, query.start, query.end, query.step)


def _stats(query: Running, moments: tuple[float, float, float]) -> dict[str, Any]:
    began, parsed, ended = moments
    assert query.evaluated
    timings = {
        "evalTotalTime": ended - began,
        "resultSortTime": 0,
        "queryPreparationTime": parsed - began,
        "innerEvalTime": ended - parsed,
        "execQueueTime": query.evaluated - query.began,
        "execTotalTime": ended - query.evaluated,
    }
    samples = {"totalQueryableSamples": query.points, "peakSamples": query.points}
    return {"timings": timings, "samples": samples}


def _counted(database: Database, query: Running) -> Callable[..., Selection]:
    """The database's select, which also tells how much was read."""

    def select(
        matchers: Sequence[Matcher], start: int, end: int, /, *, points_max: int
    ) -> Selection:
        found = database.select(matchers, start, end, points_max=points_max)
        query.points += found.points
        query.selections += 1
        return found

    return select


def _rendered(
    found: promql.Answer, media: str, form: Form, stats: Mapping[str, Any], trace: Trace | None
) -> Iterator[bytes]:
    from api.encode import promql_arrow, promql_json

    if media == ARROW:
        return promql_arrow.stream(found, limit=form.limit())
    beside: dict[str, object] = {"stats": stats} if form.text("stats") else {}
    if trace is not None and trace.root is not None:
        beside["explain"] = promql_explain.shown(trace.root)
    return promql_json.stream(found, limit=form.limit(), beside=beside)


def instant_of(node: Node, exchange: Exchange, form: Form) -> Running:
    now_ms = _now_ms(node)
    form.limit()
    at = form.time("time", now_ms)
    return _running(node, exchange, form, (at, at, None))


def range_of(node: Node, exchange: Exchange, form: Form) -> Running:
    start, end = form.time("start"), form.time("end")
    if end < start:
        raise InvalidInput('invalid parameter "end": end timestamp must not be before start time')
    step = form.duration("step")
    if step <= 0:
        raise InvalidInput(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    if step < 1:
        raise InvalidInput('invalid parameter "step": shorter than a millisecond')
    form.limit()
    return _running(node, exchange, form, (start, end, int(step)))


def _running(
    node: Node, exchange: Exchange, form: Form, span: tuple[int, int, int | None]
) -> Running:
    timeout_s: float = limits.QUERY_TIMEOUT_S
    if form.text("timeout"):
        timeout_s = min(timeout_s, form.duration("timeout") / 1000)
    client = exchange.scope.get("client")
    return Running(
        node.queries.next_id(),
        form.text("query"),
        *span,
        client=client[0] if client else "",
        request_id=exchange.id.decode(),
        timeout_s=timeout_s,
    )


def _now_ms(node: Node) -> int:
    database = node.database()
    return database.now_ticks() * 1000 // database.resolution.ticks_per_s


def asking(node: Node, query: Running, form: Form) -> Asking:
    """A query answered in the shape of Prometheus' API."""
    return Asking(node, query, functools.partial(_answered, node, query, form))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/api/v1/query", **examples.QUERY)
    @app.post("/api/v1/query", **examples.QUERY_POST)
    async def query(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        return asking(node, instant_of(node, exchange, form), form)

    @app.get("/api/v1/query_range", **examples.QUERY_RANGE)
    @app.post("/api/v1/query_range", **examples.QUERY_RANGE_POST)
    async def query_range(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        return asking(node, range_of(node, exchange, form), form)

    @app.get("/api/v1/status/active_queries", **examples.ACTIVE)
    async def active_queries() -> Response:
        return _data(node.queries.shown())

    @app.delete("/api/v1/status/active_queries/{id}", **examples.CANCEL)
    async def cancel_query(request: Request) -> Response:
        return _data({"canceled": node.queries.cancel(request.path_params["id"])})


def _data(found: object) -> Reply:
    return Reply(Answer(orjson.dumps({"status": "success", "data": found})))
