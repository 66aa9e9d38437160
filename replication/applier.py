"""The thread that follows the logs: from messages to points in the engine.

    in   messages of each shard's log, in its order (`offer`, from any thread)
    out  entries in the node's own log, points, positions that others wait for

What arrived is written to the node's own log with one write and applied; a sync follows once a
second, and what is synced may be trimmed from the logs of the shards. A message that is no record,
or not the next one, stops its shard: it is served as of then, and its copy must be mended.

A full disk stops all shards until there is room: messages wait, none is passed over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replication.envelope import Arrived, encode_arrived
from replication.record import PART_BYTES_MAX, decode_record
from replication.replica import Replica
from tsdb.batch import Batch
from tsdb.errors import CorruptionError, StorageFailed, TSDBError, Unavailable
from tsdb.log.protocol import Kind, Log

__all__ = ["Applier", "Own", "Received"]

GROUP_MESSAGES = 256  # written and applied at once
SYNC_S = 1.0
FULL_DISK_S = 1.0  # between two tries
QUEUE_BYTES = 32 << 20  # of messages that wait; who brings more is told to wait


@dataclass(slots=True)
class Own:
    """A part of a record that this node has appended, until it comes back from the log."""

    batch: Batch | None = None  # what it says: need not be decoded
    touched: int = 0  # series that it deleted from; known once it is applied


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a shard's log."""

    shard: int
    seq: int
    time_ns: int
    payload: bytes


class Applier:
    """Owns the node's own log and the engine's writing side."""

    def __init__(
        self, log: Log, replica: Replica, *, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._log = log
        self._replica = replica
        self._on_failure = on_failure
        self.stopped = replica.stopped
        self._own: dict[tuple[int, int, int, int], Own] = {}
        self._waiting: deque[Received] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._moved = threading.Condition(self._lock)
        self._applied = replica.positions()
        self._durable = list(self._applied)
        self._synced_at = time.monotonic()
        self._closing = False
        self.failed: TSDBError | None = None
        self._thread = threading.Thread(target=self._run, name="applier", daemon=True)

    def start(self) -> None:
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
        self._own[shard, sender, sender_seq, number] = own

    def offer(self, received: Received) -> None:
        """The next message of a shard's log, or one that was offered before."""
        with self._lock:
            self._waiting.append(received)
            self._queued_bytes += len(received.payload)
            self._arrived.notify()

    def stop(self, shard: int, error: TSDBError) -> None:
        """A shard goes no further: it is served as it is, and must be mended."""
        with self._lock:
            self.stopped[shard] = error
            self._moved.notify_all()
        self._on_failure(error)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                unsynced = self._durable != self._applied
                self._arrived.wait_for(
                    lambda: self._waiting or self._closing, SYNC_S if unsynced else None
                )
                if self._closing:
                    return
                count = min(len(self._waiting), GROUP_MESSAGES)
                group = [self._waiting.popleft() for _ in range(count)]
                self._queued_bytes -= sum(len(each.payload) for each in group)
            try:
                self._take(group)
                self._sync()
            except TSDBError as error:
                self._fail(error)
                return
            except Exception as error:  # the log and the engine may differ now
                self._on_failure(error)
                self._fail(StorageFailed(f"internal error: {type(error).__name__}: {error}"))
                return

    def _take(self, group: list[Received]) -> None:
        """Write and apply what is new in a group."""
        at = {received.shard: self._applied[received.shard] for received in group}
        entries: list[Arrived] = []
        high: dict[tuple[int, int], int] = {}
        for received in group:
            shard = received.shard
            if received.seq <= at[shard] or shard in self.stopped:
                continue
            try:
                parts = self._parts(received, at[shard], high)
            except CorruptionError as error:
                self.stop(shard, error)
                continue
            entries += parts
            at[shard] = received.seq
        first_seq = self._written(entries)
        broken: set[int] = set()
        for number, arrived in enumerate(entries):
            if arrived.shard in broken:
                continue
            own = self._own.pop(
                (arrived.shard, arrived.sender, arrived.sender_seq, arrived.number), None
            )
            try:
                batch = None if own is None else own.batch
                touched = self._replica.apply_arrived(first_seq + number, arrived, batch)
                if own is not None:
                    own.touched = touched
            except CorruptionError as error:
                broken.add(arrived.shard)
                at[arrived.shard] = arrived.seq - 1
                self.stop(arrived.shard, error)
        with self._lock:
            for shard, seq in at.items():
                self._applied[shard] = seq
                self._replica.ledger.pass_over(shard, seq)
            self._moved.notify_all()

    def _parts(
        self, received: Received, before: int, high: dict[tuple[int, int], int]
    ) -> list[Arrived]:
        """What of a message is to be applied. Raises CorruptionError when it cannot follow."""
        if received.seq != before + 1:
            raise CorruptionError(
                None, 0, f"shard {received.shard}: {received.seq} follows {before} in its log"
            )
        record = decode_record(received.payload)
        if record.shard != received.shard:
            raise CorruptionError(
                None, 0, f"a record of shard {record.shard} in the log of {received.shard}"
            )
        if any(len(part.payload) > PART_BYTES_MAX for part in record.parts):
            raise CorruptionError(None, 0, f"a part of more than {PART_BYTES_MAX} bytes")
        mark = (record.sender, record.shard)
        done = record.sender_seq <= high.get(mark, 0)
        if done or self._replica.ledger.is_done(record.sender, record.shard, record.sender_seq):
            return []
        if record.parts:
            high[mark] = record.sender_seq
        return [
            Arrived(
                record.shard,
                received.seq,
                received.time_ns,
                record.sender,
                record.sender_seq,
                number,
                len(record.parts),
                part,
            )
            for number, part in enumerate(record.parts)
        ]

    def _written(self, entries: list[Arrived]) -> int:
        """Entries in the node's own log; the seq of the first."""
        if not entries:
            return 0
        framed = [(Kind.REPLICATED, encode_arrived(arrived)) for arrived in entries]
        while True:
            try:
                return self._log.append(framed, sync=False) - len(framed) + 1
            except Unavailable as error:
                self._on_failure(error)
                if self._closing:
                    raise
                time.sleep(FULL_DISK_S)

    def _sync(self) -> None:
        now = time.monotonic()
        if now - self._synced_at < SYNC_S or self._durable == self._applied:
            return
        applied = list(self._applied)
        self._log.barrier()
        self._durable, self._synced_at = applied, now

    def _fail(self, error: TSDBError) -> None:
        with self._lock:
            self.failed = error
            self._moved.notify_all()
        self._on_failure(error)
