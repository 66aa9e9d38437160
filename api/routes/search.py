"""Names that somebody types, found: Prometheus' search API, which 3.5 does not have yet.

GET, POST /api/v1/search/metric_names    names of metrics, their metadata if asked for
GET, POST /api/v1/search/label_names     names of labels
GET, POST /api/v1/search/label_values    values of `label`

Lines of JSON: batches of results, then one that says whether there is more. As in Prometheus'
main branch of 2026, where the API is experimental (proposal 74), so it may change with it.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import pieces
from api.exchange import Answer, Exchange
from api.name_search import ALGORITHMS, Search
from api.node import Node
from api.routes import search_examples as examples
from api.routes.promql_form import Form, form_of
from api.routes.series import found_series, matcher_sets, ticks_between
from api.work import Work
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import METRIC_NAME

if TYPE_CHECKING:
    from tsdb.batch import U32s
    from tsdb.database.database import Database
    from tsdb.index.reader import Reader

__all__ = ["declare"]

NDJSON = b"application/x-ndjson; charset=utf-8"
LISTED, LISTED_MS = 100, 3_600_000  # what Prometheus takes where nothing is said
CHECK_EVERY = 256  # names between looks at the clock
_TRUE, _FALSE = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)

Names = Callable[["Reader", "U32s"], list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says besides what it searches in."""

    search: Search
    sort_by: str
    descending: bool
    limit: int
    batch: int
    score: bool
    metadata: bool


def metric_names(database: Database, *, form: Form) -> Iterator[bytes]:
    return _lines(database, form, lambda index, refs: index.label_values(METRIC_NAME, refs))


def label_names(database: Database, *, form: Form) -> Iterator[bytes]:
    return _lines(database, form, lambda index, refs: index.label_names(refs))


def label_values(database: Database, *, form: Form) -> Iterator[bytes]:
    label = form.text("label")
    if not label:
        raise InvalidInput('missing required parameter "label"')
    return _lines(database, form, lambda index, refs: index.label_values(label, refs))


def _lines(database: Database, form: Form, names: Names) -> Iterator[bytes]:
    asked = _asked(form)
    sets = matcher_sets(form.all("match[]")) or [()]
    now_ms = database.now_ticks() * 1000 // database.resolution.ticks_per_s
    start, end = form.time("start", now_ms - LISTED_MS), form.time("end", now_ms)
    index, refs = found_series(database, sets, *ticks_between(database, start, end))
    found = _sorted(_scored(asked.search, names(index, refs)), asked)
    families = database.metadata() if asked.metadata else {}
    listed = [_result(name, score, asked, families) for name, score in found[: asked.limit]]
    for at in range(0, max(len(listed), 1), asked.batch):
        yield orjson.dumps({"results": listed[at : at + asked.batch]}) + b"\n"
    yield orjson.dumps({"status": "success", "has_more": len(found) > asked.limit}) + b"\n"


def _scored(search: Search, names: list[str]) -> list[tuple[str, float]]:
    found = []
    deadline = time.monotonic() + limits.SEARCH_S_MAX
    for i, name in enumerate(names):
        if i % CHECK_EVERY == 0 and time.monotonic() > deadline:
            raise LimitExceeded(
                f"the search looked at {i} of {len(names)} names and took too long: narrow it by "
                "match[], or search for less",
                limit="SEARCH_S_MAX",
                value=limits.SEARCH_S_MAX,
            )
        score = search.score(name)
        if score is not None:
            found.append((name, score))
    return found


def _sorted(found: list[tuple[str, float]], asked: Asked) -> list[tuple[str, float]]:
    """Names come in order; equal scores keep it."""
    if asked.sort_by == "score":
        return sorted(found, key=lambda one: -one[1])
    return found[::-1] if asked.descending else found


def _result(name: str, score: float, asked: Asked, families: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"name": name}
    if asked.score:
        result["score"] = score
    family = families.get(name)
    if family is not None:
        told = {"type": family.kind, "help": family.help, "unit": family.unit}
        result |= {what: text for what, text in told.items() if text}
    return result


# --- parameters ----------------------------------------------------------------------------------


def _asked(form: Form) -> Asked:
    threshold = _number(form, "fuzz_threshold", 0, "must be 0-100", most=100)
    algorithm = form.text("fuzz_alg") or "subsequence"
    if algorithm not in ALGORITHMS:
        known = " ".join(ALGORITHMS)
        raise InvalidInput(f"unsupported fuzz_alg {_quoted(algorithm)}: must be one of [{known}]")
    sort_by, direction = _order(form)
    search = Search(
        _terms(form),
        algorithm,
        threshold / 100,
        case_sensitive=_flag(form, "case_sensitive", default=True),
    )
    whole = "must be non-negative integer"
    limit = _number(form, "limit", LISTED, whole) or LISTED
    if limit > limits.KEYS_PER_ANSWER_MAX:
        raise LimitExceeded(
            f"{limit} names at once", limit="KEYS_PER_ANSWER_MAX", value=limits.KEYS_PER_ANSWER_MAX
        )
    return Asked(
        search,
        sort_by,
        direction == "dsc",
        limit,
        _number(form, "batch_size", LISTED, whole) or LISTED,
        _flag(form, "include_score", default=False),
        _flag(form, "include_metadata", default=False),
    )


def _terms(form: Form) -> list[str]:
    terms = form.all("search[]")
    if len(terms) > limits.SEARCH_TERMS_MAX:
        raise LimitExceeded(
            f"{len(terms)} search[] parameters",
            limit="SEARCH_TERMS_MAX",
            value=limits.SEARCH_TERMS_MAX,
        )
    for term in terms:
        if len(term) > limits.SEARCH_TERM_CHARACTERS_MAX:
            raise LimitExceeded(
                f"a search[] of {len(term)} characters",
                limit="SEARCH_TERM_CHARACTERS_MAX",
                value=limits.SEARCH_TERM_CHARACTERS_MAX,
            )
    return terms


def _order(form: Form) -> tuple[str, str]:
    sort_by, direction = form.text("sort_by"), form.text("sort_dir")
    if direction and not sort_by:
        raise InvalidInput("sort_dir is only valid when sort_by is set")
    if direction and sort_by == "score":
        raise InvalidInput("sort_dir is not supported for sort_by=score")
    if direction not in {"", "asc", "dsc"}:
        raise InvalidInput(f'invalid sort_dir {_quoted(direction)}: must be "asc" or "dsc"')
    if sort_by not in {"", "alpha", "score"}:
        raise InvalidInput(f'invalid sort_by {_quoted(sort_by)}: must be "alpha" or "score"')
    if sort_by == "score" and not form.all("search[]"):
        raise InvalidInput("sort_by=score requires search[] to be set")
    return sort_by, direction


def _number(form: Form, name: str, default: int, must: str, *, most: int = 2**63) -> int:
    text = form.text(name)
    if not text:
        return default
    if not _WHOLE.fullmatch(text) or not 0 <= int(text) <= most:
        raise InvalidInput(f"invalid {name} {_quoted(text)}: {must}")
    return int(text)


def _flag(form: Form, name: str, *, default: bool) -> bool:
    text = form.text(name)
    if text and text not in _TRUE | _FALSE:
        raise InvalidInput(f"invalid {name} {_quoted(text)}: must be boolean")
    return text in _TRUE if text else default


def _quoted(text: str) -> str:
    return orjson.dumps(text[:100]).decode()


def _answered(
    read: Callable[..., Iterator[bytes]], exchange: Exchange, database: Database
) -> Answer:
    accept = exchange.headers.get(b"accept-encoding", b"")
    return pieces.answer_of(read(database), NDJSON, accept)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    async def answered(request: Request, read: Callable[..., Iterator[bytes]]) -> Response:
        exchange: Exchange = request.scope["exchange"]
        asked = functools.partial(read, form=await form_of(node, exchange))
        return Work(node, functools.partial(_answered, asked, exchange), node.readers)

    @app.get("/api/v1/search/metric_names", **examples.METRIC_NAMES)
    @app.post("/api/v1/search/metric_names", **examples.METRIC_NAMES_POST)
    async def search_metric_names(request: Request) -> Response:
        return await answered(request, metric_names)

    @app.get("/api/v1/search/label_names", **examples.LABEL_NAMES)
    @app.post("/api/v1/search/label_names", **examples.LABEL_NAMES_POST)
    async def search_label_names(request: Request) -> Response:
        return await answered(request, label_names)

    @app.get("/api/v1/search/label_values", **examples.LABEL_VALUES)
    @app.post("/api/v1/search/label_values", **examples.LABEL_VALUES_POST)
    async def search_label_values(request: Request) -> Response:
        return await answered(request, label_values)
