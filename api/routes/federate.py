"""GET /federate: the latest point of each series that match[] finds, in Prometheus' text format.

Another Prometheus scrapes this. As its own: families in order, all untyped, each point with its
own time in ms, `instance=""` where a series has none; series that ended (staleness markers) are
left out. Names that the format cannot write plainly have underscores there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response

from api import pieces
from api.encode.promql_json import number
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import series_examples as examples
from api.routes.promql_form import Form, form_of
from api.routes.series import matcher_sets
from api.work import Work
from tsdb import limits
from tsdb.errors import InvalidInput
from tsdb.index.labels import METRIC_NAME

if TYPE_CHECKING:
    from tsdb.database.database import Database
    from tsdb.query.selection import Series

__all__ = ["declare"]

TEXT = b"text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
STALE_BITS = 0x7FF0000000000002
_UNPLAIN = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def federate(database: Database, *, form: Form, exchange: Exchange, points_max: int) -> Answer:
    """Runs in a reader thread."""
    sets = matcher_sets(form.all("match[]"))
    if not sets:
        raise InvalidInput("no match[] parameter provided")
    per_s = database.resolution.ticks_per_s
    end = database.now_ticks()
    start = end - limits.LOOKBACK_MS * per_s // 1000 + 1
    latest: dict[Mapping[str, str], Series] = {}
    for matchers in sets:
        for each in database.select(matchers, start, end, points_max=points_max):
            latest[each.labels] = each
    families: dict[str, list[str]] = {}
    for labels, each in latest.items():
        if int(each.values[-1:].view("u8")[0]) != STALE_BITS:
            ms = int(each.timestamps[-1]) * 1000 // per_s
            line = f"{_labelled(labels)} {number(float(each.values[-1]))} {ms}\n"
            families.setdefault(labels[METRIC_NAME], []).append(line)
    accept = exchange.headers.get(b"accept-encoding", b"")
    return pieces.answer_of(_text(families), TEXT, accept)


def _text(families: dict[str, list[str]]) -> Iterator[bytes]:
    for name in sorted(families):
        plain = _plain(name, ":")
        lines = "".join(f"{plain}{line}" for line in families[name])
        yield f"# TYPE {plain} untyped\n{lines}".encode()


def _labelled(labels: Mapping[str, str]) -> str:
    """`{job="node",instance=""}`: as Prometheus, with an instance in any case."""
    pairs = [(name, value) for name, value in labels.items() if name != METRIC_NAME]
    if "instance" not in labels:
        pairs.append(("instance", ""))
    return "{" + ",".join(f'{_plain(n)}="{v.translate(_ESCAPES)}"' for n, v in pairs) + "}"


def _plain(name: str, also: str = "") -> str:
    found = "".join(c if c in also else _UNPLAIN.sub("_", c) for c in name)
    return f"_{found[1:]}" if found[0].isdigit() else found


def declare(app: FastAPI, node: Node) -> None:
    """The route as FastAPI knows it."""

    @app.get("/federate", **examples.FEDERATE)
    async def federated(request: Request) -> Response:
        exchange: Exchange = request.scope["exchange"]
        form = await form_of(node, exchange)
        asked = functools.partial(
            federate, form=form, exchange=exchange, points_max=node.points_max
        )
        return Work(node, asked, node.readers)
