"""Which series moved with this one? The correlation search of the Gorilla paper.

GET, POST /api/v1/correlate    all series of `query`, by how they correlate with `target`

Both are PromQL, computed on the same steps; `target` has to be one series. Strongest first, either
way: a series that falls when the other rises has -1.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import admission, pieces
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import correlate_examples as examples
from api.routes.promql import Asking, evaluated, range_of, source_of
from api.routes.promql_form import Form, form_of
from api.running import Running
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from tsdb.promql import query as promql
    from tsdb.promql.values import Vector

__all__ = ["declare"]

METHODS = ("pearson",)
SHOWN = 20  # series, unless `limit` says otherwise
STEPS, HOUR_S = 240, 3_600  # of a range that names no step, no start
MEDIA = ("application/json",)


def _correlated(node: Node, query: Running, form: Form, exchange: Exchange) -> Answer:
    """In a reader's thread."""
    from tsdb.promql import query as promql
    from tsdb.promql.correlation import correlate

    media = pieces.media_of(exchange.headers.get(b"accept", b""), MEDIA)
    source = source_of(node, query, form)
    admission.admit(node, query, source)  # the target is one series
    assert query.step is not None
    span = (query.start, query.end, query.step)
    target = _matrix(promql.over_range(source, form.text("target"), *span))
    if len(target.rows) != 1:
        raise InvalidInput(
            f'invalid parameter "target": it has to be one series, it is {len(target.rows):,}'
        )
    candidates = _matrix(evaluated(source, query))
    found = correlate(candidates, target.values[0], target.present[0])
    best = found.rows[: form.limit() or SHOWN]
    result = [
        {"metric": dict(labels), "correlation": correlation, "overlap": overlap}
        for labels, correlation, overlap in zip(
            candidates.rows.taken(best).labels(),
            found.correlations.tolist(),
            found.overlaps.tolist(),
            strict=False,
        )
    ]
    data = {
        "target": dict(target.rows.labels()[0]),
        "method": METHODS[0],
        "steps": target.steps,
        "series": len(candidates.rows),
        "skipped": found.skipped,
        "result": result,
    }
    body = orjson.dumps({"status": "success", "data": data}, option=orjson.OPT_APPEND_NEWLINE)
    coding = exchange.headers.get(b"accept-encoding", b"")
    return pieces.answer_of([body], media.encode(), coding)


def _matrix(answer: promql.Answer) -> Vector:
    from tsdb.promql.values import Vector

    assert isinstance(answer.value, Vector), "a range query gives a matrix"
    return answer.value


def _checked(node: Node, form: Form) -> Form:
    """With what may be left out: the last hour, in STEPS steps."""
    if not form.text("target"):
        raise InvalidInput('invalid parameter "target": it is missing; it is PromQL of one series')
    if form.text("method") not in {"", *METHODS}:
        raise InvalidInput(f'invalid parameter "method": there is {", ".join(METHODS)}')
    database = node.database()
    now_s = database.now_ticks() / database.resolution.ticks_per_s
    end = form.text("end") or f"{now_s:.3f}"
    filled = Form(form.values | {"end": [end]})
    start = form.text("start") or f"{filled.time('end') / 1000 - HOUR_S:.3f}"
    filled.values["start"] = [start]
    if not form.text("step"):
        length_s = (filled.time("end") - filled.time("start")) / 1000
        filled.values["step"] = [str(max(1, math.ceil(length_s / STEPS)))]
    return filled


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/api/v1/correlate", **examples.CORRELATE)
    @app.post("/api/v1/correlate", **examples.CORRELATE_POST)
    async def correlate(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = _checked(node, await form_of(node, exchange))
        query = range_of(node, exchange, form)
        return Asking(node, query, functools.partial(_correlated, node, query, form))
