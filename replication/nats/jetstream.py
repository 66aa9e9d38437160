"""The log of one incarnation of a shard: a stream of JetStream with a Raft group of its own.

    in   payloads with ids; a seq to read on from
    out  their seqs, once a majority has fsynced them; every message once, in order

The stream keeps what it is given until it is trimmed, refuses what does not fit (it never drops the
old), forgets no message alone, and knows message ids for two minutes.

Reading believes nothing: seqs must follow each other. Where they do not, other copies are asked
before a hole is called one, since a copy that lost a block serves what is left without a word. A
new attempt reads the last message again and compares it: a log that lost its tail would give its
seqs away twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_intdigest

from replication.nats.config import PAYLOAD_BYTES_MAX
from replication.nats.delivery import Delivery
from replication.nats.replies import Absent
from replication.stream import Gap, LogState, Message, PeerState, Rewound
from tsdb.errors import CorruptionError, Unavailable

if TYPE_CHECKING:
    from replication.nats.connection import Nats

__all__ = ["DEDUPE_S", "LOG_BYTES_MAX", "ShardStream", "stream_config"]

log = logging.getLogger(__name__)

DEDUPE_S = 120
"""Longer than any request tries; the server keeps 60 B an id."""
LOG_BYTES_MAX = 4 << 30
"""Of one shard. A log is trimmed long before; this is where writers are refused instead."""
_HOLE_TRIES = 12  # each asks one of three copies, which the server chooses
_SHORT_S = 30.0  # a leader that was cut off answers for 16 s
_PAUSE_S, _PAUSE_S_MAX = 0.05, 1.0
ASK_S, _FETCH_S = 15.0, 1.0
_DOUBTED = 30
"""Beats of a new reader after which its leader is asked, too: its own copy may still lag."""
_FINAL = {"closed", "absent"}  # of what is refused, nothing a reader can wait for
_S = 1_000_000_000


def stream_config(
    name: str, subject: str, *, replicas: int, bytes_max: int = LOG_BYTES_MAX
) -> dict[str, Any]:
    """What JetStream is asked for; written out, since a default may change."""
    return {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "num_replicas": replicas,
        "retention": "limits",
        "discard": "new",
        "max_bytes": bytes_max,
        "max_msgs": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": PAYLOAD_BYTES_MAX + (4 << 10),
        "max_consumers": -1,
        "duplicate_window": DEDUPE_S * _S,
        "deny_delete": True,
        "deny_purge": False,
        "allow_rollup_hdrs": False,
        "allow_direct": False,
        "compression": "none",
    }


@dataclass(slots=True)
class _Position:
    """Where a reader is; `digest` is of the message before `wanted`, if it was read."""

    wanted: int
    digest: int | None = None
    short_since: float | None = None  # when the log was first seen to end before it

    @property
    def begin(self) -> int:
        return self.wanted if self.digest is None else self.wanted - 1


class ShardStream:
    """`replication.stream.ShardLog`; made by `Nats.log`."""

    def __init__(self, nats: Nats, shard: int, incarnation: int) -> None:
        cluster = nats.settings.cluster
        self.shard = shard
        self.name = f"{cluster}_log_{shard}_{incarnation}"
        self.subject = f"{cluster}.log.{shard}.{incarnation}"
        self._nats = nats

    async def append(self, payload: bytes, message_id: str, *, timeout_s: float) -> int:
        headers = {"Nats-Msg-Id": message_id}
        acked = await self._nats.publisher.append(
            self.subject, payload, headers, timeout_s=timeout_s
        )
        return acked.seq

    async def tail(self, from_seq: int) -> AsyncGenerator[Message, None]:
        assert from_seq >= 1
        at = _Position(from_seq)
        pause, holes = _PAUSE_S, 0
        while True:
            before = at.wanted
            delivery, beats = await self._open(at), 0
            if delivery is not None:
                try:
                    found = delivery.begins
                    if found <= at.wanted and await self._reaches(at):
                        async for delivered in delivery.messages():
                            if delivered is None:
                                beats += 1
                                if beats <= _DOUBTED:
                                    async for message in self._singly(at):
                                        yield message
                                continue
                            found = delivered.place.seq
                            if found > at.wanted:
                                break
                            message = Message(found, delivered.payload, delivered.place.time_ns)
                            if self._takes(at, message):
                                yield message
                    if found > at.wanted:
                        holes += 1
                        await self._explain(at.wanted, found, delivery.server, holes)
                finally:
                    self._nats.forget(delivery)
                    await delivery.close()
            async for message in self._singly(at):
                yield message
            if at.wanted > before:
                pause, holes = _PAUSE_S, 0
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_S_MAX)

    async def trim(self, through_seq: int) -> None:
        await self._nats.ask(f"STREAM.PURGE.{self.name}", {"seq": through_seq + 1})

    async def seal(self) -> None:
        config = (await self._info())["config"]
        if not config.get("sealed"):
            await self._nats.ask(f"STREAM.UPDATE.{self.name}", {**config, "sealed": True})

    async def state(self) -> LogState:
        said = await self._info()
        state, cluster = said["state"], said.get("cluster") or {}
        leader = cluster.get("leader") or None
        peers = [PeerState(leader, True, 0)] if leader else []
        for one in cluster.get("replicas") or ():
            current = bool(one.get("current")) and not one.get("offline")
            peers.append(PeerState(one["name"], current, int(one.get("lag", 0))))
        return LogState(
            first_seq=max(state["first_seq"], 1),
            last_seq=state["last_seq"],
            messages=state["messages"],
            size_bytes=state["bytes"],
            leader=leader,
            peers=tuple(sorted(peers, key=lambda peer: peer.node)),
            sealed=bool(said["config"].get("sealed")),
        )

    async def lead_from(self, node: str) -> None:
        """Hand the leader's part to the copy on `node`; writers wait some 0.3 s."""
        await self._nats.ask(
            f"STREAM.LEADER.STEPDOWN.{self.name}", {"placement": {"preferred": node}}
        )

    async def _info(self, timeout_s: float = ASK_S) -> dict[str, Any]:
        return await self._nats.ask(f"STREAM.INFO.{self.name}", {}, timeout_s=timeout_s)

    async def _open(self, at: _Position) -> Delivery | None:
        begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": at.begin}
        delivery = self._nats.delivery(self.name, begin)
        is_open = False
        try:
            is_open = await delivery.open()
        finally:
            if not is_open:
                self._nats.forget(delivery)
                await delivery.close()
        return delivery if is_open else None

    async def _singly(self, at: _Position) -> AsyncIterator[Message]:
        """What there is, asked for one by one: while the servers elect, no reader can be made.

        The leader of the stream answers, in 1 ms, as long as there is one.
        """
        if at.digest is not None:
            last = await self._fetch(at.wanted - 1)
            if last is None:  # trimmed, or gone: only who sees it may go on behind it
                return
            if xxh3_64_intdigest(last.payload) != at.digest:
                raise Rewound(self.name, last.seq)
        while (message := await self._fetch(at.wanted)) is not None:
            if self._takes(at, message):
                yield message

    async def _fetch(self, seq: int) -> Message | None:
        """None if it is not there, or nobody answers."""
        try:
            said = await self._nats.ask(
                f"STREAM.MSG.GET.{self.name}", {"seq": seq}, timeout_s=_FETCH_S
            )
        except Absent:
            return None
        except Unavailable as error:
            if error.code in _FINAL:
                raise
            return None
        found = said["message"]
        if found["seq"] != seq:
            return None
        return Message(seq, b64decode(found.get("data", "")), time_ns(found["time"]))

    def _takes(self, at: _Position, message: Message) -> bool:
        """False for what was read before; it is compared with what is known of that."""
        seq, digest = message.seq, xxh3_64_intdigest(message.payload)
        if seq == at.wanted:
            at.wanted, at.digest = seq + 1, digest
            return True
        if seq == at.wanted - 1 and at.digest not in {None, digest}:
            raise Rewound(self.name, seq)
        return False

    async def _reaches(self, at: _Position) -> bool:
        """False while the log seems to end before what was read of it.

        The server would wait for a seq that far ahead and say nothing. One that leads no more may
        say for a while what was true before.
        """
        if at.wanted == 1:
            return True
        try:
            last_seq = (await self._info(timeout_s=_FETCH_S))["state"]["last_seq"]
        except Unavailable as error:
            if error.code in _FINAL:
                raise
            return False
        if last_seq >= at.wanted - 1:
            at.short_since = None
            return True
        now = time.monotonic()
        at.short_since = at.short_since or now
        if now - at.short_since > _SHORT_S:
            raise Rewound(self.name, last_seq + 1)
        log.error("log %s ends at %d, but %d was read", self.name, last_seq, at.wanted - 1)
        return False

    async def _explain(self, wanted: int, found: int, server: str | None, tries: int) -> None:
        """A seq is missing: trimmed, or a hole of this copy, which others may not have."""
        try:
            first = (await self.state()).first_seq
        except Unavailable as error:
            if error.code in _FINAL:
                raise
            return
        if first > wanted:
            raise Gap(self.name, wanted, first)
        log.error(
            "the copy of log %s on %s goes from seq %d to %d: it has a hole",
            self.name,
            server,
            wanted - 1,
            found,
        )
        if tries >= _HOLE_TRIES:
            raise CorruptionError(
                f"log {self.name} on {server}",
                0,
                f"seqs {wanted} to {found - 1} are missing; its copy needs repair",
            )


def time_ns(text: str) -> int:
    """Of 2026-11-23T21:46:37.54695623Z, to the nanosecond, as readers are told it."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * _S + int(fraction.ljust(9, "0") or "0")
