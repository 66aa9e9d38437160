"""From a single server to a cluster and back: the points stay, the logs begin and end."""

from __future__ import annotations

import shutil

import pytest
from cluster.memory_logs import Cluster

import tsdb
from api import cli
from replication.node import open_node
from replication.release import release
from tsdb.errors import InvalidInput

SHARDS = 4
T0 = 1_700_000_000_000


def shown(db):
    return [(str(s.labels), s.timestamps.tolist(), s.values.tolist()) for s in db.select("{}")]


@pytest.fixture
def open_at():
    logs, opened = Cluster(SHARDS), []

    def open_one(path):
        node = open_node(
            path, logs.connect, shards=SHARDS, on_failure=opened.append, background=False
        )
        opened.append(node)
        return node

    yield open_one
    for node in opened:
        node.close()


@pytest.fixture(params=["flushed", "in the log"])
def single(request, tmp_path):
    """A single server's data."""
    path = tmp_path / "single"
    with tsdb.open(path, background=False) as db:
        for i in range(20):
            db.write(f's{{i="{i}"}}', [T0, T0 + 1], [i, i + 0.5])
        if request.param == "flushed":
            db.flush()
        db.delete('s{i="3"}', T0, T0)
    return path


def test_copies_of_one_server_become_a_cluster_and_one_becomes_a_server(single, tmp_path, open_at):
    with tsdb.open(single, background=False) as db:
        before = shown(db)
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        shutil.copytree(single, path)
    a, b, c = (open_at(path) for path in paths)
    assert shown(a) == shown(b) == shown(c) == before
    assert len({chain for _, chain in a.applier.chains()}) == 1
    a.write('s{i="1"}', [T0], [100.0])
    b.delete('s{i="2"}', T0, T0)
    c.write("new", [T0], [1.0])
    for node in (a, b, c):
        node.wait_for_all()
    assert shown(a) == shown(b) == shown(c)
    last = a.barrier()
    for node in (a, b):
        node.applier.wait(last, 20)
    assert a.applier.chains() == b.applier.chains()
    after = shown(a)
    a.close()
    a = open_at(paths[0])  # its place in the logs is its own now
    assert shown(a) == after
    a.close()
    assert release(paths[0]) == SHARDS
    with tsdb.open(paths[0], background=False) as db:
        assert shown(db) == after
        db.write("alone", [T0], [1.0])
    with pytest.raises(InvalidInput, match="a single server's already"):
        release(paths[0])


def test_a_snapshot_of_a_node_is_a_backup(tmp_path, open_at):
    node = open_at(tmp_path / "a")
    node.write_many(["x", "y"], [[T0, T0 + 1]] * 2, [[1, 2]] * 2)
    kept = node.snapshot(tmp_path / "backup")
    node.write("z", [T0], [3])
    with pytest.raises(InvalidInput, match="belongs to a node"):
        tsdb.open(kept)
    assert cli.run(["cluster", "release", str(kept)]) == 0
    with tsdb.open(kept, background=False) as db:
        assert [name for name, *_ in shown(db)] == ["x", "y"]


def test_what_is_no_nodes_is_left_alone(single, tmp_path):
    for path, why in ((single, "single server's already"), (tmp_path / "none", "no database")):
        with pytest.raises(InvalidInput, match=why):
            release(path)
