"""The Pushgateway's API: groups of metrics that jobs push before they end.

    PUT    /metrics/job/<job>/<label>/<value>...   the body replaces the group       200
    POST   the same                                it replaces metrics of its names  200
    DELETE the same                                the group ends                    202

Raw ASGI routes (api.app); `job@base64` and `label@base64` as the real one has them. Points get the
time of arrival, and what a push or a delete leaves without a value gets a stale marker. Each group
also has push_time_seconds and push_failure_time_seconds.

The real one keeps a value until it is told otherwise, and is scraped over and over. Here a push is
a point at one moment: a query of the present sees it for as long as it looks back.

Which series a group holds is known by what was pushed since the start, as far as
PUSHED_SERIES_MAX goes: what was pushed before that gets no stale marker when it is replaced.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Request
from starlette.responses import Response

from api.exchange import Answer, Exchange
from api.node import Node
from api.queries import ack_of
from api.routes import exposition_examples as examples
from api.routes.exposition import is_openmetrics
from api.routes.push_path import group_of
from api.routes.written import refused_for_now
from api.work import Reply
from tsdb import limits
from tsdb.commit.request import Ack
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from tsdb.batch import Parsed
    from tsdb.commit.request import Written
    from tsdb.database.database import Database
    from tsdb.parse.exposition_push import Families, Push

__all__ = ["PREFIX", "PREFIX_BASE64", "declare", "write"]

PREFIX, PREFIX_BASE64 = b"/metrics/job/", b"/metrics/job@base64/"
ROUTE = "/metrics/job/{group}"
PROTOBUF = b"application/vnd.google.protobuf"
DELIMITED = b"encoding=delimited"
TEXT = b"text/plain; charset=utf-8"

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Group:
    """What one group holds. Pushes to it come one after the other."""

    families: Families = field(default_factory=dict)
    ticks: int | None = None  # of the last push
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0

    @property
    def series(self) -> int:
        return sum(map(len, self.families.values()))


class Groups:
    """All groups of a database, the longest unused first."""

    def __init__(self, series_max: int = limits.PUSHED_SERIES_MAX) -> None:
        self._series_max = series_max
        self._groups: OrderedDict[Pairs, Group] = OrderedDict()
        self._series = 0

    def of(self, labels: Pairs) -> Group:
        group = self._groups.setdefault(labels, Group())
        self._groups.move_to_end(labels)
        return group

    def hold(self, labels: Pairs, families: Families) -> None:
        """What a group holds from now on; others are forgotten where there are too many."""
        group = self._groups[labels]
        self._series -= group.series
        group.families = families
        self._series += group.series
        while self._series + len(self._groups) > self._series_max:
            oldest = next((n for n, g in self._groups.items() if not g.users), None)
            if oldest is None:
                return
            self._series -= self._groups.pop(oldest).series

    def leave(self, labels: Pairs) -> None:
        """A request is done; nothing is kept of a group that holds nothing."""
        group = self._groups[labels]
        group.users -= 1
        if not group.users and not group.families:
            del self._groups[labels]


_groups: WeakKeyDictionary[Database, Groups] = WeakKeyDictionary()


async def write(node: Node, exchange: Exchange) -> Answer:
    """PUT, POST or DELETE /metrics/job/..."""
    exchange.route = ROUTE
    database = node.database()
    labels = group_of(exchange.scope["raw_path"].removeprefix(b"/metrics"))
    ack = ack_of(exchange.scope["query_string"])
    body = await node.ingest.body(exchange)
    groups = _groups.setdefault(database, Groups())
    group = groups.of(labels)
    group.users += 1
    pushing = _Pushing(node, database, labels, group, ack)
    try:
        async with group.turn:
            if exchange.scope["method"] == "DELETE":
                written = await pushing.remove()
                families: Families = {}
                answer = Answer(b"", 202, media=TEXT)
            else:
                written, families = await pushing.push(exchange, body)
                answer = Answer(b"", media=TEXT)
            groups.hold(labels, families)
    finally:
        groups.leave(labels)
    if written is not None:
        _check(written)
    return answer


@dataclass(frozen=True, slots=True)
class _Pushing:
    """One request under way."""

    node: Node
    database: Database
    labels: Pairs
    group: Group
    ack: Ack

    async def push(self, exchange: Exchange, body: bytes) -> tuple[Written, Families]:
        """What came of it, and what the group holds then."""
        from tsdb.parse.exposition_push import Inconsistent, failure_of

        found: list[Push] = []
        now = self._now()

        def read(plain: bytes) -> Parsed:
            found.append(self._parsed(exchange, plain, now))
            return found[-1].parsed

        ingest = self.node.ingest
        try:
            written = await ingest.write_body(self.database, exchange, body, read, self.ack)
        except Inconsistent:
            await self._write(lambda: failure_of(self.labels, now))
            raise
        return written, found[-1].families

    async def remove(self) -> Written | None:
        """None for a group that holds nothing."""
        from tsdb.parse.exposition_push import removal_of

        if not self.group.families:
            return None
        ticks, _ = self._now()
        return await self._write(lambda: removal_of(self.group.families, ticks))

    def _parsed(self, exchange: Exchange, plain: bytes, now: tuple[int, float]) -> Push:
        from tsdb.parse import exposition, exposition_protobuf, times
        from tsdb.parse.exposition_push import push_of

        media = exchange.headers.get(b"content-type", b"")
        if media.startswith(PROTOBUF):
            if DELIMITED not in media:
                raise InvalidInput("protobuf is read with encoding=delimited")
            plain = exposition_protobuf.text_of(plain)
            media = b"text/plain; version=0.0.4"
        exponent = times.decimal_exponent(self.database.resolution)
        form = exposition.Format(exponent, now[0], is_openmetrics(media, plain))
        reading = exposition.read(plain, form, strict=True, extra=self.labels)
        replace = exchange.scope["method"] == "PUT"
        return push_of(reading, self.labels, self.group.families, now, replace=replace)

    def _now(self) -> tuple[int, float]:
        """In ticks, never before the group's last push, and in seconds."""
        ticks = self.database.now_ticks()
        if self.group.ticks is not None:
            ticks = max(ticks, self.group.ticks)
        self.group.ticks = ticks
        return ticks, ticks / self.database.resolution.ticks_per_s

    async def _write(self, parse: Callable[[], Parsed]) -> Written:
        """Points of our own, without a body."""
        return await self.node.ingest.write(self.database, parse, 0, self.ack)


def _check(written: Written) -> None:
    """A push is kept whole; where it is not, the client hears why."""
    if refused_for_now(written) is not None:
        assert written.limit is not None
        raise written.limit
    if written.refused_count:
        more = f" and {written.refused_count - 1:,} more" if written.refused_count > 1 else ""
        raise InvalidInput(f"pushed metrics are refused: {written.refused[0]}{more}")


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    @app.put("/metrics/job/{group:path}", **examples.PUT)
    async def put_group(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.post("/metrics/job/{group:path}", **examples.POST)
    async def post_group(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))

    @app.delete("/metrics/job/{group:path}", **examples.DELETE)
    async def delete_group(request: Request) -> Response:
        return Reply(await write(node, request.scope["exchange"]))
