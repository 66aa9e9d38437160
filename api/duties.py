"""What a server does by itself: it asks targets and evaluates rules. Of a cluster one node does.

    in   settings, an open database
    out  a scraper and a ruler that work while it is this node's turn

Files are read before the server listens, so what is wrong with them ends the start. A node whose
turn is over stops at once and forgets its alerts; the next one finds them in the series that they
are kept in, as a server does that was started again.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from api.exits import CommandFailed, Exit
from api.logs import LOG
from api.rules.group import Origin
from api.rules.ruler import Plan, Ruler
from api.scrape.scraper import Scraper
from tsdb.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from api.exchange import Answer, Exchange
    from api.node import Node

__all__ = ["ELSEWHERE", "Duties", "answer_of_holder"]

LOOK_S = 0.5
ELSEWHERE = frozenset({b"/api/v1/rules", b"/api/v1/alerts", b"/api/v1/targets"})
"""Questions about what the node whose turn it is does."""


class Duties:
    """Of one server; on its event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._is_working = False
        self._watching: asyncio.Task[None] | None = None
        self._make()

    @property
    def any(self) -> bool:
        return self._node.scraper is not None or self._node.ruler is not None

    def begin(self) -> None:
        """The database is open."""
        if not self.any:
            return
        if self._node.cluster is None:
            self._start()
        else:
            self._watching = asyncio.create_task(self._watch(), name="duties")

    def reload(self) -> None:
        """On a signal: what is wrong goes to the log."""
        if self._node.scraper is not None:
            self._node.scraper.reload_soon()
        if self._node.ruler is not None:
            self._node.ruler.reload_soon()

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._end()

    async def _watch(self) -> None:
        """Work while it is this node's turn."""
        assert self._node.cluster is not None
        while True:
            has_duty = self._node.has_duty()
            if has_duty and not self._is_working:
                LOG.info("duties_begin")
                self._start()
            elif not has_duty and self._is_working:
                LOG.info("duties_end", holder=self._node.cluster.lease.holder)
                await self._end()
                self._make_again()
            await asyncio.sleep(LOOK_S)

    def _start(self) -> None:
        self._is_working = True
        if self._node.scraper is not None:
            self._node.scraper.start_soon()
        if self._node.ruler is not None:
            self._node.ruler.start(self._node.database())

    async def _end(self) -> None:
        self._is_working = False
        if self._node.scraper is not None:
            await self._node.scraper.stop()
        if self._node.ruler is not None:
            await self._node.ruler.stop()

    def _make(self) -> None:
        self._node.scraper = _scraper(self._node)
        self._node.ruler = _ruler(self._node)

    def _make_again(self) -> None:
        """For the next turn; a file that was broken meanwhile is told, and read again then."""
        try:
            self._make()
        except CommandFailed as error:
            LOG.error("duties_refused", error=str(error))


async def answer_of_holder(node: Node, exchange: Exchange) -> Answer | None:
    """What the node whose turn it is says of it; None where that is this one, or nobody."""
    from api.exchange import Answer

    cluster, scope = node.cluster, exchange.scope
    if cluster is None or cluster.keeping is None or node.has_duty():
        return None
    holder, me = cluster.lease.holder, node.settings.cluster
    if not holder or me is None or holder == me.node:
        return None
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    asking = functools.partial(cluster.keeping.peers.get, holder, path)
    try:
        status, media, body = await asyncio.get_running_loop().run_in_executor(None, asking)
    except Unavailable:
        return None  # it went a moment ago: nobody does it now
    return Answer(body, status, media.encode("latin-1"))


def _scraper(node: Node) -> Scraper | None:
    path = node.settings.scrape_config
    if path is None:
        return None
    try:
        return Scraper(path, node)
    except InvalidInput as error:
        raise CommandFailed(str(error), Exit.CONFIG) from error


def _ruler(node: Node) -> Ruler | None:
    settings = node.settings
    if not settings.rules:
        return None
    plan = Plan(
        settings.rules,
        round(settings.evaluation_interval_s * 1000),
        settings.alertmanagers,
        Origin(settings.external_url.rstrip("/")),
    )
    try:
        return Ruler(plan, has_duty=node.has_duty)
    except InvalidInput as error:
        raise CommandFailed(str(error), Exit.CONFIG) from error
