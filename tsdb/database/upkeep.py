"""The background thread that keeps a database in shape: flush, merge, retention.

    in   a wake-up (a head is full) or a second gone by
    out  blocks instead of heads, larger blocks instead of small ones, a horizon that moves

It works from figures of the engine and the clock it is given; what it does is safe to do at any
time or never. A failure latches the database read-only, as any failed write does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tsdb import limits
from tsdb.engine.engine import Engine
from tsdb.engine.store import Store, Writes
from tsdb.errors import StorageFailed, Unavailable
from tsdb.log.protocol import Log

TICK_S = 1.0
HORIZON_STEPS = 200  # the horizon moves in steps of retention / 200: few log entries, 0.5 % slack


class Upkeep:
    """One thread. `propose_horizon` writes a horizon through the log like any other entry."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        log: Log,
        writes: Writes,
        *,
        now_ticks: Callable[[], int],
        retention_ticks: int | None,
        propose_horizon: Callable[[int], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._log = log
        self._writes = writes
        self._now_ticks = now_ticks
        self._retention_ticks = retention_ticks
        self._propose_horizon = propose_horizon
        self._on_failure = on_failure
        self._filling_since: int | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(TICK_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.tick(self._now_ticks())
            except Unavailable as error:  # disk full, or closing: the next round tries again
                self._on_failure(error)
                if error.code == "closed":
                    return
            except StorageFailed as error:
                self._writes.latch(error)
                return
            except Exception as error:  # the thread must tell before it ends
                self._on_failure(error)
                return

    def tick(self, now: int) -> None:
        """One round of upkeep at clock `now`, in ticks."""
        gone = self._retire(now)
        if self._flush_is_due(now):
            self._store.flush(self._engine, self._log)
            self._filling_since = None
            gone += self._store.merge_all(self._engine)
        if gone:
            self._store.collect(self._engine, self._writes)

    def _flush_is_due(self, now: int) -> bool:
        if self._engine.version.frozen:
            return True
        head = self._engine.active.head
        if not head.points:
            self._filling_since = None
            return False
        if self._filling_since is None:
            self._filling_since = now
        age = (now - self._filling_since) // self._engine.resolution.ticks_per_s
        return (
            age >= limits.HEAD_AGE_S_MAX
            or self._engine.head_is_full()
            or self._log.info().size_bytes >= limits.LOG_BYTES_FLUSH
        )

    def _retire(self, now: int) -> int:
        """Move the horizon when it is due; returns the blocks that fell below it."""
        if self._retention_ticks is None:
            return 0
        wanted = now - self._retention_ticks
        if wanted - self._engine.version.horizon >= max(1, self._retention_ticks // HORIZON_STEPS):
            self._propose_horizon(wanted)
            return self._store.drop_expired(self._engine)
        return 0
