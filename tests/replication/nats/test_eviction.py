"""replication.nats.eviction: logs of a node that is gone find another keeper."""

from __future__ import annotations

import asyncio

import pytest

from replication.nats.damage import survey
from replication.nats.eviction import evict
from tsdb.errors import InvalidInput


def test_a_node_that_answers_is_not_evicted(servers):
    with pytest.raises(InvalidInput, match="answers"):
        servers.run(evict(servers.nodes[0], "n1"))


@pytest.mark.slow
def test_logs_of_a_node_that_is_gone_are_whole_again_elsewhere(make_servers, tmp_path):
    servers = make_servers(tmp_path, 4)
    logs = [servers.new_log() for _ in range(4)]

    async def live():
        for log in logs:
            for n in range(20):
                await log.append(b"%d" % n, f"s:{n}", timeout_s=20)
        peers = {peer.node for peer in (await logs[0].state()).peers}
        gone = next(node for node in servers.nodes if node.settings.node in peers)
        name = gone.settings.node
        await gone.close()
        servers.nodes.remove(gone)
        one = servers.nodes[0]
        async with asyncio.timeout(30):
            while name in (await survey(one)).answered:
                await asyncio.sleep(0.1)
        moved = await evict(one, name)
        states = [await one.log(log.shard, 1).state() for log in logs]
        seqs = [await one.log(log.shard, 1).append(b"x", "x:1", timeout_s=20) for log in logs]
        return name, moved, states, seqs, await evict(one, name)

    name, moved, states, seqs, again = servers.run(live(), 120)
    assert moved >= 1
    assert again == 0
    assert seqs == [21] * 4
    for state in states:
        assert len(state.peers) == 3
        assert name not in {peer.node for peer in state.peers}
        assert all(peer.current for peer in state.peers)

    seen = servers.run(survey(servers.nodes[0]))
    for log in logs:
        assert sorted(copy.messages for copy in seen.of(log.name))[-3:] == [21] * 3
