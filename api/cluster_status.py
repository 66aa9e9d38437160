"""What a cluster says of itself, as rows for people.

    in   the URL of any node, and what it answers to `GET /api/v1/cluster`
    out  rows of nodes and shards; whether all copies are equal

The document is the answer's `data`:

    {"cluster": "demo", "node": "node-1",          who answers
     "epoch": 12,                                  of the shard map it goes by
     "nodes": [{"node", "http", "alive",           seen by it lately
                "last_seen_s"}],                   ago; null if never
     "shards": [{"shard": 0, "incarnation": 1,     which of its logs
                 "leader": "node-2",               of the log; null while there is none
                 "replicas": [{"node",
                    "state",                       "serving", or what else it does
                    "applied", "durable",          positions in the log; null if not known
                    "lag",                         records it is behind
                    "digest", "digest_at"}]}]}     of its records up to a position

`digest` is over all records of the shard up to `digest_at` (`applied` if left out). So two copies
differ if they say different things of one position; of different positions nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from api.exits import CommandFailed, Exit
from api.remote import Refused, Remote

__all__ = ["Copies", "copies", "fetch", "node_rows", "shard_rows", "summary"]

SERVING = "serving"
NOT_FOUND = 404
ASK_S = 30.0
NODE_HEADINGS = ("node", "serves at", "seen", ">copies", ">leads", ">lag")
SHARD_HEADINGS = (">shard", "leader", ">position", ">durable", ">lag", "copies", "equal")

Document = dict[str, Any]


class Copies(StrEnum):
    """Of one shard."""

    EQUAL = "yes"  # all there, all at one position, all the same
    DIFFERENT = "NO"
    MOVING = "not yet"  # at several positions: nothing can be said
    MISSING = "missing"  # of some there is no word


@dataclass(frozen=True, slots=True)
class Summary:
    nodes: int
    alive: int
    shards: int
    led: int
    copies: dict[Copies, int]

    @property
    def equal(self) -> int:
        return self.copies[Copies.EQUAL]

    @property
    def whole(self) -> bool:
        return self.nodes == self.alive and self.shards == self.led == self.equal


def fetch(url: str) -> Document:
    """What the node at `url` says; CommandFailed if it is none, or does not answer."""
    try:
        with Remote(url, patience_s=0, timeout_s=ASK_S) as server:
            document: Document = server.get_json("/api/v1/cluster")["data"]
    except Refused as error:
        if error.status == NOT_FOUND:
            raise CommandFailed(
                f"{url} is a server of its own, no node of a cluster", Exit.UNAVAILABLE
            ) from error
        raise
    return document


def copies(shard: Document) -> Copies:
    """Whether all copies of a shard are the same, as far as their digests tell."""
    replicas = shard["replicas"]
    known = [(_digest_at(one), one["digest"]) for one in replicas if _is_known(one)]
    by_position: dict[object, set[str]] = {}
    for position, digest in known:
        by_position.setdefault(position, set()).add(digest)
    if any(len(digests) > 1 for digests in by_position.values()):
        return Copies.DIFFERENT
    if len(known) < len(replicas):
        return Copies.MISSING
    return Copies.EQUAL if len(by_position) == 1 else Copies.MOVING


def summary(document: Document) -> Summary:
    shards, nodes = document["shards"], document["nodes"]
    found = [copies(shard) for shard in shards]
    return Summary(
        nodes=len(nodes),
        alive=sum(bool(one["alive"]) for one in nodes),
        shards=len(shards),
        led=sum(bool(shard.get("leader")) for shard in shards),
        copies={kind: found.count(kind) for kind in Copies},
    )


def node_rows(document: Document) -> Iterable[tuple[object, ...]]:
    """By NODE_HEADINGS."""
    kept: dict[str, list[Document]] = {}
    for shard in document["shards"]:
        for one in shard["replicas"]:
            kept.setdefault(one["node"], []).append(one)
    led = [shard.get("leader") for shard in document["shards"]]
    for node in document["nodes"]:
        name = node["node"]
        lags = [one["lag"] for one in kept.get(name, []) if one.get("lag") is not None]
        yield (
            name + (" (answers)" if name == document["node"] else ""),
            node["http"],
            _seen(node),
            len(kept.get(name, [])),
            led.count(name),
            max(lags) if lags else "?",
        )


def shard_rows(document: Document) -> Iterable[tuple[object, ...]]:
    """By SHARD_HEADINGS."""
    for shard in document["shards"]:
        replicas = shard["replicas"]
        yield (
            shard["shard"],
            shard.get("leader") or "none",
            _most(max, replicas, "applied"),
            _most(min, replicas, "durable"),
            _most(max, replicas, "lag"),
            ", ".join(
                one["node"] + ("" if one["state"] == SERVING else f" ({one['state']})")
                for one in replicas
            ),
            copies(shard).value,
        )


def _is_known(replica: Document) -> bool:
    return replica.get("digest") is not None and _digest_at(replica) is not None


def _digest_at(replica: Document) -> object:
    at = replica.get("digest_at")
    return replica.get("applied") if at is None else at


def _most(which: Any, replicas: list[Document], key: str) -> object:
    known = [one[key] for one in replicas if one.get(key) is not None]
    return which(known) if known else "?"


def _seen(node: Document) -> str:
    if node["alive"]:
        return "alive"
    ago = node.get("last_seen_s")
    return "never" if ago is None else f"{ago:.0f} s ago"
