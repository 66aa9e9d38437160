"""Shards over nodes: every node answers for all of them, as a single node would."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cluster.spread import Spread

import tsdb
from replication.questions import Question, What
from replication.shard_map import Move, ShardMap
from tsdb.batch import (
    Batch,
    Columns,
    Exemplar,
    FamilyMetadata,
    Parsed,
    SeriesDefinitions,
)
from tsdb.commit.naming import CANONICAL
from tsdb.errors import InvalidInput, LimitExceeded, Unavailable
from tsdb.index.labels import canonical
from tsdb.index.placement import place_of
from tsdb.index.selector import parse_selector

T0 = 1_700_000_000_000
NODES = ("a", "b", "c", "d")


@pytest.fixture
def spread(tmp_path):
    made = Spread(tmp_path, ShardMap.first(NODES, 8, 2))
    for name in NODES:
        made.open(name)
    yield made
    made.close()


@pytest.fixture
def single(tmp_path):
    with tsdb.open(tmp_path / "single") as db:
        yield db


def shown(selection):
    return [
        (str(one.labels), one.timestamps.tolist(), one.values.view(np.uint64).tolist())
        for one in selection
    ]


def filled(spread, single, seed=3, series=60):
    """The same points in both, written through all nodes in turn."""
    rng = np.random.default_rng(seed)
    every = list(spread.nodes.values())
    for turn in range(12):
        names = [
            f'm{rng.integers(4)}{{host="h{rng.integers(series)}",le="{rng.integers(3)}"}}'
            for _ in range(20)
        ]
        names = sorted(set(names))
        stamps = [np.sort(rng.choice(600, 15, replace=False)) * 1000 + T0 for _ in names]
        values = [rng.normal(size=15).round(3) for _ in names]
        values[0][:3] = np.nan, np.inf, -0.0
        for db in (every[turn % len(every)], single):
            db.write_many(names, stamps, values)
        if turn % 4 == 3:
            hit = {
                db.delete('m1{le=~"0|1"}', T0 + 20_000, T0 + 90_000) for db in (every[0], single)
            }
            assert len(hit) == 1
            every[turn % len(every)].flush()
    for node in every:
        node.wait_for_all()


def test_every_node_answers_as_a_single_one(spread, single):
    filled(spread, single)
    selectors = ("{}", "m1", '{host=~"h1.*"}', 'm2{le!="2"}', "nothing")
    for name, node in spread.nodes.items():
        assert node.elsewhere is not None, name
        for selector in selectors:
            for span in ((), (T0 + 30_000, T0 + 200_000)):
                assert shown(node.select(selector, *span)) == shown(single.select(selector, *span))
                ours = [s for group in node.select_in_groups(selector, *span, points_max=70)
                        for s in shown(group)]  # fmt: skip
                theirs = [s for group in single.select_in_groups(selector, *span, points_max=70)
                          for s in shown(group)]  # fmt: skip
                assert ours == theirs
            assert node.series(selector) == single.series(selector)
            matchers = parse_selector(selector, allow_empty=True)
            for found, expected in (
                (node.find(matchers), single.find(matchers)),
                (node.present(matchers, T0, T0 + 5000), single.present(matchers, T0, T0 + 5000)),
            ):
                assert set(found[0].labels_of_all(found[1])) == set(
                    expected[0].labels_of_all(expected[1])
                )
        assert node.label_names() == single.label_names()
        assert node.label_values("host") == single.label_values("host")
        assert node.span() == single.span()
        first = single.series()[0]
        assert node.holds(first)
        assert not node.holds(type(first).of_sorted([("__name__", "m9")]))


QUERIES = (
    "sum by (le)(rate(m1[1m]))",
    "m1 * on (host, le) group_left m2",
    "topk(3, avg_over_time(m3[2m]))",
    "quantile(0.5, m0)",
    'count({__name__=~"m.*"}) by (__name__)',
    "histogram_quantile(0.9, sum by (le, host)(m2))",
    "avg(stddev_over_time(m1[5m:7s]))",
    "sum(m0) + sum(m1) - sum(m2)",
)


@pytest.mark.parametrize("query", QUERIES)
def test_promql_is_equal_bit_for_bit(spread, single, query):
    filled(spread, single)
    expected = single.query(query, T0, T0 + 600_000, 7000)
    for node in spread.nodes.values():
        found = node.query(query, T0, T0 + 600_000, 7000)
        assert found.labels == expected.labels
        assert np.array_equal(found.values.view(np.uint64), expected.values.view(np.uint64))


def test_what_is_said_beside_points_is_found_everywhere(spread):
    a, d = spread.nodes["a"], spread.nodes["d"]
    keys = [canonical({"__name__": f"x{i}"}) for i in range(20)]
    ends = np.cumsum([len(key) for key in keys])
    columns = Columns(np.arange(21), np.full(20, T0), np.arange(20.0))
    families = tuple(FamilyMetadata(f"x{i}", "gauge", f"help {i}", "") for i in range(20))
    exemplars = tuple(Exemplar(key, canonical({"t": "1"}), T0, 5.0) for key in keys)
    parsed = Parsed(
        CANONICAL,
        np.frombuffer(b"".join(keys), np.uint8),
        np.concatenate(([0], ends[:-1])).astype(np.int64),
        ends.astype(np.int64),
        columns,
        bytes,
        metadata=families,
        exemplars=exemplars,
    )
    outcomes = []
    answered = threading.Event()

    def done(outcome):
        outcomes.append(outcome)
        answered.set()

    a.submit(lambda: parsed, size_bytes=1000, done=done)
    assert answered.wait(20)
    assert outcomes[0].points == 20
    d.wait_for_all()
    assert sorted(d.metadata()) == sorted(f.family for f in families)
    assert len(d.exemplars('{__name__=~"x.*"}')) == 20


def test_what_one_acks_it_sees_whoever_keeps_it(spread):
    for i, node in enumerate(list(spread.nodes.values()) * 10):
        node.write(f"own{i}", [T0], [i])
        assert len(node.select(f"own{i}")) == 1


def test_a_token_is_good_on_any_node(spread):
    a, c = spread.nodes["a"], spread.nodes["c"]
    for i in range(20):
        written = a.write(f"s{i}", [T0], [1])
        c.wait_for(written.position)
        assert len(c.select(f"s{i}")) == 1


def test_one_copy_is_enough_for_an_answer_and_none_is_said(spread, single):
    filled(spread, single)
    a = spread.nodes["a"]
    spread.down = {"b"}
    assert shown(a.select("{}")) == shown(single.select("{}"))
    spread.down = {"b", "c", "d"}
    alone = [str(s) for s in range(8) if "a" not in spread.map.replicas(s)]
    with pytest.raises(Unavailable, match=f"shards {', '.join(alone)} have no replica") as missing:
        a.select("{}")
    assert missing.value.code == "missing"


def test_limits_and_bad_input_read_the_same(spread, single):
    filled(spread, single)
    for db in (*spread.nodes.values(), single):
        with pytest.raises(LimitExceeded) as refused:
            db.select("{}", points_max=100)
        assert refused.value.limit == "POINTS_PER_SELECT_MAX"
        assert str(refused.value).count("(limit") == 1
        with pytest.raises(InvalidInput, match="before start"):
            db.select("{}", T0, T0 - 1)


def test_as_few_as_needed_are_asked(spread):
    spread.nodes["a"].write("x", [T0], [1])
    spread.asked.clear()
    spread.nodes["a"].select("{}")
    assert len({node for node, _ in spread.asked}) <= 3
    shards = [shard for _, question in spread.asked for shard in question.shards]
    kept = spread.map.kept_by("a")
    assert sorted(shards) == [shard for shard in range(8) if shard not in kept]


def test_a_shard_that_moved_is_found_where_it_is(spread, single):
    """The map of the one who asks is behind: it hears that, looks again, and finds it."""
    filled(spread, single)
    a, before = spread.nodes["a"], spread.map
    shard = next(s for s in range(8) if "a" not in before.replicas(s))
    kept, leaves = before.replicas(shard)
    comes = next(name for name in NODES if name not in ("a", kept, leaves))
    there = spread.nodes[comes]
    there.shell.follow([shard], there.applier)
    there.applier.wait([(shard, a.applier.applied[shard] or a.barrier()[shard][1])], 20)
    spread.map = before.with_move(shard, Move(comes, leaves)).arrived(shard, comes)
    for behind in range(1, 10):  # who is asked first differs, and when the map is looked at again
        for down in (set(), {kept}):
            spread.down, spread.seen["a"] = down, iter([before] * behind)
            assert shown(a.select("{}")) == shown(single.select("{}"))


def test_a_digest_minds_points_and_nothing_else(spread):
    """Heads, blocks and merges differ from node to node; one bit of one value does not hide."""
    filled(spread, spread.nodes["a"])
    question = Question(What.DIGEST, end=T0 + 10**9)
    for shard in range(8):
        first, second = (spread.nodes[name] for name in spread.map.replicas(shard))
        second.flush()
        second.compact()
        expected = first.shelf.found(question.of([shard])).texts
        assert second.shelf.found(question.of([shard])).texts == expected
        selection = second.shelf.engine.select((), T0, T0 + 10**9)
        one = next(s for s in selection if place_of(canonical(s.labels), 8) == shard)
        changed = one.values[:1].view(np.uint64) ^ np.uint64(1)
        ref = second.shelf.engine.registry.ref_of(canonical(one.labels))
        columns = Columns(np.array([0, 1]), one.timestamps[:1], changed.view(np.float64))
        engine = second.shelf.engine
        batch = Batch(np.array([ref], np.uint32), columns, SeriesDefinitions.none())
        engine.apply_batch(engine.applied_seq + 1, batch)
        differs = second.shelf.found(question.of([shard])).texts
        assert differs[0] != expected[0]
        assert differs[1] == expected[1]
