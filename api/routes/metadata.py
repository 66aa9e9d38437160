"""What senders say beside points, in the shape of Prometheus' API.

GET /api/v1/metadata                type, help and unit of metric families
GET, POST /api/v1/query_exemplars   exemplars of the series that a selector matches
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import orjson
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.exchange import Answer
from api.node import Node
from api.queries import Start, span
from api.routes import metadata_examples as examples
from api.routes.promql_form import form_of
from api.work import Work
from tsdb import limits

if TYPE_CHECKING:
    from tsdb.batch import Exemplar
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher

__all__ = ["declare"]

Json = dict[str, Any]


class MetadataQuery(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    metric: str = Field("", description="Of this family only.")
    limit: int = Field(limits.FAMILIES_MAX, ge=-1, description="At most this many; -1 for all.")
    limit_per_metric: int = Field(
        -1, ge=-1, description="We keep one for each family, so any bound but 0 holds."
    )


class ExemplarsQuery(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    query: str = Field(description="PromQL; its selectors count.", examples=[['cpu{host="a"}']])
    start: Start = None
    end: Start = None


def metadata(database: Database, *, query: MetadataQuery) -> Answer:
    families = sorted(database.metadata().values(), key=lambda f: f.family)
    if query.metric:
        families = [f for f in families if f.family == query.metric]
    if query.limit >= 0:
        families = families[: query.limit]
    told = families if query.limit_per_metric else []
    data = {f.family: [{"type": f.kind, "help": f.help, "unit": f.unit}] for f in told}
    return _answer(data)


def exemplars(database: Database, *, query: ExemplarsQuery) -> Answer:
    start, end = span(database, query.start, query.end)
    every = {
        exemplar: None
        for matchers in _selectors(query.query)
        for exemplar in database.exemplars(matchers, start, end)
    }
    found = sorted(every, key=lambda e: (e.series, e.timestamp))
    ticks_per_s = database.resolution.ticks_per_s
    return _answer(
        [
            {
                "seriesLabels": _labels(series),
                "exemplars": [_shown(e, ticks_per_s) for e in group],
            }
            for series, group in itertools.groupby(found, key=lambda e: e.series)
        ]
    )


def _selectors(text: str) -> list[tuple[Matcher, ...]]:
    """Those of all selectors in an expression: a panel asks with its whole query."""
    from tsdb.promql import ast
    from tsdb.promql.parse import parse

    found, waiting = [], [parse(text)]
    while waiting:
        node = waiting.pop()
        waiting += ast.children(node)
        if isinstance(node, ast.InstantSelector):
            found.append(node.matchers)
    return found


def _shown(exemplar: Exemplar, ticks_per_s: int) -> Json:
    return {
        "labels": _labels(exemplar.labels) if exemplar.labels else {},
        "value": _text(exemplar.value),
        "timestamp": exemplar.timestamp / ticks_per_s,
    }


def _text(value: float) -> str:
    """As Prometheus writes floats: no exponent, no superfluous digit."""
    if math.isfinite(value):
        return np.format_float_positional(value, trim="-")
    return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")


def _labels(key: bytes) -> dict[str, str]:
    from tsdb.index.labels import parse

    return dict(parse(key))


def _answer(data: object) -> Answer:
    body = {"status": "success", "data": data}
    return Answer(orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.get("/api/v1/metadata", **examples.METADATA)
    async def list_families(query: Annotated[MetadataQuery, Query()]) -> Response:
        return Work(node, functools.partial(metadata, query=query), node.readers)

    @app.get("/api/v1/query_exemplars", **examples.EXEMPLARS)
    async def list_exemplars(query: Annotated[ExemplarsQuery, Query()]) -> Response:
        return Work(node, functools.partial(exemplars, query=query), node.readers)

    @app.post("/api/v1/query_exemplars", **examples.EXEMPLARS_POST)
    async def list_exemplars_of_form(request: Request) -> Response:
        form = await form_of(node, request.scope["exchange"])
        query = ExemplarsQuery(
            query=form.text("query"),
            start=form.text("start") or None,
            end=form.text("end") or None,
        )
        return Work(node, functools.partial(exemplars, query=query), node.readers)
