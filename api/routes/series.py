"""Which series, label names and label values there are, as Prometheus' API lists them.

GET, POST /api/v1/series              label sets that match[] finds
GET, POST /api/v1/labels              names of labels
GET /api/v1/label/{name}/values       values of a label; U__... is a name in UTF-8, escaped

A time range leaves out series whose stored runs lie outside of it (tsdb.engine.presence). A list
that `limit` cuts says so in `warnings`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from api import pieces
from api.encode.promql_json import TRUNCATED
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import series_examples as examples
from api.routes.promql_form import MOMENT_MAX, MOMENT_MIN, Form, form_of
from api.work import Work
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded

if TYPE_CHECKING:
    from tsdb.batch import U32s
    from tsdb.database.database import Database
    from tsdb.index.matchers import Matcher
    from tsdb.index.reader import Reader

__all__ = [
    "declare",
    "found_series",
    "matcher_sets",
    "ticks_between",
    "ticks_of",
    "unescaped",
]

_CODE = re.compile(r"_([0-9a-fA-F]{1,6})_|__|_")


def series(database: Database, *, form: Form) -> Iterator[bytes]:
    sets = matcher_sets(form.all("match[]"))
    if not sets:
        raise InvalidInput("no match[] parameter provided")
    limit = form.limit()
    index, refs = found_series(database, sets, *ticks_of(database, form))
    refs = refs[index.text_order(refs)]
    text, _ = index.written(refs[: limit or None], _label, b",{", b"}")
    return _enveloped(b"[%b]" % text[1:].tobytes(), cut=0 < limit < refs.size)


def _label(name: str, value: str) -> bytes:
    return b"%b:%b" % (orjson.dumps(name), orjson.dumps(value))


def label_names(database: Database, *, form: Form) -> Iterator[bytes]:
    return _listed(
        database, form, lambda index, refs: index.label_names(refs), lambda all_: all_.label_names()
    )


def label_values(database: Database, *, form: Form, name: str) -> Iterator[bytes]:
    return _listed(
        database,
        form,
        lambda index, refs: index.label_values(name, refs),
        lambda all_: all_.label_values(name),
    )


def _listed(
    database: Database,
    form: Form,
    read: Callable[[Reader, U32s], list[str]],
    every: Callable[[Database], list[str]],
) -> Iterator[bytes]:
    sets = matcher_sets(form.all("match[]"))
    limit = form.limit()
    start, end = ticks_of(database, form)
    span = database.span()
    if not sets and (span is None or (start <= span[0] and span[1] <= end)):
        found = every(database)
    else:
        found = read(*found_series(database, sets or [()], start, end))
    return _enveloped(orjson.dumps(found[: limit or None]), cut=0 < limit < len(found))


def matcher_sets(selectors: Sequence[str]) -> list[tuple[Matcher, ...]]:
    """Each selector's matchers. Raises InvalidInput in Prometheus' words."""
    from tsdb.index.matchers import all_match_empty
    from tsdb.index.selector import parse_selector

    if len(selectors) > limits.MATCHERS_PER_SELECTOR_MAX:
        raise LimitExceeded(
            f"{len(selectors)} match[] parameters",
            limit="MATCHERS_PER_SELECTOR_MAX",
            value=limits.MATCHERS_PER_SELECTOR_MAX,
        )
    sets = []
    for text in selectors:
        try:
            sets.append(parse_selector(text, allow_empty=True))
        except LimitExceeded:
            raise
        except InvalidInput as error:
            raise InvalidInput(f'invalid parameter "match[]": {error}') from error
        if all_match_empty(sets[-1]):
            raise InvalidInput(
                'invalid parameter "match[]": match[] must contain at least one non-empty matcher'
            )
    return sets


def ticks_of(database: Database, form: Form) -> tuple[int, int]:
    """The range in ticks of the database, within int64; open where nothing is said."""
    return ticks_between(database, form.time("start", MOMENT_MIN), form.time("end", MOMENT_MAX))


def ticks_between(database: Database, start: int, end: int) -> tuple[int, int]:
    """From a moment in ms to another."""
    per_s = database.resolution.ticks_per_s
    first, last = -(-start * per_s // 1000), ((end + 1) * per_s - 1) // 1000
    return max(first, -(2**63)), min(last, 2**63 - 1)


def found_series(
    database: Database, sets: Sequence[tuple[Matcher, ...]], start: int, end: int
) -> tuple[Reader, U32s]:
    """Series that one of the sets finds in the range, ascending."""
    import numpy as np

    index, refs = database.present(sets[0], start, end)
    for matchers in sets[1:]:
        index, more = database.present(matchers, start, end)
        refs = np.union1d(refs, more)
    return index, refs


def _enveloped(data: bytes, *, cut: bool) -> Iterator[bytes]:
    warnings = b',"warnings":' + orjson.dumps([TRUNCATED]) if cut else b""
    yield b'{"status":"success","data":%b%b}' % (data, warnings)


def unescaped(name: str) -> str:
    """A label name as it is stored: `U__http_2e_status` is `http.status`, `__` one underscore."""
    if not name.startswith("U__"):
        return name
    return _CODE.sub(_character, name.removeprefix("U__"))


def _character(found: re.Match[str]) -> str:
    if found[0] == "__":
        return "_"
    code = int(found[1], 16) if found[1] else -1
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise InvalidInput(f"invalid label name: {found.string[:100]!r} is not escaped as U__ says")
    return chr(code)


def _name_of(name: str) -> str:
    try:
        found = unescaped(name)
    except InvalidInput:
        found = name  # as it stands, as Prometheus does
    if not found:
        raise InvalidInput('invalid label name: ""')
    return found


def _answered(
    read: Callable[..., Iterator[bytes]], exchange: Exchange, database: Database
) -> Answer:
    accept = exchange.headers.get(b"accept-encoding", b"")
    return pieces.answer_of(read(database), b"application/json", accept)


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    async def answered(
        request: Request, read: Callable[..., Iterator[bytes]], **more: str
    ) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        asked = functools.partial(read, form=form, **more)
        return Work(node, functools.partial(_answered, asked, exchange), node.readers)

    @app.get("/api/v1/series", **examples.SERIES)
    @app.post("/api/v1/series", **examples.SERIES_POST)
    async def list_series(request: Request) -> Response:
        return await answered(request, series)

    @app.get("/api/v1/labels", **examples.LABELS)
    @app.post("/api/v1/labels", **examples.LABELS_POST)
    async def list_labels(request: Request) -> Response:
        return await answered(request, label_names)

    @app.get("/api/v1/label/{name}/values", **examples.VALUES)
    async def list_values(request: Request) -> Response:
        from urllib.parse import unquote

        name = _name_of(unquote(request.path_params["name"]))
        return await answered(request, label_values, name=name)
