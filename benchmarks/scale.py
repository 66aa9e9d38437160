"""Question: how far does the cluster's design carry, and what bends first?

Input    costs that a cluster of three showed on a machine like this: `COSTS`, each with how it was
         measured; a sync of this disk, measured now
Compare  3, 10, 100 and 1,000 nodes of two cores and one disk each, with clients enough to keep a
         group of every node under way; and three nodes that share one machine, as measured
Measure  points/s and the wait for an ack, by a simulation of groups, records, syncs and cores; what
         is busiest; memory of a node; the time until a node more has its share
Check    three nodes on one machine come out within a factor of two of the real ones
Ack      as the cluster means it: two of three servers of every log have fsynced

Run      python -m benchmarks.scale [--json] [--shards N] [--data FOLDER]

What is not in it: the network, failures, and a log's servers that know each other by the hundred.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from replication.settings import SHARDS_MAX
from replication.shard_map import ShardMap

COPIES, MAJORITY, CORES, ROUNDS = 3, 2, 2, 4
LOOK_S = 0.002  # between two looks at what is acked
GROUP_POINTS = 160_000  # 64 clients with 2,500 points each
SERIES_A_NODE, POINTS_A_NODE = 1_000_000, 10_000_000_000
SIZES = (3, 10, 100, 1_000)


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds; a record is what one group has for one shard."""

    gateway_a_point: float = 0.39e-6  # /proc of the node that took 2.4 M points, less a copy's
    gateway_a_record: float = 420e-6  # the same, 300 bodies of 100 series that touch 16 shards
    copy_a_point: float = 0.22e-6  # of the two nodes that took none
    copy_a_record: float = 370e-6
    log_a_point: float = 0.28e-6  # of each of their servers of the log
    log_a_record: float = 370e-6
    rebuild_a_point: float = 90e-9  # a shard as a stream: decoded, encoded, decoded, applied
    node_bytes: float = 364e6  # of a node and its log's server after that load
    series_bytes: float = 450.0  # head and index
    name_bytes: float = 200.0  # of a series of other nodes, once a query has seen it


COSTS = Costs()


@dataclass(slots=True)
class Machine:
    """Cores and a disk; each is busy until some time."""

    cores: list[float] = field(default_factory=lambda: [0.0] * CORES)
    disk: float = 0.0
    cpu_s: float = 0.0
    disk_s: float = 0.0

    def work(self, now: float, seconds: float) -> float:
        done = max(now, heapq.heappop(self.cores)) + seconds
        heapq.heappush(self.cores, done)
        self.cpu_s += seconds
        return done

    def sync(self, now: float, seconds: float) -> float:
        self.disk = max(now, self.disk) + seconds
        self.disk_s += seconds
        return self.disk


@dataclass(frozen=True, slots=True)
class Outcome:
    nodes: int
    shards: int
    points_per_s: float
    ack_p50_s: float
    cpu: float  # of the busiest node, of all its cores
    disk: float


Process = Generator[float, float, None]
"""Yields when it goes on; is sent the time it is then."""


class Cluster:
    """`machines` may be one that all nodes share."""

    def __init__(self, nodes: int, shards: int, sync_s: float, machines: list[Machine]) -> None:
        names = [f"node-{i}" for i in range(nodes)]
        self.machines, self.nodes, self.shards, self.sync_s = machines, nodes, shards, sync_s
        numbers = {name: i for i, name in enumerate(names)}
        kept = ShardMap.first(names, shards, min(COPIES, nodes)).shards
        self.keepers = [[numbers[name] for name in one.replicas] for one in kept]
        self.points = GROUP_POINTS / shards  # of a record
        self.waits: list[float] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Process]] = []

    def on(self, node: int) -> Machine:
        return self.machines[node % len(self.machines)]

    def start(self, process: Process, now: float) -> None:
        heapq.heappush(self._events, (process.send(None) or now, next(self._order), process))

    def gateway(self, node: int, begins: float) -> Process:
        """Group after group, each when the one before it is acked."""
        now = yield begins
        own = GROUP_POINTS * COSTS.gateway_a_point + self.shards * COSTS.gateway_a_record
        for _ in range(ROUNDS):
            begun = now
            now = yield self.on(node).work(now, own)
            acked = [math.inf] * self.shards
            for shard in range(self.shards):
                self.start(self.leading(shard, acked, now), now)
            while (last := max(acked)) == math.inf:
                now = yield now + LOOK_S
            self.waits.append(last - begun)

    def leading(self, shard: int, acked: list[float], now: float) -> Process:
        """A record in the log of its shard: at its leader, then at the others."""
        keepers = self.keepers[shard]
        leader = keepers[shard % len(keepers)]
        now = yield now
        now = yield self.on(leader).work(now, self.log_s)
        synced: list[float] = []
        for keeper in keepers:
            if keeper != leader:
                self.start(self.following(shard, keeper, synced, acked, now), now)
        now = yield self.on(leader).sync(now, self.sync_s)
        self.heard(shard, synced, acked, now)

    def following(
        self, shard: int, keeper: int, synced: list[float], acked: list[float], now: float
    ) -> Process:
        now = yield now
        now = yield self.on(keeper).work(now, self.log_s)
        now = yield self.on(keeper).sync(now, self.sync_s)
        self.heard(shard, synced, acked, now)

    def heard(self, shard: int, synced: list[float], acked: list[float], now: float) -> None:
        """One more has it on disk; with a majority it is acked, and applied by who keeps it."""
        synced.append(now)
        if len(synced) == min(MAJORITY, len(self.keepers[shard])):
            acked[shard] = now
            for keeper in self.keepers[shard]:
                self.start(self.applying(keeper, now), now)

    def applying(self, keeper: int, now: float) -> Process:
        now = yield now
        yield self.on(keeper).work(now, COSTS.copy_a_record + self.points * COSTS.copy_a_point)

    @property
    def log_s(self) -> float:
        return COSTS.log_a_record + self.points * COSTS.log_a_point

    def run(self) -> Outcome:
        for node in range(self.nodes):
            self.start(self.gateway(node, node / self.nodes / 10), 0.0)
        now = 0.0
        while self._events:
            now, _, process = heapq.heappop(self._events)
            try:
                goes_on = process.send(now)
            except StopIteration:
                continue
            heapq.heappush(self._events, (goes_on, next(self._order), process))
        return Outcome(
            self.nodes,
            self.shards,
            self.nodes * ROUNDS * GROUP_POINTS / now,
            statistics.median(self.waits),
            max(m.cpu_s for m in self.machines) / now / CORES,
            max(m.disk_s for m in self.machines) / now,
        )


def sync_of(folder: Path) -> float:
    """Seconds until 64 KiB more are on this disk, as a log appends them."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(60):
            os.write(file.fileno(), bytes(65_536))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def shards_of(nodes: int) -> int:
    """Four a node, as many as there may be at most."""
    return max(16, min(SHARDS_MAX, 4 * nodes))


def outcomes(sync_s: float, shards: int | None) -> Iterator[tuple[str, Outcome]]:
    together = Cluster(3, 16, sync_s, [Machine()])
    yield "three on one machine", together.run()
    for nodes in SIZES:
        machines = [Machine() for _ in range(nodes)]
        found = Cluster(nodes, shards or shards_of(nodes), sync_s, machines).run()
        yield f"{nodes:,} machines", found


def join_hours(outcome: Outcome) -> float:
    """A node more gets its share at the pace of replication/keeping.py: half of one core."""
    return POINTS_A_NODE * COSTS.rebuild_a_point * 2 / 3_600


def memory_gb(outcome: Outcome) -> float:
    """With every series of the cluster seen by a query once."""
    series = SERIES_A_NODE * COPIES
    elsewhere = SERIES_A_NODE * max(outcome.nodes - COPIES, 0)
    held = COSTS.node_bytes + series * COSTS.series_bytes + elsewhere * COSTS.name_bytes
    return held / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one document")
    parser.add_argument("--shards", type=int, help="of every size; four a node by default")
    parser.add_argument(
        "--data", type=Path, default=Path(tempfile.gettempdir()), help="on the disk"
    )
    given = parser.parse_args()
    sync_s = sync_of(given.data)
    found = list(outcomes(sync_s, given.shards))
    if given.json:
        document = {name: asdict(one) for name, one in found}
        print(json.dumps({"sync_s": sync_s, "costs": asdict(COSTS), "outcomes": document}))
        return
    print(f"a sync: {sync_s * 1e3:.2f} ms; groups of {GROUP_POINTS:,} points\n")
    print(f"{'':>22}  shards  M points/s  a node  ack p50 ms   cores    disk  memory GB  join h")
    for name, one in found:
        rate = one.points_per_s / 1e6
        print(
            f"{name:>22}  {one.shards:6}  {rate:10.2f}  {rate / one.nodes:6.3f}  "
            f"{one.ack_p50_s * 1e3:10.0f}  {one.cpu:6.0%}  {one.disk:6.0%}  "
            f"{memory_gb(one):9.1f}  {join_hours(one):6.1f}"
        )


if __name__ == "__main__":
    main()
