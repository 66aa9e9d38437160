"""Which nodes keep the points of which shard: one document that all nodes agree on.

    in   the nodes, the document as it is, what somebody wants of it
    out  the document as it shall be; pure functions, whoever stores it compares and sets

A shard has as many replicas as the cluster keeps copies. A move names a node that shall have the
shard, and one that leaves for it, or none. The node that comes says itself when it has everything:
then it is a replica and the other one is none, in one step (replication/keeping.py).

Where shards begin is told by rendezvous hashing (Thaler and Ravishankar, 1998), levelled so that no
node keeps two more than another; later they only move when somebody says so, as few as possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import orjson
from xxhash import xxh3_64_intdigest

from tsdb.errors import CorruptionError, InvalidInput

__all__ = ["Kept", "Move", "ShardMap"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Move:
    """`comes` shall keep the shard. `leaves` is a replica until then, or empty."""

    comes: str
    leaves: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One shard."""

    replicas: tuple[str, ...]
    moves: tuple[Move, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """All that follow its log."""
        return (*self.replicas, *(move.comes for move in self.moves))


@dataclass(frozen=True, slots=True)
class ShardMap:
    """`epoch` is the revision it is stored under; 0 for one that is not."""

    shards: tuple[Kept, ...]
    epoch: int = 0
    founded: bool = False
    """On points that were there before the cluster: its logs do not tell all from their begin."""

    @classmethod
    def first(
        cls, nodes: Iterable[str], shards: int, copies: int, *, founded: bool = False
    ) -> ShardMap:
        """Of a new cluster: each shard on its favourites, levelled."""
        names = sorted(nodes)
        kept = [Kept(tuple(sorted(_favourites(names, shard)[:copies]))) for shard in range(shards)]
        found = cls(tuple(kept)).rebalanced(names)
        for shard, move in found.moves:
            found = found.arrived(shard, move.comes)
        return replace(found, founded=founded)

    # --- what is asked ------------------------------------------------------------------------

    def replicas(self, shard: int) -> tuple[str, ...]:
        return self.shards[shard].replicas

    def kept_by(self, node: str) -> list[int]:
        """Shards that the node serves."""
        return [shard for shard, kept in enumerate(self.shards) if node in kept.replicas]

    def followed_by(self, node: str) -> list[int]:
        """Those, and the ones that it is getting."""
        return [shard for shard, kept in enumerate(self.shards) if node in kept.nodes]

    @property
    def moves(self) -> list[tuple[int, Move]]:
        return [(shard, move) for shard, kept in enumerate(self.shards) for move in kept.moves]

    # --- what is wanted -------------------------------------------------------------------------

    def with_move(self, shard: int, move: Move) -> ShardMap:
        """A move begins. Raises InvalidInput when it makes no sense."""
        kept = self._kept(shard)
        if move.comes in kept.nodes:
            raise InvalidInput(f"shard {shard} is on {move.comes} already, or on its way there")
        if move.leaves and move.leaves not in kept.replicas:
            raise InvalidInput(f"shard {shard} is not on {move.leaves}: {_listed(kept.replicas)}")
        if any(move.leaves and other.leaves == move.leaves for other in kept.moves):
            raise InvalidInput(f"shard {shard} is leaving {move.leaves} already")
        return self._with(shard, replace(kept, moves=(*kept.moves, move)))

    def without_move(self, shard: int, comes: str) -> ShardMap:
        """A move is given up. Raises InvalidInput when there is none to that node."""
        kept = self._kept(shard)
        moves = tuple(move for move in kept.moves if move.comes != comes)
        if moves == kept.moves:
            raise InvalidInput(f"shard {shard} is not on its way to {comes}")
        return self._with(shard, replace(kept, moves=moves))

    def arrived(self, shard: int, node: str) -> ShardMap:
        """The node has everything: it serves, and who leaves for it does not."""
        kept = self._kept(shard)
        move = next((move for move in kept.moves if move.comes == node), None)
        if move is None:
            return self
        replicas = tuple(sorted({*kept.replicas, node} - {move.leaves}))
        moves = tuple(other for other in kept.moves if other is not move)
        return self._with(shard, Kept(replicas, moves))

    def emptied(self, node: str, nodes: Collection[str], *, to: str = "") -> ShardMap:
        """All shards of a node begin to move to those of `nodes` that keep the fewest.

        To the node `to`, if one is named, wherever that has not got the shard yet. Raises
        InvalidInput when there are too few others for all copies.
        """
        found = self
        for shard, kept in enumerate(self.shards):
            if any(move.comes == node for move in kept.moves):
                found = found.without_move(shard, node)
            if node not in kept.replicas or any(move.leaves == node for move in kept.moves):
                continue
            load = found._load(nodes)
            free = [name for name in nodes if name != node and name not in kept.nodes]
            if not free:
                raise InvalidInput(
                    f"shard {shard} has nowhere to go: each of its {len(kept.replicas)} copies "
                    f"needs a node, and without {node} there are {len(set(nodes) - {node})}"
                )
            comes = min(free, key=lambda name: (name != to, load[name], -_score(name, shard)))
            found = found.with_move(shard, Move(comes, node))
        return found

    def rebalanced(self, nodes: Collection[str]) -> ShardMap:
        """Moves begin, from the fullest nodes to the emptiest, until all keep nearly the same."""
        found = self
        while True:
            load = found._load(nodes)
            by_load = sorted(nodes, key=lambda name: (load[name], name))
            step = found._levelling(load, by_load)
            if step is None:
                return found
            found = found.with_move(*step)

    def _levelling(self, load: Counter[str], by_load: Sequence[str]) -> tuple[int, Move] | None:
        """One move that levels: from a node with at least two more than the one it goes to."""
        for comes in by_load:
            for leaves in reversed(by_load):
                if load[leaves] - load[comes] < 2:
                    break
                movable = [
                    shard
                    for shard, kept in enumerate(self.shards)
                    if leaves in kept.replicas
                    and comes not in kept.nodes
                    and all(move.leaves != leaves for move in kept.moves)
                ]
                if movable:
                    return max(movable, key=lambda shard: _score(comes, shard)), Move(comes, leaves)
        return None

    def _load(self, nodes: Collection[str]) -> Counter[str]:
        """Shards each node will keep, once all moves are done."""
        load = Counter(dict.fromkeys(nodes, 0))
        for kept in self.shards:
            leaving = {move.leaves for move in kept.moves}
            load.update(name for name in kept.nodes if name not in leaving)
        return load

    def _kept(self, shard: int) -> Kept:
        if not 0 <= shard < len(self.shards):
            raise InvalidInput(f"there is no shard {shard}: they are 0 to {len(self.shards) - 1}")
        return self.shards[shard]

    def _with(self, shard: int, kept: Kept) -> ShardMap:
        return replace(self, shards=(*self.shards[:shard], kept, *self.shards[shard + 1 :]))

    # --- as it is stored ------------------------------------------------------------------------

    def encoded(self) -> bytes:
        shards = [
            {
                "replicas": kept.replicas,
                "moves": [{"comes": move.comes, "leaves": move.leaves} for move in kept.moves],
            }
            for kept in self.shards
        ]
        return orjson.dumps({"version": VERSION, "founded": self.founded, "shards": shards})

    @classmethod
    def decoded(cls, data: bytes, epoch: int) -> ShardMap:
        """Inverse of `encoded`. Raises CorruptionError for other bytes."""
        try:
            found = orjson.loads(data)
            if found["version"] != VERSION:
                raise CorruptionError(None, 0, f"shard map of version {found['version']}")
            shards = [
                Kept(
                    tuple(str(name) for name in kept["replicas"]),
                    tuple(Move(str(m["comes"]), str(m["leaves"])) for m in kept["moves"]),
                )
                for kept in found["shards"]
            ]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CorruptionError(None, 0, f"no shard map: {error}") from error
        if not shards or not all(kept.replicas for kept in shards):
            raise CorruptionError(None, 0, "a shard map with a shard that nobody keeps")
        return cls(tuple(shards), epoch, bool(found["founded"]))


def _score(node: str, shard: int) -> int:
    """How much a shard likes a node."""
    return xxh3_64_intdigest(f"{node}/{shard}".encode())


def _favourites(names: Iterable[str], shard: int) -> list[str]:
    return sorted(names, key=lambda name: (-_score(name, shard), name))


def _listed(names: Sequence[str]) -> str:
    return "it is on " + ", ".join(names)
