"""A server in a thread of the test process, on a port of its own, spoken to over sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop

from api.node import State
from api.protocol import Bounds, protocol
from api.server import HEADERS, Server
from api.settings import load

WAIT_S = 30
OPEN_S = 240  # kernels that changed are compiled first


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
        access_log=False, server_header=False, headers=HEADERS, timeout_graceful_shutdown=5,
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


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def points(self) -> list[list[Any]]:
        assert self.status == 200, self.body
        found: list[list[Any]] = self.json["points"]
        return found


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """One request over a connection of its own; a body that is no bytes goes as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
    finally:
        connection.close()


@dataclass
class Running:
    """A whole server in this process: settings, protocol, application, database."""

    server: Server
    thread: threading.Thread
    exits: list[int]

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def database(self) -> Any:
        return self.server.node.database()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        return ask(self.port, method, path, body, names)

    def get(self, path: str, **headers: str) -> Reply:
        return self("GET", path, **headers)

    def stop(self) -> int:
        """Shut down gracefully; the exit code."""
        self.server.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "the server does not stop"
        return self.exits[0]


def start_server(data: Path, **settings: Any) -> Running:
    """Start a server and wait until its database is open."""
    server = Server(load({"data": data, "port": 0} | settings, environ={}))
    exits: list[int] = []
    ended = threading.Event()

    def run() -> None:
        try:
            exits.append(server.run())
        finally:
            ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + OPEN_S
    while server.node.state is State.STARTING and time.monotonic() < deadline:
        if ended.wait(0.005):
            break
    return Running(server, thread, exits)


@contextlib.contextmanager
def running_server(data: Path, **settings: Any) -> Iterator[Running]:
    running = start_server(data, **settings)
    try:
        assert running.server.node.state is State.READY, running.server.node.failure
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def serve() -> Callable[..., contextlib.AbstractContextManager[Running]]:
    """`with serve(path, **settings) as server:`"""
    return running_server


@pytest.fixture(scope="session")
def start() -> Callable[..., Running]:
    return start_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that write under keys of their own."""
    with running_server(tmp_path_factory.mktemp("server") / "db") as running:
        yield running


@pytest.fixture(scope="session", name="ask")
def ask_() -> Callable[..., Reply]:
    return ask
