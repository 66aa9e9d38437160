"""Copies of a shard: whole, while it is written to, and good to go on from."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from cluster.spread import Spread
from hypothesis import given
from hypothesis import strategies as st

from replication import copying
from replication.copying import Standing, decode_standing, encode_standing, framed, unframed
from replication.ledger import Mark, Place
from replication.record import PART_BYTES_MAX
from replication.shard_map import Kept, ShardMap
from tsdb.errors import CorruptionError
from tsdb.log.protocol import Kind

T0 = 1_700_000_000_000
SHARDS = 3
copies = itertools.count(1 << 63)


@pytest.fixture
def spread(tmp_path):
    """One node keeps everything, another one nothing."""
    made = Spread(tmp_path, ShardMap(tuple(Kept(("a",)) for _ in range(SHARDS))))
    for name in ("a", "b"):
        made.open(name)
    yield made
    made.close()


def write(node, seed, count=40):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        names = sorted({f's{{i="{i}"}}' for i in rng.integers(0, 30, 6)})
        stamps = [np.sort(rng.choice(500, 4, replace=False)) * 1000 + T0 for _ in names]
        node.write_many(names, stamps, [rng.normal(size=4) for _ in names])
        if rng.random() < 0.1:
            node.delete('s{i=~"1.*"}', T0 + 100_000, T0 + 200_000)
        if rng.random() < 0.1:
            node.flush()
    node.applier.wait(list(enumerate(node.acked)), 20)


def parts(node, shard):
    return copying.parts_of(node.shelf.engine, shard, SHARDS, node.applier.standing)


def bring(target, source, shard, between=lambda: None):
    number = next(copies)
    for part in parts(source, shard):
        target.applier.bring(shard, number, [part])
        between()


def shown(node, shard):
    places = node.shelf.engine.registry.places(SHARDS)
    selection = node.shelf.engine.select(
        (), T0, T0 + 10**9, keep=lambda refs: places.within(refs, [shard])
    )
    return [
        (str(one.labels), one.timestamps.tolist(), one.values.view(np.uint64).tolist())
        for one in selection
    ]


def catch_up(spread, node, shards):
    for shard in shards:
        node.shell.follow([shard], node.applier)
        node.applier.wait([(shard, spread.logs.logs[shard].last_seq)], 20)


def test_a_copy_made_under_writes_ends_up_equal(spread, monkeypatch):
    monkeypatch.setattr(copying, "GROUP_POINTS", 50)
    monkeypatch.setattr(copying, "GROUP_SERIES", 4)
    a, b = spread.nodes["a"], spread.nodes["b"]
    write(a, 1)
    seeds = itertools.count(100)
    for shard in range(SHARDS):
        bring(b, a, shard, between=lambda: write(a, next(seeds), 1))
        write(a, next(seeds), 3)
    for log in spread.logs.logs:  # nothing from before the copies is needed any more
        with log.lock:
            at = min(b.applier.applied)
            del log.messages[: at - log.first_seq + 1]
            log.first_seq = at + 1
    catch_up(spread, b, range(SHARDS))
    for shard in range(SHARDS):
        assert shown(b, shard) == shown(a, shard)
    assert b.applier.chains() == a.applier.chains()
    write(a, 3)  # by a sender whose series b has never seen defined
    for shard in range(SHARDS):
        b.applier.wait([(shard, spread.logs.logs[shard].last_seq)], 20)
        assert shown(b, shard) == shown(a, shard)


def test_what_was_there_before_is_gone(spread):
    a, b = spread.nodes["a"], spread.nodes["b"]
    write(a, 1)
    bring(b, a, 0)
    first = shown(b, 0)
    assert first == shown(a, 0)
    a.delete("s", T0, T0 + 10**9)
    assert shown(a, 0) == []
    bring(b, a, 0)
    assert shown(b, 0) == []
    assert b.applier.applied[0] == a.applier.applied[0]


@pytest.mark.parametrize("flushed", [False, True])
def test_a_restart_has_the_copy_or_begins_anew(spread, flushed):
    a = spread.nodes["a"]
    write(a, 1)
    b = spread.nodes["b"]
    bring(b, a, 0)
    number = next(copies)
    cut = list(parts(a, 1))
    b.applier.bring(1, number, cut[:2])  # the end never comes
    if flushed:
        b.flush()
    expected, applied = shown(b, 0), b.applier.applied
    assert applied[0] > 0
    assert applied[1] == 0
    b.close()
    b = spread.open("b")
    assert b.applier.applied == applied
    assert shown(b, 0) == expected
    assert b.applier.chains()[0] == a.applier.chains()[0]
    bring(b, a, 1)
    write(a, 2)
    catch_up(spread, b, range(SHARDS))
    for shard in range(SHARDS):
        assert shown(b, shard) == shown(a, shard)


def test_no_part_is_too_large_for_a_log(spread):
    a = spread.nodes["a"]
    for i in range(50):
        a.write(f's{{i="{i}",long="{"x" * 1000}"}}', [T0], [float(i)])
    for shard in range(SHARDS):
        assert all(len(part.payload) <= PART_BYTES_MAX for part in parts(a, shard))


def test_a_stream_that_is_cut_or_damaged_is_no_copy(spread):
    a = spread.nodes["a"]
    write(a, 1, 5)
    data = b"".join(framed(parts(a, 0)))
    found = list(unframed(io.BytesIO(data).read))
    assert [part.kind for part in found][:2] == [Kind.TOMBSTONE, Kind.SERIES]
    assert found[-1].kind == Kind.MARK
    for at in range(0, len(data), 97):
        with pytest.raises(CorruptionError):
            list(unframed(io.BytesIO(data[:at]).read))
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(CorruptionError):
            list(unframed(io.BytesIO(bytes(damaged)).read))


refs = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(lambda found: np.array(found, np.uint32))
counts = st.integers(0, 2**64 - 1)


@given(
    counts,
    counts,
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.tuples(counts, counts, counts), max_size=4),
    st.lists(st.tuples(counts, refs), max_size=3),
)
def test_where_a_copy_stands_comes_back(seq, chain, newest_ns, marks, senders):
    standing = Standing(
        Place(seq, chain, newest_ns),
        tuple((sender, Mark(*mark)) for sender, *mark in marks),
        tuple((number, theirs, theirs[::-1]) for number, theirs in senders),
    )
    found = decode_standing(encode_standing(standing))
    assert found.place == standing.place
    assert found.marks == standing.marks
    assert [n for n, _, _ in found.senders] == [n for n, _, _ in standing.senders]
    for ours, theirs in zip(found.senders, standing.senders, strict=True):
        assert np.array_equal(ours[1], theirs[1])
        assert np.array_equal(ours[2], theirs[2])
