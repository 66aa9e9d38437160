"""What a node does with messages that others rarely send, one at a time, without threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cluster.sim_disk import after_power_cut
from cluster.simulation import SHARDS, Simulation
from cluster.truth import key_of

from replication.applier import OWN_MAX, Own
from replication.record import Part, Record, encode_record
from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError, Unavailable
from tsdb.index.placement import place_of
from tsdb.log.control import Delete, encode_delete
from tsdb.log.points import encode_points
from tsdb.log.protocol import Kind

SERIES = next(f"s{n}" for n in range(99) if place_of(key_of(f"s{n}"), SHARDS) == 0)


@pytest.fixture
def sim():
    sim = Simulation(1)
    sim.chances.freezes, sim.chances.expiry = 0.0, 8
    with sim.conditions():
        yield sim
    for node in sim.nodes:
        node.kill()


@pytest.fixture
def node(sim):
    sim.nodes[0].open()
    return sim.nodes[0]


def points(value: float, stamp: int, *, defined: bool = True) -> Part:
    key = key_of(SERIES)
    definitions = SeriesDefinitions(np.zeros(1, np.uint32), np.array([0, len(key)]), key)
    batch = Batch(
        np.zeros(1, np.uint32),
        Columns(np.array([0, 1]), np.array([stamp]), np.array([value], np.float64)),
        definitions if defined else SeriesDefinitions.none(),
    )
    return Part(Kind.POINTS, encode_points(batch, Resolution.MS))


def append(sim, sender_seq: int, *parts: Part, sender: int = 7) -> None:
    """Into the log of shard 0."""
    sim.now_ns += 1
    payload = encode_record(Record(0, sender, sender_seq, parts))
    sim.logs[0].commit(payload, f"{len(sim.logs[0].messages)}", sim.now_ns)


def follow(node) -> None:
    node.follow(0, 1000)
    node.step()


def held(node) -> dict[int, float]:
    return {t: v for s in node.db.select("{}") for t, v in zip(s.timestamps, s.values, strict=True)}


def test_a_part_that_cannot_be_applied_stops_its_shard_before_its_record(sim, node):
    append(sim, 1, points(1, 10))
    append(sim, 2, Part(Kind.POINTS, b"junk"), points(2, 20))
    append(sim, 3, points(3, 30))
    follow(node)
    assert list(node.applier.stopped) == [0]
    assert isinstance(node.applier.stopped[0], CorruptionError)
    assert node.applier.applied[0] == 1
    assert held(node) == {10: 1.0}
    node.applier.sync()
    node.kill()
    node.open()
    assert node.replica.positions()[0] == 1
    assert held(node) == {10: 1.0}
    follow(node)
    assert list(node.applier.stopped) == [0]


def test_a_ref_that_nobody_defined_stops_the_shard(sim, node):
    append(sim, 1, points(1, 10))
    other = Part(Kind.POINTS, points(1, 10, defined=False).payload)
    append(sim, 2, points(2, 20))
    append(sim, 1, other, sender=8)  # of a process not heard of: nothing, on every node
    follow(node)
    assert not node.applier.stopped
    assert held(node) == {10: 1.0, 20: 2.0}


def test_a_process_that_was_silent_for_long_is_new_everywhere(sim, node):
    """Whether a node has forgotten it at a checkpoint or not."""
    other = sim.nodes[1]
    other.open()
    append(sim, 1, points(1, 10))
    follow(node)
    follow(other)
    for seq in range(1, sim.chances.expiry + 2):
        append(sim, seq, points(5, 50), sender=8)
    follow(node)
    node.db.flush()  # forgets it
    append(sim, 2, points(2, 20, defined=False))
    append(sim, 3, points(3, 30))
    for each in (node, other):
        follow(each)
        assert not each.applier.stopped
        assert held(each) == {10: 1.0, 50: 5.0, 30: 3.0}
    assert node.replica.chains() == other.replica.chains()


def test_barriers_alone_move_what_a_restart_comes_back_to(sim, node):
    for seq in range(1, 40):
        append(sim, seq)
        follow(node)
    assert node.applier.applied[0] == 39
    node.sync()
    assert 30 < node.announced[0] <= 39
    node.kill()
    node.disk = after_power_cut(node.disk, sim.rng)
    node.open()
    assert node.replica.positions()[0] >= node.announced[0]


def test_a_full_disk_keeps_messages_waiting(sim, node):
    append(sim, 1, points(1, 10))
    node.disk.is_full = True
    node.follow(0, 10)
    for _ in range(3):
        with pytest.raises(Unavailable):
            node.applier.step()
    assert held(node) == {}
    node.disk.is_full = False
    node.applier.step()
    assert held(node) == {10: 1.0}


def test_who_waits_is_told_when_the_shard_goes_no_further(sim, node):
    append(sim, 1, points(1, 10))
    follow(node)
    node.applier.wait([(0, 1)], 0.0)
    with pytest.raises(Unavailable, match="shard 0 is at 1 here, the question asks for 2") as told:
        node.applier.wait([(0, 2)], 0.0)
    assert told.value.code == "behind"
    node.applier.stop(0, CorruptionError(None, 0, "a hole"))
    with pytest.raises(Unavailable):
        node.applier.wait([(0, 2)], 60.0)


def test_parts_that_never_arrive_are_forgotten(node):
    for seq in range(3 * OWN_MAX):
        node.applier.remember(0, 7, seq, 0, Own())
    assert len(node.applier._own) == OWN_MAX


def test_a_delete_is_on_disk_before_a_checkpoint_can_name_it(sim, node):
    append(sim, 1, points(1, 10))
    append(sim, 2, Part(Kind.TOMBSTONE, encode_delete(Delete("{}", 0, 99).of_shard(0, SHARDS))))
    follow(node)
    node.kill()
    node.disk = after_power_cut(node.disk, sim.rng)
    node.open()
    assert node.replica.positions()[0] == 2
    assert held(node) == {}


def test_a_writer_that_was_forgotten_meanwhile_is_not_told_that_its_points_are_kept(sim, node):
    """It had not followed the log, so it could not know; the next time it does."""

    def write(stamp: int) -> bool:
        [attempt] = node.begin([("write", {(SERIES, stamp): 5})])
        attempt.outcome = sim.logs[0].commit(attempt.payload, attempt.message_id, sim.now_ns)
        assert not node.heard()
        return node.asked[0].ended < math.inf

    assert write(1)
    for seq in range(1, 2 * sim.chances.expiry):
        append(sim, seq, points(1, 10), sender=8)
    assert not write(2)
    assert write(3)
    follow(node)
    assert sorted(held(node)) == [1, 3, 10]
