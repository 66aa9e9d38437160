"""The folder of a cluster that runs on one machine: a folder a node, with its file and its data.

    in   a folder; for a new cluster a Plan
    out  `cluster.toml` of every node, made once and kept; ClusterSettings of each, by number

    DIR/cluster.secret        by which its nodes know each other
    DIR/LOCK                  held by `silverback cluster dev`
    DIR/node-1/cluster.toml   who it is; may be edited while the cluster is down
    DIR/node-1/data/          its database and log
    DIR/node-1/log            what it said, of all its runs
    DIR/node-1/running        held and named by its process

Node 1 serves on the base port, node 2 on the next. The servers of the log find each other on ports
a hundred higher where those are free, else on the next free ones; what was chosen is in the files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from api.exits import CommandFailed, Exit
from replication.settings import REPLICAS, SHARDS_MAX, Address, ClusterSettings, NatsSettings, Peer

__all__ = ["NODES_MAX", "Folder", "Plan", "free_base_port", "is_free"]

HOST = "127.0.0.1"
NODES_MAX = 15  # processes of one machine; beyond that it is no trial any more
NODES, BASE_PORT, SHARDS, REPLICAS_WANTED = 3, 9301, 16, 3
BASE_STEP = 20
ROUTES_ABOVE = 100
FILE, SECRET = "cluster.toml", "cluster.secret"


@dataclass(frozen=True, slots=True)
class Plan:
    """None: as it is in the folder, and a default for a new cluster."""

    nodes: int | None = None
    base_port: int | None = None
    shards: int | None = None
    replicas: int | None = None


class Folder:
    """The files of one cluster. What runs is in `api.cluster_dev`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def of(self, number: int) -> Path:
        return self.root / f"node-{number}"

    def file(self, number: int) -> Path:
        return self.of(number) / FILE

    def read(self) -> dict[int, ClusterSettings]:
        """Every node's settings by its number; a file that is gone is made again of the others.

        Empty if no cluster was made here. Raises InvalidInput.
        """
        found = {n: ClusterSettings.read(self.file(n)) for n in self._numbers()}
        if not found:
            return {}
        known = next(iter(found.values()))
        for number, peer in enumerate(known.peers, 1):
            if len(known.peers) > len(found) and peer.node == f"node-{number}":
                found.setdefault(number, self._write(number, _as(known, peer)))
        return dict(sorted(found.items()))

    def make(self, plan: Plan) -> dict[int, ClusterSettings]:
        """The cluster that is here, or a new one as planned."""
        found = self.read()
        if found:
            _check_same(self.root, found, plan)
            return found
        made = self._with_secret(_new(plan))
        return {n: self._write(n, _as(made, peer)) for n, peer in enumerate(made.peers, 1)}

    def _with_secret(self, settings: ClusterSettings) -> ClusterSettings:
        """One for all nodes, in a file that its owner alone reads."""
        self.root.mkdir(parents=True, exist_ok=True)
        secret, file = secrets.token_urlsafe(32), self.root / SECRET
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as made:
            made.write(secret + "\n")
        return replace(settings, secret_file=f"../{SECRET}", secret=secret)

    def _numbers(self) -> Iterator[int]:
        for number in range(1, NODES_MAX + 1):
            if self.file(number).exists():
                yield number

    def _write(self, number: int, settings: ClusterSettings) -> ClusterSettings:
        file = self.file(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(file.name + ".tmp")
        unfinished.write_text(settings.text(), "utf-8")
        unfinished.replace(file)
        return ClusterSettings.read(file)


def is_free(address: Address) -> bool:
    """Nobody listens there now."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(address)
            one.listen(1)
        except OSError:
            return False
    return True


def free_base_port(nodes: int) -> int:
    """The first, from the usual one on, above which so many nodes can serve."""
    return next(
        base
        for base in range(BASE_PORT, 65_000, BASE_STEP)
        if all(is_free(Address(HOST, base + i)) for i in range(nodes))
    )


def _new(plan: Plan) -> ClusterSettings:
    """Of its first node; the others differ in name and ports."""
    nodes = NODES if plan.nodes is None else plan.nodes
    shards = SHARDS if plan.shards is None else plan.shards
    base = BASE_PORT if plan.base_port is None else plan.base_port
    if not 1 <= nodes <= NODES_MAX:
        raise CommandFailed(f"--nodes is 1 to {NODES_MAX} (it is {nodes})", Exit.USAGE)
    copies = plan.replicas
    if copies is None:
        copies = max(n for n in REPLICAS if n <= min(nodes, REPLICAS_WANTED))
    if copies not in REPLICAS or copies > nodes:
        allowed = ", ".join(str(n) for n in REPLICAS if n <= nodes)
        raise CommandFailed(
            f"--replicas of {nodes} nodes is one of {allowed} (it is {copies})", Exit.USAGE
        )
    if not 1 <= shards <= SHARDS_MAX:
        raise CommandFailed(f"--shards is 1 to {SHARDS_MAX} (it is {shards})", Exit.USAGE)
    if not 1 <= base <= 65_536 - ROUTES_ABOVE - 2 * NODES_MAX:
        raise CommandFailed(
            f"--base-port is 1 to {65_536 - ROUTES_ABOVE - 2 * NODES_MAX} (it is {base})",
            Exit.USAGE,
        )
    https = [Address(HOST, base + i) for i in range(nodes)]
    if busy := [address for address in https if not is_free(address)]:
        raise CommandFailed(
            f"port {busy[0].port} is taken, and node {busy[0].port - base + 1} would serve there: "
            "free it, or choose others with --base-port",
            Exit.UNAVAILABLE,
        )
    routes = _free_ports(base + ROUTES_ABOVE, nodes)
    peers = [
        Peer(f"node-{i}", http, Address(HOST, port))
        for i, (http, port) in enumerate(zip(https, routes, strict=True), 1)
    ]
    first = peers[0]
    return ClusterSettings(
        path=Path(FILE),
        cluster="dev",
        node=first.node,
        http=first.http,
        nats=NatsSettings(routes=first.routes),
        peers=tuple(peers),
        shards=shards,
        replicas=copies,
    )


def _free_ports(first: int, count: int) -> list[int]:
    found: list[int] = []
    port = first
    while len(found) < count:
        if port > 65_535:
            raise CommandFailed(
                f"there are no {count} free ports above {first}: choose another --base-port",
                Exit.UNAVAILABLE,
            )
        if is_free(Address(HOST, port)):
            found.append(port)
        port += 1
    return found


def _as(settings: ClusterSettings, peer: Peer) -> ClusterSettings:
    """The same cluster, from where another node stands."""
    nats = replace(settings.nats, routes=peer.routes)
    return replace(settings, node=peer.node, http=peer.http, nats=nats)


def _check_same(root: Path, found: dict[int, ClusterSettings], plan: Plan) -> None:
    """What is asked for is what is there: most of it cannot be changed."""
    number, first = next(iter(found.items()))
    there: list[tuple[str, int | None, int]] = [
        ("nodes", plan.nodes, len(found)),
        ("base-port", plan.base_port, first.http.port - number + 1),
        ("shards", plan.shards, first.shards),
        ("replicas", plan.replicas, first.replicas),
    ]
    for name, asked, given in there:
        if asked is not None and asked != given:
            raise CommandFailed(
                f"the cluster in {root} has --{name} {given}, not {asked}: leave --{name} out, or "
                "make another cluster with another --data",
                Exit.CONFIG,
            )
