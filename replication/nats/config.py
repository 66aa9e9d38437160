"""The configuration of a node's own `nats-server`, written anew at every start.

    in   who this node is, where the others are, where its files lie
    out  text, JSON, which `nats-server` reads as its own format

Not negotiable: `sync_interval: always` (the default loses acked records when all nodes lose power
within two minutes), an explicit folder, a name that is the node's and never another's. Clients come
in at a port of loopback that the system picks and with passwords made at every start: none but this
node needs it. Two accounts: one holds the logs, the other is the server's own, by which the state
of each copy is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from replication.settings import Address, ClusterSettings

__all__ = ["ACCOUNT", "PAYLOAD_BYTES_MAX", "SYSTEM", "Passwords", "ServerPlace", "render"]

ACCOUNT, SYSTEM = "silverback", "system"
"""Accounts, and the names of their users. Part of paths on disk: they never change."""
PAYLOAD_BYTES_MAX = 8 << 20
"""One message; a record is 64 to 512 KiB as a rule, an entry of the log at most 4 MiB."""
_STORE_BYTES_MAX = 1 << 50
"""Streams have bounds of their own and the node watches its disk; this one is never met."""
_MEMORY_BYTES_MAX = 256 << 20
"""Readers' positions are kept in memory."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """New at each start of the server; in a file that only this user reads."""

    account: str = field(default_factory=lambda: token_urlsafe(24))
    system: str = field(default_factory=lambda: token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Who the server is and where it lives."""

    cluster: str
    node: str
    directory: Path
    routes: Address | None  # None: it is alone
    others: tuple[Address, ...] = ()
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, settings: ClusterSettings, directory: Path) -> ServerPlace:
        nats = settings.nats
        others = tuple(p.routes for p in settings.peers if p.node != settings.node and p.routes)
        routes = nats.routes if others else None
        return cls(
            settings.cluster,
            settings.node,
            directory.absolute(),
            routes,
            others,
            nats.ca,
            nats.certificate,
            nats.key,
        )


def render(place: ServerPlace, passwords: Passwords, nkey: str | None = None) -> str:
    """With an nkey, the node is known by that and by no password."""
    user = {"nkey": nkey} if nkey else {"user": ACCOUNT, "password": passwords.account}
    told: dict[str, Any] = {
        "server_name": place.node,
        "listen": "127.0.0.1:-1",
        "ports_file_dir": str(place.directory),
        "log_file": str(place.directory / "nats.log"),
        "logfile_size_limit": 16 << 20,
        "logfile_max_num": 3,
        "max_payload": PAYLOAD_BYTES_MAX + (64 << 10),
        "max_pending": 64 << 20,
        "jetstream": {
            "store_dir": str(place.directory / "store"),
            "sync_interval": "always",
            "max_memory_store": _MEMORY_BYTES_MAX,
            "max_file_store": _STORE_BYTES_MAX,
        },
        "accounts": {
            ACCOUNT: {"jetstream": "enabled", "users": [user]},
            SYSTEM: {"users": [{"user": SYSTEM, "password": passwords.system}]},
        },
        "system_account": SYSTEM,
    }
    if place.routes is not None:
        told["cluster"] = _routes(place, place.routes)
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _routes(place: ServerPlace, listen: Address) -> dict[str, Any]:
    routes: dict[str, Any] = {
        "name": place.cluster,
        "listen": str(listen),
        "routes": [f"nats-route://{other}" for other in place.others],
        "no_advertise": True,
    }
    if place.certificate is not None:
        routes["tls"] = {
            "cert_file": str(place.certificate),
            "key_file": str(place.key),
            "ca_file": str(place.ca),
            "verify": True,
            "timeout": 5,
        }
    return routes
