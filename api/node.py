"""The database behind the server, from before it is open until after it is closed.

    in   Settings
    out  `database()`: the open database, or Unavailable saying why not yet or no more

The HTTP server answers before the log is replayed, so that an operator sees progress instead of a
refused connection. Replay can be given up at any entry: recovery may be interrupted anywhere.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from api.door import Door
from api.ingest import Ingest
from api.logs import LOG
from api.readers import Readers
from api.refusals import Refusals
from api.running import Queries
from api.settings import Settings
from api.turns import Memory
from api.warming import kernel_modules
from tsdb import limits
from tsdb.errors import InvalidInput, StorageFailed, Unavailable

if TYPE_CHECKING:
    from api.auth.access import Access
    from api.exchange import Exchange
    from api.listeners.intake import Intake
    from api.rules.ruler import Ruler
    from api.scrape.scraper import Scraper
    from replication.database import ClusterDatabase
    from tsdb.database.database import Database

__all__ = ["Node", "State"]

READ_THREADS = 4
ADMIN_THREADS = 4
POINT_BYTES, CELL_BYTES = 16, 9


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    CLOSING = "closing"


class Node:
    """What all routes share. Its methods may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        on_failure: Callable[[BaseException], None] | None = None,
        access: Access | None = None,
    ) -> None:
        self.settings = settings
        self.state = State.STARTING
        self.failure: BaseException | None = None
        self.scraper: Scraper | None = None
        self.ruler: Ruler | None = None
        self.intakes: dict[str, Intake] = {}  # of listeners, by name
        self.replayed = self.to_replay = 0  # log entries
        self.texts_skipped = 0  # fields of line protocol that are no numbers
        known = access is not None and not access.admits_anybody
        self.door = Door(loopback=settings.loopback, accounts=known)
        self.access = access
        self.guard = None if access is None else access.guard
        self.refusals = Refusals()
        self.queries = Queries(settings.slow_query_s)
        self.ingest = Ingest(
            queue_bytes_max=settings.queue_bytes_max,
            body_bytes_max=settings.body_bytes_max,
            body_encoded_bytes_max=settings.body_encoded_bytes_max,
            refusals=self.refusals,
        )
        self.memory = Memory(self.queries_bytes_max)
        self.readers = Readers(
            "read", threads=READ_THREADS, callers_max=limits.READS_MAX, memory=self.memory
        )
        self.admin = Readers(
            "admin",
            threads=ADMIN_THREADS,
            callers_max=limits.ADMIN_CALLS_MAX,
            limit="ADMIN_CALLS_MAX",
        )
        self.between = Readers("cluster", threads=READ_THREADS, callers_max=limits.READS_MAX)
        self._on_failure = on_failure
        self.cluster: ClusterDatabase | None = None  # the database, if it is a cluster's
        self._database: Database | None = None

    @property
    def points_max(self) -> int:
        """Points one read may select: its share of the memory limit, or the engine's bound."""
        limit = self.settings.memory_limit_bytes
        if limit is None:
            return limits.POINTS_PER_SELECT_MAX
        return min(limits.POINTS_PER_SELECT_MAX, limit // 4 // READ_THREADS // POINT_BYTES)

    @property
    def cells_max(self) -> int:
        """Values one query may hold in matrices: its share of the memory limit, or the bound."""
        limit = self.settings.memory_limit_bytes
        if limit is None:
            return limits.QUERY_CELLS_MAX
        return min(limits.QUERY_CELLS_MAX, limit // 4 // READ_THREADS // CELL_BYTES)

    @property
    def queries_bytes_max(self) -> int:
        """What all queries under way may hold together: a quarter of the memory limit."""
        limit = self.settings.memory_limit_bytes
        if limit is None:
            return limits.QUERIES_BYTES_MAX
        return min(limits.QUERIES_BYTES_MAX, limit // 4)

    def database(self) -> Database:
        """The open database; raises Unavailable while there is none."""
        if self._database is not None and self.state is not State.CLOSING:
            return self._database
        if self.state is State.STARTING:
            raise Unavailable(self.progress(), code="starting")
        raise Unavailable("the server is shutting down", code="closed")

    def settled(self, exchange: Exchange) -> AbstractContextManager[None]:
        """For a thread that reads: inside, answers are as new as the request asks for."""
        from api.consistency import settled

        if self.cluster is None:
            return contextlib.nullcontext()
        return settled(self.cluster, exchange)

    def has_duty(self) -> bool:
        """Whether rules and targets are this node's, now. Any thread."""
        return self.cluster is None or self.cluster.lease.is_held()

    def check_ready(self) -> None:
        """Raises what keeps the database from taking writes."""
        self.database()
        if self.cluster is not None:
            self.cluster.check_joined()
        if self.failure is not None:
            raise StorageFailed("storage failed")

    def progress(self) -> str:
        if not self.to_replay:
            return "the database is being opened"
        return f"{self.replayed:,} of {self.to_replay:,} log entries are replayed"

    def open(self) -> None:
        """Open the database; blocks until the log is replayed. Raises what keeps it closed."""
        import tsdb

        for name in kernel_modules():  # no first request pays for them
            importlib.import_module(name)
        settings = self.settings
        options: dict[str, Any] = {
            "memory_limit_bytes": settings.memory_limit_bytes,
            "retention_s": settings.retention_s,
            "series_max": settings.series_max,
            "on_progress": self._progressed,
            "on_failure": self._failed,
        }
        if settings.cluster is None:
            database = tsdb.open(settings.data, resolution=settings.resolution, **options)
        else:
            try:
                from replication.member import open_member
            except ModuleNotFoundError as error:
                raise InvalidInput(
                    f"a cluster needs {error.name}: pip install 'silverback-tsdb[cluster]'"
                ) from error

            options["resolution"] = settings.resolution
            database = self.cluster = open_member(settings.data, settings.cluster, **options)
        if self.state is State.CLOSING:
            database.close()
            raise Unavailable("the server is shutting down", code="closed")
        self._database = database
        self.state = State.READY

    def stop(self) -> None:
        """Take nothing new; an opening under way gives up at the next log entry."""
        self.state = State.CLOSING

    def close(self) -> None:
        """Finish reads under way, commit what waits, release the directory."""
        self.stop()
        self.readers.close()
        self.admin.close()
        self.between.close()
        if self._database is not None:
            self._database.close()

    def _progressed(self, replayed: int, to_replay: int) -> None:
        self.replayed, self.to_replay = replayed, to_replay
        if self.state is State.CLOSING:
            raise Unavailable("the server is shutting down", code="closed")

    def _failed(self, error: BaseException) -> None:
        """Called by the engine's threads. A storage failure is final; a bug is logged."""
        LOG.critical("engine_failure", exc_info=error)
        if isinstance(error, StorageFailed | OSError):
            self.failure = error
            if self._on_failure is not None:
                self._on_failure(error)
