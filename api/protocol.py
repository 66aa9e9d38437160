"""HTTP/1.1 on one connection: uvicorn's, with time-outs and bounds that it has not.

    in   bytes of a socket
    out  ASGI calls; for what is too slow, too large or no HTTP, a JSON refusal and a closed door

    header     5 s from its first byte, HEADER_BYTES_MAX, HEADERS_MAX            408, 431
    body       10 s of silence, BODY_RATE_BYTES_PER_S_MIN on the whole           408
    answer     WRITE_STALL_S without the client taking any of it                 cut
    idle       keep-alive time between requests; header time on a new one        closed
    crowd      connections past `connections_max`                                503

A refusal is written only where no answer is under way, so answers never run into each other,
and the connection then reads on for a moment: a close with unread bytes would reset it and take
the refusal with it. Trailers after a chunked body are dropped, they could change headers that
were judged already.

One lazy timer a connection: a request costs it two assignments.
"""

from __future__ import annotations

import asyncio
import functools
import math
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from api.errors import Refusal
from api.refusals import Refusals
from tsdb import limits

__all__ = ["Bounds", "GuardedProtocol", "protocol"]

NEVER = math.inf
LINGER_S = 2.0
GOODBYE_S = 0.5
CROWD_FACTOR = 2  # past connections_max x this, connections are cut without a word


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take."""

    connections_max: int
    header_timeout_s: float
    body_timeout_s: float
    refusals: Refusals = field(default_factory=Refusals)
    admits: Callable[[asyncio.BaseTransport], bool] | None = None  # after the handshake of TLS


class Phase(Enum):
    IDLE = 0  # nothing of the next request has come
    HEADER = 1  # some of it
    BODY = 2  # the header is complete
    REFUSED = 3  # bytes are thrown away until the connection closes


class Refused(Exception):
    """Raised inside parser callbacks; carries what to answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def protocol(bounds: Bounds) -> type[asyncio.Protocol]:
    """What uvicorn's Config takes as `http`."""
    factory: Any = functools.partial(GuardedProtocol, bounds=bounds)
    return factory  # type: ignore[no-any-return]


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        self._phase = Phase.IDLE
        self._deadline = NEVER  # when the phase must be over
        self._timer: TimerHandle | None = None
        self._timer_at = NEVER
        self._stall_timer: TimerHandle | None = None
        self._stall_bytes = 0  # waiting for the client when the stall timer was set
        self._header_bytes = self._hosts = 0
        self._begun = 0  # messages in the bytes that ended the silence
        self._body_began = NEVER
        self._body_bytes = 0
        self._wire_bytes = 0  # of one message, chunk framing included
        self._verdict: Refusal | None = None  # waits for the answers before it
        self._responses_due = 0
        self._leaving = False
        self._gone_by = NEVER

    # --- connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._bounds.admits is not None and not self._bounds.admits(transport):
            transport.abort()
            return
        crowd = len(self.connections)
        if crowd > self._bounds.connections_max:
            refusal = _too_many(self._bounds.connections_max)
            self._bounds.refusals.note(refusal.message)
            if crowd > self._bounds.connections_max * CROWD_FACTOR:
                transport.abort()
                return
            self.app = functools.partial(_answer_anything, refusal)
        self._arm(self._bounds.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._stall_timer = None
        self.pipeline.clear()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: requests whose header has come are still answered."""
        self._leaving = True
        if self._responses_due:
            self.cycle.keep_alive = False
        else:
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self._hurry()

    def _hurry(self) -> None:
        """Over TLS a close waits for the client's goodbye; one that idles never says it."""
        if self._timer is not None:
            self._timer.cancel()
        self._gone_by = min(self._gone_by, self.loop.time() + limits.WRITE_STALL_S)
        self._timer = self.loop.call_later(GOODBYE_S, self._leave)

    def _leave(self) -> None:
        self._timer = None
        taking = self.transport.get_write_buffer_size() > 0  # its answer, still
        if taking and self.loop.time() < self._gone_by:
            self._hurry()
        else:
            self.transport.abort()

    # --- reading -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._phase is Phase.REFUSED:
            self._discard(len(data))
            return
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEADER
            self._deadline = NEVER
            self._begun = 0
        elif self._phase is Phase.HEADER:
            self._header_bytes += len(data)
        else:
            self._wire_bytes += len(data)
        try:
            self._feed(data)
        except Refused as refused:
            self._refuse(refused.refusal)
            return
        # Only what is still incomplete needs a clock: most requests come whole.
        if self._phase is Phase.BODY:
            self._arm_body()
        elif self._phase is Phase.HEADER and self._deadline == NEVER:
            self._arm(self._bounds.header_timeout_s)

    def _feed(self, data: bytes) -> None:
        """Parse; raises Refused for what is no HTTP or past a bound."""
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # no upgrades here: go on as if none was asked for
            except httptools.HttpParserError as error:
                cause = error.__context__
                raise (cause if isinstance(cause, Refused) else _no_http(error)) from None
        if self._phase is Phase.HEADER:
            if self._begun == 1:  # all of these bytes were its own; the parser told of whole lines
                self._header_bytes = max(self._header_bytes, len(data))
                self._begun = 2
            if self._header_bytes > limits.HEADER_BYTES_MAX:
                raise _header_too_large()
        if self._wire_bytes > limits.BODY_DISCARD_BYTES_MAX:
            bound = f"(limit BODY_DISCARD_BYTES_MAX = {limits.BODY_DISCARD_BYTES_MAX:,})"
            raise Refused(Refusal(413, "too_large", f"the body does not end {bound}"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = Phase.HEADER
        self._begun += 1
        self._header_bytes = self._hosts = 0

    def on_url(self, url: bytes) -> None:
        self._header_bytes += len(url)
        if self._header_bytes > limits.HEADER_BYTES_MAX:
            raise _header_too_large()
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > limits.HEADER_BYTES_MAX:
            raise _header_too_large()
        if self._phase is Phase.BODY:
            return  # a trailer
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > limits.HEADERS_MAX:
            bound = f"(limit HEADERS_MAX = {limits.HEADERS_MAX})"
            raise Refused(Refusal(431, "too_large", f"the request has too many headers {bound}"))
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(Refusal(400, "bad_data", f"HTTP/{version} is not spoken here"))
        if self._hosts != 1 and (self._hosts > 1 or version == "1.1"):
            found = f"{self._hosts} Host headers; there must be one"
            raise Refused(Refusal(400, "bad_data", found))
        if len(self.pipeline) >= limits.PIPELINE_MAX:
            bound = f"(limit PIPELINE_MAX = {limits.PIPELINE_MAX})"
            told = f"too many requests sent ahead of their answers {bound}"
            raise Refused(Refusal(400, "bad_data", told))
        self._phase = Phase.BODY
        self._deadline = NEVER
        self._header_bytes = self._body_bytes = self._wire_bytes = 0
        self._body_began = NEVER
        super().on_headers_complete()
        self.scope["answer_whole"] = functools.partial(_answer_whole, self.cycle)  # type: ignore[typeddict-unknown-key]
        self._responses_due += 1

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = Phase.IDLE
        self._deadline = NEVER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._responses_due -= 1
        super().on_response_complete()
        if self._leaving and self.transport.is_closing():
            self._hurry()
        if self._verdict is not None and not self._responses_due:
            self._say(self._verdict)

    # --- refusing ------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        """Answer nothing more but this; later, if answers to earlier requests are due."""
        in_body = self._phase is Phase.BODY
        self._phase = Phase.REFUSED
        self._bounds.refusals.note(refusal.message)
        self._wire_bytes = 0
        self._deadline = NEVER
        if in_body:
            if self.cycle.response_started:
                self.transport.close()  # it has its answer, or a part of it: there is no second one
                return
            # Its application hears that the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._responses_due -= 1
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
        self._verdict = refusal
        if not self._responses_due:
            self._say(refusal)

    def _say(self, refusal: Refusal) -> None:
        self._verdict = None
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        body = refusal.body()
        headers = [
            *self.server_state.default_headers,
            *refusal.headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % pair for pair in headers]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = NEVER
        self._arm(LINGER_S)

    def _discard(self, size: int) -> None:
        self._wire_bytes += size
        if self._wire_bytes > limits.BODY_DISCARD_BYTES_MAX:
            self.transport.close()

    # --- time ----------------------------------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        """The phase must be over in `seconds`."""
        self._deadline = self.loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= self._deadline:
                return  # it looks again when it fires
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self.loop.call_at(self._timer_at, self._look_at_clock)

    def _arm_body(self) -> None:
        """More of the body must come in time; the whole of it at its least rate."""
        now = self.loop.time()
        self._body_began = min(self._body_began, now)
        earned = self._body_bytes / limits.BODY_RATE_BYTES_PER_S_MIN
        left = self._body_began + self._bounds.body_timeout_s + earned - now
        self._arm(min(self._bounds.body_timeout_s, left))

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._deadline == NEVER or self.transport.is_closing():
            return
        if self._deadline > self.loop.time():
            self._arm(self._deadline - self.loop.time())
        elif self._phase is Phase.BODY and self.flow.read_paused:
            self._body_began = NEVER  # it is we who do not read
            self._arm_body()
        elif self._phase is Phase.HEADER and self._responses_due:
            self._arm(self._bounds.header_timeout_s)  # sent ahead; its turn has not come
        else:
            self._time_out()

    def _time_out(self) -> None:
        if self._phase in (Phase.IDLE, Phase.REFUSED):
            self._close()
            return
        what, setting, seconds = (
            ("header", "header_timeout_s", self._bounds.header_timeout_s)
            if self._phase is Phase.HEADER
            else ("body", "body_timeout_s", self._bounds.body_timeout_s)
        )
        message = f"the {what} of the request came too slowly (limit {setting} = {seconds:g})"
        self._refuse(Refusal(408, "timeout", message))

    # --- writing -------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _watch_stall(self) -> None:
        self._stall_bytes = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(limits.WRITE_STALL_S, self._look_at_stall)

    def _look_at_stall(self) -> None:
        self._stall_timer = None
        if self.transport.get_write_buffer_size() >= self._stall_bytes:
            self._bounds.refusals.note(f"(limit WRITE_STALL_S = {limits.WRITE_STALL_S})")
            self.transport.abort()
        else:
            self._watch_stall()


def _header_too_large() -> Refused:
    bound = f"(limit HEADER_BYTES_MAX = {limits.HEADER_BYTES_MAX:,})"
    return Refused(Refusal(431, "too_large", f"the header of the request is too large {bound}"))


def _no_http(error: Exception) -> Refused:
    reason = str(error).strip() or "cannot be parsed"
    if "url" in reason:
        reason += " (percent-encode what is not plain ASCII)"
    return Refused(Refusal(400, "bad_data", f"this is not HTTP: {reason}"))


def _answer_whole(cycle: RequestResponseCycle, status: int, lines: bytes, body: bytes) -> bool:
    """Say all of an answer in one write, as `send` would in two calls and two system calls.

    `lines` are header lines of ours, content length included. False: nothing was done, use `send`.
    """
    if cycle.response_started or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    head = _default_lines(tuple(cycle.default_headers))
    cycle.transport.write(b"".join((STATUS_LINE[status], head, lines, b"\r\n", body)))
    cycle.message_event.set()
    cycle.on_response()
    return True


@functools.lru_cache(maxsize=1)  # they change once a second, with the date
def _default_lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


def _too_many(connections_max: int) -> Refusal:
    told = f"too many connections: retry later (limit connections_max = {connections_max})"
    return Refusal(503, "unavailable", told)


async def _answer_anything(refusal: Refusal, scope: Any, receive: Any, send: Any) -> None:
    """What a connection past the bound gets, whatever it asks."""
    body = refusal.body()
    headers = [
        (b"retry-after", b"1"),
        (b"connection", b"close"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
