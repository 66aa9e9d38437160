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
from replication.shard_map import Kept, ShardMap
from replication.stream import LogState
from tsdb.errors import TSDBError

__all__ = ["Seen", "document", "leaders", "view"]

Json = dict[str, Any]
SERVING, STOPPED, COMING, UNKNOWN = "serving", "stopped", "coming", "unknown"
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
    kept = database.kept()
    shards = []
    for shard, (seq, chain) in enumerate(applier.chains()):
        stopped = applier.stopped.get(shard)
        shards.append(
            {
                "shard": shard,
                "state": STOPPED if stopped is not None else SERVING if shard in kept else COMING,
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
    settings: ClusterSettings,
    shard_map: ShardMap,
    seen: Mapping[str, Seen],
    led_by: Mapping[int, str | None],
) -> Json:
    """The whole cluster, as one node sees it."""
    views = {node: one.view for node, one in seen.items() if one.view is not None}
    return {
        "cluster": settings.cluster,
        "node": settings.node,
        "epoch": shard_map.epoch,
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
                "moves": [{"comes": m.comes, "leaves": m.leaves or None} for m in kept.moves],
                "replicas": _replicas(kept, views, shard),
            }
            for shard, kept in enumerate(shard_map.shards)
        ],
    }


def _replicas(kept: Kept, views: Mapping[str, Json], shard: int) -> list[Json]:
    """Every copy of a shard, also those on their way; what an absent node has is not known."""
    found = {
        node: views[node]["shards"][shard] if node in views else None for node in sorted(kept.nodes)
    }
    newest = max((one["applied"] for one in found.values() if one is not None), default=0)
    return [
        {
            "node": node,
            "state": _state(kept, node, one),
            "applied": None if one is None else one["applied"],
            "durable": None if one is None else one["durable"],
            "lag": None if one is None else newest - one["applied"],
            "digest": None if one is None else one["digest"],
        }
        for node, one in found.items()
    ]


def _state(kept: Kept, node: str, one: Json | None) -> str:
    if one is None:
        return UNKNOWN
    state: str = one["state"]
    return COMING if state == SERVING and node not in kept.replicas else state
