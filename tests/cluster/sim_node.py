"""One simulated node: production's gateway, applier, replica and engine on a simulated disk.

in   steps: begin a write, hear of an append, follow a log, apply, sync, flush, die
out  requests that ended, positions, points

Production modules are looked up by name at each start, so that planted bugs come into force.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np
from cluster.sim_disk import Crash, SimDisk
from cluster.sim_log import Attempt
from cluster.truth import Asked, Held

from tsdb.database.database import _parsed
from tsdb.errors import TSDBError, Unavailable

SERIES_MAX = 1000
HEAD_BYTES = 1 << 16  # the smallest production takes is memory to clear, and nothing else


class SimNode:
    """Down until `open`. `life` counts processes."""

    def __init__(self, name: str, sim: Any, disk: SimDisk) -> None:
        self.name, self.sim, self.disk = name, sim, disk
        self.life = 0
        self.is_up = self.is_paused = self.is_cut = False
        self.damage = ""  # what was done to its files since it was last whole
        self.skipped: set[int] = set()  # shards whose log had a hole for this process
        self.announced = [0] * sim.shards  # positions it said that it has on disk
        self.copying: dict[int, Copying] = {}
        self.failures: list[BaseException] = []

    # --- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Raises TSDBError when the directory cannot be opened."""
        applier, gateway, replica = (
            import_module(f"replication.{name}") for name in ("applier", "gateway", "replica")
        )
        opening = import_module("tsdb.database.opening")
        gate = import_module("tsdb.commit.gate")
        self.failures = []
        naming = gateway.Naming(self.sim.shards)

        def companion(engine, state, base):
            self.replica = replica.Replica(engine, self.sim.shards, state, base)
            return self.replica

        def commit(parts):
            self.applier = applier.Applier(parts.log, self.replica, on_failure=self.failures.append)
            self.gateway = gateway.Gateway(
                naming,
                parts.engine.resolution,
                lambda records: [],
                self.applier,
            )
            return self.gateway

        with mock.patch.object(opening.Options, "head_bytes", HEAD_BYTES):
            self.db = opening.open_database(
                "/db",
                files=self.disk,
                background=False,
                replicated=opening.Replicated(companion, commit, naming.registry),
            )
        parts = self.db.parts
        self.engine = parts.engine
        self.gate = gate.Gate(
            parts.engine, lambda: 0, series_max=SERIES_MAX, future_ticks=1 << 60,
            naming=naming.registry,
        )  # fmt: skip
        self.is_up, self.skipped = True, set()
        self.life += 1
        self.cursors = list(self.applier.applied)
        self.copying = {}
        for shard in range(self.sim.shards):
            if not self.cursors[shard] and not self.applier.is_whole(shard):
                self.applier.followed.discard(shard)  # half of a copy: the rest will not come
            elif not self.announced[shard]:  # a copy whose end it did not live to hear of
                self.announced[shard] = self.applier.durable[shard]
        self.seen = list(self.applier.applied)
        self.commit: Any = None
        self.attempts: list[Attempt] = []
        self.asked: list[Asked] = []
        self.barriers: list[tuple[list[Attempt], list[int]]] = []
        self.barrier_count = 0
        self.number = self.sim.rng.getrandbits(64)
        self._freeze_at_times()

    def _freeze_at_times(self) -> None:
        """A head is full when it is full: between any two entries."""
        apply_batch, rng = self.engine.apply_batch, self.sim.rng

        def applied(seq, batch):
            if rng.random() < self.sim.chances.freezes:
                self.engine.freeze()
            return apply_batch(seq, batch)

        self.engine.apply_batch = applied

    def kill(self) -> None:
        if self.is_up:
            self.is_up = self.is_paused = False
            self.db._parts.pipeline.close()  # its threads; it has nothing to do with the disk
        self.disk.killed()

    @property
    def can_run(self) -> bool:
        return self.is_up and not self.is_paused

    # --- writing ------------------------------------------------------------------------------

    def begin(self, operations: list[tuple]) -> list[Attempt]:
        """Hand in a group; what of it goes to which log."""
        from tsdb.commit.assembly import Assembly
        from tsdb.commit.request import Refusals, Request
        from tsdb.log.control import Delete

        assembly = Assembly(self.engine.resolution)
        self.asked = []
        for what, value in operations:
            asked = Asked(self.sim.clock())
            if what == "write":
                names = sorted({name for name, _ in value})
                stamps = [[t for n, t in value if n == name] for name in names]
                bits = [
                    [value[name, t] for t in ts] for name, ts in zip(names, stamps, strict=True)
                ]
                floats = [np.array(each, np.uint64).view(np.float64) for each in bits]
                parsed = _parsed(names, stamps, floats)
                assembly.add(self.gate.admit(parsed, Refusals()), [])
                asked.points = value
            elif what == "delete":
                delete = Delete(*value)
                assembly.add_control(Request(done=lambda outcome: None, delete=delete))
                asked.delete = value
            else:
                assembly.annotate([value], [])
            self.asked.append(asked)
        self.sim.promises.history += self.asked
        self.commit = self.gateway.steps(assembly.finish())
        return self._next(None)

    def _next(self, outcomes: list | None) -> list[Attempt]:
        """Records to append next; none when the group has ended, one way or the other."""
        self.attempts = []
        try:
            records = self.commit.send(outcomes)
        except StopIteration as ended:
            self.commit = None
            now = self.sim.clock()
            for asked in self.asked:
                asked.ended = now
            self.sim.promises.acked(self, ended.value.positions)
            return []
        except Unavailable:
            self.commit = None
            self.sim.counts["unknown"] += 1
            return []
        self.attempts = [self._attempt(each) for each in records]
        return self.attempts

    def _attempt(self, one: Any) -> Attempt:
        record, log = import_module("replication.record"), self.sim.logs[one.shard]
        payload, message_id = record.encode_record(one), record.message_id(one)
        return Attempt(one.shard, payload, message_id, self.sim.now_ns, log.last_seq)

    def heard(self) -> list[Attempt]:
        """Go on with the group once all of its appends have an outcome."""
        if self.commit is None or any(each.outcome is None for each in self.attempts):
            return []
        return self._next([each.outcome for each in self.attempts])

    def barrier(self) -> list[Attempt]:
        record = import_module("replication.record")
        self.barrier_count += 1
        records = [
            record.Record(shard, self.number, self.barrier_count, ())
            for shard in range(self.sim.shards)
        ]
        attempts = [self._attempt(each) for each in records]
        self.barriers.append((attempts, list(self.sim.promises.acked_to)))
        return attempts

    # --- following ----------------------------------------------------------------------------

    def follow(self, shard: int, count: int) -> None:
        """The next messages of a log; raises Gap."""
        received = import_module("replication.arrivals").Received
        if shard in self.applier.stopped or shard not in self.applier.followed:
            return
        for message in self.sim.logs[shard].read(self.cursors[shard] + 1, count):
            self.applier.offer(received(shard, message.seq, message.time_ns, message.payload))
            self.cursors[shard] = message.seq

    def step(self) -> None:
        """Raises Crash; a full disk is tried again, any other failure ends the process."""
        try:
            self.applier.step()
        except Unavailable as error:
            must(self.disk.is_full, error)
        except TSDBError as error:
            must(self.disk.is_full, error)
            self.kill()

    def sync(self) -> None:
        try:
            self.applier.sync()
        except TSDBError:
            assert self.disk.is_full, "sync failed on a disk that is not full"
            return
        for shard in self.applier.followed:
            self.announced[shard] = max(self.announced[shard], self.applier.durable[shard])

    def upkeep(self, what: str) -> None:
        """Flush or merge, while messages go on being applied between its operations."""
        rng, log = self.sim.rng, self.db._parts.log
        outer = self.disk.ops.listener
        locks = (log._lock, log._trim_lock, self.engine.lock, self.replica.lock)
        state = {"busy": False}

        def listener(op: tuple) -> None:
            if outer is not None:
                outer(op)
            free = not state["busy"] and not any(lock.locked() for lock in locks)
            if free and rng.random() < self.sim.chances.beside:
                state["busy"] = True
                self.step()
                state["busy"] = False

        self.disk.ops.listener = listener
        try:
            getattr(self.db, what)()
        except TSDBError as error:
            must(self.disk.is_full, error)
            if not isinstance(error, Unavailable):
                self.kill()
        finally:
            self.disk.ops.listener = outer

    # --- copies -------------------------------------------------------------------------------

    @property
    def homeless(self) -> list[int]:
        """Shards that it has no whole copy of, and that nobody brings."""
        every = range(self.sim.shards)
        return [s for s in every if s not in self.applier.followed and s not in self.copying]

    def begin_copy(self, shard: int, donor: SimNode) -> None:
        copying = import_module("replication.copying")
        self.applier.followed.discard(shard)
        self.step()  # what came of its log already is passed by
        parts = copying.parts_of(donor.engine, shard, self.sim.shards, donor.replica.standing)
        self.copying[shard] = Copying(donor, donor.life, self.sim.rng.getrandbits(64), parts)
        self.seen[shard] = self.announced[shard] = 0

    def copy(self, shard: int) -> None:
        """The next part, if the donor still gives one."""
        copying = self.copying[shard]
        donor = copying.donor
        if donor.life != copying.life or not donor.can_run or donor.is_between_parts():
            if donor.life != copying.life or not donor.is_up:
                del self.copying[shard]
            return
        part = copying.part or next(copying.parts)
        copying.part = part
        brought = self.applier.offer_copied(shard, copying.number, [part])
        self.applier.step_copies()
        if brought.failed is not None:
            must(self.disk.is_full, brought.failed)
            return
        copying.part = None
        if part.kind == import_module("tsdb.log.protocol").Kind.MARK:
            del self.copying[shard]
            self.applier.followed.add(shard)
            self.cursors[shard] = self.applier.applied[shard]
            self.announced[shard] = self.applier.durable[shard]

    # --- what it shows ------------------------------------------------------------------------

    def held(self) -> tuple[Held, tuple[str, ...]]:
        selection = self.db.select("{}")
        held = {
            str(s.labels): dict(
                zip(s.timestamps.tolist(), s.values.view(np.uint64).tolist(), strict=True)
            )
            for s in selection
        }
        return held, tuple(selection.warnings)

    def is_between_parts(self) -> bool:
        return any(place.parts for place in self.replica.ledger.places)


@dataclass
class Copying:
    """A copy of a shard under way."""

    donor: SimNode
    life: int
    number: int
    parts: Any
    part: Any = None  # that did not fit on the disk


def must(expected: object, error: Exception) -> None:
    """An error is one that the faults so far explain."""
    if not expected:
        raise AssertionError(f"{type(error).__name__}: {error}") from error


def crash_after(node: SimNode, operations: int) -> None:
    """Raise Crash after so many further operations of its disk."""
    left = itertools.count(operations, -1)

    def listener(op: tuple) -> None:
        if next(left) == 0:
            raise Crash

    node.disk.ops.listener = listener
