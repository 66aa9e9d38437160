"""What a cluster promised: known from its logs and acks, and held against its nodes.

in   what clients were told, nodes after each step
out  nothing; AssertionError where a promise is broken
"""

from __future__ import annotations

from typing import Any

from cluster.chances import SERIES
from cluster.sim_node import SimNode
from cluster.truth import Asked, Held, ShardTruth, check_answers

from tsdb.errors import TSDBError


class Promises:
    """Of one simulation."""

    def __init__(self, sim: Any) -> None:
        self.sim, self.logs, self.counts = sim, sim.logs, sim.counts
        self.history: list[Asked] = []
        self.acked_to = [0] * sim.shards  # last position of each shard that anybody was answered
        self.chains: dict[tuple[int, int], int] = {}
        self.truths = [
            ShardTruth(shard, sim.shards, SERIES, sim.chances.expiry) for shard in range(sim.shards)
        ]
        self.snapshots: list[list[Held]] = [[{}] for _ in range(sim.shards)]

    def acked(self, node: SimNode, positions: list[tuple[int, int]]) -> None:
        """A client is told so: it is in the logs, and a reader with this token will see it."""
        self.counts["acked"] += 1
        for shard, seq in positions:
            self.check_in_log(node, shard, seq)
            self.acked_to[shard] = max(self.acked_to[shard], seq)

    def check_in_log(self, node: SimNode, shard: int, seq: int) -> None:
        log = self.logs[shard]
        assert 0 < seq <= log.last_seq, f"{node.name} acked {seq} of shard {shard}, there is none"

    def truth(self, shard: int, seq: int) -> Held:
        """Points of a shard after its record `seq`."""
        log, known, truth = self.logs[shard], self.snapshots[shard], self.truths[shard]
        for message in log.messages[len(known) - 1 : seq]:
            truth.follow(message.payload)
            known.append({name: dict(points) for name, points in truth.points().items()})
        return known[seq]

    def check_points(self, node: SimNode) -> bool:
        """False when it says itself that it is damaged."""
        held, warnings = node.held()
        if warnings:
            assert node.damage, f"{node.name}: {warnings}"
            return False
        wanted: Held = {}
        for shard, seq in enumerate(node.replica.positions()):
            if node.replica.is_whole(shard):
                wanted |= self.truth(shard, seq)
                continue
            for name in self.truths[shard].mine:  # half of a copy: nobody is shown it
                held.pop(name, None)
        if held != wanted:
            names = sorted(n for n in {*held, *wanted} if held.get(n) != wanted.get(n))
            shown = {n: (held.get(n), wanted.get(n)) for n in names[:2]}
            raise AssertionError(f"{node.name} at {node.replica.positions()} shows {shown}")
        self.counts["audits"] += 1
        return True

    def check(self) -> None:
        for node in self.sim.nodes:
            if node.is_up:
                self.check_node(node)
        for log in self.logs:
            kept = [n for n in self.sim.nodes if log.shard in n.applier.followed]
            assert log.first_seq - 1 <= min(n.announced[log.shard] for n in kept)

    def check_node(self, node: SimNode) -> None:
        for shard, (seq, chain) in enumerate(node.replica.chains()):
            if shard not in node.applier.followed:
                node.seen[shard] = 0
                continue
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

    def check_families(self, node: SimNode) -> None:
        families = {f: m for truth in self.truths for f, m in truth.families.items()}
        assert node.db.metadata() == families, (
            f"{node.name} says {node.db.metadata()}, not {families}"
        )

    def check_answers(self, node: SimNode) -> None:
        """In the end, with a node that has all records and no more."""
        held, _ = node.held()
        self.counts["points checked"] += check_answers(self.history, held)
        self.counts["records"] += sum(truth.records for truth in self.truths)
