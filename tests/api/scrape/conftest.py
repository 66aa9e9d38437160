"""A target whose answers the test chooses, on a real socket."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Site:
    """What it answers may be changed at any time; it remembers what it was asked."""

    port: int = 0
    text: str = "metric_a 1\n"
    status: int = 200
    content_type: str = TEXT
    delay_s: float = 0.0
    drip_s: float = 0.0  # between bytes
    compressed: bool = False
    length: bool = True  # said beforehand; else the connection's end is the answer's
    raw: bytes = b""  # instead of all that
    requests: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    connections: int = 0
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_for_requests(self, count: int, wait_s: float = 20) -> None:
        deadline = time.monotonic() + wait_s
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"asked {len(self.requests)} times"
            self.changed.wait(0.01)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.paths.append(request.path)
        self.requests.append({k.lower(): v for k, v in request.headers.items()})
        time.sleep(self.delay_s)
        if self.raw:
            request.wfile.write(self.raw)
            request.close_connection = True
            return
        body = self.text.encode()
        if self.compressed:
            body = gzip.compress(body)
        request.send_response(self.status)
        if self.content_type:
            request.send_header("Content-Type", self.content_type)
        if self.compressed:
            request.send_header("Content-Encoding", "gzip")
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        else:
            request.send_header("Connection", "close")
        request.end_headers()
        pieces = [body[i : i + 1] for i in range(len(body))] if self.drip_s else [body]
        for piece in pieces:
            request.wfile.write(piece)
            request.wfile.flush()
            time.sleep(self.drip_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side may leave at any moment; that is what is tested."""


def open_site(tls: ssl.SSLContext | None = None) -> tuple[Site, _Server]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            site.connections += 1
            super().setup()

        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return site, server


@pytest.fixture
def open_sites() -> Iterator[Callable[..., Site]]:
    """Makes as many as one likes."""
    servers: list[_Server] = []

    def make(tls: ssl.SSLContext | None = None) -> Site:
        site, server = open_site(tls)
        servers.append(server)
        return site

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(open_sites: Callable[..., Site]) -> Site:
    return open_sites()
