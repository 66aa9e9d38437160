"""What nodes tell each other now and then, and what follows from it: logs are trimmed.

    in   this node's positions on disk
    out  keys that all nodes see; logs that lose what nobody needs

Who leads a log trims it. Nothing here is needed for an answer to be right: when it fails it is
tried again, and meanwhile logs are longer than they might be.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from replication.applier import Applier
from replication.nats.connection import Nats
from replication.nats.kv import Keys
from replication.settings import ClusterSettings
from replication.shard_map import ShardMap
from replication.shell import Logs
from replication.trimming import trim_to
from tsdb.errors import TSDBError

__all__ = ["Announcer"]

EVERY_S = 10.0
BEAT_S = 60  # a node that has not said anything for so long is away
BUCKET = "nodes"


class Announcer:
    """One node's; of the event loop of its logs."""

    def __init__(
        self,
        nats: Nats,
        logs: Logs,
        applier: Applier,
        map_of: Callable[[], ShardMap],
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._nats = nats
        self._logs = logs
        self._applier = applier
        self._map_of = map_of
        self._on_failure = on_failure
        self._told = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        keys: Keys | None = None
        while True:
            try:
                keys = keys or await self._nats.keys(BUCKET)
                await self.round(keys)
            except TSDBError as error:  # no majority: there is nothing to be said to anybody
                if str(error) != self._told:
                    self._told = str(error)
                    self._on_failure(error)
            await asyncio.sleep(EVERY_S)

    async def round(self, keys: Keys) -> None:
        """Say where this node is, hear where the others are, trim what it leads."""
        settings = self._nats.settings
        said = json.dumps(self._applier.durable).encode()
        await keys.put(f"durable.{settings.node}", said)
        await keys.put(f"beat.{settings.node}", b"", ttl_s=BEAT_S)
        durable = {peer.node: await _positions(keys, peer.node) for peer in settings.peers}
        heard = {node for node in durable if await keys.get(f"beat.{node}") is not None}
        for shard in range(settings.shards):
            await self._trim(settings, shard, durable, heard)

    async def _trim(
        self,
        settings: ClusterSettings,
        shard: int,
        durable: dict[str, list[int] | None],
        heard: set[str],
    ) -> None:
        log = self._logs.log(shard)
        state = await log.state()
        if state.leader != settings.node:
            return
        kept = self._map_of().shards[shard]
        of_shard = {
            node: None if positions is None else positions[shard]
            for node, positions in durable.items()
            if node in kept.nodes
        }
        through = trim_to(state, of_shard, heard.intersection(kept.replicas))
        if through is not None:
            await log.trim(through)


async def _positions(keys: Keys, node: str) -> list[int] | None:
    found = await keys.get(f"durable.{node}")
    return None if found is None else [int(seq) for seq in json.loads(found.value)]
