"""Queries under way: who asked what, for how long, and how to stop it.

    in   a query as it comes in
    out  Running: a `check` that the evaluation asks between its nodes; a list for operators; counts

A query ends early when its time is over, when its client has gone, or when an operator says so.
Counts of points are kept beside, for statistics and the slow-query log.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.errors import QueryCanceled, QueryTimedOut
from api.logs import LOG
from api.refusals import limit_of
from tsdb import limits
from tsdb.errors import InvalidInput

__all__ = ["Queries", "Running"]

GONE = "its client went away"
ENDS = ("client", "limit", "operator", "timeout_queued", "timeout_running", "wrong")
LOGGED_BYTES = 4_096  # of a query's text


@dataclass(slots=True, eq=False)
class Running:
    """One query. `check` runs in the reader's thread, everything else on the event loop."""

    id: int
    text: str
    start: int  # ms
    end: int
    step: int | None  # None for an instant
    client: str
    request_id: str
    timeout_s: float
    since: float = field(default_factory=time.time)
    began: float = field(default_factory=time.perf_counter)
    evaluated: float | None = None  # when a thread took it up
    points: int = 0
    selections: int = 0
    canceled: str = ""
    account: str = ""
    held_bytes: int = 0  # taken from what all queries may hold together
    wanted_bytes: int = 0  # that it waits for, or waited
    on_stop: Callable[[Exception], None] = field(default=lambda error: None)

    def check(self) -> None:
        """Raises QueryCanceled or QueryTimedOut, once it has to stop."""
        if self.canceled:
            raise QueryCanceled(f"query was canceled in {self._where()}: {self.canceled}")
        if time.perf_counter() - self.began > self.timeout_s:
            raise QueryTimedOut(f"query timed out in {self._where()}")

    def stop(self, why: str) -> None:
        """Now, if it waits; else when it asks `check`."""
        self.canceled = why
        self.on_stop(QueryCanceled(f"query was canceled in {self._where()}: {why}"))

    def time_out(self) -> None:
        """Its time is over: what waits leaves."""
        self.on_stop(QueryTimedOut(f"query timed out in {self._where()}"))

    def _where(self) -> str:
        return "query execution" if self.evaluated else "query queue"

    def shown(self) -> dict[str, Any]:
        """For the list of active queries."""
        return {
            "id": str(self.id),
            "query": self.text,
            "start": self.start / 1000,
            "end": self.end / 1000,
            "step": None if self.step is None else self.step / 1000,
            "client": self.client,
            "account": self.account,
            "requestId": self.request_id,
            "since": round(self.since, 3),
            "seconds": round(time.perf_counter() - self.began, 6),
            "state": "running" if self.evaluated else "queued",
            "memoryBytes": self.held_bytes or self.wanted_bytes,
            "points": self.points,
        }


class Queries:
    """One server's. Used on the event loop alone."""

    def __init__(self, slow_s: float = limits.SLOW_QUERY_S) -> None:
        self.slow = 0  # how many took longer than slow_s
        self._slow_s = slow_s
        self._numbers = itertools.count(1)
        self._running: dict[int, Running] = {}
        self.ends: Counter[str] = Counter(dict.fromkeys(ENDS, 0))
        self.postponed = 0

    def next_id(self) -> int:
        return next(self._numbers)

    def begin(self, query: Running) -> None:
        self._running[query.id] = query

    @property
    def waiting(self) -> int:
        return sum(query.evaluated is None for query in list(self._running.values()))

    @property
    def running(self) -> int:
        return len(self._running) - self.waiting

    def note(self, query: Running, error: Exception) -> None:
        """Count why it ended without an answer."""
        if isinstance(error, QueryTimedOut):
            self.ends["timeout_running" if query.evaluated else "timeout_queued"] += 1
        elif isinstance(error, QueryCanceled):
            self.ends["client" if query.canceled == GONE else "operator"] += 1
        elif limit_of(str(error)) is not None:
            self.ends["limit"] += 1
        elif isinstance(error, InvalidInput):
            self.ends["wrong"] += 1

    def end(self, query: Running) -> None:
        """It is answered; a long one is logged."""
        self.postponed += query.wanted_bytes > 0
        self._running.pop(query.id, None)
        seconds = time.perf_counter() - query.began
        if seconds >= self._slow_s:
            self.slow += 1
            LOG.info(
                "slow_query",
                query=query.text[:LOGGED_BYTES],
                seconds=round(seconds, 3),
                points=query.points,
                start=query.start / 1000,
                end=query.end / 1000,
                step=None if query.step is None else query.step / 1000,
                canceled=query.canceled,
                client=query.client,
                request_id=query.request_id,
            )

    def shown(self) -> list[dict[str, Any]]:
        """The longest first."""
        return [query.shown() for query in list(self._running.values())]

    def cancel(self, id_: str) -> bool:
        """False if there is no such query any more."""
        query = next((each for each in self._running.values() if str(each.id) == id_), None)
        if query is None:
            return False
        query.stop("stopped by an operator")
        return True
