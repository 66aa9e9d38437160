"""One request and its answer, whatever route it takes.

    in   ASGI scope, receive, send
    out  Exchange: headers by name, request id, status; Answer: what a route wants said

An Answer is small and whole, or its first piece and an iterator of more. Pieces are pulled one
by one while the client takes them, in a thread, as rendering and compressing them is work.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tsdb.errors import TSDBError

__all__ = ["JSON", "Answer", "ClientGone", "Exchange", "Message", "Receive", "Scope", "Send"]

JSON = b"application/json"
NO_CONTENT = 204  # has no body, so no length and no type

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
Pull: TypeAlias = Callable[[Iterator[bytes]], Awaitable[bytes | None]]

_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")
_PROCESS = os.urandom(4).hex()
_numbers = itertools.count(1)


NO_STORE = (b"cache-control", b"no-store")  # unless an answer says otherwise


class ClientGone(Exception):
    """The connection closed; nobody waits for what was to be said."""


POSITION = b"x-silverback-position"  # of a write; a read that names it sees that write


@dataclass(slots=True)
class Answer:
    """What to say. `rest` yields further pieces of the body; None when `body` is all of it."""

    body: bytes = b""
    status: int = 200
    media: bytes = JSON
    headers: Headers = field(default_factory=list)
    rest: Iterator[bytes] | None = None


class Exchange:
    """A request under way."""

    __slots__ = (
        "_asked",
        "_receive",
        "_send",
        "headers",
        "id",
        "position",
        "refused",
        "route",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.id = self._request_id()
        self.route = "other"
        self.status = 0
        self.started = False
        self.refused: TSDBError | None = None
        self.position = ""  # of a write in a cluster
        self._asked = False  # for the body

    def _request_id(self) -> bytes:
        """The caller's id if it is a plain token, else one of ours."""
        given = self.headers.get(b"x-request-id")
        if given is not None and _ID.fullmatch(given):
            return given
        return f"{_PROCESS}-{next(_numbers):x}".encode()

    async def receive(self) -> Message:
        self._asked = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        """ASGI send; the id goes out with every answer."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.id)]
            if not _says_how_long_kept(headers):
                headers.append(NO_STORE)
            if self.position:
                headers.append((POSITION, self.position.encode()))
            if b"expect" in self.headers and not self._asked:
                # The client holds its body back and need not send it now: what comes next on
                # this connection would be read as that body.
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        await self._send(message)

    async def answer(self, answer: Answer, pull: Pull | None = None) -> None:
        """Say it all; raises what `rest` raises, then the connection is cut."""
        if answer.rest is None and self._answer_whole(answer):
            return
        headers = answer.headers
        if answer.status != NO_CONTENT:
            headers = [(b"content-type", answer.media), *headers]
        if answer.rest is None and answer.status != NO_CONTENT:
            headers = [*headers, (b"content-length", b"%d" % len(answer.body))]
        await self.send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )
        if answer.rest is None:
            await self._send({"type": "http.response.body", "body": answer.body})
            return
        assert pull is not None
        gone = asyncio.ensure_future(self.gone())
        try:
            piece: bytes | None = answer.body
            while piece is not None:
                if gone.done() or self.scope["method"] == "HEAD":
                    break
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await pull(answer.rest)
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    def _answer_whole(self, answer: Answer) -> bool:
        """In one write, where the server below can; see api.protocol."""
        say = self.scope.get("answer_whole")
        if say is None or self.scope["method"] == "HEAD" or b"expect" in self.headers:
            return False
        lines = b"".join([b"%b: %b\r\n" % pair for pair in answer.headers])
        assert lines.count(b"\n") == len(answer.headers)
        if answer.status != NO_CONTENT:
            ours = b"content-type: %b\r\ncontent-length: %d\r\n%b"
            lines = ours % (answer.media, len(answer.body), lines)
        lines += b"x-request-id: %b\r\n" % self.id
        if not _says_how_long_kept(answer.headers):
            lines += b"%b: %b\r\n" % NO_STORE
        if self.position:
            lines += b"%b: %b\r\n" % (POSITION, self.position.encode())
        if not say(answer.status, lines, answer.body):
            return False
        self.started, self.status = True, answer.status
        return True

    async def gone(self) -> None:
        """Returns when the client has gone; the body is read already."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _says_how_long_kept(headers: Headers) -> bool:
    return any(name == NO_STORE[0] for name, _ in headers)
