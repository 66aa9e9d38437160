"""Messages of a stream as its server hands them out: one reader's attempt, until something breaks.

    in   a stream, where to begin
    out  Delivered, one by one; the iterator ends when the server, the connection or its leader went

A reader is a pull consumer that lives in the memory of one server, with no acks. Pulling is the
flow control: at most 8 MiB wait here, and the next are asked for when those are taken. A beat each
second says that the server is there; two missed, and the attempt is over. The one who calls begins
anew where it was, and checks that nothing is missing: nothing here is believed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from replication.nats.replies import Absent

__all__ = ["Delivered", "Delivery", "Place"]

_BATCH = 4096
_BATCH_BYTES = (8 << 20) + (256 << 10)  # more than one message can have
_EXPIRES_S, _BEAT_S = 30.0, 1.0
_SILENCE_S = 2.5 * _BEAT_S
_FORGOTTEN_S = 30.0
_ASK_S = 1.0
_S = 1_000_000_000
_GO_ON = ("batch completed", "message size exceeds maxbytes")


@dataclass(frozen=True, slots=True)
class Place:
    """What a message says about where it stood."""

    seq: int
    nth: int  # of those that this reader was sent, from 1
    time_ns: int
    pending: int


@dataclass(frozen=True, slots=True)
class Delivered:
    place: Place
    subject: str
    payload: bytes
    headers: Mapping[str, str] | None


class Delivery:
    """One reader's attempt. `server` is whose copy it reads, once `open` is through."""

    def __init__(self, client: Client, stream: str, begin: Mapping[str, Any]) -> None:
        self.server: str | None = None
        self.begins = 0  # the seq from which it looks: later than asked where those were trimmed
        self.pending = 0  # messages that were there when it opened
        self._client = client
        self._stream = stream
        self._begin = begin
        self._name = f"r{token_hex(8)}"
        self._inbox = client.new_inbox()
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: Subscription | None = None

    async def open(self) -> bool:
        """False if there is nobody to open it; Absent if there is no such stream."""
        wanted = {
            "stream_name": self._stream,
            "config": {
                "name": self._name,
                "ack_policy": "none",
                "mem_storage": True,
                "num_replicas": 1,
                "max_waiting": 8,
                "inactive_threshold": int(_FORGOTTEN_S * _S),
                **self._begin,
            },
            "action": "create",
        }
        try:
            self._subscription = await self._client.subscribe(self._inbox, cb=self._take)
            reply = await self._client.request(
                f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}",
                json.dumps(wanted).encode(),
                timeout=_ASK_S,
            )
        except (NatsError, TimeoutError):
            return False
        said = json.loads(reply.data)
        if "error" in said:
            if said["error"].get("err_code") == _NO_STREAM:
                raise Absent(f"stream {self._stream} is not there")
            return False
        self.server = said.get("cluster", {}).get("leader")
        self.begins = int(said.get("delivered", {}).get("stream_seq", -1)) + 1
        self.pending = int(said.get("num_pending", 0))
        return True

    async def messages(self) -> AsyncIterator[Delivered | None]:
        """Until it breaks; None is a beat without a message since the one before."""
        await self._pull()
        taken = 0
        while True:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    message = await self._arrived.get()
            except TimeoutError:
                return
            if message is None:
                return
            if message.reply.startswith("$JS.ACK."):
                yield Delivered(
                    place(message.reply), message.subject, message.data, message.headers
                )
                taken += 1
                if taken == _BATCH:
                    taken = 0
                    await self._pull()
                continue
            again = goes_on(message.headers)
            if again is None:
                return
            if again:
                taken = 0
                await self._pull()
            else:
                yield None

    async def close(self) -> None:
        """The server forgets it by itself, too, after a while."""
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            if self._client.is_connected:
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")
        except NatsError:
            pass

    def end(self) -> None:
        """The attempt is over: what had arrived is still handed out."""
        self._arrived.put_nowait(None)

    async def _take(self, message: Msg) -> None:
        self._arrived.put_nowait(message)

    async def _pull(self) -> None:
        wanted = {
            "batch": _BATCH,
            "max_bytes": _BATCH_BYTES,
            "expires": int(_EXPIRES_S * _S),
            "idle_heartbeat": int(_BEAT_S * _S),
        }
        try:
            await self._client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
                json.dumps(wanted).encode(),
                reply=self._inbox,
            )
        except NatsError:
            self.end()


_NO_STREAM = 10059


def place(reply: str) -> Place:
    """From the subject on which an ack would go: its two forms differ in what stands in front."""
    words = reply.split(".")
    at = 4 if len(words) < 11 else 6  # $JS.ACK.[domain.account.]stream.consumer.tries. ...
    return Place(int(words[at + 1]), int(words[at + 2]), int(words[at + 3]), int(words[at + 4]))


def goes_on(headers: Mapping[str, str] | None) -> bool | None:
    """Of a status: True asks for a new pull, False for patience; None: the reader is gone."""
    status = (headers or {}).get("Status", "")
    said = (headers or {}).get("Description", "").lower()
    if status == "100":
        return False
    if status in {"408", "404"} or (status == "409" and said.startswith(_GO_ON)):
        return True
    return None
