"""All ports beside HTTP's of one server: opened together, closed with nothing read left behind.

    in   settings that name ports
    out  sockets that listen, then none; what was read is in the database or counted as lost

Ports are bound before the loop runs, so that one that is taken ends the start, and drained while
the HTTP server finishes its requests.

    graphite_port          lines over TCP and UDP
    graphite_pickle_port   pickles over TCP
    opentsdb_port          telnet's put over TCP
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from api.exits import CommandFailed
from api.listeners.datagrams import Datagrams
from api.listeners.dialects import Dialect, Graphite, GraphitePickle, OpenTSDB
from api.listeners.intake import Intake
from api.listeners.stream import Streams
from api.logs import LOG
from api.node import Node
from api.sockets import BACKLOG, bound

__all__ = ["Listeners"]

RECEIVE_BUFFER_BYTES = 4 << 20  # asked for; the system gives what net.core.rmem_max allows


@dataclass
class _Port:
    """One port: its sockets before and while they are served."""

    dialect: Dialect
    stream: socket.socket
    datagram: socket.socket | None = None
    intake: Intake | None = None
    streams: Streams | None = None
    server: asyncio.Server | None = None
    transport: asyncio.BaseTransport | None = None
    datagrams: Datagrams | None = None

    @property
    def number(self) -> int:
        number: int = self.stream.getsockname()[1]
        return number

    async def open(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        self.intake = node.intakes[self.dialect.name] = Intake(node, self.dialect)
        self.streams = Streams(self.intake, node.settings.connections_max)
        self.server = await loop.create_server(self.streams, sock=self.stream, backlog=BACKLOG)
        if self.datagram is not None:
            intake = self.intake
            self.transport, self.datagrams = await loop.create_datagram_endpoint(
                lambda: Datagrams(intake), sock=self.datagram
            )

    async def drain(self) -> None:
        if self.server is not None:
            self.server.close()
        if self.datagrams is not None:
            await self.datagrams.drain()
        if self.streams is not None:
            await self.streams.drain()
        if self.transport is not None:
            self.transport.close()


class Listeners:
    """`bind` before the loop runs, `open` and `close` on it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.ports: dict[str, _Port] = {}  # by dialect

    def port(self, name: str) -> int:
        """The bound port of a dialect, such as `graphite`."""
        return self.ports[name].number

    def bind(self) -> None:
        """Raises CommandFailed when a port is taken. Who may reach them: api.auth.access."""
        settings = self._node.settings
        try:
            if settings.graphite_port is not None:
                stream = bound(settings.host, settings.graphite_port, socket.SOCK_STREAM)
                port = _Port(Graphite(), stream)
                self.ports["graphite"] = port
                port.datagram = bound(settings.host, port.number, socket.SOCK_DGRAM)
                with contextlib.suppress(OSError):
                    port.datagram.setsockopt(
                        socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES
                    )
            if settings.graphite_pickle_port is not None:
                stream = bound(settings.host, settings.graphite_pickle_port, socket.SOCK_STREAM)
                self.ports["graphite_pickle"] = _Port(GraphitePickle(), stream)
            if settings.opentsdb_port is not None:
                stream = bound(settings.host, settings.opentsdb_port, socket.SOCK_STREAM)
                self.ports["opentsdb"] = _Port(OpenTSDB(), stream)
        except CommandFailed:
            self.release()
            raise

    async def open(self) -> None:
        for port in self.ports.values():
            await port.open(self._node)
            LOG.info("listening", listener=port.dialect.name, port=port.number)

    async def close(self, timeout_s: float) -> None:
        """Take nothing new; wait until what was read is written, at most so long."""
        draining = [asyncio.ensure_future(port.drain()) for port in self.ports.values()]
        if not draining:
            return
        _, late = await asyncio.wait(draining, timeout=timeout_s)
        if late:
            for port in self.ports.values():
                if port.intake is not None:
                    port.intake.stop_waiting()
            await asyncio.wait(late, timeout=timeout_s)

    def release(self) -> None:
        """Close the sockets; idempotent."""
        for port in self.ports.values():
            port.stream.close()
            if port.datagram is not None:
                port.datagram.close()
