"""The thread of a node that talks to the logs: one event loop, everything else is elsewhere.

    in   records to append (`append`, from any thread), an Applier to feed (`follow`)
    out  positions; messages, in the order of each log

Decisions are made by others (gateway, applier, replica); what is here moves bytes, waits, and tries
again. A log that cannot be followed now is tried again for ever; one that does not hold what comes
next stops its shard, which the applier then says.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from replication.applier import Applier, Received
from replication.record import Record, encode_record, message_id
from replication.stream import Gap, Rewound, ShardLog
from tsdb.errors import CorruptionError, TSDBError, Unavailable

__all__ = ["Logs", "Shell"]

APPEND_TIMEOUT_S = 20.0  # longer than an election of the log takes: up to 17.4 s were seen
AGAIN_S = 0.25
FULL_S = 0.01
T = TypeVar("T")


class Logs(Protocol):
    """The logs of all shards; of one event loop."""

    def log(self, shard: int) -> ShardLog: ...

    async def close(self) -> None: ...


class Shell:
    """One node's. `start` returns when the logs can be reached."""

    def __init__(
        self, connect: Callable[[], Awaitable[Logs]], *, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._connect = connect
        self._on_failure = on_failure
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="logs", daemon=True)
        self._logs: Logs | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._following: dict[int, asyncio.Task[None]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._number = int.from_bytes(os.urandom(8), "little")
        self._barriers = 0

    def start(self) -> None:
        """Raises what keeps the logs from being reached."""
        self._thread.start()
        self._logs = self.run(self._connected())

    async def _connected(self) -> Logs:
        return await self._connect()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        with self._lock:
            self._closing = True
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, step: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """The outcome of a coroutine on the loop; the caller waits. Raises Unavailable "closed"."""
        with self._lock:
            if self._closing:
                step.close()
                raise Unavailable("the node is closed", code="closed")
            asked = asyncio.run_coroutine_threadsafe(self._tracked(step), self._loop)
        try:
            return asked.result(timeout_s)
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise Unavailable("the node is closed", code="closed") from None

    async def _tracked(self, step: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task

    @property
    def logs(self) -> Logs:
        assert self._logs is not None, "started"
        return self._logs

    # --- writing ----------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> list[int | TSDBError]:
        """Each record into the log of its shard, all at once; where it is, or why it may not be."""
        return self.run(self._append_all(records))

    def barrier(self, shards: Sequence[int]) -> list[tuple[int, int]]:
        """(shard, position) such that all that was acked before lies before it.

        Raises Unavailable when a shard's log has no majority.
        """
        return self.run(self.barriers(shards))

    async def barriers(self, shards: Sequence[int]) -> list[tuple[int, int]]:
        """As `barrier`, on the loop."""
        self._barriers += 1
        records = [Record(shard, self._number, self._barriers, ()) for shard in shards]
        positions = []
        for shard, outcome in zip(shards, await self._append_all(records), strict=True):
            if isinstance(outcome, TSDBError):
                raise outcome
            positions.append((shard, outcome))
        return positions

    async def _append_all(self, records: Sequence[Record]) -> list[int | TSDBError]:
        return list(await asyncio.gather(*(self._append(record) for record in records)))

    async def _append(self, record: Record) -> int | TSDBError:
        log = self.logs.log(record.shard)
        try:
            return await log.append(
                encode_record(record), message_id(record), timeout_s=APPEND_TIMEOUT_S
            )
        except TSDBError as error:
            return error
        except Exception as error:  # the client of the log has a fault of its own
            self._on_failure(error)
            return Unavailable(f"{type(error).__name__}: {error}", code="unknown")

    # --- following --------------------------------------------------------------------------

    def follow(self, shards: Sequence[int], applier: Applier) -> None:
        """Feed the applier with what comes after its positions, from now on."""
        self.run(self.begin(shards, applier))

    async def begin(self, shards: Sequence[int], applier: Applier) -> None:
        """As `follow`, on the loop."""
        at = applier.applied
        for shard in shards:
            applier.followed.add(shard)
            task = self._loop.create_task(self._follow(shard, at[shard], applier))
            self._following[shard] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self, shard: int, applier: Applier) -> None:
        """Follow a log no longer; what came of it already is applied still."""
        applier.followed.discard(shard)
        task = self._following.pop(shard, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, shard: int, after: int, applier: Applier) -> None:
        told = ""
        while shard not in applier.stopped:
            try:
                async for message in self.logs.log(shard).tail(after + 1):
                    while applier.is_full:
                        await asyncio.sleep(FULL_S)
                    received = Received(shard, message.seq, message.time_ns, message.payload)
                    applier.offer(received)
                    after = message.seq
            except (Gap, Rewound, CorruptionError) as error:
                applier.stop(shard, error)
            except Exception as error:  # no log to be reached: wait for one
                if str(error) != told:
                    told = str(error)
                    self._on_failure(error)
                await asyncio.sleep(AGAIN_S)

    async def _leave(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._logs is not None:
            await self._logs.close()
