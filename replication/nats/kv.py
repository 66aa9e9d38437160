"""Keys that all nodes see, changed by compare-and-set: the shard map, who is there, who leads what.

    in   key, value, the revision that the change was made from
    out  the new revision, or None if somebody else was first

A revision is the seq of the bucket's stream, so it grows over all keys; 0 stands for a key that is
not there. A read comes from the bucket's leader and may still be stale when that leads no more: a
decision is a compare-and-set, never a read. A beat is a value that vanishes unless it is written
again; those who watch see it vanish.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from replication.nats.delivery import Delivered
from replication.nats.publishing import Conflict
from replication.nats.replies import Absent

if TYPE_CHECKING:
    from replication.nats.connection import Nats

__all__ = ["Change", "Keys", "Value"]

_TIMEOUT_S = 15.0
_MARKER_S = 60
_PAUSE_S, _PAUSE_S_MAX = 0.05, 1.0
_S = 1_000_000_000
_GONE = {"DEL", "PURGE"}
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_NO_MESSAGE = 10037


@dataclass(frozen=True, slots=True)
class Value:
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """`value` is None for a key that was removed or whose time is over."""

    key: str
    value: bytes | None
    revision: int


class Keys:
    """One bucket; made by `Nats.keys`. Keys are words of letters, digits, - _ = / with dots."""

    def __init__(self, nats: Nats, bucket: str) -> None:
        self.bucket = bucket
        self.stream = f"KV_{bucket}"
        self._subject = f"$KV.{bucket}."
        self._nats = nats

    def config(self, replicas: int) -> dict[str, Any]:
        """As other programs that know buckets of NATS expect it, but for direct reads."""
        return {
            "name": self.stream,
            "subjects": [self._subject + ">"],
            "storage": "file",
            "num_replicas": replicas,
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_msg_size": -1,
            "max_consumers": -1,
            "duplicate_window": 120 * _S,
            "deny_delete": True,
            "allow_rollup_hdrs": True,
            "allow_direct": False,
            "allow_msg_ttl": True,
            "subject_delete_marker_ttl": _MARKER_S * _S,
            "compression": "none",
        }

    async def get(self, key: str) -> Value | None:
        found = await self._last(key)
        return None if found is None or found.value is None else Value(found.value, found.revision)

    async def put(self, key: str, value: bytes, *, ttl_s: int | None = None) -> int:
        """Whatever was there. With `ttl_s`, a beat."""
        return await self._write(key, value, {}, ttl_s)

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl_s: int | None = None
    ) -> int | None:
        """Only if `revision` is still the key's; None if it is not."""
        try:
            return await self._write(key, value, {_EXPECTED: str(revision)}, ttl_s)
        except Conflict:
            return None

    async def create(self, key: str, value: bytes, *, ttl_s: int | None = None) -> int | None:
        """Only if the key is not there; None if it is."""
        made = await self.update(key, value, 0, ttl_s=ttl_s)
        if made is None:
            found = await self._last(key)
            if found is not None and found.value is None:  # what is there says that it is gone
                made = await self.update(key, value, found.revision, ttl_s=ttl_s)
        return made

    async def delete(self, key: str, revision: int | None = None) -> bool:
        """False if `revision` was not the key's."""
        headers = {"KV-Operation": "DEL"}
        if revision is not None:
            headers[_EXPECTED] = str(revision)
        try:
            await self._write(key, b"", headers, None)
        except Conflict:
            return False
        return True

    async def watch(self, prefix: str = "") -> AsyncGenerator[Change | None, None]:
        """What there is under `prefix`, once None, then every change, without end.

        After a break it looks at all keys again: only what changed is told, and what vanished.
        A key that changed twice meanwhile is told once. To leave it early, `aclose` it.
        """
        known: dict[str, int] = {}
        told_all = False
        pause = _PAUSE_S
        while True:
            delivery = self._nats.delivery(
                self.stream,
                {
                    "deliver_policy": "last_per_subject",
                    "filter_subject": f"{self._subject}{prefix}>",
                },
            )
            try:
                if await delivery.open():
                    pause = _PAUSE_S
                    seen: set[str] | None = set()
                    if delivery.pending == 0:
                        for change in _vanished(known, set()):
                            yield change
                        seen = None
                        if not told_all:
                            told_all = True
                            yield None
                    async for delivered in delivery.messages():
                        if delivered is None:
                            continue
                        change = self._change(delivered)
                        if change.revision > known.get(change.key, 0):
                            known[change.key] = change.revision
                            yield change
                        if seen is None:
                            continue
                        seen.add(change.key)
                        if delivered.place.pending == 0:
                            for change in _vanished(known, seen):
                                yield change
                            seen = None
                            if not told_all:
                                told_all = True
                                yield None
            finally:
                self._nats.forget(delivery)
                await delivery.close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_S_MAX)

    async def _write(
        self, key: str, value: bytes, headers: Mapping[str, str], ttl_s: int | None
    ) -> int:
        told = {"Nats-Msg-Id": token_hex(12), **headers}
        if ttl_s is not None:
            told["Nats-TTL"] = f"{ttl_s}s"
        acked = await self._nats.publisher.append(
            self._subject + key, value, told, timeout_s=_TIMEOUT_S
        )
        return acked.seq

    async def _last(self, key: str) -> Change | None:
        try:
            said = await self._nats.ask(
                f"STREAM.MSG.GET.{self.stream}", {"last_by_subj": self._subject + key}
            )
        except Absent:
            return None
        message = said["message"]
        headers = base64.b64decode(message.get("hdrs", "")).decode()
        gone = any(
            line.startswith("Nats-Marker-Reason:")
            or (line.startswith("KV-Operation:") and line.partition(":")[2].strip() in _GONE)
            for line in headers.split("\r\n")
        )
        value = None if gone else base64.b64decode(message.get("data", ""))
        return Change(key, value, int(message["seq"]))

    def _change(self, delivered: Delivered) -> Change:
        headers = delivered.headers or {}
        gone = headers.get("KV-Operation") in _GONE or "Nats-Marker-Reason" in headers
        key = delivered.subject.removeprefix(self._subject)
        return Change(key, None if gone else delivered.payload, delivered.place.seq)


def _vanished(known: dict[str, int], seen: set[str]) -> list[Change]:
    """Keys whose end nobody told: markers live for a minute."""
    gone = [Change(key, None, revision) for key, revision in known.items() if key not in seen]
    for change in gone:
        del known[change.key]
    return gone
