"""replication.nats.jetstream: the log of a shard on three servers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from replication.nats.jetstream import time_ns
from replication.stream import Gap, Rewound
from tsdb.errors import LimitExceeded, Unavailable


def test_what_one_node_appends_all_read_in_order(servers, read_first):
    log = servers.new_log()
    shard = log.shard

    async def append():
        return [
            await servers.nodes[n % 3].log(shard, 1).append(b"%d" % n, f"s:{n}", timeout_s=10)
            for n in range(9)
        ]

    assert servers.run(append()) == list(range(1, 10))

    for node in servers.nodes:
        found = servers.run(read_first(node.log(shard, 1), 9))
        assert [(m.seq, m.payload) for m in found] == [(n + 1, b"%d" % n) for n in range(9)]
    times = [
        [m.time_ns for m in servers.run(read_first(node.log(shard, 1), 9))]
        for node in servers.nodes
    ]
    assert times[0] == times[1] == times[2]


def test_the_same_message_id_is_one_message(servers, read_first):
    log = servers.new_log()

    async def append():
        return [
            await log.append(b"a", "s:1", timeout_s=10),
            await log.append(b"a", "s:1", timeout_s=10),
            await log.append(b"b", "s:2", timeout_s=10),
        ]

    assert servers.run(append()) == [1, 1, 2]
    assert [m.payload for m in servers.run(read_first(log, 2))] == [b"a", b"b"]


def test_a_tail_goes_on_with_what_comes_later(servers, read_first):
    log = servers.new_log()

    async def both():
        reading = asyncio.create_task(read_first(log, 3, 2))
        for n in range(1, 5):
            await log.append(b"%d" % n, f"s:{n}", timeout_s=10)
        return await reading

    assert [m.seq for m in servers.run(both())] == [2, 3, 4]


def test_large_and_empty_payloads(servers, read_first):
    log = servers.new_log()
    large = bytes(range(256)) * (4 << 12)
    servers.run(log.append(large, "s:1", timeout_s=20))
    servers.run(log.append(b"", "s:2", timeout_s=20))

    assert [m.payload for m in servers.run(read_first(log, 2))] == [large, b""]
    with pytest.raises(LimitExceeded):
        servers.run(log.append(bytes((8 << 20) + 1), "s:3", timeout_s=20))


def test_what_was_trimmed_is_a_gap_with_and_without_later_messages(servers, read_first):
    log = servers.new_log()
    for n in range(1, 6):
        servers.run(log.append(b"%d" % n, f"s:{n}", timeout_s=10))
    servers.run(log.trim(3))

    with pytest.raises(Gap) as caught:
        servers.run(read_first(log, 1, 2))
    assert (caught.value.wanted_seq, caught.value.first_seq) == (2, 4)
    assert [m.seq for m in servers.run(read_first(log, 2, 4))] == [4, 5]

    servers.run(log.trim(5))
    with pytest.raises(Gap) as caught:
        servers.run(read_first(log, 1, 5))
    assert caught.value.first_seq == 6
    assert servers.run(log.append(b"6", "s:6", timeout_s=10)) == 6


def test_a_sealed_log_takes_no_more_and_is_read_as_before(servers, read_first):
    log = servers.new_log()
    servers.run(log.append(b"1", "s:1", timeout_s=10))
    servers.run(log.seal())
    servers.run(log.seal())

    with pytest.raises(Unavailable) as caught:
        servers.run(log.append(b"2", "s:2", timeout_s=10))
    assert caught.value.code == "sealed"
    assert [m.payload for m in servers.run(read_first(log, 1))] == [b"1"]
    assert servers.run(log.state()).sealed


def test_a_full_log_refuses_and_takes_again_after_a_trim(servers):
    log = servers.new_log(bytes_max=64 << 10)
    seq = 0
    with pytest.raises(Unavailable) as caught:
        for n in range(1, 30):
            seq = servers.run(log.append(bytes(4 << 10), f"s:{n}", timeout_s=1))
    assert caught.value.code == "log_full"
    assert 10 < seq < 17

    servers.run(log.trim(seq - 1))
    assert servers.run(log.append(b"more", "s:99", timeout_s=10)) == seq + 1


def test_the_state_names_leader_and_copies(servers):
    log = servers.new_log()
    assert servers.run(log.state()).is_contiguous
    servers.run(log.append(b"1", "s:1", timeout_s=10))

    state = servers.run(log.state())
    assert (state.first_seq, state.last_seq, state.messages) == (1, 1, 1)
    assert state.is_contiguous
    assert state.leader in {"n0", "n1", "n2"}
    assert [peer.node for peer in state.peers] == ["n0", "n1", "n2"]


def test_a_log_that_was_never_made_is_not_made_by_using_it(servers, read_first):
    log = servers.nodes[0].log(999, 1)

    with pytest.raises(Unavailable):
        servers.run(read_first(log, 1))
    with pytest.raises(Unavailable) as caught:
        servers.run(log.append(b"1", "s:1", timeout_s=0.5))
    assert caught.value.code == "no_leader"
    with pytest.raises(LookupError):
        servers.run(log.state())


def test_a_log_that_vanished_is_not_made_again(servers, read_first):
    log = servers.new_log()
    shard = log.shard
    servers.run(log.append(b"1", "s:1", timeout_s=10))
    servers.run(servers.nodes[0].delete_log(shard, 1))
    servers.run(servers.nodes[0].delete_log(shard, 1))

    servers.run(servers.nodes[1].create_log(shard, 1))
    with pytest.raises(Unavailable) as caught:
        servers.run(read_first(log, 1, 2))
    assert caught.value.code == "absent"


def test_a_log_that_ends_before_what_was_read_is_not_followed(servers, read_first, monkeypatch):
    monkeypatch.setattr("replication.nats.jetstream._SHORT_S", 0.3)
    log = servers.new_log()
    servers.run(log.append(b"1", "s:1", timeout_s=10))

    with pytest.raises(Rewound) as caught:
        servers.run(read_first(log, 1, 3))
    assert caught.value.seq == 2


def test_a_log_that_lost_its_end_is_found_out_when_it_is_read_again(servers, monkeypatch):
    """The stream is made again with other messages while a reader holds what it read before."""
    log = servers.new_log()
    node = servers.nodes[0]
    config = servers.run(node.ask(f"STREAM.INFO.{log.name}", {}))["config"]

    async def live():
        for n in range(3):
            await log.append(b"%d" % n, f"s:{n}", timeout_s=10)
        async with aclosing(log.tail(1)) as messages:
            for _ in range(3):
                await anext(messages)
            await node.ask(f"STREAM.DELETE.{log.name}", {})
            await node.ask(f"STREAM.CREATE.{log.name}", config)
            for n in range(5):
                await log.append(b"other %d" % n, f"o:{n}", timeout_s=10)
            for delivery in list(node._deliveries):
                delivery.end()
            return await asyncio.wait_for(anext(messages), 20)

    with pytest.raises(Rewound) as caught:
        servers.run(live())
    assert caught.value.seq == 3


def test_while_no_reader_can_be_made_messages_are_asked_for_one_by_one(
    servers, read_first, monkeypatch
):
    log = servers.new_log()
    for n in range(1, 30):
        servers.run(log.append(b"%d" % n * 50, f"s:{n}", timeout_s=10))
    told = servers.run(read_first(log, 29))

    async def nobody(_):
        return False

    monkeypatch.setattr("replication.nats.delivery.Delivery.open", nobody)
    assert servers.run(read_first(log, 29)) == told
    assert servers.run(read_first(log, 20, 10)) == told[9:]

    async def later():
        reading = asyncio.create_task(read_first(log, 3, 28))
        await asyncio.sleep(0.2)
        await log.append(b"", "s:30", timeout_s=10)
        return await reading

    assert [(m.seq, m.payload) for m in servers.run(later())][2] == (30, b"")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.000000007Z", 1_000_000_007),
        ("2026-11-23T21:46:37.54695623Z", 1_795_470_397_546_956_230),
    ],
)
def test_times_are_exact(text, ns):
    assert time_ns(text) == ns
