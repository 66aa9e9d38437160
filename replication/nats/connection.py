"""A node's way to the replicated log: its server, one connection, and everything made of it.

    in   the settings of the cluster, a folder
    out  Nats: logs of shards, keys, what each server says of its copies

Opening starts the node's own server, unless the operator runs one, and does not wait for the
others: `ready` does. The connection outlives the server: it is told where the next one listens.
What is lost with it are readers, which begin anew where they were, and answers, which are asked for
again under the same message id.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError

from replication.nats.binary import VERSION_MIN, find
from replication.nats.child import Child
from replication.nats.config import ACCOUNT, SYSTEM, ServerPlace
from replication.nats.delivery import Delivery
from replication.nats.identity import public_key
from replication.nats.jetstream import ASK_S, LOG_BYTES_MAX, ShardStream, stream_config
from replication.nats.kv import Keys
from replication.nats.publishing import Publisher
from replication.nats.replies import Absent
from replication.settings import ClusterSettings
from tsdb.errors import InvalidInput, Unavailable

__all__ = ["Nats"]

log = logging.getLogger(__name__)

_TRY_S, _TRY_S_MAX, _AGAIN_S = 0.25, 5.0, 0.05
_READY_S, _CONNECT_S = 60.0, 5.0
_RECONNECT_S = 0.05


class Nats:
    """Of one event loop; `Nats.open` makes it, `close` ends it and the server with it."""

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.child: Child | None = None
        self.client = Client()
        self.publisher = Publisher(self.client)
        self._system: Client | None = None
        self._connected: list[Client] = []
        self._made: Keys | None = None  # the logs that there ever were
        self._deliveries: set[Delivery] = set()

    @classmethod
    async def open(cls, settings: ClusterSettings, directory: Path) -> Nats:
        """`directory` is where the server keeps its files; nothing is kept of an operator's own.

        Raises InvalidInput (no program, too old, wrong settings), Unavailable "locked".
        """
        made = cls(settings)
        is_open = False
        try:
            if settings.nats.urls:
                await made._connect(list(settings.nats.urls), made._credentials())
                made._check_version()
            else:
                await made._start(directory)
            await made.publisher.open()
            is_open = True
        finally:
            if not is_open:
                await made.close()
        return made

    async def ready(self, timeout_s: float = _READY_S) -> None:
        """Enough servers see each other for streams to be made. Raises Unavailable "starting"."""
        await self.ask("INFO", {}, timeout_s=timeout_s, code="starting")

    def log(self, shard: int, incarnation: int) -> ShardStream:
        """The log of a shard that exists: it is never made by being asked for."""
        return ShardStream(self, shard, incarnation)

    def stream(self, name: str) -> ShardStream:
        """The log of that name, as surveys have it."""
        prefix = f"{self.settings.cluster}_log_"
        assert self.is_log(name)
        shard, incarnation = name.removeprefix(prefix).split("_")
        return self.log(int(shard), int(incarnation))

    def is_log(self, name: str) -> bool:
        return name.startswith(f"{self.settings.cluster}_log_")

    async def create_log(
        self, shard: int, incarnation: int, *, bytes_max: int = LOG_BYTES_MAX
    ) -> ShardStream:
        """Make the stream, unless it was made before: one that vanished is not made again.

        An empty log in the place of a lost one would give its seqs away a second time. Raises
        InvalidInput if it is there and different.
        """
        made = self.log(shard, incarnation)
        if self._made is None:
            self._made = await self.keys("logs")
        key = f"{shard}.{incarnation}"
        if await self._made.get(key) is not None:
            return made
        copies = self.settings.replicas
        config = stream_config(made.name, made.subject, replicas=copies, bytes_max=bytes_max)
        await self.ask(f"STREAM.CREATE.{made.name}", config)
        await self._made.create(key, self.settings.node.encode())
        return made

    async def delete_log(self, shard: int, incarnation: int) -> None:
        """What it held is gone on all nodes; no error if it was."""
        try:
            await self.ask(f"STREAM.DELETE.{self.log(shard, incarnation).name}", {})
        except Absent:
            return

    async def keys(self, bucket: str) -> Keys:
        """Make the bucket unless it is there."""
        keys = Keys(self, f"{self.settings.cluster}_{bucket}")
        await self.ask(f"STREAM.CREATE.{keys.stream}", keys.config(self.settings.replicas))
        return keys

    async def close(self) -> None:
        for delivery in list(self._deliveries):
            delivery.end()
        for client in self._connected:
            await client.close()
        if self.child is not None:
            await self.child.stop()

    async def ask(
        self,
        what: str,
        body: Mapping[str, Any],
        *,
        timeout_s: float = ASK_S,
        code: str = "no_leader",
    ) -> dict[str, Any]:
        """One of JetStream's own questions, asked again until somebody answers.

        Raises Unavailable, which Absent is, too (no such stream), InvalidInput (refused for good).
        """
        until = time.monotonic() + timeout_s
        data = json.dumps(body).encode() if body else b""
        last, patience = "no answer", _TRY_S
        while (left := until - time.monotonic()) > 0:
            try:
                reply = await self.client.request(
                    f"$JS.API.{what}", data, timeout=min(patience, left)
                )
                said: dict[str, Any] = json.loads(reply.data)
            except ConnectionClosedError:
                raise Unavailable("the connection to the log is closed", code="closed") from None
            except NatsError as error:
                last = str(error)
            else:
                if "error" not in said:
                    return said
                last = _refused(what, said["error"])
            patience = min(patience * 2, _TRY_S_MAX)
            await asyncio.sleep(_AGAIN_S)
        raise Unavailable(f"the log's servers do not answer {what}: {last}", code=code)

    async def system(self) -> Client:
        """The connection by which servers are asked about themselves; only to one's own server."""
        if self.child is None:
            raise InvalidInput("an operator's own nats-server is asked by the operator's own tools")
        if self._system is None or self._system.is_closed:
            client = Client()
            self._connected.append(client)
            await client.connect(
                self.child.url,
                user=SYSTEM,
                password=self.child.passwords.system,
                error_cb=_say,
                **_FOREVER,
            )
            self._system = client
        return self._system

    def delivery(self, stream: str, begin: Mapping[str, Any]) -> Delivery:
        """A reader's attempt that ends when the connection does."""
        if self.client.is_closed:
            raise Unavailable("the connection to the log is closed", code="closed")
        made = Delivery(self.client, stream, begin)
        self._deliveries.add(made)
        return made

    def forget(self, delivery: Delivery) -> None:
        self._deliveries.discard(delivery)

    async def _start(self, directory: Path) -> None:
        settings, seed = self.settings, self.settings.nats.seed
        place, binary = ServerPlace.of(settings, directory), find(settings.nats.binary)
        nkey = public_key(seed) if seed else None
        self.child = Child(place, binary, nkey=nkey, started=self._moved)
        await self.child.start()
        told = {"user": ACCOUNT, "password": self.child.passwords.account}
        await self._connect([self.child.url], {"nkeys_seed": str(seed)} if seed else told)

    async def _connect(self, urls: list[str], credentials: dict[str, Any]) -> None:
        self._connected.append(self.client)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self.client.connect(
                    urls,
                    name=f"silverback {self.settings.node}",
                    error_cb=_say,
                    disconnected_cb=self._disconnected,
                    pending_size=-1,  # nothing waits for a server that may never come
                    **credentials,
                    **_FOREVER,
                )
        except (TimeoutError, NatsError) as error:
            raise Unavailable(
                f"no nats-server lets this node in at {_shown(urls)}: "
                f"{self.client.last_error or error}",
                code="starting",
            ) from error

    def _check_version(self) -> None:
        found = self.client.connected_server_version
        version = (found.major, found.minor, found.patch)
        if version < VERSION_MIN:
            raise InvalidInput(
                f"the nats-server at {_shown(self.settings.nats.urls)} is version "
                f"{_dotted(version)}, a cluster needs {_dotted(VERSION_MIN)} or later"
            )

    def _credentials(self) -> dict[str, Any]:
        nats = self.settings.nats
        told: dict[str, Any] = {}
        if nats.ca is not None or nats.certificate is not None:
            context = ssl.create_default_context(cafile=nats.ca)
            if nats.certificate is not None and nats.key is not None:
                context.load_cert_chain(nats.certificate, nats.key)
            told["tls"] = context
        if nats.seed is not None:
            public_key(nats.seed)
            told["nkeys_seed"] = str(nats.seed)
        return told

    def _moved(self, url: str) -> None:
        for client in (self.client, self._system):
            if client is not None and client.is_reconnecting:
                client.set_server_pool([url])

    async def _disconnected(self) -> None:
        for delivery in list(self._deliveries):
            delivery.end()


_FOREVER: dict[str, Any] = {
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": _RECONNECT_S,
    "connect_timeout": 2,
    "ping_interval": 5,
    "max_outstanding_pings": 2,
}


def _shown(urls: Sequence[str]) -> str:
    """Without names and passwords."""
    return ", ".join(url.rpartition("@")[2] for url in urls)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


async def _say(error: Exception) -> None:
    log.debug("nats: %r", error)


_ABSENT, _WRONG = {10059, 10037}, {10058, 10052, 10065, 10074, 10109}


def _refused(what: str, error: Mapping[str, Any]) -> str:
    number, text = int(error.get("err_code", 0)), f"{error.get('description')}"
    if number in _ABSENT:
        raise Absent(f"{what}: {text}")
    if number in _WRONG:
        raise InvalidInput(f"the log's server refuses {what}: {text} ({number})")
    return f"{text} ({number})"
