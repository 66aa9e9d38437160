"""From the event loop to the commit pipeline and back, one wake-up for a whole group.

    in   a request's body, how to parse it, what an answer shall mean
    out  Written, as the result of a coroutine

The loop only moves bytes: decompression and parsing are a closure that the pipeline's first thread
calls. Outcomes come back on the commit thread, dozens at a time; they are put into a letter box,
and only the first one into an empty box wakes the loop (an eventfd write costs more than all the
rest of the way).

Bodies that are still arriving count too: without that, a few hundred clients with 16 MiB each
would hold more memory than the queue ever may.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from api.exchange import ClientGone, Exchange
from api.refusals import Refusals
from tsdb.errors import InvalidInput, LimitExceeded, TSDBError, Unavailable

if TYPE_CHECKING:
    from tsdb.batch import Parsed
    from tsdb.commit.request import Ack, Done, Written
    from tsdb.database.database import Database

__all__ = ["Ingest", "LetterBox"]

SMALL_BYTES = 64 << 10  # bodies up to here are never refused while they arrive
EXPANSION = 8  # what an encoded body is taken to decode to where it does not say


class LetterBox:
    """Outcomes on their way to the loop. `post` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._letters: deque[tuple[asyncio.Future[Written | TSDBError], Written | TSDBError]] = (
            deque()
        )
        self._called = False
        self.wake_ups = 0

    def post(self, to: asyncio.Future[Written | TSDBError], outcome: Written | TSDBError) -> None:
        self._letters.append((to, outcome))
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        # Before looking: a letter that comes after the last look calls again.
        self._called = False
        self.wake_ups += 1
        while self._letters:
            to, outcome = self._letters.popleft()
            if not to.done():
                to.set_result(outcome)


class Ingest:
    """All writes of a server. Lives on the event loop's thread."""

    def __init__(
        self,
        *,
        queue_bytes_max: int,
        body_bytes_max: int,
        body_encoded_bytes_max: int,
        refusals: Refusals | None = None,
    ) -> None:
        self.refusals = Refusals() if refusals is None else refusals
        self._queue_bytes_max = queue_bytes_max
        self._body_bytes_max = body_bytes_max
        self._body_encoded_bytes_max = body_encoded_bytes_max
        self._queued_bytes = 0
        self._waiting = 0
        self._arriving_bytes = 0
        self._box: LetterBox | None = None
        self._handed: list[tuple[Done, Ack, int, Callable[[], Parsed]]] = []

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @property
    def writes_waiting(self) -> int:
        """Writes handed in and not answered yet."""
        return self._waiting

    @property
    def wake_ups(self) -> int:
        """How often outcomes woke the loop; many requests share one."""
        return 0 if self._box is None else self._box.wake_ups

    @property
    def body_bytes_max(self) -> int:
        return self._body_bytes_max

    async def body(self, exchange: Exchange) -> bytes:
        """The whole body as it was sent. Raises LimitExceeded, Unavailable, ClientGone."""
        self._check_encoded(_declared_bytes(exchange.headers))
        message = await exchange.receive()
        if message["type"] == "http.request" and not message["more_body"]:
            self._check_encoded(len(message["body"]))
            body: bytes = message["body"]
            return body
        pieces: list[bytes] = []
        size = counted = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone
                pieces.append(message["body"])
                size += len(message["body"])
                self._check_encoded(size)
                if not message["more_body"]:
                    return b"".join(pieces)
                if size > SMALL_BYTES:
                    self._check_room(self._arriving_bytes + size - counted)
                    self._arriving_bytes += size - counted
                    counted = size
                message = await exchange.receive()
        finally:
            self._arriving_bytes -= counted

    async def write(
        self,
        database: Database,
        parse: Callable[[], Parsed],
        size_bytes: int,
        ack: Ack,
        exchange: Exchange | None = None,
    ) -> Written:
        """Hand in one request and wait for its outcome; raises what it failed with.

        The answer of `exchange` tells where in the logs of a cluster the write is.
        """
        if self._queued_bytes:
            self._check_room(self._queued_bytes + size_bytes)
        if self._box is None:
            self._box = LetterBox(asyncio.get_running_loop())
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Written | TSDBError] = loop.create_future()
        done = functools.partial(self._box.post, outcome)
        if not self._handed:
            loop.call_soon(self._hand_over, database)
        self._handed.append((done, ack, size_bytes, parse))
        self._queued_bytes += size_bytes
        self._waiting += 1
        try:
            found = await outcome
        finally:
            self._queued_bytes -= size_bytes
            self._waiting -= 1
        if isinstance(found, TSDBError):
            self.refusals.note_error(found)
            raise found
        if exchange is not None:
            exchange.position = found.position
        if found.refused_count:
            limit = found.limit
            self.refusals.points["none" if limit is None else limit.limit] += found.refused_count
        return found

    async def write_body(
        self,
        database: Database,
        exchange: Exchange,
        body: bytes,
        read: Callable[[bytes], Parsed],
        ack: Ack,
    ) -> Written:
        """Write what `read` makes of a request's body, decoded; it runs on a parsing thread."""
        encoding = exchange.headers.get(b"content-encoding", b"").decode("latin-1")

        def parse() -> Parsed:
            from tsdb.parse import compression

            return read(compression.decode(body, encoding, bytes_max=self._body_bytes_max))

        size = self.decoded_bytes(body, encoding)
        return await self.write(database, parse, size, ack, exchange)

    def _hand_over(self, database: Database) -> None:
        """All that came in one turn of the loop at once: one lock, one thread woken."""
        from tsdb.commit.request import Request

        handed, self._handed = self._handed, []
        try:
            database.submit_many([Request(*fields) for fields in handed])
        except TSDBError as error:  # closed since
            for done, *_ in handed:
                done(error)

    def decoded_bytes(self, body: bytes, encoding: str) -> int:
        """What the body will take once decoded, as far as that can be told cheaply."""
        if not encoding or encoding == "identity":
            return len(body)
        expected = len(body) * EXPANSION
        if encoding in ("gzip", "x-gzip") and len(body) >= 4:
            expected = int.from_bytes(body[-4:], "little")  # of the last member; may lie
        return max(len(body), min(expected, self._body_bytes_max))

    def _check_encoded(self, size: int) -> None:
        if size > self._body_encoded_bytes_max:
            raise LimitExceeded(
                "the body is too large",
                limit="BODY_ENCODED_BYTES_MAX",
                value=self._body_encoded_bytes_max,
            )

    def _check_room(self, size: int) -> None:
        if size > self._queue_bytes_max:
            raise Unavailable(
                f"{size:,} bytes of writes are under way "
                f"(limit queue_bytes_max = {self._queue_bytes_max:,}): retry",
                code="busy",
            )


def _declared_bytes(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length")
    if text is None:
        return 0
    if not text.isdigit() or len(text) > 18:
        raise InvalidInput("Content-Length is not a number of bytes")
    return int(text)
