"""One TCP connection of lines.

    in   bytes as they come
    out  blocks to the intake, one at a time; answers, where the protocol has any

What is read and waits is bounded: past LISTENER_PENDING_BYTES_MAX (or LISTENER_BYTES_MAX of all
connections of the port) reading stops until the write under way is done. A peer that is gone
without a word is found by TCP keep-alive, one that says nothing for LISTENER_IDLE_S is cut off.
A line whose newline never comes is not written: it may lack half of its time.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import Task, TimerHandle
from typing import cast

from api.listeners.intake import Intake, Said
from api.logs import LOG
from tsdb import limits

__all__ = ["Streams", "keep_alive"]

KEEP_ALIVE_IDLE_S, KEEP_ALIVE_EVERY_S, KEEP_ALIVE_PROBES = 60, 15, 4
ANSWER_BYTES_MAX = 64 << 10  # waiting for a sender that does not read; then nothing is said


class Streams:
    """The connections of one port."""

    def __init__(self, intake: Intake, connections_max: int) -> None:
        self.intake = intake
        self.connections_max = connections_max
        self.open: set[_Stream] = set()

    def __call__(self) -> asyncio.Protocol:
        return _Stream(self)

    async def drain(self) -> None:
        """Read no more, write what was read, hang up."""
        ending = [stream.end() for stream in list(self.open)]
        if ending:
            await asyncio.wait(ending)


class _Stream(asyncio.Protocol):
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._intake = streams.intake
        self._loop = asyncio.get_running_loop()
        self._framing = streams.intake.dialect.framing()
        self.transport: asyncio.Transport | None = None
        self._client = ""
        self._writing: Task[Said] | None = None
        self._ended = self._paused = False
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._timer: TimerHandle | None = None
        self._heard_at = 0.0

    # --- what asyncio calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by type
        transport = self.transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        counts = self._intake.counts
        if len(self._streams.open) >= self._streams.connections_max:
            counts.connections_refused_total += 1
            transport.abort()
            return
        self._streams.open.add(self)
        counts.connections = len(self._streams.open)
        keep_alive(transport.get_extra_info("socket"))
        self._heard_at = self._loop.time()
        self._look_at_clock()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._heard_at = self._loop.time()
        self._intake.counts.received_bytes_total += len(data)
        before = self._framing.whole_bytes
        self._framing.feed(data)
        self._intake.pending_bytes += self._framing.whole_bytes - before
        if self._framing.too_long:
            self._intake.refuse(
                self._framing.too_long, "a line or message is too long", self._client
            )
            self._framing.too_long = 0
            self._ended = self._framing.lost
        self._go_on()

    def eof_received(self) -> bool:
        """Half closed: what waits is written and answered first."""
        self._ended = True
        self._go_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._go_on()

    # --- ours --------------------------------------------------------------------------------

    def end(self) -> asyncio.Future[None]:
        """Take no more; the future is done when all that was read is written."""
        self._ended = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._go_on()
        return self._done

    def _go_on(self) -> None:
        """Begin the next write if none is under way, read on or not, or leave."""
        if self._writing is None and self._framing.whole_bytes:
            self._intake.pending_bytes -= self._framing.whole_bytes
            block = self._framing.take()
            self._writing = self._loop.create_task(self._intake.write(block, self._client))
            self._writing.add_done_callback(self._written)
        if self._writing is None and self._ended:
            self._leave()
        elif not self._ended:
            self._read_or_wait()

    def _read_or_wait(self) -> None:
        assert self.transport is not None
        waiting = self._framing.whole_bytes
        crowded = self._intake.pending_bytes > limits.LISTENER_BYTES_MAX
        full = waiting > limits.LISTENER_PENDING_BYTES_MAX or (waiting > 0 and crowded)
        if full != self._paused:
            self._paused = full
            if full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _written(self, task: Task[Said]) -> None:
        self._writing = None
        if task.cancelled():
            self._ended = True
        elif task.exception() is not None:
            LOG.error(
                "internal_error", listener=self._intake.dialect.name, exc_info=task.exception()
            )
            self._ended = True
        else:
            self._say(task.result())
        self._heard_at = self._loop.time()
        self._go_on()

    def _say(self, said: Said) -> None:
        dialect = self._intake.dialect
        words = dialect.reply(said.refused, said.commands)
        if self.transport is None or self.transport.is_closing():
            return
        if words and self.transport.get_write_buffer_size() > ANSWER_BYTES_MAX:
            self._intake.counts.answers_unread_total += 1
        elif words:
            self.transport.write(words)
        if dialect.leaves(said.commands):
            self._ended = True

    def _leave(self) -> None:
        if self._framing.unfinished:
            self._framing = self._intake.dialect.framing()
            self._intake.refuse(1, "the last line has no end", self._client)
        if self.transport is not None:
            self.transport.close()
        self._streams.open.discard(self)
        self._intake.counts.connections = len(self._streams.open)
        if not self._done.done():
            self._done.set_result(None)

    def _look_at_clock(self) -> None:
        """One lazy timer: what is read only notes the time."""
        left = self._heard_at + limits.LISTENER_IDLE_S - self._loop.time()
        if left <= 0 and self._writing is None:
            self._ended = True
            self._go_on()
            return
        self._timer = self._loop.call_later(max(left, 1.0), self._look_at_clock)


def keep_alive(sock: socket.socket) -> None:
    """Have the system find out about peers that are gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEP_ALIVE_EVERY_S),
        ("TCP_KEEPCNT", KEEP_ALIVE_PROBES),
    ):
        option = getattr(socket, name, None)  # macOS has two of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
