"""What operators and moves do about nodes: start, rebuild, copy, and bring all of them up to date.

in   nodes that died, are damaged, lack a shard or are behind
out  nodes that are whole; AssertionError where production gave up on one that was not damaged
"""

from __future__ import annotations

from typing import Any

from cluster.sim_disk import copied
from cluster.sim_node import SimNode, must

from replication.stream import Gap
from tsdb.errors import CorruptionError, InvalidInput, NewerFormat


class Repair:
    """Of one simulation."""

    def __init__(self, sim: Any) -> None:
        self.sim = sim

    def restart(self, node: SimNode) -> None:
        node.disk.is_full = False
        try:
            node.open()
        except (CorruptionError, InvalidInput, NewerFormat) as error:
            must(node.damage, error)
            self.sim.counts["damage refused"] += 1
            node.kill()
            self.rebuild(node)
            return
        if node.db._parts.store.manifest.holes:
            assert node.damage, f"{node.name}: {node.db._parts.store.manifest.holes}"
            self.sim.counts["damage told"] += 1
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
        whole = [other for other in self.others(node) if not other.damage and not self.lacks(other)]
        donor = self.sim.rng.choice(whole)
        disk = copied(donor.disk)
        node.disk = disk
        node.announced = [0] * self.sim.shards
        node.damage = ""
        node.open()
        assert not node.db._parts.store.manifest.holes
        node.announced = list(node.applier.durable)
        self.sim.counts["rebuilt"] += 1

    def others(self, node: SimNode) -> list[SimNode]:
        return [other for other in self.sim.nodes if other is not node]

    def lacks(self, node: SimNode) -> list[int]:
        """Shards that it has no whole copy of."""
        return [s for s in range(self.sim.shards) if s not in node.applier.followed]

    def begin_copy(self, node: SimNode) -> bool:
        """A shard is copied from another node, as when it moves; one node at a time."""
        if not node.can_run or node.damage or node.disk.is_full or node.is_between_parts():
            return False
        if any(o.damage or o.skipped or (o.is_up and self.lacks(o)) for o in self.others(node)):
            return False
        donors = [other for other in self.others(node) if other.can_run]
        free = [
            s for s in range(self.sim.shards) if s not in node.copying and s not in node.skipped
        ]
        if not donors or not free:
            return False
        shard = self.sim.rng.choice(node.homeless or free)
        self.sim.mortal(node, lambda: node.begin_copy(shard, self.sim.rng.choice(donors)))
        return True

    def copy(self, node: SimNode) -> bool:
        if not node.can_run or not node.copying:
            return False
        shard = self.sim.rng.choice(list(node.copying))
        self.sim.mortal(node, lambda: node.copy(shard))
        return True

    def heal(self) -> None:
        """No more faults; everything that can arrive does, everybody catches up."""
        for log in self.sim.logs:
            log.has_majority = True
        for node in self.sim.nodes:
            node.is_paused = node.is_cut = node.disk.is_full = False
            node.disk.ops.listener = None
            if node.is_up and (node.skipped or node.applier.stopped):
                node.kill()  # which is what an operator does about a shard that stopped
            if not node.is_up:
                self.restart(node)
            node.disk.ops.listener = None
        for _ in range(10 * len(self.sim.network.flights) + 400):
            if not self.sim.network.flights:
                break
            self.sim.now_ns += 1_000_000
            self.sim.network.deliver()
            self.sim.promises.check()
        for node in self.sim.nodes:
            while node.commit is not None:
                self.sim.do_give_up(node)
        self.sim.network.flights.clear()
        for node in self.sim.nodes:
            self.catch_up(node)

    def catch_up(self, node: SimNode) -> None:
        for shard in self.lacks(node):
            while shard not in node.applier.followed:
                if shard not in node.copying:
                    donors = [other for other in self.others(node) if other.is_up]
                    node.begin_copy(shard, next(d for d in donors if not self.lacks(d)))
                node.copy(shard)
        for _ in range(3):
            for shard in range(self.sim.shards):
                try:
                    node.follow(shard, 1 << 20)
                except Gap as gap:
                    must(node.damage, gap)
                    self.rebuild(node)
            node.step()
            self.sim.promises.check()
        assert not node.applier.stopped, node.applier.stopped
        behind = [
            (log.shard, seq, log.last_seq)
            for log, seq in zip(self.sim.logs, node.replica.positions(), strict=True)
            if seq != log.last_seq
        ]
        assert not behind, f"{node.name} does not come up: {behind}"
