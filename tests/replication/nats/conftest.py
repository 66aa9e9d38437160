"""Real servers, three of them, for all tests of this folder: what they do cannot be made up."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from replication.nats.connection import Nats
from replication.settings import Address, ClusterSettings, NatsSettings, Peer

_shards = itertools.count()


def free_addresses(count: int) -> list[Address]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [Address("127.0.0.1", one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def settings_of(cluster: str, nodes: int, *, replicas: int) -> list[ClusterSettings]:
    https, routes = free_addresses(nodes), free_addresses(nodes)
    peers = tuple(Peer(f"n{i}", https[i], routes[i]) for i in range(nodes))
    return [
        ClusterSettings(
            path=Path("cluster.toml"),
            cluster=cluster,
            node=peer.node,
            http=peer.http,
            nats=NatsSettings(routes=peer.routes),
            peers=peers,
            replicas=replicas,
        )
        for peer in peers
    ]


class Servers:
    """A cluster on a loop of its own thread, so that any test may use it with `run`."""

    def __init__(self, directory: Path, nodes: int = 3, replicas: int = 3) -> None:
        self.directory = directory
        self.settings = settings_of("t", nodes, replicas=replicas)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.nodes: list[Nats] = self.run(self._open())

    async def _open(self) -> list[Nats]:
        nodes = [await self.open(i) for i in range(len(self.settings))]
        for one in nodes:
            await one.ready()
        return nodes

    async def open(self, node: int) -> Nats:
        settings = self.settings[node]
        return await Nats.open(settings, self.directory / settings.node)

    def run(self, coroutine, timeout_s: float = 60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def new_log(self, **options):
        """A shard that no other test has; its log."""
        return self.run(self.nodes[0].create_log(next(_shards), 1, **options))

    def stop(self) -> None:
        for node in self.nodes:
            self.run(node.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def first(log, count: int, from_seq: int = 1):
    """The first messages from there."""
    found = []
    async with aclosing(log.tail(from_seq)) as messages:
        async for message in messages:
            found.append(message)
            if len(found) == count:
                break
    return found


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(tmp_path_factory.mktemp("nats"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def read_first():
    return first


@pytest.fixture
def make_servers() -> Iterator[Callable[..., Servers]]:
    """For tests that hurt them."""
    made: list[Servers] = []

    def make(directory: Path, nodes: int = 3) -> Servers:
        made.append(Servers(directory, nodes))
        return made[-1]

    yield make
    for servers in made:
        servers.stop()


@pytest.fixture
def own_servers(tmp_path: Path, make_servers: Callable[..., Servers]) -> Servers:
    return make_servers(tmp_path)


@pytest.fixture
def make_settings():
    return settings_of
