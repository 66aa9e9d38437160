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

from cluster.chances import Chances
from cluster.network import HOUR_NS, Network
from cluster.promises import Promises
from cluster.repair import Repair
from cluster.sim_disk import Crash, SimDisk, after_power_cut, flipped
from cluster.sim_log import SimLog
from cluster.sim_node import SimNode, crash_after, must
from cluster.truth import key_of

from replication.stream import Gap
from tsdb.batch import FamilyMetadata
from tsdb.errors import Unavailable

SHARDS = 3
NODES = 3
STEPS = 260
STAMPS = 24
PASSED_MAX = 3
ROT = ("wal/", "wal/", "index/companion", "MANIFEST", "blocks/")


class Simulation:
    """One life. `run` ends with the final checks."""

    def __init__(self, seed: int, *, steps: int = STEPS) -> None:
        self.rng = rng = random.Random(seed)
        self.shards = SHARDS
        self.steps = steps
        self.now_ns = 1_700_000_000_000_000_000
        self.chances = Chances(rng)
        self.counts: Counter[str] = Counter()
        self.story: list[str] = []
        self.logs = [SimLog(shard) for shard in range(SHARDS)]
        self.network = Network(self)
        self.promises = Promises(self)
        self.repair = Repair(self)
        self.nodes = [SimNode(f"node-{n}", self, SimDisk()) for n in range(NODES)]
        self._clock = 0

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
            (import_module("replication.ledger"), "EXPIRY_RECORDS", self.chances.expiry),
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
                actions, weights = list(self.chances.weights), list(self.chances.weights.values())
                for _ in range(self.steps):
                    while not self.act(self.rng.choices(actions, weights)[0]):
                        pass
                    self.promises.check()
                self.repair.heal()
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
        operations = [self.operation() for _ in range(self.rng.choice([1, 1, 2, 4]))]
        self.network.send(node, node.begin(operations))
        return None

    def operation(self) -> tuple:
        rng = self.rng
        kind = rng.random()
        if kind < 0.06:
            text = str(rng.randrange(100))
            return ("metadata", FamilyMetadata(rng.choice(self.chances.series), "gauge", text, ""))
        if kind < 0.06 + self.chances.deletes:
            a, b = sorted(rng.randrange(STAMPS) for _ in range(2))
            if rng.random() < 0.4:
                return ("delete", ("=" + key_of(rng.choice(self.chances.series)).hex(), a, b))
            names = "|".join(rng.sample(self.chances.series, rng.randint(1, 4)))
            return ("delete", (f'{{__name__=~"{names}"}}', a, b))
        points = {}
        for name in rng.sample(self.chances.series, rng.randint(1, 4)):
            for stamp in rng.sample(range(STAMPS), rng.choice([1, 1, 2, 6])):
                points[name, stamp] = rng.getrandbits(64)
        return ("write", points)

    def do_barrier(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        self.network.send(node, node.barrier())
        return None

    # --- the network ----------------------------------------------------------------------------

    def node(self, name: str) -> SimNode:
        return next(node for node in self.nodes if node.name == name)

    def do_deliver(self, _: SimNode) -> bool:
        return self.network.deliver()

    def do_again(self, _: SimNode) -> bool:
        return self.network.repeat()

    def do_retry(self, node: SimNode) -> bool | None:
        if not node.can_run:
            return False
        waiting = [a for a in node.attempts if a.outcome is None]
        self.network.send(node, waiting)
        return None if waiting else False

    def do_give_up(self, node: SimNode) -> bool | None:
        if not node.can_run or node.commit is None:
            return False
        for attempt in node.attempts:
            if attempt.outcome is None:
                attempt.outcome = Unavailable("no answer in time", code="unknown")
        self.network.heard(node)
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
            self.repair.rebuild(node)
        return None

    def do_reread(self, node: SimNode) -> bool | None:
        """The reader begins again somewhere before the end, as after a lost connection."""
        if not node.can_run:
            return False
        shard = self.rng.randrange(SHARDS)
        if shard not in node.applier.followed:
            return False
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
        self.repair.restart(node)
        return None

    def do_recopy(self, node: SimNode) -> bool:
        return self.repair.begin_copy(node)

    def do_copy(self, node: SimNode) -> bool:
        return self.repair.copy(node)

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
        if node.is_up or any(other.damage or self.repair.lacks(other) for other in self.nodes):
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
        if any(self.repair.lacks(each) for each in self.nodes):
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
        self.audit(node)
        return None

    def audit(self, node: SimNode) -> bool:
        """False when it said that it is damaged; it is whole then, and may be behind."""
        if self.promises.check_points(node):
            return True
        self.counts["damage told"] += 1
        self.repair.rebuild(node)
        return False

    # --- the end --------------------------------------------------------------------------------

    def check_end(self) -> None:
        for node in self.nodes:
            self.check_whole(node)
        node = self.rng.choice(self.nodes)  # once more, from what is on disk
        node.sync()
        node.kill()
        node.disk = after_power_cut(node.disk, self.rng)
        self.repair.restart(node)
        self.repair.catch_up(node)
        self.check_whole(node)
        fresh = SimNode("fresh", self, SimDisk())
        self.nodes.append(fresh)
        for log in self.logs:
            log.first_seq = 1
        fresh.open()
        self.repair.catch_up(fresh)
        self.check_whole(fresh)
        self.promises.check_answers(fresh)

    def check_whole(self, node: SimNode) -> None:
        assert not node.is_between_parts()
        if not self.audit(node):
            self.repair.catch_up(node)
            assert self.audit(node)
        self.promises.check_families(node)


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
