"""Appending to a stream until it is acked: one reply inbox for all, the same message id each time.

    in   subject, payload, headers, a deadline
    out  the seq, or an Unavailable that says what may be known

All attempts of one append share their reply subject, so a late answer to the first is as good as
one to the third.
Price: 90 µs of CPU an append of 100 B with eight at work, 160 µs of 100 KB, 620 µs of 500 KB; one
alone also pays for the loop's waking, 250 µs in all. `js.publish`, which makes a name and a parsed
object for each, costs 25 to 40 µs more (benchmarks/bench_nats.py).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, MaxPayloadError, OutboundBufferLimitError

from replication.nats.config import PAYLOAD_BYTES_MAX
from replication.nats.replies import Acked, Refusal, Refused, judge
from tsdb.errors import LimitExceeded, Unavailable

__all__ = ["Conflict", "Publisher"]

_PATIENCE_S, _PATIENCE_S_MAX = 0.5, 1.0
_PAUSE_S, _PAUSE_S_MAX = 0.05, 0.5
_UNSENT_BYTES_MAX = 32 << 20
"""A server that stands still takes nothing; tries at what it did not take must not pile up."""
_UNKNOWN = "outcome unknown: it may be in the log, or turn up in it"


class Conflict(Exception):
    """A compare-and-set found another revision; never leaves replication.nats."""


class Publisher:
    """Of one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox() + "."
        self._tokens = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Acked | Refused | None]] = {}

    async def open(self) -> None:
        await self._client.subscribe(self._inbox + "*", cb=self._take)

    async def _take(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(judge(message.data, message.headers))

    async def append(
        self, subject: str, payload: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Acked:
        """Raises Unavailable, LimitExceeded, Conflict."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise LimitExceeded(
                f"a payload of {len(payload):,} bytes is too large for {subject}",
                limit="PAYLOAD_BYTES_MAX",
                value=PAYLOAD_BYTES_MAX,
            )
        reply = f"{self._inbox}{next(self._tokens)}"
        try:
            return await self._until_acked(subject, payload, dict(headers), reply, timeout_s)
        finally:
            self._waiting.pop(reply, None)

    async def _until_acked(
        self, subject: str, payload: bytes, headers: dict[str, str], reply: str, timeout_s: float
    ) -> Acked:
        until = time.monotonic() + timeout_s
        patience, pause = _PATIENCE_S, _PAUSE_S
        unanswered = False
        last = Refused(Refusal.NO_LEADER, "the log's server takes nothing", absent=True)
        while (left := until - time.monotonic()) > 0:
            said: Acked | Refused | None = last
            if await self._send(subject, payload, headers, reply):
                said = await self._answer(reply, min(patience, left))
            if said is None:
                unanswered = True
                patience = min(patience * 2, _PATIENCE_S_MAX)
                continue
            if isinstance(said, Refused):
                last = said
                unanswered = unanswered or not said.absent
                if said.why.is_final:
                    raise _refused(subject, said, unanswered=unanswered)
                said = await self._answer(reply, min(pause, left))  # perhaps to an earlier attempt
                pause = min(pause * 2, _PAUSE_S_MAX)
            if isinstance(said, Acked):
                return said
        raise _refused(subject, last, unanswered=unanswered)

    async def _answer(self, reply: str, wait_s: float) -> Acked | Refused | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Acked | Refused | None] = loop.create_future()
        self._waiting[reply] = answer
        timer = loop.call_later(wait_s, _give_up, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    async def _send(
        self, subject: str, payload: bytes, headers: dict[str, str], reply: str
    ) -> bool:
        """False if it surely did not leave this process."""
        if self._client.pending_data_size > _UNSENT_BYTES_MAX:
            return False
        try:
            await self._client.publish(subject, payload, reply=reply, headers=headers)
        except OutboundBufferLimitError:
            return False
        except ConnectionClosedError:
            raise Unavailable("the connection to the log is closed", code="closed") from None
        except MaxPayloadError as error:
            raise LimitExceeded(
                f"the log's server takes no payload of {len(payload):,} bytes",
                limit="max_payload",
                value=self._client.max_payload,
            ) from error
        return True


def _give_up(answer: asyncio.Future[Acked | Refused | None]) -> None:
    if not answer.done():
        answer.set_result(None)


def _refused(subject: str, said: Refused, *, unanswered: bool) -> Exception:
    """What the caller gets; an attempt without answer makes all but the final ones unknown."""
    if said.why is Refusal.CONFLICT:
        return Conflict(subject)
    if said.why is Refusal.TOO_LARGE:
        return LimitExceeded(
            f"{subject}: {said.text}", limit="max_msg_size", value=PAYLOAD_BYTES_MAX
        )
    if said.why is Refusal.SEALED:
        return Unavailable(f"{subject} is sealed: append to the next incarnation", code="sealed")
    if unanswered or said.why is Refusal.UNKNOWN:
        return Unavailable(
            f"{subject}: no ack in time, last heard: {said.text}; {_UNKNOWN}", code="unknown"
        )
    return Unavailable(f"{subject}: {said.text}; it is not in the log", code=said.why.value)
