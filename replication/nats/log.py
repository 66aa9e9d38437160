"""A replicated stream as `tsdb.log.protocol.Log`: one engine whose log is kept by a majority.

    in   payloads with a kind, from one thread
    out  entries, as of any log

An entry, or a part of a large one, is one message: 16 bytes of header, then the payload. Seqs are
the stream's own, so nothing but this log may append to it: each append says which seq it expects to
come after, and fails if another writer was there. What is appended without `sync` is sent at once
and waited for by the next barrier, sync or read.

    offset  size  field
         0     1  version, 1
         1     1  kind
         2     2  part
         4     2  parts
         6     2  zeros
         8     8  check, xxh3_64 of the 8 bytes before and of the payload

Price: a round trip to a majority an append; the entries of one append travel together.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing
from secrets import token_hex
from typing import Any, TypeVar

from xxhash import xxh3_64, xxh3_64_intdigest

from replication.nats.connection import Nats
from replication.nats.jetstream import ShardStream
from replication.nats.publishing import Conflict
from replication.stream import Gap, Message
from tsdb.errors import CorruptionError, NewerFormat, StorageFailed, TSDBError, Unavailable
from tsdb.log.protocol import Entry, Kind, LogInfo
from tsdb.log.record import split
from tsdb.vfs import Buffer

__all__ = ["JetStreamLog"]

T = TypeVar("T")

_TIMEOUT_S = 30.0
_VERSION = 1
_HEAD = struct.Struct("<BBHHH")
_CHECK = struct.Struct("<Q")
_HEADER_BYTES = _HEAD.size + _CHECK.size
_READ_AHEAD = 64


class JetStreamLog:
    """`loop` runs in another thread and outlives this; `nats` belongs to it."""

    def __init__(self, nats: Nats, stream: ShardStream, loop: asyncio.AbstractEventLoop) -> None:
        self._nats = nats
        self._stream = stream
        self._loop = loop
        self._name = token_hex(8)
        self._lock = threading.Lock()
        self._unsynced: list[asyncio.Future[int]] = []
        self._newest: asyncio.Future[int] | None = None
        self._failed: TSDBError | None = None
        self._closed = False
        self._last_seq = self._durable_seq = self._run(stream.state()).last_seq

    def append(self, entries: Sequence[tuple[Kind, Buffer]], *, sync: bool = True) -> int:
        self._check_open()
        framed = split(entries, self._last_seq + 1)
        if framed:
            messages = [
                (seq, _encode(kind, part, parts, data)) for kind, data, seq, part, parts in framed
            ]
            with self._lock:
                self._unsynced += self._run(self._send(messages))
            self._last_seq = framed[-1][2]
        if sync:
            self._settle()
            self._durable_seq = self._last_seq
        return self._last_seq

    def read(self, from_seq: int) -> Iterator[Entry]:
        self._settle()
        return self._entries(from_seq, self._last_seq)

    def barrier(self) -> int:
        self._check_open()
        self._settle()
        self._durable_seq = self._last_seq
        return self._last_seq

    def trim(self, through_seq: int) -> None:
        self._check_open()
        self._settle()
        if through_seq >= 1:
            self._run(self._stream.trim(min(through_seq, self._last_seq)))

    def seal(self) -> None:
        self.barrier()

    def mark(self) -> None:
        self.barrier()

    def info(self) -> LogInfo:
        state = self._run(self._stream.state())
        first = min(state.first_seq, self._last_seq + 1)
        return LogInfo(first, self._last_seq, self._durable_seq, 1, state.size_bytes)

    def close(self) -> None:
        if not self._closed:
            self._settle()
            self._closed = True

    async def _send(self, messages: list[tuple[int, bytes]]) -> list[asyncio.Future[int]]:
        """Each at once, in order."""
        sent: list[asyncio.Future[int]] = []
        for seq, data in messages:
            self._newest = asyncio.ensure_future(self._append(seq, data, self._newest))
            sent.append(self._newest)
            await asyncio.sleep(0)  # it is on its way before the next is
        return sent

    async def _append(self, seq: int, data: bytes, before: asyncio.Future[int] | None) -> int:
        """One that overtook those before it, when a leader was lost, is sent again after them."""
        headers = {
            "Nats-Msg-Id": f"{self._name}:{seq}",
            "Nats-Expected-Last-Sequence": str(seq - 1),
        }
        append, subject = self._nats.publisher.append, self._stream.subject
        try:
            return (await append(subject, data, headers, timeout_s=_TIMEOUT_S)).seq
        except Conflict:
            if before is not None:
                await before
            return (await append(subject, data, headers, timeout_s=_TIMEOUT_S)).seq

    def _settle(self) -> None:
        """Everything sent is acked; what is not ends this log, for later seqs build on it."""
        with self._lock:
            waiting, self._unsynced = self._unsynced, []
            if waiting:
                try:
                    self._run(_all(waiting))
                except (TSDBError, Conflict) as error:
                    self._failed = StorageFailed(f"log {self._stream.name}: {error}")
            if self._failed is not None:
                raise self._failed

    def _entries(self, from_seq: int, last_seq: int) -> Iterator[Entry]:
        pieces: list[bytes] = []
        for message in self._messages(from_seq, last_seq):
            kind, part, parts, data = _decode(message, self._stream.name)
            if part == 0:
                pieces = []
            elif len(pieces) != part:
                yield from self._whole(message, part, from_seq)
                continue
            pieces.append(data)
            if part == parts - 1:
                yield Entry(message.seq, kind, b"".join(pieces), part, parts)
                pieces = []

    def _whole(self, message: Message, part: int, from_seq: int) -> Iterator[Entry]:
        """The one entry that began before `from_seq`, once its last part is met."""
        _, _, parts, _ = _decode(message, self._stream.name)
        if part == parts - 1 and message.seq - part < from_seq:
            yield from self._entries(message.seq - part, message.seq)

    def _messages(self, from_seq: int, last_seq: int) -> Iterator[Message]:
        """In bunches, so that a reader that stops half way leaves nothing open."""
        at = max(from_seq, 1)
        while at <= last_seq:
            try:
                found = self._run(self._some(at, min(last_seq, at + _READ_AHEAD - 1)))
            except Gap as gap:
                if at > max(from_seq, 1):
                    return  # trimmed while it was read: it ends here
                at = gap.first_seq
                continue
            yield from found
            at = found[-1].seq + 1

    async def _some(self, first_seq: int, last_seq: int) -> list[Message]:
        found: list[Message] = []
        try:
            async with aclosing(self._stream.tail(first_seq)) as messages:
                async for message in messages:
                    found.append(message)
                    if message.seq == last_seq:
                        break
        except Gap:
            if not found:
                raise
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"log {self._stream.name} is closed", code="closed")
        if self._failed is not None:
            raise self._failed

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()


async def _all(waiting: list[asyncio.Future[int]]) -> None:
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _encode(kind: int, part: int, parts: int, payload: Buffer) -> bytes:
    head = _HEAD.pack(_VERSION, kind, part, parts, 0)
    digest = xxh3_64(head)
    digest.update(payload)
    return b"".join((head, _CHECK.pack(digest.intdigest()), payload))


def _decode(message: Message, name: str) -> tuple[Kind, int, int, bytes]:
    data = message.payload
    if len(data) < _HEADER_BYTES:
        raise CorruptionError(name, 0, f"seq {message.seq} has {len(data)} bytes, no header")
    version, kind, part, parts, _ = _HEAD.unpack_from(data)
    (check,) = _CHECK.unpack_from(data, _HEAD.size)
    if xxh3_64_intdigest(data[: _HEAD.size] + data[_HEADER_BYTES:]) != check:
        raise CorruptionError(name, 0, f"seq {message.seq} does not match its checksum")
    if version > _VERSION:
        raise NewerFormat(name, version, _VERSION)
    return Kind(kind), part, parts, data[_HEADER_BYTES:]
