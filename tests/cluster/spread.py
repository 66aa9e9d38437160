"""Nodes in one process that keep some of the shards each, over logs in memory.

in   a shard map, names of nodes
out  ClusterDatabases that ask each other, in the bytes that would travel
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.memory_logs import Cluster

from replication.database import ClusterDatabase
from replication.gather import Gather
from replication.node import open_node
from replication.questions import Found, Question, encoded_error
from replication.shard_map import ShardMap
from tsdb.errors import TSDBError, Unavailable


class Spread:
    """Opened one after the other with `open`; all with the same map."""

    def __init__(self, root: Path, shard_map: ShardMap) -> None:
        self.root, self.map = root, shard_map
        self.shards = len(shard_map.shards)
        self.logs = Cluster(self.shards)
        self.nodes: dict[str, ClusterDatabase] = {}
        self.down: set[str] = set()
        self.seen: dict[str, Iterator[ShardMap]] = {}  # what a node sees before it is up to date
        self.asked: list[tuple[str, Question]] = []

    def open(self, name: str, **options: Any) -> ClusterDatabase:
        node = open_node(
            self.root / name,
            self.logs.connect,
            shards=self.shards,
            on_failure=_raised,
            kept=lambda: [s for s in self.map.kept_by(name) if s not in node.applier.stopped],
            background=False,
            **options,
        )
        node.shell.follow(self.map.followed_by(name), node.applier)
        node.gather_with(Gather(name, node.shelf, self.ask, lambda: self.map_of(name)))
        self.nodes[name] = node
        return node

    def map_of(self, name: str) -> ShardMap:
        return next(self.seen.get(name, iter(())), self.map)

    def ask(self, node: str, question: Question) -> Found:
        self.asked.append((node, question))
        if node in self.down or node not in self.nodes:
            raise Unavailable(f"{node} is down", code="missing")
        there = self.nodes[node]
        try:
            found = there.shelf.found(Question.decoded(question.encoded()))
            return Found.decoded(found.encoded(there.resolution))
        except TSDBError as error:
            return Found.decoded(encoded_error(error))

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def _raised(error: BaseException) -> None:
    raise error
