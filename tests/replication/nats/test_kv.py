"""replication.nats.kv: one of many wins, watchers hear of everything, beats end."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing

import pytest

from replication.nats.kv import Change, Value


@pytest.fixture
def keys(servers):
    """A bucket that no other test has, as each of the nodes sees it."""
    name = f"b{next(_buckets)}"
    return [servers.run(node.keys(name)) for node in servers.nodes]


_buckets = itertools.count()


def test_a_key_is_made_changed_and_removed_by_compare_and_set(servers, keys):
    run, one, other = servers.run, keys[0], keys[1]
    assert run(one.get("map")) is None
    made = run(one.create("map", b"1"))
    assert run(other.create("map", b"2")) is None
    assert run(other.get("map")) == Value(b"1", made)

    changed = run(other.update("map", b"2", made))
    assert changed > made
    assert run(one.update("map", b"3", made)) is None
    assert not run(one.delete("map", made))
    assert run(one.delete("map", changed))
    assert run(one.get("map")) is None
    again = run(one.create("map", b""))
    assert run(one.get("map")) == Value(b"", again)
    assert run(one.put("map", b"5")) > again


def test_of_many_that_change_a_key_at_once_one_wins(servers, keys):
    async def race():
        revision = await keys[0].create("leader", b"0")
        return await asyncio.gather(
            *(keys[n % 3].update("leader", b"%d" % n, revision) for n in range(12))
        )

    won = [revision for revision in servers.run(race()) if revision is not None]
    assert len(won) == 1
    assert servers.run(keys[0].get("leader")).revision == won[0]


def test_who_watches_is_told_what_there_is_and_then_what_changes(servers, keys):
    async def watch():
        first = await keys[0].put("nodes.a", b"1")
        await keys[0].put("other.x", b"1")
        told = []
        async with aclosing(keys[1].watch("nodes.")) as changes:
            async for change in changes:
                told.append(change)
                if change is None:
                    second = await keys[2].put("nodes.b", b"2")
                    await keys[2].delete("nodes.a")
                if len(told) == 4:
                    return first, second, told
        return None

    first, second, told = servers.run(watch())
    assert told[:3] == [Change("nodes.a", b"1", first), None, Change("nodes.b", b"2", second)]
    assert (told[3].key, told[3].value) == ("nodes.a", None)


def test_nothing_to_watch_is_said_at_once(servers, keys):
    async def watch():
        async with aclosing(keys[1].watch()) as changes:
            return await anext(changes)

    assert servers.run(watch()) is None


def test_a_beat_ends_unless_it_is_written_again(servers, keys):
    async def beat():
        await keys[0].put("nodes.a", b"1", ttl_s=1)
        told = []
        async with aclosing(keys[1].watch("nodes.")) as changes:
            async for change in changes:
                told.append(change)
                if change is not None and change.value is None:
                    return told
        return None

    told = servers.run(beat())
    assert [change and change.value for change in told] == [b"1", None, None]
    assert servers.run(keys[0].get("nodes.a")) is None
    assert servers.run(keys[0].create("nodes.a", b"2")) is not None


def test_a_change_that_is_sent_twice_is_one_and_wins(servers, keys):
    """The ack of the first may have been lost: the second must not hear that it came too late."""
    publisher, subject = servers.nodes[0].publisher, f"$KV.{keys[0].bucket}.map"
    headers = {"Nats-Msg-Id": "x", "Nats-Expected-Last-Subject-Sequence": "0"}

    async def twice():
        return [await publisher.append(subject, b"1", headers, timeout_s=10) for _ in range(2)]

    first, second = servers.run(twice())
    assert first.seq == second.seq
    assert second.duplicate
