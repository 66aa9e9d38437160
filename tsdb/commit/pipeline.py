"""Group commit: many writers, one ordered log, one fsync for all who wait.

    in   Request, from any thread (`submit`)
    out  `done(Written | TSDBError)`, once a request

Two threads. The gate parses, checks, resolves and encodes what waits; the writer appends a whole
group, syncs once, applies it, and only then answers. While the writer syncs, the gate prepares the
next group, so the disk's latency is the batching window: there is no timer (a 2 ms linger cost
40 % of throughput, docs/explanation/durability.md).

A failed append fails its entries and every group prepared meanwhile, because those may name series
that the lost entries defined; the definitions are repeated with the next entry.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from tsdb import limits
from tsdb.batch import Parsed, SeriesDefinitions, U32s
from tsdb.commit.assembly import Assembly, Pending
from tsdb.commit.commit import Commit, Committed
from tsdb.commit.gate import Gate
from tsdb.commit.joining import joined_definitions
from tsdb.commit.parsing import Parsing
from tsdb.commit.parsing import parsed as parsed_alone
from tsdb.commit.request import Ack, Request, Written
from tsdb.engine.annotations import Announced
from tsdb.engine.engine import Engine, definitions_only
from tsdb.errors import StorageFailed, TSDBError, Unavailable
from tsdb.parse.points_json import PointsBody, parse_together

GROUP_BYTES = 2 << 20  # decoded bytes prepared at once: bounds latency behind big bodies
SMALL_BYTES = 4 << 10  # requests up to this are admitted together
GROUPS_AHEAD = 2  # prepared groups that may wait for the writer

T = TypeVar("T")


class Pipeline:
    """Owns the log's only appender and the engine's only applier."""

    def __init__(
        self,
        commit: Commit,
        engine: Engine,
        gate: Gate,
        *,
        on_failure: Callable[[BaseException], None],
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._group_bytes = group_bytes
        self._to_log = commit
        self._engine = engine
        self._gate = gate
        self._on_failure = on_failure
        self._waiting: deque[Request] = deque()
        self._prepared: deque[list[Pending]] = deque()
        # One lock, three sorts of waiters: who waits is woken only by what it waits for.
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)  # the gate waits
        self._ready = threading.Condition(self._lock)  # the writer waits
        self._settled = threading.Condition(self._lock)  # `quiet` and `_fail` wait
        self._queued_bytes = 0
        self._preparing = False  # the gate is between taking requests and handing them on
        self._committing = False  # the writer is between taking entries and answering them
        self._recovering = False  # the writer is failing what was prepared; the gate pauses
        self._quiet = False  # somebody holds all writes; the gate pauses
        self._closing = False
        self._gate_done = False
        self._failed: TSDBError | None = None
        self._unlogged: list[SeriesDefinitions] = []
        self._announced = Announced(engine.annotations)
        self._parsing = Parsing()
        self._threads = [
            threading.Thread(target=self._prepare_forever, name="gate", daemon=True),
            threading.Thread(target=self._commit_forever, name="writer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @property
    def failed(self) -> TSDBError | None:
        return self._failed

    def submit(self, request: Request) -> None:
        """Queue a request. Raises Unavailable or StorageFailed at once when it cannot be taken."""
        with self._lock:
            self._queue(request)
            self._arrived.notify()

    def submit_many(self, requests: Sequence[Request]) -> None:
        """Queue requests in this order; one that cannot be taken is answered with the error."""
        refused: list[tuple[Request, TSDBError]] = []
        with self._lock:
            for request in requests:
                try:
                    self._queue(request)
                except TSDBError as error:
                    refused.append((request, error))
            self._arrived.notify()
        for request, reason in refused:
            request.done(reason)

    def _queue(self, request: Request) -> None:
        if self._failed is not None:
            raise self._failed
        if self._closing:
            raise Unavailable("the database is closed", code="closed")
        if self._waiting and self._queued_bytes + request.size_bytes > limits.QUEUE_BYTES_MAX:
            raise Unavailable(
                f"{self._queued_bytes:,} bytes wait for the log "
                f"(limit QUEUE_BYTES_MAX = {limits.QUEUE_BYTES_MAX:,}): retry",
                code="busy",
            )
        self._queued_bytes += request.size_bytes
        if request.parse is not None and request.size_bytes > SMALL_BYTES:
            self._parsing.offer(request, soon=not (self._waiting or self._preparing))
        self._waiting.append(request)

    def close(self) -> None:
        """Commit what waits, then stop both threads. Idempotent."""
        with self._lock:
            self._closing = True
            self._arrived.notify()
        for thread in self._threads:
            thread.join()
        self._parsing.close()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Hold all writes: inside, none is being prepared, waits for the log or is applied."""
        with self._lock:
            self._settled.wait_for(lambda: not self._quiet)
            self._quiet = True
            self._settled.wait_for(
                lambda: not (self._preparing or self._prepared or self._committing)
            )
        try:
            yield
        finally:
            with self._lock:
                self._quiet = False
                self._arrived.notify()
                self._settled.notify_all()

    def forget(self, refs: U32s) -> None:
        """Drop series without points from the index. Only inside `quiet`."""
        assert self._quiet
        self._gate.forget(refs)

    # --- first thread: parse, check, resolve, encode ----------------------------------------

    def _prepare_forever(self) -> None:
        while True:
            with self._lock:
                self._arrived.wait_for(self._may_prepare)
                taken = self._take()
                if not taken:
                    self._gate_done = True
                    self._ready.notify()
                    return
                self._preparing = True
                repeated, self._unlogged = self._unlogged, []
            entries: list[Pending] = []
            try:
                entries = self._prepare(taken, repeated)
            except Exception as error:  # nobody is left waiting for a thread that has ended
                self._tell(error)
                failure = StorageFailed(f"internal error: {type(error).__name__}")
                self.latch(failure)
                self._answer_all([(request, failure) for request in taken])
            with self._lock:
                self._preparing = False
                self._prepared.append(entries)
                self._ready.notify()
                self._settled.notify_all()

    def _may_prepare(self) -> bool:
        if self._recovering or self._quiet:
            return False
        return self._closing or (bool(self._waiting) and len(self._prepared) < GROUPS_AHEAD)

    def _take(self) -> list[Request]:
        taken: list[Request] = []
        size = 0
        while self._waiting and (not taken or size < self._group_bytes):
            taken.append(self._waiting.popleft())
            size += taken[-1].size_bytes
        return taken

    def _prepare(self, requests: list[Request], repeated: list[SeriesDefinitions]) -> list[Pending]:
        assembly = Assembly(self._engine.resolution)
        if repeated:
            assembly.add(definitions_only(joined_definitions(repeated)), [])
        small: list[Request] = []
        for request in requests:
            if request.parse is not None and request.size_bytes <= SMALL_BYTES:
                small.append(request)
                continue
            self._admit_small(small, assembly)
            small.clear()
            if request.parse is None:
                assembly.add_control(request)
            else:
                parsed = self._judged(request, self._parsing.outcome(request))
                if parsed is not None:
                    self._admit(request, parsed, assembly)
        self._admit_small(small, assembly)
        return assembly.finish()

    def _admit_small(self, small: list[Request], assembly: Assembly) -> None:
        """Many small requests cost one look at the index, if nothing in them needs another."""
        bodies = [request.parse for request in small if isinstance(request.parse, PointsBody)]
        together = len(bodies) == len(small) > 1
        joint = self._attempt(lambda: parse_together(bodies)) if together else None
        if joint is not None and self._admit_together(small, [joint], assembly):
            return
        pairs = [(request, self._judged(request, parsed_alone(request))) for request in small]
        known = [(request, parsed) for request, parsed in pairs if parsed is not None]
        owners, parts = [request for request, _ in known], [parsed for _, parsed in known]
        if len(known) > 1 and self._admit_together(owners, parts, assembly):
            return
        for request, parsed in known:
            self._admit(request, parsed, assembly)

    def _admit_together(
        self, owners: list[Request], parsed: list[Parsed], assembly: Assembly
    ) -> bool:
        """Whether it could be done. `parsed`: one for each owner, or one with a run for each."""
        batch = self._attempt(
            lambda: (
                None
                if any(part.metadata or part.exemplars for part in parsed)
                else self._gate.admit_together(parsed)
            )
        )
        if batch is None:
            return False
        if len(parsed) == len(owners):
            points = [part.columns.points for part in parsed]
        else:
            points = np.diff(batch.columns.offsets).tolist()
        for request, count in zip(owners, points, strict=True):
            request.points = count
        assembly.add(batch, list(owners))
        return True

    def _attempt(self, shortcut: Callable[[], T]) -> T | None:
        """A step for many requests; where it fails, the long way fails the right one."""
        try:
            return shortcut()
        except Exception as error:
            self._tell(error)
            return None

    def _judged(self, request: Request, outcome: Parsed | Exception) -> Parsed | None:
        """What the request says; None after answering one that says nothing we understand."""
        if isinstance(outcome, TSDBError):
            self._answer(request, outcome)
        elif isinstance(outcome, Exception):  # a parser's bug
            self._tell(outcome)
            self._answer(request, TSDBError(f"internal error: {type(outcome).__name__}"))
        else:
            return outcome
        return None

    def _admit(self, request: Request, parsed: Parsed, assembly: Assembly) -> None:
        """Add what is kept of one request, or answer it when nothing is."""
        try:
            batch = self._gate.admit(parsed, request.refusals)
        except Exception as error:  # `canonical` is the parser's code too
            self._judged(request, error)
            return
        request.points = batch.points
        if parsed.metadata or parsed.exemplars:
            fresh = self._engine.annotations.fresh(parsed.exemplars)
            assembly.annotate(self._announced.news(parsed.metadata), fresh)
        if batch.points or not request.refusals.count:
            assembly.add(batch, [request])
            return
        if batch.definitions.count:
            # In the order in which refs were given out: index files go by it.
            assembly.add(definitions_only(batch.definitions), [])
        self._answer(request, request.refusals.as_error())

    # --- second thread: append, sync, apply, answer ----------------------------------------

    def _commit_forever(self) -> None:
        unmarked = False
        while True:
            with self._lock:
                timeout = limits.IDLE_MARK_MS / 1000 if unmarked else None
                self._ready.wait_for(lambda: self._prepared or self._gate_done, timeout)
                entries = [entry for group in self._prepared for entry in group]
                idle = not self._prepared
                self._prepared.clear()
                self._committing = bool(entries)
                self._arrived.notify()
                self._settled.notify_all()
                if idle and self._gate_done:
                    return
            if entries:
                self._commit(entries)
                unmarked = True
                with self._lock:
                    self._committing = False
                    self._settled.notify_all()
            elif idle and self._failed is None:
                unmarked = False
                self._guarded(self._to_log.idle, [])

    def _commit(self, entries: list[Pending]) -> None:
        if self._failed is not None:
            self._fail(entries, self._failed)
            return
        sync = any(r.ack is not Ack.MEMORY for e in entries for r in e.requests)
        done = self._guarded(lambda: self._to_log.commit(entries, sync=sync), entries)
        if done is None:
            return
        self._answer_all(
            [
                (request, _written(request, committed, sync))
                for entry, committed in zip(entries, done, strict=True)
                for request in entry.requests
            ]
        )

    def _guarded(self, step: Callable[[], T], entries: list[Pending]) -> T | None:
        """Run one step of the writer; a failure answers `entries` and, unless passing, latches."""
        try:
            return step()
        except Unavailable as error:
            self._fail(entries, error)
        except StorageFailed as error:
            self._latch(error, entries)
        except Exception as error:  # state and log may differ now: only a restart can tell
            self._tell(error)
            self._latch(StorageFailed(f"internal error: {type(error).__name__}"), entries)
        return None

    def latch(self, error: StorageFailed) -> None:
        """Refuse all writes from now on: what the disk holds is unknown."""
        with self._lock:
            first = self._failed is None
            self._failed = self._failed or error
        if first:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):  # a thread that serves all ends for nobody
            self._on_failure(error)

    def _latch(self, error: StorageFailed, entries: list[Pending]) -> None:
        self.latch(error)
        self._fail(entries, error)

    def _fail(self, entries: list[Pending], error: TSDBError) -> None:
        """Fail `entries` and all that was prepared on top of them; keep their definitions."""
        with self._lock:
            self._recovering = True
            self._settled.wait_for(lambda: not self._preparing)
            lost = entries + [entry for group in self._prepared for entry in group]
            self._prepared.clear()
            definitions = [e.batch.definitions for e in lost if e.batch is not None]
            self._unlogged += [d for d in definitions if d.count]
            self._announced.lost()
            self._recovering = False
            self._arrived.notify()
            self._settled.notify_all()
        self._answer_all([(request, error) for e in lost for request in e.requests])

    def _answer(self, request: Request, outcome: Written | TSDBError) -> None:
        self._answer_all([(request, outcome)])

    def _answer_all(self, outcomes: Sequence[tuple[Request, Written | TSDBError]]) -> None:
        with self._lock:
            due = [pair for pair in outcomes if not pair[0].answered]
            for request, _ in due:
                request.answered = True
                self._queued_bytes -= request.size_bytes
        for request, outcome in due:
            try:
                request.done(outcome)
            except Exception as error:  # this caller is gone; others wait for the same thread
                self._tell(error)


def _written(request: Request, committed: Committed, durable: bool) -> Written:
    refusals = request.refusals
    return Written(
        points=request.points,
        seq=committed.seq,
        durable=durable,
        refused=tuple(refusals.told),
        refused_count=refusals.count,
        limit=refusals.limit,
        series=committed.series,
        position=committed.position,
    )
