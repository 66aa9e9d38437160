"""An HTTP connection to one target, kept open between scrapes.

    in   request line and headers as bytes
    out  Response: status, headers, the whole body as sent; or ScrapeFailed saying why not

On the event loop, parsed by httptools as the server's own requests are: 60 µs of CPU a scrape,
where a general client takes ten times that, and a scraper asks hundreds of targets a second. No
redirects, no proxies, no cookies: a target is who the configuration says it is. What a target may
send is bounded while it arrives. Time is the caller's: cancel the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from tsdb.limits import KIB

__all__ = ["Connection", "Peer", "Response", "ScrapeFailed"]

HEADER_BYTES_MAX = 64 * KIB
INFORMATIONAL_MAX = 199


class ScrapeFailed(Exception):
    """The target has no answer that counts; `str` is what /api/v1/targets shows."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where to connect to, and how it has to prove who it is."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""


@dataclass(slots=True)
class Response:
    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection:
    """One at a time: the next `get` only after the one before."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._wire: _Wire | None = None

    async def get(self, request: bytes, bytes_max: int, claim: Callable[[int], None]) -> Response:
        """Send and wait for all of the answer. `claim` hears of bytes as they come, and may
        raise ScrapeFailed."""
        wire, self._wire = self._wire, None
        reused = wire is not None and not wire.closed
        if wire is None or wire.closed:
            wire = await self._connected()
        try:
            response = await wire.exchange(request, bytes_max, claim)
        except _ClosedEarly as early:
            if not reused:
                raise ScrapeFailed(str(early)) from early
            # The target gave the connection up while we were not looking: that is no failure.
            wire = await self._connected()
            response = await wire.exchange(request, bytes_max, claim)
        if wire.closed:
            return response
        self._wire = wire
        return response

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> _Wire:
        peer = self._peer
        loop = asyncio.get_running_loop()
        refused = "there is no address"
        try:
            found = await loop.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ScrapeFailed(f"lookup {peer.host}: {_reason(error)}") from error
        for *_, address in found:
            if _is_off_limits(str(address[0])):
                refused = f"{address[0]} is link-local: such addresses are not scraped"
                continue
            try:
                _, wire = await loop.create_connection(
                    _Wire,
                    str(address[0]),
                    peer.port,
                    ssl=peer.tls,
                    server_hostname=(peer.server_name or peer.host) if peer.tls else None,
                )
            except ssl.SSLError as error:
                refused = f"tls: {error.reason or error}"
            except OSError as error:
                refused = f"dial {peer.host}:{peer.port}: {_reason(error)}"
            else:
                return wire
        raise ScrapeFailed(refused)


class _ClosedEarly(Exception):
    """Closed before a single byte of the answer."""


class _Wire(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Response] | None = None
        self._response = Response()
        self._pieces: list[bytes] = []
        self._size = self._header_size = 0
        self._bytes_max = 0
        self._claim: Callable[[int], None] = _nothing
        self._in_body = self._keep = False

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def exchange(
        self, request: bytes, bytes_max: int, claim: Callable[[int], None]
    ) -> Response:
        assert self._waiter is None
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._response = Response()
        self._pieces.clear()
        self._size = self._header_size = 0
        self._in_body = self._keep = False
        self._bytes_max, self._claim = bytes_max, claim
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self._claim = _nothing
            if not self._keep:  # given up as well: what comes now belongs to nothing
                self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # an answer nobody asked for
            return
        if not self._in_body:
            self._header_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, ScrapeFailed) else _malformed(error))
        except ScrapeFailed as error:
            self._fail(error)
        else:
            if not self._in_body and self._header_size > HEADER_BYTES_MAX:
                self._fail(ScrapeFailed("the header of the answer is too large"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._waiter is None or self._waiter.done():
            return
        if not self._header_size:
            self._waiter.set_exception(_ClosedEarly(_reason(error) if error else "EOF"))
        elif self._in_body and error is None and self._ends_with_connection():
            self._keep = False
            self._finish()
        else:
            self._waiter.set_exception(ScrapeFailed("the connection ended within the answer"))

    # --- of the parser

    def on_message_begin(self) -> None:
        self._response = Response()
        self._in_body = False

    def on_status(self, reason: bytes) -> None:
        self._response.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._response.status = self._parser.get_status_code()
        self._in_body = True
        length = self._response.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) < 19:
            self._check(int(length))

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        self._check(self._size)
        self._claim(len(piece))
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._response.status <= INFORMATIONAL_MAX:
            return  # the answer is still to come
        self._keep = self._parser.should_keep_alive()
        self._finish()

    def _check(self, size: int) -> None:
        if size > self._bytes_max:
            raise ScrapeFailed(f"body_size_limit exceeded (limit {self._bytes_max:,} bytes)")

    def _ends_with_connection(self) -> bool:
        headers = self._response.headers
        return "content-length" not in headers and "transfer-encoding" not in headers

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._response.body = b"".join(self._pieces)
            self._pieces.clear()
            self._waiter.set_result(self._response)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()


def _nothing(_: int) -> None:
    return None


def _malformed(error: Exception) -> ScrapeFailed:
    return ScrapeFailed(f"malformed HTTP response: {error}")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _is_off_limits(address: str) -> bool:
    """Link-local: there the clouds keep credentials for whoever asks from this machine."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address.partition("%")[0]).is_link_local
    return False
