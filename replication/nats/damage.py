"""Copies of a log that have holes: found by counting, mended by being copied anew.

    in   what every server says of its own copies
    out  which of ours are damaged; a copy that is whole again

JetStream serves a copy that lost a block as if nothing were missing, calls it healthy, and may let
it lead. But a log never forgets a single message, so a copy whose messages do not number `last -
first + 1` has a hole, and one that begins after what was trimmed lost its beginning.

Mending takes the files of the copy and of its Raft group away while the server rests; the others
then send it everything. That is safe only while all others are whole and one of them leads, which a
barrier proves, and on one node at a time, which a key that expires sees to. Damaged files are moved
to `quarantine/`, not deleted.

Price: a survey asks all servers once and waits for the slowest; 0.1 s and 1 KB a copy.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from replication.nats.child import Child
from replication.nats.config import ACCOUNT, SYSTEM
from replication.nats.connection import Nats
from replication.nats.jetstream import ShardStream
from replication.nats.kv import Keys
from tsdb.errors import InvalidInput, TSDBError, Unavailable
from tsdb.vfs import OsFiles

__all__ = ["Copy", "Survey", "damaged", "repair", "survey", "tend", "why_damaged", "why_not_now"]

log = logging.getLogger(__name__)

_SURVEY_S = 2.0
_WHOLE_S, _LOOK_AGAIN_S = 120.0, 0.25
_CONFIRM_S = 3.0
_ROOM_BYTES = 512 << 20
"""Free again before a server is started that had none: it needs some of it to start."""
_LOCK_KEY, _LOCK_S = "repair", 300


@dataclass(frozen=True, slots=True)
class Copy:
    """One server's own copy of a stream, in its own words."""

    node: str
    stream: str
    raft_group: str
    leader: str | None
    first_seq: int
    last_seq: int
    messages: int

    @property
    def is_whole(self) -> bool:
        return self.messages == self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class Survey:
    """`careless` servers do not fsync before they ack: nothing they hold is safe.

    `disabled` ones met a full disk and keep no log until they are started again.
    """

    answered: frozenset[str]
    careless: frozenset[str]
    disabled: frozenset[str]
    copies: tuple[Copy, ...]

    def of(self, stream: str) -> list[Copy]:
        return [copy for copy in self.copies if copy.stream == stream]


def why_damaged(copy: Copy, others: Iterable[Copy] = ()) -> str | None:
    """None if nothing is wrong with it. What was trimmed, at least one of the others lacks, too."""
    if not copy.is_whole:
        missing = copy.last_seq - copy.first_seq + 1 - copy.messages
        return f"{missing:,} messages between {copy.first_seq:,} and {copy.last_seq:,} are missing"
    begins = max((other.first_seq for other in others if other.is_whole), default=copy.first_seq)
    if copy.first_seq > begins:
        return f"it begins at {copy.first_seq:,}, the others at {begins:,}"
    return None


def why_not_now(copies: Iterable[Copy], node: str, replicas: int) -> str | None:
    """Why the copy of `node` may not be taken away; None if it may."""
    others = [copy for copy in copies if copy.node != node]
    if len(others) < replicas - 1:
        return f"only {len(others)} of {replicas - 1} other copies answer"
    holes = [copy.node for copy in others if not copy.is_whole]
    if holes:
        return f"the copies on {', '.join(sorted(holes))} have holes, too"
    leaders = {copy.leader for copy in others}
    if len(leaders) != 1 or leaders & {node, None}:
        return f"the others do not agree on one of them that leads: {sorted(map(str, leaders))}"
    return None


async def survey(nats: Nats) -> Survey:
    """What all servers say of the logs they keep; those that do not answer in 2 s are left out."""
    system = await nats.system()
    wanted = {peer.node for peer in nats.settings.peers}
    said: dict[str, dict[str, Any]] = {}
    all_said = asyncio.Event()

    async def take(message: Msg) -> None:
        reply = json.loads(message.data)
        if "data" in reply:
            said[reply["server"]["name"]] = reply["data"]
        if said.keys() >= wanted:
            all_said.set()

    inbox = system.new_inbox()
    subscription = await system.subscribe(inbox, cb=take)
    try:
        question = {"accounts": True, "streams": True, "raft": True}
        await system.publish("$SYS.REQ.SERVER.PING.JSZ", json.dumps(question).encode(), reply=inbox)
        async with asyncio.timeout(_SURVEY_S):
            await all_said.wait()
    except TimeoutError:
        pass
    finally:
        await subscription.unsubscribe()
    careless = {
        node
        for node, data in said.items()
        if "config" in data and not data["config"].get("sync_always")
    }
    disabled = {node for node, data in said.items() if data.get("disabled")}
    copies = [copy for node, data in said.items() for copy in _copies(nats, node, data)]
    return Survey(frozenset(said), frozenset(careless), frozenset(disabled), tuple(copies))


def damaged(seen: Survey, node: str) -> dict[str, str]:
    """Which copies of this node are, and why."""
    found = {}
    for copy in seen.copies:
        if copy.node == node:
            others = [other for other in seen.of(copy.stream) if other.node != node]
            why = why_damaged(copy, others)
            if why is not None:
                found[copy.stream] = why
    return found


async def tend(
    nats: Nats, barrier: Callable[[ShardStream], Awaitable[int]], *, every_s: float = 60.0
) -> None:
    """Look at this node's server and its copies for ever, and mend them.

    A copy that stays damaged from one look to the next is made anew; a server that stopped keeping
    logs when its disk was full is started again when there is room. `barrier` appends to the log it
    is given and gives the seq of the ack. Nothing to do where the operator runs the servers.
    """
    while nats.child is not None:
        await asyncio.sleep(every_s)
        try:
            seen = await survey(nats)
            await _reopen(nats.child, seen)
            first = damaged(seen, nats.settings.node)
            if first:
                await asyncio.sleep(_CONFIRM_S)  # a trim on its way looks like damage for a moment
                await _mend(nats, barrier, first.keys())
        except (TSDBError, NatsError, OSError) as error:
            log.warning("copies of logs are not mended now: %s", error)


async def _reopen(child: Child, seen: Survey) -> None:
    node = child.place.node
    for name in sorted(seen.careless):
        log.error("nats-server of %s acks what it has not fsynced: sync_interval: always", name)
    if node not in seen.disabled:
        return
    free = OsFiles().free_bytes(child.place.directory)[0]
    if free < _ROOM_BYTES:
        log.error("nats-server of %s keeps no logs: %d bytes of disk are free", node, free)
        return
    log.warning("nats-server of %s kept no logs, there is room now: started again", node)
    async with child.rest():
        pass


async def _mend(
    nats: Nats, barrier: Callable[[ShardStream], Awaitable[int]], first: Set[str]
) -> None:
    """Those that were damaged before and still are."""
    node = nats.settings.node
    lock = await nats.keys("locks")
    for name, why in damaged(await survey(nats), node).items():
        if name in first:
            log.error("the copy of %s on %s: %s", name, node, why)
            await repair(nats, name, lock, partial(barrier, nats.stream(name)))


async def repair(
    nats: Nats, stream: str, lock: Keys, barrier: Callable[[], Awaitable[int]]
) -> None:
    """Have this node's copy of `stream` made anew from the others.

    `barrier` appends to that log and gives the seq of the ack. Raises Unavailable with the reason
    when it may not be done now; nothing was touched then.
    """
    node, child = nats.settings.node, nats.child
    if child is None:
        raise InvalidInput("the files of an operator's own nats-server are the operator's")
    if await lock.create(_LOCK_KEY, node.encode(), ttl_s=_LOCK_S) is None:
        raise Unavailable("another copy is being repaired, one at a time", code="busy")
    try:
        ours = await _may_go(nats, stream)
        through_seq = await barrier()
        log.warning("the copy of %s on %s is made anew from the others", stream, node)
        async with child.rest():
            _set_aside(child.place.directory, child.store, ours)
        await _until_whole(nats, stream, through_seq)
    finally:
        await lock.delete(_LOCK_KEY)


async def _may_go(nats: Nats, stream: str) -> Copy:
    """This node's copy; hands over first if it leads."""
    node, replicas = nats.settings.node, nats.settings.replicas
    until = time.monotonic() + _SURVEY_S * 5
    while True:
        copies = (await survey(nats)).of(stream)
        ours = next((copy for copy in copies if copy.node == node), None)
        why = "this node has no copy of it" if ours is None else None
        why = why or why_not_now(copies, node, replicas)
        if ours is not None and why is None:
            return ours
        leads = {copy.leader for copy in copies} == {node}
        if not leads or time.monotonic() > until:
            raise Unavailable(f"{stream} cannot be repaired on {node}: {why}", code="busy")
        heir = next(copy.node for copy in copies if copy.node != node and copy.is_whole)
        await nats.stream(stream).lead_from(heir)
        await asyncio.sleep(_LOOK_AGAIN_S)


def _set_aside(directory: Path, store: Path, ours: Copy) -> None:
    quarantine = directory / "quarantine"
    quarantine.mkdir(exist_ok=True)
    place = next(
        found
        for n in itertools.count(1)
        if not (found := quarantine / f"{ours.stream}-{n}").exists()
    )
    place.mkdir()
    for source, name in (
        (store / ACCOUNT / "streams" / ours.stream, "stream"),
        (store / SYSTEM / "_js_" / ours.raft_group, "raft"),
    ):
        if source.exists():
            source.rename(place / name)


async def _until_whole(nats: Nats, stream: str, last_seq: int) -> None:
    until = time.monotonic() + _WHOLE_S
    while time.monotonic() < until:
        for copy in (await survey(nats)).of(stream):
            if copy.node == nats.settings.node and copy.is_whole and copy.last_seq >= last_seq:
                return
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise Unavailable(f"{stream} is not whole {_WHOLE_S:g} s after its repair began", code="busy")


def _copies(nats: Nats, node: str, data: Mapping[str, Any]) -> Iterable[Copy]:
    for account in data.get("account_details", ()):
        if account["name"] != ACCOUNT:
            continue
        for stream in account.get("stream_detail", ()):
            if not nats.is_log(stream["name"]):
                continue
            state = stream["state"]
            yield Copy(
                node=node,
                stream=stream["name"],
                raft_group=stream.get("stream_raft_group", ""),
                leader=stream.get("cluster", {}).get("leader") or None,
                first_seq=max(state["first_seq"], 1),
                last_seq=state["last_seq"],
                messages=state["messages"],
            )
