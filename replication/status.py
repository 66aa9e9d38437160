"""What a node knows of its copies, and what a cluster says of itself when all are asked.

    in   the database of a node; the views of the others, as they answered
    out  documents for `GET /api/v1/cluster` (api/cluster_status.py has their shape)

Leaders and lags of the logs come from the log's servers and may be old: they are for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replication.database import ClusterDatabase
from replication.settings import ClusterSettings
from replication.stream import LogState
from tsdb.errors import TSDBError

__all__ = ["Seen", "document", "leaders", "view"]

Json = dict[str, Any]
SERVING, STOPPED = "serving", "stopped"
LEADER_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A node's answer, or that there was none."""

    view: Json | None
    seconds_ago: float | None


def view(database: ClusterDatabase, node: str) -> Json:
    """This node's copies."""
    applier = database.applier
    durable = applier.durable
    shards = []
    for shard, (seq, chain) in enumerate(applier.chains()):
        stopped = applier.stopped.get(shard)
        shards.append(
            {
                "shard": shard,
                "state": SERVING if stopped is None else STOPPED,
                "reason": None if stopped is None else str(stopped),
                "applied": seq,
                "durable": durable[shard],
                "digest": f"{chain:016x}",
            }
        )
    return {"node": node, "shards": shards}


def leaders(database: ClusterDatabase) -> dict[int, str | None]:
    """Who leads the log of each shard, as far as its servers say in time."""
    shards = range(len(database.gateway.acked))
    states = database.shell.run(_states(database, shards))
    return {
        shard: None if state is None else state.leader
        for shard, state in zip(shards, states, strict=True)
    }


async def _states(database: ClusterDatabase, shards: Sequence[int]) -> list[LogState | None]:
    async def one(shard: int) -> LogState | None:
        try:
            asked = database.shell.logs.log(shard).state()
            return await asyncio.wait_for(asked, LEADER_WAIT_S)
        except (TSDBError, TimeoutError):
            return None

    return list(await asyncio.gather(*(one(shard) for shard in shards)))


def document(
    settings: ClusterSettings, seen: Mapping[str, Seen], led_by: Mapping[int, str | None]
) -> Json:
    """The whole cluster, as one node sees it."""
    views = {node: one.view for node, one in seen.items() if one.view is not None}
    return {
        "cluster": settings.cluster,
        "node": settings.node,
        "epoch": 1,
        "nodes": [
            {
                "node": peer.node,
                "http": str(peer.http),
                "alive": peer.node in views,
                "last_seen_s": seen[peer.node].seconds_ago,
            }
            for peer in settings.peers
        ],
        "shards": [
            {
                "shard": shard,
                "incarnation": 1,
                "leader": led_by.get(shard),
                "replicas": _replicas(settings, views, shard),
            }
            for shard in range(settings.shards)
        ],
    }


def _replicas(settings: ClusterSettings, views: Mapping[str, Json], shard: int) -> list[Json]:
    """Every copy of a shard; what an absent node has is not known."""
    found = {
        peer.node: views[peer.node]["shards"][shard] if peer.node in views else None
        for peer in settings.peers
    }
    newest = max((one["applied"] for one in found.values() if one is not None), default=0)
    return [
        {
            "node": node,
            "state": "unknown" if one is None else one["state"],
            "applied": None if one is None else one["applied"],
            "durable": None if one is None else one["durable"],
            "lag": None if one is None else newest - one["applied"],
            "digest": None if one is None else one["digest"],
        }
        for node, one in found.items()
    ]
