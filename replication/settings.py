"""What a node of a cluster is told: `cluster.toml`, one file a node.

    in   a path
    out  ClusterSettings, or InvalidInput naming the file, the key and what is allowed

The files of a cluster differ in `node`, `http` and `[nats] routes` alone. A key that does not
exist is refused: a misspelt `replicas` would otherwise be three. Paths in the file are meant from
the folder it lies in. How many shards there are and how many copies is decided once, by the node
that makes the cluster; a file that says something else later is refused by the node, not here.

Addresses are numbers or names with a port. `secret` names a file with what nodes show each other
when they ask over HTTP; servers with accounts, and those on a network, want one. `[nats]` speaks
of the log's server: a child of the node unless `url` names one of the operator's own, which then
has no `routes` here.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tsdb.errors import InvalidInput

__all__ = ["REPLICAS", "SHARDS_MAX", "Address", "ClusterSettings", "NatsSettings", "Peer"]

SHARDS_DEFAULT, SHARDS_MAX = 16, 256  # each is a Raft group: 256 of them idle at 6 % of a core
REPLICAS_DEFAULT = 3
REPLICAS = (1, 3, 5)  # an even number costs a copy more and survives no failure more
NODES_MAX = 1_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")  # part of names of streams, which take no dot
NAME_RULE = "1 to 63 letters, digits, - and _, the first a letter or digit"
ROOT_KEYS = ("cluster", "node", "shards", "replicas", "http", "secret", "ca", "nats", "peers")
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 16, 1024
SHARED_MODE = 0o077
NATS_KEYS = ("routes", "binary", "url", "ca", "certificate", "key", "seed")
PEER_KEYS = ("node", "http", "routes")
HOST = re.compile(r"[A-Za-z0-9_.-]+")
URL = re.compile(r"(nats|tls)://[^\s,/]+")


class Address(NamedTuple):
    """`str` gives what the file says: host:port, with brackets around an IPv6 number."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """`routes` is None where `urls` name the operator's own servers, and only there."""

    routes: Address | None = None
    binary: str = ""  # nothing: the one of the extra [cluster], or on PATH
    urls: tuple[str, ...] = ()
    ca: Path | None = None  # the authority of all nodes
    certificate: Path | None = None
    key: Path | None = None
    seed: Path | None = None  # of the nkey by which the node is known to the log's server


@dataclass(frozen=True, slots=True)
class Peer:
    """A node as the others reach it."""

    node: str
    http: Address
    routes: Address | None = None


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """`peers` holds this node, too, and is sorted by name."""

    path: Path
    cluster: str
    node: str
    http: Address
    nats: NatsSettings
    peers: tuple[Peer, ...]
    shards: int = SHARDS_DEFAULT
    replicas: int = REPLICAS_DEFAULT
    secret_file: str = ""  # as the file says
    secret: str = field(default="", repr=False)  # by which nodes know each other
    ca: Path | None = None  # nodes serve https, with certificates of this authority

    @classmethod
    def read(cls, path: Path) -> ClusterSettings:
        """Raises InvalidInput, also for a file that is not there."""
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InvalidInput(f"cluster file {path}: {reason}") from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"cluster file {path}: {error}") from error
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(f"cluster file {path}: {error}") from error
        return _settings(_Table(path, "", document, ROOT_KEYS))

    def peer(self, node: str) -> Peer:
        """KeyError if there is none of that name."""
        for one in self.peers:
            if one.node == node:
                return one
        raise KeyError(node)

    def text(self) -> str:
        """The file that `read` makes this of."""
        lines = [
            f"cluster = {_quoted(self.cluster)}    # the same in the files of all nodes",
            f"node = {_quoted(self.node)}    # this one; never given to another machine",
            f"shards = {self.shards}    # fixed when the cluster is made, as the copies of each:",
            f"replicas = {self.replicas}",
            f"http = {_quoted(str(self.http))}    # clients and the other nodes find it here",
        ]
        if self.secret_file:
            lines.append(f"secret = {_quoted(self.secret_file)}    # nodes know each other by it")
        if self.ca is not None:
            lines.append(f"ca = {_quoted(str(self.ca))}    # of the certificates for https")
        lines += [
            "",
            "[nats]    # the server of the replicated log, a child of this node",
        ]
        nats = self.nats
        named: list[tuple[str, object]] = [
            ("routes", nats.routes or ""),
            ("binary", nats.binary),
            ("url", ",".join(nats.urls)),
            ("ca", nats.ca or ""),
            ("certificate", nats.certificate or ""),
            ("key", nats.key or ""),
            ("seed", nats.seed or ""),
        ]
        lines += [f"{key} = {_quoted(str(value))}" for key, value in named if str(value)]
        for peer in self.peers:
            lines += ["", "[[peers]]", f"node = {_quoted(peer.node)}"]
            lines.append(f"http = {_quoted(str(peer.http))}")
            if peer.routes is not None:
                lines.append(f"routes = {_quoted(str(peer.routes))}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the file; its readers name the key in what they raise."""

    path: Path
    prefix: str
    values: Mapping[str, Any]
    allowed: Sequence[str]

    def __post_init__(self) -> None:
        for key in self.values:
            if key not in self.allowed:
                near = difflib.get_close_matches(key, self.allowed, 1)
                guess = f"; did you mean {near[0]}?" if near else ""
                raise self.wrong(key, f"is unknown, there are {', '.join(self.allowed)}{guess}")

    def wrong(self, key: str, rule: str) -> InvalidInput:
        told = f" (it is {self.values[key]!r})" if key in self.values else " (it is not there)"
        return InvalidInput(f"cluster file {self.path}: {self.prefix}{key} {rule}{told}")

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str) or not (value.isprintable() or not value):
            raise self.wrong(key, "is one line of text in quotes")
        return value

    def name(self, key: str) -> str:
        value = self.text(key)
        if not NAME.fullmatch(value):
            raise self.wrong(key, f"is a name: {NAME_RULE}")
        return value

    def number(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, "is a whole number")
        return value

    def address(self, key: str) -> Address:
        value = self.text(key)
        host, colon, port = value.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            sound = _is_ipv6(host)
        else:
            sound = HOST.fullmatch(host) is not None
        if not colon or not sound:
            raise self.wrong(key, 'is host:port, as "127.0.0.1:9301" or "[::1]:9301"')
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
            raise self.wrong(key, "ends with a port of 1 to 65535")
        return Address(host, int(port))

    def file(self, key: str) -> Path | None:
        """As the file means it: from its own folder."""
        if not self.text(key):
            return None
        found = self.path.absolute().parent / self.text(key)
        if not found.is_file():
            raise self.wrong(key, f"is a file, but {found} is none")
        return found

    def table(self, key: str, allowed: Sequence[str]) -> _Table:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"is a table, [{key}]")
        return _Table(self.path, f"{key}.", value, allowed)

    def tables(self, key: str, allowed: Sequence[str]) -> list[_Table]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(key, f"are tables, each [[{key}]]")
        return [_Table(self.path, f"{key}[{i}].", one, allowed) for i, one in enumerate(value, 1)]


def _settings(root: _Table) -> ClusterSettings:
    shards = root.number("shards", SHARDS_DEFAULT)
    if not 1 <= shards <= SHARDS_MAX:
        raise root.wrong("shards", f"is 1 to {SHARDS_MAX}")
    replicas = root.number("replicas", REPLICAS_DEFAULT)
    if replicas not in REPLICAS:
        allowed = ", ".join(map(str, REPLICAS))
        raise root.wrong("replicas", f"is one of {allowed}: of an even number one copy is for show")
    nats = _nats(root.table("nats", NATS_KEYS))
    made = ClusterSettings(
        path=root.path,
        cluster=root.name("cluster"),
        node=root.name("node"),
        http=root.address("http"),
        nats=nats,
        peers=_peers(root, own_server=not nats.urls),
        shards=shards,
        replicas=replicas,
        secret_file=root.text("secret"),
        secret=_secret(root),
        ca=root.file("ca"),
    )
    _check_self(root, made)
    if len(made.peers) < replicas:
        raise root.wrong("replicas", f"is at most the number of peers, {len(made.peers)}")
    return made


def _secret(root: _Table) -> str:
    """What the file holds, without the end of its line; nobody else may read it."""
    found = root.file("secret")
    if found is None:
        return ""
    try:
        text = found.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise root.wrong("secret", f"is a file with a line of plain text, but {error}") from error
    if found.stat().st_mode & SHARED_MODE:
        raise root.wrong("secret", f"is for its owner alone: chmod 600 {found}")
    sound = text.isprintable() and " " not in text
    if not SECRET_BYTES_MIN <= len(text) <= SECRET_BYTES_MAX or not sound:
        raise root.wrong(
            "secret",
            f"holds {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} letters, digits and signs in one line",
        )
    return text


def _nats(table: _Table) -> NatsSettings:
    urls = tuple(one.strip() for one in table.text("url").split(",") if one.strip())
    if not all(URL.fullmatch(one) for one in urls):
        raise table.wrong("url", 'is "nats://host:port" or tls://, with commas between several')
    if urls and (other := next((k for k in ("routes", "binary") if table.text(k)), None)):
        raise table.wrong(other, "is of a server that this node starts: it or url, not both")
    tls = ("ca", "certificate", "key")
    missing = [key for key in tls if not table.text(key)]
    if missing and not urls and len(missing) < len(tls):
        raise table.wrong(missing[0], f"belongs to the others: all of {', '.join(tls)}, or none")
    if bool(table.text("certificate")) != bool(table.text("key")):
        raise table.wrong("key", "belongs to certificate: both or none")
    return NatsSettings(
        routes=None if urls else table.address("routes"),
        binary=table.text("binary"),
        urls=urls,
        ca=table.file("ca"),
        certificate=table.file("certificate"),
        key=table.file("key"),
        seed=table.file("seed"),
    )


def _peers(root: _Table, *, own_server: bool) -> tuple[Peer, ...]:
    tables = root.tables("peers", PEER_KEYS)
    if not 1 <= len(tables) <= NODES_MAX:
        raise InvalidInput(
            f"cluster file {root.path}: peers are 1 to {NODES_MAX} tables [[peers]], one a node, "
            f"this one included (there are {len(tables)})"
        )
    peers: list[Peer] = []
    seen: dict[object, str] = {}
    for table in tables:
        if not own_server and table.text("routes"):
            raise table.wrong("routes", "is of a server that the node starts, but nats.url is set")
        peer = Peer(
            table.name("node"),
            table.address("http"),
            table.address("routes") if own_server else None,
        )
        for key, value in (("node", peer.node), ("http", peer.http), ("routes", peer.routes)):
            if value is not None and value in seen:
                raise table.wrong(key, f"is that of {seen[value]} already")
            seen[value] = f"{table.prefix}{key}"
        peers.append(peer)
    return tuple(sorted(peers, key=lambda peer: peer.node))


def _check_self(root: _Table, made: ClusterSettings) -> None:
    """The list of peers says the same of this node as the file's head does."""
    try:
        listed = made.peer(made.node)
    except KeyError:
        names = ", ".join(peer.node for peer in made.peers[:10])
        raise root.wrong("node", f"is one of the peers, which are {names}") from None
    if listed.http != made.http:
        raise root.wrong("http", f"is what peers says of this node, {listed.http}")
    if listed.routes != made.nats.routes:
        nats = root.table("nats", NATS_KEYS)
        raise nats.wrong("routes", f"is what peers says of this node, {listed.routes}")


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert text.isprintable()
    return f'"{escaped}"'
