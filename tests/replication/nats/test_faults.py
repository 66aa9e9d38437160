"""Servers that die under writers and readers: nothing acked is lost, nothing is read twice."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import time
from contextlib import aclosing

import pytest

from replication.nats.damage import survey
from replication.nats.log import JetStreamLog
from tsdb.errors import Unavailable
from tsdb.log.protocol import Kind


class Load:
    """Writers and readers on all nodes, until told to stop; what was acked, what was read."""

    def __init__(self, servers, log) -> None:
        self.logs = [node.log(log.shard, 1) for node in servers.nodes]
        self.acked: dict[int, bytes] = {}
        self.unknown: list[bytes] = []
        self.codes: set[str] = set()
        self.read: list[list[tuple[int, bytes]]] = [[] for _ in self.logs]
        self.longest_s = 0.0
        self.stopped = False
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        self._tasks = [
            *(asyncio.create_task(self._write(n, log)) for n, log in enumerate(self.logs)),
            *(asyncio.create_task(self._read(n, log)) for n, log in enumerate(self.logs)),
        ]

    async def _write(self, writer: int, log) -> None:
        for n in itertools.count():
            if self.stopped:
                return
            payload = b"%d:%d" % (writer, n)
            began = time.monotonic()
            try:
                seq = await log.append(payload, payload.decode(), timeout_s=20)
            except Unavailable as error:
                self.unknown.append(payload)
                self.codes.add(error.code)
            else:
                assert seq not in self.acked
                self.acked[seq] = payload
                self.longest_s = max(self.longest_s, time.monotonic() - began)
            await asyncio.sleep(0.01)

    async def _read(self, reader: int, log) -> None:
        async with aclosing(log.tail(1)) as messages:
            async for message in messages:
                self.read[reader].append((message.seq, message.payload))

    async def more(self, count: int, within_s: float = 60) -> None:
        """So many acks after now."""
        wanted = len(self.acked) + count
        async with asyncio.timeout(within_s):
            while len(self.acked) < wanted:
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self.stopped = True
        await asyncio.gather(*self._tasks[: len(self.logs)])
        async with asyncio.timeout(30):
            last = max(self.acked)
            while any(not read or read[-1][0] < last for read in self.read):
                await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        assert self.codes <= {"unknown"}
        for read in self.read:
            assert [seq for seq, _ in read] == list(range(1, len(read) + 1))
            found = dict(read)
            assert all(found[seq] == payload for seq, payload in self.acked.items())
            payloads = [payload for _, payload in read]
            assert len(set(payloads)) == len(payloads)
            assert set(payloads) <= {*self.acked.values(), *self.unknown}
        longest = max(self.read, key=len)
        assert all(read == longest[: len(read)] for read in self.read)


def leader_of(servers, log):
    name = servers.run(log.state()).leader
    return next(node for node in servers.nodes if node.settings.node == name)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["leader", "follower", "all"])
def test_a_server_is_killed_under_load_and_comes_back(own_servers, who):
    servers = own_servers
    log = servers.new_log()
    load = Load(servers, log)
    servers.run(load.start())
    servers.run(load.more(60))

    leader = leader_of(servers, log)
    followers = [node for node in servers.nodes if node is not leader]
    killed = {"leader": [leader], "follower": followers[:1], "all": servers.nodes}[who]
    for node in killed:
        servers.loop.call_soon_threadsafe(node.child.kill)
    servers.run(load.more(300), 90)
    servers.run(load.stop(), 60)

    load.check()
    assert all(node.child.restarts == 1 for node in killed)
    assert load.longest_s < 15
    print(f"{who}: {len(load.acked)} acked, longest {load.longest_s:.2f} s, {len(load.unknown)} ?")


@pytest.mark.slow
def test_a_server_that_stops_well_is_hardly_missed(own_servers):
    servers = own_servers
    log = servers.new_log()
    load = Load(servers, log)
    servers.run(load.start())
    servers.run(load.more(60))
    leader = leader_of(servers, log)

    async def rest():
        async with leader.child.rest():
            await asyncio.sleep(2)

    servers.run(rest())
    servers.run(load.more(100), 60)
    servers.run(load.stop(), 60)

    load.check()
    assert load.longest_s < 4
    print(f"longest {load.longest_s:.2f} s")


@pytest.mark.slow
def test_without_a_majority_nothing_is_acked(own_servers):
    servers = own_servers
    log = servers.new_log()
    servers.run(log.append(b"1", "s:1", timeout_s=10))
    alone = servers.nodes[0]
    own = alone.log(log.shard, 1)

    async def cut_off():
        async with servers.nodes[1].child.rest(), servers.nodes[2].child.rest():
            with pytest.raises(Unavailable) as caught:
                await own.append(b"2", "s:2", timeout_s=3)
            return caught.value.code

    assert servers.run(cut_off(), 90) in {"unknown", "no_leader"}
    seq = servers.run(own.append(b"2", "s:2", timeout_s=30), 40)
    assert seq == 2


@pytest.mark.slow
def test_a_chain_of_appends_outlives_its_leader(own_servers):
    """Those that overtook others when the leader was lost are not taken for a second writer."""
    servers = own_servers
    stream = servers.new_log()
    log = JetStreamLog(servers.nodes[0], stream, servers.loop)
    log.append([(Kind.POINTS, b"first")])
    leader = leader_of(servers, stream)
    wanted = [b"first"]
    for n in range(200):
        wanted.append(b"%d" % n)
        log.append([(Kind.POINTS, wanted[-1])], sync=False)
        if n == 100:
            servers.loop.call_soon_threadsafe(leader.child.kill)

    assert log.barrier() == 201
    assert [entry.payload for entry in log.read(1)] == wanted


@pytest.mark.slow
def test_a_leader_that_stands_still_and_goes_on_has_acked_nothing_of_its_own(own_servers):
    servers = own_servers
    log = servers.new_log()
    load = Load(servers, log)
    servers.run(load.start())
    servers.run(load.more(60))
    pid = leader_of(servers, log).child.pid

    os.kill(pid, signal.SIGSTOP)
    try:
        servers.run(load.more(200), 90)
    finally:
        os.kill(pid, signal.SIGCONT)
    servers.run(load.more(100), 60)
    servers.run(load.stop(), 90)

    load.check()
    print(f"longest {load.longest_s:.2f} s, {len(load.unknown)} unknown")


@pytest.mark.slow
def test_a_node_that_lost_all_its_files_gets_them_from_the_others(own_servers, read_first):
    servers = own_servers
    log = servers.new_log()
    for n in range(50):
        servers.run(log.append(bytes(10_000), f"s:{n}", timeout_s=10))
    node = servers.nodes[1]

    async def lose():
        async with node.child.rest():
            shutil.rmtree(node.child.store)

    servers.run(lose())
    until = time.monotonic() + 60
    copies = []
    while time.monotonic() < until:
        copies = [c for c in servers.run(survey(node)).of(log.name) if c.node == "n1"]
        if copies and copies[0].messages == 50:
            break
    assert copies[0].is_whole
    assert len(servers.run(read_first(node.log(log.shard, 1), 50))) == 50
