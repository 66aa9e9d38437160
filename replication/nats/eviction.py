"""A node that will not come back leaves the logs: their copies on it are made anew on another.

    in   the name of a node that does not answer
    out  every log with all its copies again, none of them there

For an operator to say, never for a program to conclude: a node that is only away comes back with
its copies, and changing who keeps a log while one of its keepers is in doubt is where logs are
lost. One log at a time, and only while all its other copies are current.

Needs as many nodes that answer as a log has copies. Price: the log is sent once to its new keeper.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from nats.errors import Error as NatsError

from replication.nats.connection import Nats
from replication.nats.damage import survey
from tsdb.errors import InvalidInput, Unavailable

__all__ = ["evict"]

log = logging.getLogger(__name__)

_COPIED_S, _LOOK_AGAIN_S, _ASK_S = 600.0, 0.25, 5.0


async def evict(nats: Nats, node: str) -> int:
    """How many logs and buckets of keys have another keeper now; may be called again.

    Raises InvalidInput when the node answers or too few others do, Unavailable when a log's other
    copies are not current or its new one does not become so within ten minutes.
    """
    answered = (await survey(nats)).answered
    if node in answered:
        raise InvalidInput(f"node {node} answers: stop it first, or drain it")
    if len(answered) < nats.settings.replicas:
        raise InvalidInput(
            f"{len(answered)} nodes answer, a log has {nats.settings.replicas} copies: "
            f"start a node in the place of {node} first"
        )
    moved = 0
    for name in await _streams(nats):
        moved += await _move(nats, name, node)
    await _leave(nats, node)
    return moved


async def _streams(nats: Nats) -> list[str]:
    names: list[str] = []
    while True:
        said = await nats.ask("STREAM.NAMES", {"offset": len(names)})
        found = said.get("streams") or []
        names += found
        if not found or len(names) >= said["total"]:
            own = (f"{nats.settings.cluster}_log_", f"KV_{nats.settings.cluster}_")
            return [name for name in names if name.startswith(own)]


async def _move(nats: Nats, name: str, node: str) -> bool:
    cluster = await _keepers(nats, name)
    if node not in cluster:
        return False
    behind = [peer for peer, current in cluster.items() if peer != node and not current]
    if behind:
        raise Unavailable(f"{name}: the copy on {behind[0]} is not current yet", code="busy")
    log.warning("%s leaves the keepers of %s", node, name)
    await nats.ask(f"STREAM.PEER.REMOVE.{name}", {"peer": node})
    until = time.monotonic() + _COPIED_S
    while time.monotonic() < until:
        cluster = await _keepers(nats, name)
        if node not in cluster and len(cluster) == nats.settings.replicas and all(cluster.values()):
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise Unavailable(f"{name}: the new copy is not complete after {_COPIED_S:g} s", code="busy")


async def _keepers(nats: Nats, name: str) -> dict[str, bool]:
    """By name, whether its copy is current."""
    cluster = (await nats.ask(f"STREAM.INFO.{name}", {})).get("cluster") or {}
    found = {cluster["leader"]: True} if cluster.get("leader") else {}
    for peer in cluster.get("replicas") or ():
        found[peer["name"]] = bool(peer.get("current")) and not peer.get("offline")
    return found


async def _leave(nats: Nats, node: str) -> None:
    """The servers count it no longer among those of whom a majority is needed."""
    system = await nats.system()
    try:
        reply = await system.request(
            "$JS.API.SERVER.REMOVE", json.dumps({"peer": node}).encode(), timeout=_ASK_S
        )
    except NatsError as error:
        raise Unavailable(f"the servers do not let {node} go: {error}", code="no_leader") from error
    said: dict[str, Any] = json.loads(reply.data)
    if "error" in said and said["error"].get("err_code") != _NOT_A_MEMBER:
        raise Unavailable(f"the servers do not let {node} go: {said['error']}", code="no_leader")


_NOT_A_MEMBER = 10044
