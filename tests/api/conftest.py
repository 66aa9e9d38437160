"""A server in a thread of the test process, on a port of its own, spoken to over sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
import uvloop

from api.protocol import Bounds, protocol

WAIT_S = 30


@dataclass
class Wire:
    """A raw connection. Reads block until the answer, the end, or WAIT_S."""

    port: int
    got: bytes = b""
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), WAIT_S)

    def send(self, data: bytes) -> Wire:
        self.sock.sendall(data)
        return self

    def send_until_cut(self, data: bytes, times: int) -> int:
        """Send `data` up to `times` times; how often it went through."""
        for n in range(times):
            try:
                self.sock.sendall(data)
            except OSError:
                return n
        return times

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.got:
            more = self.sock.recv(1 << 16)
            assert more, f"closed before {mark!r}: {self.got!r}"
            self.got += more
        return self.got

    def read_to_end(self) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            while more := self.sock.recv(1 << 16):
                self.got += more
        self.close()
        return self.got

    def close(self) -> None:
        self.sock.close()


@dataclass
class Served:
    """An ASGI application behind the real protocol, in a thread."""

    port: int
    server: uvicorn.Server
    wires: list[Wire] = field(default_factory=list)

    def wire(self) -> Wire:
        self.wires.append(Wire(self.port))
        return self.wires[-1]

    def talk(self, data: bytes) -> bytes:
        """Send, then read until the server closes."""
        return self.wire().send(data).read_to_end()


@contextlib.contextmanager
def serving_app(app: Any, **bounds: Any) -> Iterator[Served]:
    chosen = {"connections_max": 64, "header_timeout_s": 20.0, "body_timeout_s": 20.0} | bounds
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=protocol(Bounds(**chosen)), ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def run() -> None:
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(server.serve(sockets=[listener]))
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    served = Served(listener.getsockname()[1], server)
    try:
        yield served
    finally:
        for wire in served.wires:
            wire.close()
        server.should_exit = True
        thread.join(WAIT_S)
        listener.close()
        assert not thread.is_alive(), "the server does not stop"


@pytest.fixture(scope="session")
def serve_app() -> Callable[..., contextlib.AbstractContextManager[Served]]:
    return serving_app
