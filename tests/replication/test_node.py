"""Nodes in one process over logs in memory: what one acks, all have."""

from __future__ import annotations

import numpy as np
import pytest
from cluster.memory_logs import Cluster

from replication.node import open_node
from tsdb.errors import InvalidInput, Unavailable

SHARDS = 4
T0 = 1_700_000_000_000


@pytest.fixture
def cluster():
    return Cluster(SHARDS)


@pytest.fixture
def open_at(tmp_path, cluster):
    """Open a node by name; all are closed in the end."""
    opened = []

    def open_one(name, **options):
        failures = []
        node = open_node(
            tmp_path / name,
            cluster.connect,
            shards=SHARDS,
            on_failure=failures.append,
            background=False,
            **options,
        )
        node.failures = failures
        opened.append(node)
        return node

    yield open_one
    for node in opened:
        node.close()


def held(node, selector="{}"):
    return {
        str(series.labels): (series.timestamps.tolist(), series.values.tolist())
        for series in node.select(selector)
    }


def test_what_one_node_acks_it_shows_at_once_and_all_show_after_a_barrier(open_at):
    one, two = open_at("one"), open_at("two")
    for i in range(50):
        one.write(f'cpu{{host="{i}"}}', [T0, T0 + 1000], [i, i + 0.5])
        assert held(one, f'cpu{{host="{i}"}}') == {
            f'cpu{{host="{i}"}}': ([T0, T0 + 1000], [i, i + 0.5])
        }
    two.wait_for_all()
    assert held(two) == held(one)
    assert len(held(two)) == 50


def test_a_token_makes_another_node_wait(open_at):
    one, two = open_at("one"), open_at("two")
    written = one.write("up", [T0], [1])
    two.wait_for(written.position)
    assert held(two) == {"up": ([T0], [1.0])}


def test_both_write_the_same_series_and_agree(open_at):
    one, two = open_at("one"), open_at("two")
    rng = np.random.default_rng(7)
    for turn in range(40):
        node = (one, two)[turn % 2]
        names = [f"s{i}" for i in rng.choice(12, 5, replace=False)]
        stamps = [np.sort(rng.choice(30, 3, replace=False)) * 1000 + T0 for _ in names]
        node.write_many(names, stamps, [rng.normal(size=3) for _ in names])
    for node in (one, two):
        node.wait_for_all()
    assert held(one) == held(two)
    one.applier.wait(list(enumerate(two.applier.applied)), 20)  # the second's barriers, too
    assert one.applier.chains() == two.applier.chains()
    assert one.gateway is not two.gateway


def test_deletes_reach_all_nodes_and_spare_what_is_written_after(open_at):
    one, two = open_at("one"), open_at("two")
    one.write_many(["a", "b", "c"], [[T0, T0 + 1]] * 3, [[1, 2]] * 3)
    one.flush()
    assert one.delete('{__name__=~"a|b"}', T0, T0) == 2
    one.write("a", [T0], [9])
    two.wait_for_all()
    assert held(one) == held(two)
    assert held(two) == {
        "a": ([T0, T0 + 1], [9.0, 2.0]),
        "b": ([T0 + 1], [2.0]),
        "c": ([T0, T0 + 1], [1.0, 2.0]),
    }


def test_a_node_that_was_away_catches_up(open_at):
    one, two = open_at("one"), open_at("two")
    one.write("a", [T0], [1])
    two.wait_for_all()
    two.close()
    for i in range(20):
        one.write(f"b{i}", [T0 + i], [i])
    again = open_at("two")
    again.wait_for_all()
    assert held(again) == held(one)


def test_restart_after_a_flush_goes_on_behind_it(open_at):
    one = open_at("one")
    for i in range(30):
        one.write(f"s{i % 7}", [T0 + i], [i])
    one.flush()
    one.write("late", [T0], [5])
    before = held(one)
    one.close()
    again = open_at("one")
    assert held(again) == before
    again.write("s0", [T0 + 100], [100])
    assert held(again, "s0")["s0"][0][-1] == T0 + 100


def test_no_majority_is_an_unknown_outcome_and_writes_go_on_later(open_at, cluster):
    one, two = open_at("one"), open_at("two")
    for log in cluster.logs:
        log.is_down = True
    with pytest.raises(Unavailable, match="unknown") as failed:
        one.write("a", [T0], [1])
    assert failed.value.code == "unknown"
    for log in cluster.logs:
        log.is_down = False
    one.write("a", [T0 + 1], [2])
    two.wait_for_all()
    assert held(one) == held(two) == {"a": ([T0 + 1], [2.0])}


def test_a_record_that_is_damaged_stops_its_shard_alone(open_at, cluster):
    one = open_at("one")
    names = [f"s{i}" for i in range(40)]
    one.write_many(names, [[T0]] * 40, [[1.0]] * 40)
    cluster.logs[2].put(b"no record", "x")
    with pytest.raises(Unavailable):
        one.wait_for_all()
    assert list(one.applier.stopped) == [2]
    with pytest.raises(Unavailable, match="shard 2 has stopped") as failed:
        one.select("{}")
    assert failed.value.code == "damaged"
    with one.stale():
        assert len(held(one)) == 40


def test_a_bad_token_is_refused(open_at):
    one = open_at("one")
    with pytest.raises(InvalidInput, match="no position"):
        one.wait_for("9:1")


def test_a_node_with_a_damaged_block_answers_nothing(open_at, tmp_path):
    """It would answer without the points that are lost."""
    one = open_at("one")
    one.write("a", [T0], [1])
    one.wait_for_all()
    assert one.flush() == 1
    one.close()
    for file in (tmp_path / "one" / "blocks").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])
    again = open_at("one")
    with pytest.raises(Unavailable, match="stopped") as told:
        again.select("{}")
    assert told.value.code == "damaged"
    assert sorted(again.applier.stopped) == list(range(SHARDS))
