"""The thread that follows the logs: from messages to points in the engine.

    in   messages of each shard's log, in its order (`offer`, from any thread)
    out  entries in the node's own log, points, positions that others wait for

What arrived is written to the node's own log with one write and applied; a sync follows once a
second, and what is synced may be trimmed from the logs of the shards. A message that is no record,
or not the next one, stops its shard: it is served as of then, and its copy must be mended.

A full disk stops all shards until there is room: messages wait, none is passed over.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from replication.arrivals import Arrivals, Received
from replication.copying import Standing
from replication.envelope import Arrived, Copied, encode_arrived, encode_copied
from replication.record import Part
from replication.replica import Replica
from tsdb.batch import Batch
from tsdb.errors import CorruptionError, StorageFailed, TSDBError, Unavailable
from tsdb.log.protocol import Kind, Log

__all__ = ["Applier", "Brought", "Own", "Received"]

GROUP_MESSAGES = 256  # written and applied at once
SYNC_S = 1.0
FULL_DISK_S = 1.0  # between two tries
QUEUE_BYTES = 32 << 20  # of messages that wait; who brings more is told to wait
OWN_MAX = 1024  # parts that this node remembers; of those that never arrive, too
TOUCHED_MAX = 4096  # records with deletes of other nodes, which ask what they hit
SYNCED_FIRST = frozenset({Kind.TOMBSTONE, Kind.METADATA, Kind.EXEMPLARS})
"""A checkpoint of an earlier entry may hold their effect, under the entry's seq."""


@dataclass(slots=True)
class Own:
    """A part of a record that this node has appended, until it comes back from the log."""

    batch: Batch | None = None  # what it says: need not be decoded
    touched: int = 0  # series that it deleted from; known once it is applied
    shard: int = 0
    seq: int = 0  # of its record, once that is acked
    number: int = 0  # in its record


@dataclass(slots=True)
class Brought:
    """Parts of a copy, on their way."""

    parts: list[Copied]
    done: threading.Event = field(default_factory=threading.Event)
    failed: TSDBError | None = None


class Applier:
    """Owns the node's own log and the engine's writing side."""

    def __init__(
        self, log: Log, replica: Replica, *, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._log = log
        self._replica = replica
        self._on_failure = on_failure
        self.stopped = replica.stopped
        self.on_stop: Callable[[int, TSDBError], None] = _nothing
        self.followed = set(range(len(replica.ledger.places)))  # shards whose logs come here
        self._touched: dict[tuple[int, int], dict[int, int]] = {}  # by shard and seq, then number
        self._own: dict[tuple[int, int, int, int], Own] = {}
        self._waiting: deque[Received] = deque()
        self._brought: deque[Brought] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._moved = threading.Condition(self._lock)
        self._applied = replica.positions()
        self._durable = list(replica.ledger.kept)
        self._synced_at = time.monotonic()
        self._closing = False
        self.failed: TSDBError | None = None
        self._thread = threading.Thread(target=self._run, name="applier", daemon=True)

    def start(self) -> None:
        self._replica.abandon()
        self._thread.start()

    def close(self) -> None:
        """Stop; what waits is still in the logs of the shards."""
        with self._lock:
            self._closing = True
            self._arrived.notify()
            self._moved.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # --- what others ask --------------------------------------------------------------------

    @property
    def applied(self) -> list[int]:
        """Position in the log of each shard; readers see what came before."""
        return list(self._applied)

    @property
    def durable(self) -> list[int]:
        """Positions up to which the node has everything on its own disk."""
        return list(self._durable)

    def chains(self) -> list[tuple[int, int]]:
        """(position, digest of all records up to it) of each shard."""
        return self._replica.chains()

    def touched(self, shard: int, seq: int) -> tuple[int, ...]:
        """Series that each part of a record deleted from, as long as it is remembered."""
        counts = self._touched.get((shard, seq), {})
        return tuple(counts.get(number, 0) for number in range(max(counts, default=-1) + 1))

    def is_empty(self, shard: int) -> bool:
        """Whether this node has nothing of a shard."""
        return self._replica.is_empty(shard)

    def has_waiting(self, shard: int) -> bool:
        """Whether messages of its log are still to be looked at."""
        with self._lock:
            return any(received.shard == shard for received in self._waiting)

    def standing(self, shard: int) -> Standing | None:
        """Where a shard stands, for a copy of it; None in the middle of a record."""
        return self._replica.standing(shard)

    @property
    def is_full(self) -> bool:
        return self._queued_bytes > QUEUE_BYTES

    def wait(self, positions: Sequence[tuple[int, int]], timeout_s: float) -> None:
        """Return once each (shard, seq) is applied.

        Raises Unavailable when one is not in time, or will not be.
        """
        if all(self._applied[shard] >= seq for shard, seq in positions):
            return
        with self._lock:
            self._moved.wait_for(lambda: self._is_settled(positions), timeout_s)
            late = [(s, seq) for s, seq in positions if self._applied[s] < seq]
        if late:
            shard, seq = late[0]
            raise Unavailable(
                f"shard {shard} is at {self._applied[shard]} here, the question asks for {seq}",
                code="behind",
            )

    def _is_settled(self, positions: Sequence[tuple[int, int]]) -> bool:
        return (
            self._closing
            or self.failed is not None
            or all(self._applied[s] >= seq or s in self.stopped for s, seq in positions)
        )

    # --- what others bring --------------------------------------------------------------------

    def remember(self, shard: int, sender: int, sender_seq: int, number: int, own: Own) -> None:
        """A part of a record that is about to be appended."""
        if shard not in self.followed:
            return
        with self._lock:
            self._own[shard, sender, sender_seq, number] = own
            if len(self._own) > OWN_MAX:
                del self._own[next(iter(self._own))]

    def offer(self, received: Received) -> None:
        """The next message of a shard's log, or one that was offered before."""
        with self._lock:
            self._waiting.append(received)
            self._queued_bytes += len(received.payload)
            self._arrived.notify()

    def bring(self, shard: int, copy: int, parts: Sequence[Part]) -> None:
        """Parts of a copy of a shard whose log is not followed; returns once they are applied,
        and on this node's disk if they are the last.

        Raises what keeps them from it: Unavailable for a full disk, CorruptionError.
        """
        brought = self.offer_copied(shard, copy, parts)
        brought.done.wait()
        if brought.failed is not None:
            raise brought.failed

    def offer_copied(self, shard: int, copy: int, parts: Sequence[Part]) -> Brought:
        """As `bring`, without waiting."""
        assert shard not in self.followed
        brought = Brought([Copied(shard, copy, part) for part in parts])
        with self._lock:
            if self._closing or self.failed is not None:
                raise self.failed or Unavailable("the node is closed", code="closed")
            self._brought.append(brought)
            self._arrived.notify()
        return brought

    def is_whole(self, shard: int) -> bool:
        """Whether a shard's points are those of its position, and not half of a copy."""
        return self._replica.is_whole(shard)

    def stop(self, shard: int, error: TSDBError) -> None:
        """A shard goes no further: it is served as it is, and must be mended."""
        with self._lock:
            self.stopped[shard] = error
            self._moved.notify_all()
        self._on_failure(error)
        self.on_stop(shard, error)

    # --- what is done with it, step by step ----------------------------------------------------

    def step(self) -> None:
        """Write and apply what waits, or the first of it.

        Raises Unavailable when the disk is full: all of it waits still.
        """
        with self._lock:
            group = list(itertools.islice(self._waiting, GROUP_MESSAGES))
        self._take(group)
        with self._lock:
            for _ in group:
                self._queued_bytes -= len(self._waiting.popleft().payload)

    def step_copies(self) -> None:
        """Write and apply what was brought of copies."""
        while self._brought:
            brought = self._brought[0]
            try:
                self._take_copied(brought.parts)
            except TSDBError as error:
                brought.failed = error
            finally:
                self._brought.popleft()
                brought.done.set()

    def _take_copied(self, parts: list[Copied]) -> None:
        framed = [(Kind.REPLICATED, encode_copied(each)) for each in parts]
        sync = any(each.part.kind in SYNCED_FIRST for each in parts)
        first_seq = self._log.append(framed, sync=sync) - len(framed) + 1
        for number, copied in enumerate(parts):
            self._replica.apply_copied(first_seq + number, copied)
            if copied.part.kind in (Kind.TOMBSTONE, Kind.MARK):
                self.sync()
                with self._lock:
                    self._applied[copied.shard] = self._replica.positions()[copied.shard]
                    self._moved.notify_all()

    @property
    def is_unsynced(self) -> bool:
        """Whether a power cut would take away what only the logs of the shards have then."""
        return self._durable != self._replica.ledger.kept

    def sync(self) -> None:
        """What was applied is on this node's disk, and may be trimmed elsewhere."""
        kept = list(self._replica.ledger.kept)
        self._log.barrier()
        self._durable, self._synced_at = kept, time.monotonic()

    def _take(self, group: list[Received]) -> None:
        """Write and apply what is new in a group."""
        at = {received.shard: self._applied[received.shard] for received in group}
        times = dict.fromkeys(at, 0)
        entries: list[Arrived] = []
        arrivals = Arrivals(self._replica.ledger)
        for received in group:
            shard = received.shard
            if received.seq <= at[shard] or shard in self.stopped or shard not in self.followed:
                continue
            try:
                entries += arrivals.of(received)
            except CorruptionError as error:
                self.stop(shard, error)
                continue
            at[shard] = received.seq
            times[shard] = max(times[shard], received.time_ns)
        for shard in at:
            entries += arrivals.passed(shard)
        first_seq = self._written(entries)
        for number, arrived in enumerate(entries):
            if at[arrived.shard] >= arrived.seq:
                self._apply(first_seq + number, arrived, at)
        with self._lock:
            for shard, seq in at.items():
                self._applied[shard] = seq
                self._replica.ledger.pass_over(shard, seq, times[shard])
            self._moved.notify_all()

    def _apply(self, entry_seq: int, arrived: Arrived, at: dict[int, int]) -> None:
        """One part; when it cannot be applied, `at` says that its shard ends before it."""
        name = (arrived.shard, arrived.sender, arrived.sender_seq, arrived.number)
        own = self._own.pop(name, None)
        try:
            batch = None if own is None else own.batch
            touched = self._replica.apply_arrived(entry_seq, arrived, batch)
        except CorruptionError as error:
            at[arrived.shard] = arrived.seq - 1
            self.stop(arrived.shard, error)
            return
        if own is not None:
            own.touched = touched
        elif touched:
            self._touched.setdefault((arrived.shard, arrived.seq), {})[arrived.number] = touched
            if len(self._touched) > TOUCHED_MAX:
                del self._touched[next(iter(self._touched))]

    def _written(self, entries: list[Arrived]) -> int:
        """Entries in the node's own log; the seq of the first."""
        if not entries:
            return 0
        framed = [(Kind.REPLICATED, encode_arrived(arrived)) for arrived in entries]
        sync = any(arrived.part.kind in SYNCED_FIRST for arrived in entries)
        return self._log.append(framed, sync=sync) - len(framed) + 1

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                timeout = SYNC_S if self.is_unsynced else None
                self._arrived.wait_for(
                    lambda: self._waiting or self._brought or self._closing, timeout
                )
                if self._closing:
                    break
            try:
                self.step_copies()
                self.step()
                if self.is_unsynced and time.monotonic() - self._synced_at >= SYNC_S:
                    self.sync()
            except Unavailable as error:  # a full disk; or it is closed, and so are we
                self._on_failure(error)
                with self._lock:
                    self._arrived.wait_for(lambda: self._closing, FULL_DISK_S)
            except TSDBError as error:
                self._fail(error)
                break
            except Exception as error:  # the log and the engine may differ now
                self._on_failure(error)
                self._fail(StorageFailed(f"internal error: {type(error).__name__}: {error}"))
                break
        self._turn_away()

    def _turn_away(self) -> None:
        """Nobody takes what is brought any more."""
        with self._lock:
            self._closing = True
            left = list(self._brought)
            self._brought.clear()
        for brought in left:
            brought.failed = self.failed or Unavailable("the node is closed", code="closed")
            brought.done.set()

    def _fail(self, error: TSDBError) -> None:
        with self._lock:
            self.failed = error
            self._moved.notify_all()
        self._on_failure(error)


def _nothing(shard: int, error: TSDBError) -> None:
    """Nobody wants to know."""
