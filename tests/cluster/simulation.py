"""A cluster from one seed: nodes, logs, a network, disks, and everything that happens to them.

in   a seed
out  counts of what happened; AssertionError when a promise is broken

One thread, one random source, no clock: a seed is a life, and the same one every time. Each step
is one action of one part: a message arrives, a node applies, a disk is cut off. The code of the
nodes is production's (gateway, applier, arrivals, replica, ledger, senders, records, and the whole
engine with its log and store); logs, network and disks are simulated.

Held against the invariants of the design after each step and in the end, with all faults healed:

    1   an acked record is applied once, in the same position, by every replica  (truth.py)
    2   equal position, equal digest; and equal points, bit for bit
    3   positions never go back, not across a restart either beyond what was announced as on disk
    4   no log is trimmed past what every node has on disk; no node passes over a gap
    5   what is acked is in the log; what is not appears whole or not at all
    6   reads with a token, and after a barrier, see all that was acked before they began
    9   a message that comes again, late or after a restart, changes nothing
    10  checkpoint and the log behind it make the same as a replay from the start
    11  a kill or a power cut at any write, sync or rename recovers
    13  a flipped bit in one node's files loses nothing: it is mended, or told
    14  a full disk loses nothing

Not here: maps and moves (7, 8), regions (12), horizons (they are the node's, not a shard's).
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from unittest import mock

from cluster.sim_disk import Crash, SimDisk, after_power_cut, copied, flipped
from cluster.sim_log import Attempt, Flight, SimLog
from cluster.sim_node import SimNode, crash_after, must
from cluster.truth import Asked, Held, ShardTruth, check_answers

from replication.stream import Gap
from tsdb.batch import FamilyMetadata
from tsdb.errors import CorruptionError, InvalidInput, NewerFormat, TSDBError, Unavailable

SHARDS = 3
NODES = 3
STEPS = 260
SERIES = [f"s{n}" for n in range(10)]
STAMPS = 24
PASSED_MAX = 3
HOUR_NS = 3_600_000_000_000
FLIGHT_NS_MAX = HOUR_NS  # no connection holds a message for longer
# What may happen, and how often against each other; a seed leaves some of it out.
WEIGHTS = {
    "write": 30, "deliver": 60, "retry": 6, "give_up": 5, "follow": 50, "step": 40, "sync": 8,
    "flush": 5, "compact": 1, "barrier": 3, "audit": 4, "trim": 4, "pass_time": 6,
    "kill": 2, "power_cut": 2, "power_cut_all": 0.4, "crash_inside": 4, "restart": 12,
    "pause": 1.5, "resume": 4, "cut_off": 1.5, "join": 4, "lose_majority": 1.5,
    "regain_majority": 4, "fill_disk": 1, "empty_disk": 4, "flip": 8, "skip": 0.5, "again": 2,
    "reread": 3, "long_silence": 0.4,
}  # fmt: skip
FAULTS = (
    "retry", "give_up", "trim", "kill", "power_cut", "power_cut_all", "crash_inside", "pause",
    "cut_off", "lose_majority", "fill_disk", "flip", "skip", "again", "reread", "long_silence",
)  # fmt: skip
STORMS = 0.3
"""Of all lives, so many are short of nothing but power: few series, and many checkpoints."""
STORM = {
    "write": 30, "deliver": 90, "follow": 60, "step": 30, "flush": 12, "power_cut": 10,
    "restart": 40, "audit": 20, "crash_inside": 5, "sync": 2,
}  # fmt: skip
ROT = ("wal/", "wal/", "index/companion", "MANIFEST", "blocks/")


class Simulation:
    """One life. `run` ends with the final checks."""

    def __init__(self, seed: int, *, steps: int = STEPS) -> None:
        self.rng = rng = random.Random(seed)
        self.shards = SHARDS
        self.steps = steps
        self.now_ns = 1_700_000_000_000_000_000
        self.freezes = rng.choice([0.0, 0.0, 0.1, 0.4])
        self.counts: Counter[str] = Counter()
        self.story: list[str] = []
        self.history: list[Asked] = []
        self.acked_to = [0] * SHARDS  # the last position of each shard that anybody was answered
        self.chains: dict[tuple[int, int], int] = {}
        self.logs = [SimLog(shard) for shard in range(SHARDS)]
        self.expiry = rng.choice([8, 20, 60, 1 << 20])  # messages until a sender is forgotten
        self.truths = [ShardTruth(s, SHARDS, SERIES, self.expiry) for s in range(SHARDS)]
        self.snapshots: list[list[Held]] = [[{}] for _ in range(SHARDS)]
        self.flights: list[Flight] = []
        self.nodes = [SimNode(f"node-{n}", self, SimDisk()) for n in range(NODES)]
        self._clock = 0
        self._values = 0
        left_out = {fault for fault in FAULTS if rng.random() < 0.4}
        self.weights = {
            action: weight * rng.choice([0.3, 1, 1, 3])
            for action, weight in WEIGHTS.items()
            if action not in left_out
        }
        self.deletes = rng.choice([0.05, 0.15, 0.4])
        self.beside = rng.choice([0.02, 0.15, 0.4])  # of upkeep's operations have an apply between
        self.series = SERIES
        if rng.random() < STORMS:
            self.weights = STORM
            self.deletes, self.beside, self.series = 0.3, 0.3, SERIES[:4]

    def clock(self) -> int:
        self._clock += 1
        return self._clock

    @contextlib.contextmanager
    def conditions(self) -> Iterator[None]:
        """Production's figures are for years and millions: what they bound must happen here, too.

        What it reserves for requests of a million points is only memory to clear.
        """
        figures = (
            (import_module("replication.arrivals"), "PASSED_MAX", PASSED_MAX),
            (import_module("replication.ledger"), "EXPIRY_RECORDS", self.expiry),
            (import_module("tsdb.head.head"), "REQUEST_ROOM_BYTES", 1 << 16),
            (import_module("tsdb.head.head"), "SIDE_POINTS_MAX", 1 << 12),
            (os, "urandom", self.rng.randbytes),
        )
        with contextlib.ExitStack() as changed:
            for module, name, value in figures:
                changed.enter_context(mock.patch.object(module, name, value))
            yield

    def run(self) -> Counter[str]:
        with self.conditions():
            try:
                for node in self.nodes:
                    node.open()
                actions, weights = list(self.weights), list(self.weights.values())
                for _ in range(self.steps):
                    while not self.act(self.rng.choices(actions, weights)[0]):
                        pass
                    self.check()
                self.heal()
                self.check_end()
            finally:
                for node in self.nodes:
                    node.kill()
        return self.counts

    def act(self, action: str) -> bool:
        """Whether this could happen to the node that it hit."""
        node = self.rng.choice(self.nodes)
        self.now_ns += self.rng.randrange(1_000_000_000)
        done = getattr(self, f"do_{action}")(node)
        if done is not False:
            self.counts[action] += 1
            self.story.append(f"{action} {node.name}")
        return done is not False

    # --- clients ------------------------------------------------------------------------------

    def do_write(self, node: SimNode) -> bool | None:
        if not node.can_run or node.commit is not None:
            return False
        self.send(
            node, node.begin([self.operation() for _ in range(self.rng.choice([1, 1, 2, 4]))])
        )
        return None

    def operation(self) -> tuple:
        rng = self.rng
        kind = rng.random()
        if kind < 0.06:
            text = str(rng.randrange(100))
            return ("metadata", FamilyMetadata(rng.choice(self.series), "gauge", text, ""))
        if kind < 0.06 + self.deletes:
            a, b = sorted(rng.randrange(STAMPS) for _ in range(2))
            if rng.random() < 0.4:
                from cluster.truth import key_of

                return ("delete", ("=" + key_of(rng.choice(self.series)).hex(), a, b))
            names = "|".join(rng.sample(self.series, rng.randint(1, 4)))
            return ("delete", (f'{{__name__=~"{names}"}}', a, b))
        points = {}
        for name in rng.sample(self.series, rng.randint(1, 4)):
            for stamp in rng.sample(range(STAMPS), rng.choice([1, 1, 2, 6])):
                points[name, stamp] = rng.getrandbits(64)
        return ("write", points)

    def acked(self, node: SimNode, positions: list[tuple[int, int]]) -> None:
        """A client is told so: it is in the logs, and a reader with this token will see it."""
        self.counts["acked"] += 1
        for shard, seq in positions:
            self.check_in_log(node, shard, seq)
            self.acked_to[shard] = max(self.acked_to[shard], seq)

    def check_in_log(self, node: SimNode, shard: int, seq: int) -> None:
        log = self.logs[shard]
        assert 0 < seq <= log.last_seq, f"{node.name} acked {seq} of shard {shard}, there is none"

    def do_barrier(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.send(node, node.barrier())
        return None

    # --- the network ----------------------------------------------------------------------------

    def send(self, node: SimNode, attempts: list[Attempt]) -> None:
        self.flights += [Flight(node.name, node.life, attempt) for attempt in attempts]

    def node(self, name: str) -> SimNode:
        return next(node for node in self.nodes if node.name == name)

    def do_deliver(self, _: SimNode) -> bool | None:
        self.flights = [f for f in self.flights if not self.is_lost(f.attempt)]
        if not self.flights:
            return False
        flight = self.flights.pop(self.rng.randrange(len(self.flights)))
        log, node = self.logs[flight.attempt.shard], self.node(flight.node)
        if flight.seq is not None:
            self.hear(node, flight)
        elif node.is_cut and flight.life == node.life:
            self.flights.append(flight)
        elif not log.has_majority:
            if self.rng.random() < 0.7:  # a minority holds it, and may bring it along later
                self.flights.append(flight)
        else:
            skew_ns = self.rng.choice([0, 0, 0, -5_000_000_000])  # a leader with another clock
            flight.seq = log.commit(
                flight.attempt.payload, flight.attempt.message_id, self.now_ns + skew_ns
            )
            if "retry" not in self.weights or self.rng.random() < 0.9:
                self.flights.append(flight)  # else the ack is lost
        return None

    def is_lost(self, attempt: Attempt) -> bool:
        """No connection holds a message for so long."""
        behind = self.logs[attempt.shard].last_seq - attempt.began_seq
        return self.now_ns - attempt.began_ns > FLIGHT_NS_MAX or behind > self.expiry // 2

    def hear(self, node: SimNode, flight: Flight) -> None:
        if node.is_paused:
            self.flights.append(flight)
        elif flight.life == node.life and flight.attempt.outcome is None:
            flight.attempt.outcome = flight.seq
            self.heard(node)

    def heard(self, node: SimNode) -> None:
        self.send(node, node.heard())

    def do_retry(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        waiting = [a for a in node.attempts if a.outcome is None]
        self.send(node, waiting)
        return None if waiting else False

    def do_give_up(self, node: SimNode) -> bool | None:
        if not node.can_run or node.commit is None:
            return False
        for attempt in node.attempts:
            if attempt.outcome is None:
                attempt.outcome = Unavailable("no answer in time", code="unknown")
        self.heard(node)
        return None

    def do_again(self, node: SimNode) -> bool | None:
        """The network brings a message a second time, when its id may be forgotten."""
        if not self.flights:
            return False
        flight = self.rng.choice(self.flights)
        self.flights.append(Flight(flight.node, -1, flight.attempt))
        return None

    # --- nodes ----------------------------------------------------------------------------------

    def do_follow(self, node: SimNode) -> bool | None:
        if not node.can_run or node.is_cut:
            return False
        shard = self.rng.randrange(SHARDS)
        try:
            node.follow(shard, self.rng.choice([1, 3, 20]))
        except Gap as gap:
            must(node.damage or shard in node.skipped, gap)
            node.damage = node.damage or "its place in the log was trimmed"
            self.rebuild(node)
        return None

    def do_reread(self, node: SimNode) -> bool | None:
        """The reader begins again somewhere before the end, as after a lost connection."""
        if not node.can_run:
            return False
        shard = self.rng.randrange(SHARDS)
        first = self.logs[shard].first_seq - 1
        at = self.rng.randint(max(first, node.cursors[shard] - 4), max(first, node.cursors[shard]))
        if at > node.cursors[shard]:
            return False
        count = node.cursors[shard] - at
        node.cursors[shard] = at
        node.follow(shard, count)
        return None

    def do_step(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.mortal(node, node.step)
        return None

    def do_sync(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.mortal(node, node.sync)
        return None

    def do_flush(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.mortal(node, lambda: node.upkeep("flush"))
        return None

    def do_compact(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.mortal(node, lambda: node.upkeep("compact"))
        return None

    def mortal(self, node: SimNode, step) -> None:
        try:
            step()
        except Crash:
            self.counts["crashed"] += 1
            node.kill()
            if self.rng.random() < 0.7:
                node.disk = after_power_cut(node.disk, self.rng)

    def do_crash_inside(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        crash_after(node, self.rng.randrange(60))
        return None

    def do_kill(self, node: SimNode) -> bool | None:
        if not node.is_up:
            return False
        node.kill()
        return None

    def do_power_cut(self, node: SimNode) -> None:
        node.kill()
        node.disk = after_power_cut(node.disk, self.rng)

    def do_power_cut_all(self, _: SimNode) -> None:
        for node in self.nodes:
            self.do_power_cut(node)

    def do_restart(self, node: SimNode) -> bool | None:
        if node.is_up:
            return False
        self.restart(node)
        return None

    def restart(self, node: SimNode) -> None:
        node.disk.is_full = False
        try:
            node.open()
        except (CorruptionError, InvalidInput, NewerFormat) as error:
            must(node.damage, error)
            self.counts["damage refused"] += 1
            node.kill()
            self.rebuild(node)
            return
        if node.db._parts.store.manifest.holes:
            assert node.damage, f"{node.name}: {node.db._parts.store.manifest.holes}"
            self.counts["damage told"] += 1
            self.rebuild(node)
            return
        if node.damage:
            return
        assert not node.applier.stopped, f"{node.name} stopped {node.applier.stopped}"
        for shard, (now, announced) in enumerate(
            zip(node.replica.positions(), node.announced, strict=True)
        ):
            assert now >= announced, (
                f"{node.name} came back at {now} of shard {shard}, it had {announced} on disk"
            )

    def rebuild(self, node: SimNode) -> None:
        """What an operator, or a move, does: the files of a node that is whole."""
        node.kill()
        whole = [other for other in self.nodes if other is not node and not other.damage]
        donor = self.rng.choice(whole)
        disk = copied(donor.disk)
        node.disk = disk
        node.announced = [0] * SHARDS
        node.damage = ""
        node.open()
        assert not node.db._parts.store.manifest.holes
        node.announced = list(node.applier.durable)
        self.counts["rebuilt"] += 1

    def do_pause(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        node.is_paused = True
        return None

    def do_resume(self, node: SimNode) -> bool | None:
        if not node.is_paused:
            return False
        node.is_paused = False
        return None

    def do_cut_off(self, node: SimNode) -> None:
        node.is_cut = True

    def do_join(self, node: SimNode) -> bool | None:
        if not node.is_cut:
            return False
        node.is_cut = False
        return None

    def do_fill_disk(self, node: SimNode) -> bool | None:
        if not node.is_up:
            return False
        node.disk.is_full = True
        return None

    def do_empty_disk(self, node: SimNode) -> bool | None:
        if not node.disk.is_full:
            return False
        node.disk.is_full = False
        return None

    def do_flip(self, node: SimNode) -> bool | None:
        """Rot, found when the node starts; one node at a time, as the copies are for."""
        if node.is_up or any(other.damage for other in self.nodes):
            return False
        node.disk, where = flipped(node.disk, self.rng, ROT)
        if not where:
            return False
        node.damage = where
        self.story.append(f"flipped {where}")
        return None

    def do_skip(self, node: SimNode) -> bool | None:
        """A copy of the log has a hole, and the node is given what comes after."""
        shard = self.rng.randrange(SHARDS)
        if not node.can_run or node.cursors[shard] + 2 > self.logs[shard].last_seq:
            return False
        if node.cursors[shard] + 1 < self.logs[shard].first_seq or shard in node.applier.stopped:
            return False
        node.cursors[shard] += 1
        node.skipped.add(shard)
        node.follow(shard, 1)
        return None

    # --- logs and time --------------------------------------------------------------------------

    def do_lose_majority(self, _: SimNode) -> None:
        self.rng.choice(self.logs).has_majority = False

    def do_regain_majority(self, _: SimNode) -> None:
        self.rng.choice(self.logs).has_majority = True

    def do_trim(self, _: SimNode) -> None:
        for log in self.logs:
            log.trim(min(node.announced[log.shard] for node in self.nodes))

    def do_pass_time(self, _: SimNode) -> None:
        self.now_ns += self.rng.choice([10, 150, 1500]) * 1_000_000_000

    def do_long_silence(self, _: SimNode) -> None:
        self.now_ns += self.rng.randint(1, 5) * HOUR_NS // 2

    # --- promises -------------------------------------------------------------------------------

    def do_audit(self, node: SimNode) -> bool | None:
        if not node.can_run or node.is_between_parts():
            return False
        self.check_points(node)
        return None

    def truth(self, shard: int, seq: int) -> Held:
        """Points of a shard after its record `seq`."""
        log, known, truth = self.logs[shard], self.snapshots[shard], self.truths[shard]
        for message in log.messages[len(known) - 1 : seq]:
            truth.follow(message.payload)
            known.append({name: dict(points) for name, points in truth.points().items()})
        return known[seq]

    def check_points(self, node: SimNode) -> bool:
        """False when it says itself that it is damaged; it is whole then, and may be behind."""
        held, warnings = node.held()
        if warnings:
            assert node.damage, f"{node.name}: {warnings}"
            self.counts["damage told"] += 1
            self.rebuild(node)
            return False
        wanted: Held = {}
        for shard, seq in enumerate(node.replica.positions()):
            wanted |= self.truth(shard, seq)
        if held != wanted:
            names = sorted(n for n in {*held, *wanted} if held.get(n) != wanted.get(n))
            shown = {n: (held.get(n), wanted.get(n)) for n in names[:2]}
            raise AssertionError(f"{node.name} at {node.replica.positions()} shows {shown}")
        self.counts["audits"] += 1
        return True

    def check(self) -> None:
        for node in self.nodes:
            if node.is_up:
                self.check_node(node)
        for log in self.logs:
            assert log.first_seq - 1 <= min(n.announced[log.shard] for n in self.nodes)

    def check_node(self, node: SimNode) -> None:
        for shard, (seq, chain) in enumerate(node.replica.chains()):
            known = self.chains.setdefault((shard, seq), chain)
            assert known == chain, f"{node.name} has another history of shard {shard} at {seq}"
            assert seq >= node.seen[shard], f"{node.name} went back in shard {shard}"
            assert seq <= self.logs[shard].last_seq
            node.seen[shard] = seq
        for shard, error in node.applier.stopped.items():
            assert shard in node.skipped or node.damage, (
                f"{node.name} stopped shard {shard}: {error}"
            )
        unforeseen = [e for e in node.failures if not isinstance(e, TSDBError)]
        assert not unforeseen, unforeseen
        self.check_barriers(node)

    def check_barriers(self, node: SimNode) -> None:
        """A linearizable read waits for its barrier, and then sees what was acked before."""
        for attempts, acked_to in list(node.barriers):
            if all(isinstance(each.outcome, int) for each in attempts):
                node.barriers.remove((attempts, acked_to))
                for each in attempts:
                    assert each.outcome > acked_to[each.shard]  # type: ignore[operator]

    # --- the end --------------------------------------------------------------------------------

    def heal(self) -> None:
        """No more faults; everything that can arrive does, everybody catches up."""
        for log in self.logs:
            log.has_majority = True
        for node in self.nodes:
            node.is_paused = node.is_cut = node.disk.is_full = False
            node.disk.ops.listener = None
            if node.is_up and (node.skipped or node.applier.stopped):
                node.kill()  # which is what an operator does about a shard that stopped
            if not node.is_up:
                self.restart(node)
            node.disk.ops.listener = None
        for _ in range(10 * len(self.flights) + 400):
            if not self.flights:
                break
            self.now_ns += 1_000_000
            self.do_deliver(self.nodes[0])
            self.check()
        for node in self.nodes:
            while node.commit is not None:
                self.do_give_up(node)
        self.flights.clear()
        for node in self.nodes:
            self.catch_up(node)

    def catch_up(self, node: SimNode) -> None:
        for _ in range(3):
            for shard in range(SHARDS):
                try:
                    node.follow(shard, 1 << 20)
                except Gap as gap:
                    must(node.damage, gap)
                    self.rebuild(node)
            node.step()
            self.check()
        assert not node.applier.stopped, node.applier.stopped
        behind = [
            (log.shard, seq, log.last_seq)
            for log, seq in zip(self.logs, node.replica.positions(), strict=True)
            if seq != log.last_seq
        ]
        assert not behind, f"{node.name} does not come up: {behind}"

    def check_end(self) -> None:
        for node in self.nodes:
            self.check_whole(node)
        node = self.rng.choice(self.nodes)  # once more, from what is on disk
        node.sync()
        node.kill()
        node.disk = after_power_cut(node.disk, self.rng)
        self.restart(node)
        self.catch_up(node)
        self.check_whole(node)
        fresh = SimNode("fresh", self, SimDisk())
        self.nodes.append(fresh)
        for log in self.logs:
            log.first_seq = 1
        fresh.open()
        self.catch_up(fresh)
        self.check_whole(fresh)
        held, _ = fresh.held()
        self.counts["points checked"] += check_answers(self.history, held)
        self.counts["records"] += sum(truth.records for truth in self.truths)

    def check_whole(self, node: SimNode) -> None:
        assert not node.is_between_parts()
        if not self.check_points(node):
            self.catch_up(node)
            assert self.check_points(node)
        families = {f: m for truth in self.truths for f, m in truth.families.items()}
        assert node.db.metadata() == families, (
            f"{node.name} says {node.db.metadata()}, not {families}"
        )


def run(seed: int, *, steps: int = STEPS) -> Counter[str]:
    """One life; the seed is in the error, with what came before."""
    simulation = Simulation(seed, steps=steps)
    try:
        return simulation.run()
    except Exception as error:
        last = ", ".join(simulation.story[-12:])
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n  after {last}\n"
            f"  again: make sim SEEDS={seed}:{seed + 1}"
        ) from error
