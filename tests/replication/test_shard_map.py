"""The shard map: who keeps what, and how few move."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.shard_map import Kept, Move, ShardMap
from tsdb.errors import CorruptionError, InvalidInput

NODES = st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)


def load(found, nodes):
    return {node: len(found.kept_by(node)) for node in nodes}


def settled(found):
    for shard, move in found.moves:
        found = found.arrived(shard, move.comes)
    return found


@given(NODES, st.integers(1, 64), st.integers(1, 5))
@settings(max_examples=200)
def test_a_new_cluster_is_level(nodes, shards, copies):
    copies = min(copies, len(nodes))
    found = ShardMap.first(nodes, shards, copies)
    assert all(len(set(kept.replicas)) == copies for kept in found.shards)
    assert not found.moves
    counts = load(found, nodes).values()
    assert max(counts) - min(counts) <= 1
    assert found == ShardMap.first(list(reversed(nodes)), shards, copies)  # whoever is first


@given(NODES, st.integers(1, 32), st.integers(1, 3), st.data())
@settings(max_examples=200)
def test_a_node_more_takes_its_share_and_no_more_moves(nodes, shards, copies, data):
    copies = min(copies, len(nodes))
    before = ShardMap.first(nodes, shards, copies)
    grown = [*nodes, "zz"]
    after = before.rebalanced(grown)
    counts = load(settled(after), grown)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(after.moves) == counts["zz"]
    assert all(move.comes == "zz" for _, move in after.moves)
    assert settled(after).rebalanced(grown).moves == []
    gone = data.draw(st.sampled_from(nodes))
    emptied = settled(settled(after).emptied(gone, grown))
    assert emptied.kept_by(gone) == []
    assert all(len(set(kept.replicas)) == copies for kept in emptied.shards)


@given(NODES, st.integers(1, 16), st.lists(st.tuples(st.integers(0, 15), st.text("abc"))))
def test_what_is_stored_comes_back(nodes, shards, wanted):
    found = ShardMap.first(nodes, shards, 1, founded=len(nodes) % 2 == 0)
    for shard, node in wanted:
        try:
            found = found.with_move(shard, Move(node, found.replicas(shard % shards)[0]))
        except InvalidInput:
            continue
    assert ShardMap.decoded(found.encoded(), 7) == ShardMap(found.shards, 7, found.founded)


def test_moves_that_make_no_sense():
    found = ShardMap((Kept(("a", "b")), Kept(("b", "c"))))
    for shard, move, why in (
        (2, Move("c", "a"), "there is no shard 2"),
        (0, Move("b", "a"), "on b already"),
        (0, Move("c", "d"), "not on d: it is on a, b"),
    ):
        with pytest.raises(InvalidInput, match=why):
            found.with_move(shard, move)
    moving = found.with_move(0, Move("c", "a"))
    for move, why in ((Move("c"), "on its way"), (Move("d", "a"), "leaving a already")):
        with pytest.raises(InvalidInput, match=why):
            moving.with_move(0, move)
    assert moving.kept_by("c") == [1]
    assert moving.followed_by("c") == [0, 1]
    assert moving.arrived(0, "c").shards[0] == Kept(("b", "c"))
    assert moving.arrived(1, "c") is moving
    assert moving.without_move(0, "c") == found
    with pytest.raises(InvalidInput, match="nowhere to go"):
        found.emptied("b", ["a", "b"])


def test_other_bytes_are_no_map():
    good = ShardMap.first(["a", "b"], 3, 2).encoded()
    for bad in (
        b"",
        b"{}",
        good.replace(b":1,", b":9,"),
        b'{"version":1,"founded":false,"shards":[]}',
        b"[1]",
    ):
        with pytest.raises(CorruptionError):
            ShardMap.decoded(bad, 1)


def test_nodes_are_spread_as_hashes_say():
    """Two clusters of other names keep other pairs together: no node is everybody's partner."""
    found = ShardMap.first([f"node-{i}" for i in range(1, 11)], 256, 3)
    pairs = {pair for kept in found.shards for pair in itertools.combinations(kept.replicas, 2)}
    assert len(pairs) > 40  # of 45
