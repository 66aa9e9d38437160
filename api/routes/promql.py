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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import admission, pieces
from api.exchange import Answer, ClientGone, Exchange, Receive, Scope, Send
from api.node import Node
from api.readers import Job
from api.routes import promql_examples as examples
from api.routes import promql_explain
from api.routes.promql_form import Form, form_of
from api.running import GONE, Running
from api.turns import asker_of
from api.work import Reply
from tsdb import limits
from tsdb.errors import InvalidInput, TSDBError

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.promql import query as promql
    from tsdb.promql.trace import Trace
    from tsdb.query.selection import Selection

__all__ = ["Asking", "declare", "evaluated", "instant_of", "range_of", "source_of"]

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
MEDIA = (JSON, ARROW)
PATIENCE_S = 0.05


class Asking(Response):
    """A query that a reader computes; it stops when its client goes away."""

    def __init__(self, node: Node, query: Running, compute: Callable[[Exchange], Answer]) -> None:
        self.background = None
        self.status_code = 200
        self._node, self._query, self._compute = node, query, compute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        readers, queries = self._node.readers, self._node.queries
        query = self._query
        async with readers.caller():
            queries.begin(query)
            try:
                answer = await self._awaited(exchange)
                pull = functools.partial(readers.pull, client=asker_of(exchange.scope))
                await exchange.answer(answer, pull)
            except TSDBError as error:
                queries.note(query, error)
                if query.canceled == GONE:
                    raise ClientGone from None
                raise
            finally:
                queries.end(query)
                self._give_back()

    async def _awaited(self, exchange: Exchange) -> Answer:
        """The answer, once a thread has made it. Whoever listens is looked after meanwhile."""
        query, readers = self._query, self._node.readers
        job = readers.begin(functools.partial(self._computed, exchange), asker_of(exchange.scope))
        query.on_stop = functools.partial(readers.stop, job)
        # Most are done before it is worth looking whether anybody listens.
        looking = asyncio.get_running_loop().call_later(PATIENCE_S, self._look, exchange, job)
        try:
            answer: Answer = await job.done
            return answer
        finally:
            looking.cancel()
            readers.leave(job)

    def _look(self, exchange: Exchange, job: Job) -> None:
        """Stop it when nobody waits for it any more, or it waits when its time is over."""
        query = self._query
        left_s = query.began + query.timeout_s - time.perf_counter()
        late = asyncio.get_running_loop().call_later(max(left_s, 0), query.time_out)
        gone = asyncio.ensure_future(_stop_without_client(exchange, query))

        def ended(_: object) -> None:
            late.cancel()
            gone.cancel()

        job.done.add_done_callback(ended)

    def _computed(self, exchange: Exchange) -> Answer:
        """In a reader's thread."""
        query = self._query
        query.held_bytes = query.wanted_bytes  # if it has waited for them, it has them now
        query.evaluated = time.perf_counter()
        query.check()
        with self._node.settled(exchange):
            return self._compute(exchange)

    def _give_back(self) -> None:
        if self._query.held_bytes:
            self._node.memory.give(self._query.held_bytes)
            self._query.held_bytes = 0
            self._node.readers.look()


async def _stop_without_client(exchange: Exchange, query: Running) -> None:
    await exchange.gone()
    query.stop(GONE)


def _answered(node: Node, query: Running, form: Form, exchange: Exchange) -> Answer:
    """The answer in the form that was asked for; in a reader's thread."""
    from tsdb.promql.parse import parse
    from tsdb.promql.trace import Trace

    media = pieces.media_of(exchange.headers.get(b"accept", b""), MEDIA)
    trace = Trace() if form.text("explain") else None
    began = time.perf_counter()
    parse(query.text, node.settings.features)  # is remembered
    parsed = time.perf_counter()
    source = source_of(node, query, form, trace)
    admission.admit(node, query, source)
    found = evaluated(source, query)
    admission.settle(node, query, found)
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
    return promql.Source(
        _counted(database, query),
        ticks_per_s=database.resolution.ticks_per_s,
        lookback_ms=form.lookback_ms(),
        points_max=node.points_max,
        cells_max=node.cells_max,
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
        account=exchange.scope.get("account", ""),
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
