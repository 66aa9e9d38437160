"""Who keeps what: nodes in one process, over logs and keys in memory, move shards between them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster.memory_keys import MemoryKeys
from cluster.memory_logs import Cluster

import tsdb
from replication import keeping as keepings
from replication.calling import Calls
from replication.copying import framed, unframed
from replication.gather import Gather
from replication.keeping import MAP_FILE, Keeping
from replication.node import open_node
from replication.peers import Peers
from replication.questions import Found, Question, encoded_error
from replication.record import Part
from replication.settings import Address, ClusterSettings, NatsSettings, Peer
from replication.shard_map import Move
from tsdb.errors import CorruptionError, InvalidInput, TSDBError, Unavailable
from tsdb.vfs import OsFiles

T0 = 1_700_000_000_000
SHARDS = 4
NAMES = ("a", "b", "c")


def settings_of(name: str) -> ClusterSettings:
    peers = tuple(Peer(each, Address("127.0.0.1", 1 + i)) for i, each in enumerate(NAMES))
    return ClusterSettings(Path("x"), "t", name, peers[0].http, NatsSettings(), peers, SHARDS, 2)


class Here(Peers):
    """The other nodes of this process, in the bytes that would travel."""

    def __init__(self, nodes: dict[str, Member]) -> None:
        super().__init__((), Calls(settings_of("a")))
        self.nodes = nodes
        self.copied: list[tuple[str, int]] = []

    def ask(self, node: str, question: Question) -> Found:
        there = self._of(node)
        try:
            return Found.decoded(there.db.shelf.found(question).encoded(there.db.resolution))
        except TSDBError as error:
            return Found.decoded(encoded_error(error))

    def copy(self, node: str, shard: int) -> Iterator[Part]:
        self.copied.append((node, shard))
        data = b"".join(framed(self._of(node).db.shelf.copy(shard)))
        at = 0

        def read(size: int) -> bytes:
            nonlocal at
            at += size
            return data[at - size : at]

        return unframed(read)

    def _of(self, node: str) -> Member:
        if node not in self.nodes:
            raise Unavailable(f"{node} is down", code="missing")
        return self.nodes[node]


class Member:
    def __init__(self, root: Path, name: str, logs: Cluster, keys: MemoryKeys, here: Here) -> None:
        settings = settings_of(name)
        self.failures: list[BaseException] = []
        self.keeping = Keeping(settings, OsFiles(), root / name, here)
        self.db = open_node(
            root / name,
            logs.connect,
            shards=SHARDS,
            on_failure=self.failures.append,
            kept=self.keeping.kept,
            background=False,
        )
        self.keeping.begin(self.db)
        self.db.keeping = self.keeping
        self.db.gather_with(Gather(name, self.db.shelf, here.ask, self.keeping.map_of))
        running = self.keeping.run(keys, self.db.shell.logs, self.failures.append)  # type: ignore[arg-type]

        async def start() -> None:
            task = asyncio.create_task(running)
            self.db.shell._tasks.add(task)

        self.db.shell.run(start())


class Nodes:
    def __init__(self, root: Path) -> None:
        self.root, self.logs, self.keys = root, Cluster(SHARDS), MemoryKeys()
        self.up: dict[str, Member] = {}
        self.here = Here(self.up)

    def found(self) -> list:
        """Every node begins with a copy of a single server's data; what that held."""
        with tsdb.open(self.root / "single", background=False) as db:
            for i in range(30):
                db.write(f'old{{i="{i}"}}', [T0], [i])
            held = [
                (str(s.labels), s.timestamps.tolist(), s.values.tolist()) for s in db.select("{}")
            ]
        for name in NAMES:
            shutil.copytree(self.root / "single", self.root / name)
        return held

    def open(self, name: str) -> Member:
        self.up[name] = Member(self.root, name, self.logs, self.keys, self.here)
        return self.up[name]

    def close(self, name: str) -> None:
        self.up.pop(name).db.close()

    def change(self, step: Callable) -> None:
        member = next(iter(self.up.values()))
        member.db.shell.run(member.keeping.change(step))

    def map(self):
        return next(iter(self.up.values())).keeping.map_of()

    def settle(self) -> None:
        """Until nothing moves and everybody serves what the map says."""
        until(lambda: not self.map().moves)
        until(
            lambda: all(
                sorted(each.keeping.kept()) == self.map().kept_by(name)
                for name, each in self.up.items()
            )
        )

    def trim(self) -> None:
        """The logs keep what comes from now on: nobody can follow them from their beginning."""
        for member in self.up.values():
            member.db.wait_for_all()
        for shard, log in enumerate(self.logs.logs):
            keepers = [self.up[n] for n in self.map().replicas(shard) if n in self.up]
            with log.lock:
                at = min(each.db.applier.applied[shard] for each in keepers)
                del log.messages[: at - log.first_seq + 1]
                log.first_seq = at + 1


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(keepings, "LEAVE_S", 0.05)
    monkeypatch.setattr(keepings, "ROUND_S", 0.05)
    made = Nodes(tmp_path)
    for name in NAMES:
        made.open(name)
    until(lambda: all(each.keeping._map is not None for each in made.up.values()))
    made.settle()
    yield made
    for name in list(made.up):
        made.close(name)


@pytest.fixture
def founded(tmp_path, monkeypatch):
    monkeypatch.setattr(keepings, "LEAVE_S", 0.05)
    monkeypatch.setattr(keepings, "ROUND_S", 0.05)
    made = Nodes(tmp_path)
    yield made
    for name in list(made.up):
        made.close(name)


def test_a_cluster_grows_out_of_a_single_server(founded):
    old = founded.found()
    for name in NAMES:
        founded.open(name)
    until(lambda: all(each.keeping._map is not None for each in founded.up.values()))
    founded.settle()
    assert founded.map().founded
    for each in founded.up.values():
        assert shown(each) == old
    # What a node does not keep goes; a node that shall keep it copies it, though logs are whole.
    until(
        lambda: all(
            each.db.applier.is_empty(shard) == (name not in founded.map().replicas(shard))
            for name, each in founded.up.items()
            for shard in range(SHARDS)
        )
    )
    assert founded.here.copied == []
    founded.change(lambda found: found.emptied("a", NAMES))
    founded.settle()
    assert founded.here.copied
    fill(founded.up["b"], 1)
    for each in founded.up.values():
        each.db.wait_for_all()
        assert [one for one in shown(each) if one[0].startswith("old")] == old


def test_a_node_with_points_of_its_own_does_not_join_a_cluster_without(nodes, tmp_path):
    nodes.close("c")
    shutil.rmtree(tmp_path / "c")
    with tsdb.open(tmp_path / "c", background=False) as db:
        db.write("mine", [T0], [1.0])
    member = nodes.open("c")
    until(lambda: bool(member.failures))
    assert "points here before the cluster" in str(member.failures[0])
    assert not member.keeping.kept()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


def fill(node: Member, seed: int) -> None:
    for i in range(40):
        node.db.write(f's{{i="{i}"}}', [T0 + seed * 1000], [seed + i])
    node.db.delete('s{i=~"1.*"}', T0, T0 + 500)


def shown(node: Member) -> list:
    return [(str(s.labels), s.timestamps.tolist(), s.values.tolist()) for s in node.db.select("{}")]


def test_all_nodes_see_one_map_and_serve_by_it(nodes):
    assert {each.keeping.map_of() for each in nodes.up.values()} == {nodes.map()}
    assert all(len(kept.replicas) == 2 for kept in nodes.map().shards)
    fill(nodes.up["a"], 1)
    nodes.up["c"].db.wait_for_all()
    assert shown(nodes.up["c"]) == shown(nodes.up["a"])
    assert len(shown(nodes.up["b"])) == 40


def test_a_shard_moves_by_a_copy_where_its_log_does_not_reach_back(nodes):
    fill(nodes.up["a"], 1)
    nodes.trim()
    before, shards = shown(nodes.up["a"]), nodes.map().kept_by("b")
    assert shards
    nodes.change(lambda found: found.emptied("b", NAMES))
    nodes.settle()
    assert nodes.map().kept_by("b") == []
    assert sorted(shard for _, shard in nodes.here.copied) == shards
    for each in nodes.up.values():
        assert shown(each) == before
    until(lambda: nodes.up["b"].db.applier.applied == [0] * SHARDS)
    assert not nodes.up["b"].db.shelf.engine.select((), T0, T0 + 10**9).points
    fill(nodes.up["b"], 2)
    assert shown(nodes.up["b"]) == shown(nodes.up["c"])
    nodes.change(lambda found: found.rebalanced(NAMES))
    nodes.settle()
    assert nodes.map().kept_by("b")
    for each in nodes.up.values():
        each.db.wait_for_all()
        assert shown(each) == shown(nodes.up["a"])


def test_a_shard_that_stopped_is_copied_anew_while_others_answer(nodes):
    fill(nodes.up["a"], 1)
    nodes.trim()
    a = nodes.up["a"]
    shard, before = nodes.map().kept_by("a")[0], shown(a)
    healed = []
    a.keeping.on_heal = lambda: healed.append(True)
    a.db.applier.stop(shard, CorruptionError(None, 0, "a flipped bit"))
    assert shown(a) == before
    until(lambda: bool(healed))
    nodes.settle()
    assert not a.db.applier.stopped
    assert [s for _, s in nodes.here.copied] == [shard]
    fill(nodes.up["b"], 2)
    a.db.wait_for_all()
    assert shown(a) == shown(nodes.up["c"])


def test_a_node_that_was_away_too_long_copies_what_it_missed(nodes):
    fill(nodes.up["a"], 1)
    nodes.close("b")
    fill(nodes.up["a"], 2)
    nodes.trim()
    kept = nodes.map().kept_by("b")
    nodes.open("b")
    until(lambda: sorted(shard for _, shard in nodes.here.copied) == kept)
    nodes.settle()
    nodes.up["b"].db.wait_for_all()
    assert shown(nodes.up["b"]) == shown(nodes.up["a"])


def test_a_node_alone_knows_the_map_it_saw_last(nodes):
    fill(nodes.up["a"], 1)
    seen = nodes.map()
    nodes.close("a")
    assert (nodes.root / "a" / MAP_FILE).exists()
    again = nodes.open("a")
    assert again.keeping.map_of() == seen
    assert again.keeping.map_of().epoch == seen.epoch
    nodes.settle()


def test_what_makes_no_sense_is_refused_and_changes_nothing(nodes):
    epoch = nodes.map().epoch
    with pytest.raises(InvalidInput, match="there is no shard 99"):
        nodes.change(lambda found: found.with_move(99, Move("a")))
    assert nodes.map().epoch == epoch
