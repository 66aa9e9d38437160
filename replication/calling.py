"""How a node calls another one over HTTP: a connection, and what it says about itself.

    in   ClusterSettings, a node
    out  an open connection; headers that show the cluster's secret

Whoever has the secret is a node, and may read all data: nodes copy it from each other. It is sent
with every call, so over a network that others share it wants https (`ca`).
"""

from __future__ import annotations

import hmac
import http.client
import socket
import ssl

from replication.settings import ClusterSettings, Peer

__all__ = ["SECRET_HEADER", "Calls", "knows"]

SECRET_HEADER = "x-silverback-cluster"
CONNECT_S = 2.0


def knows(settings: ClusterSettings, shown: bytes | None) -> bool:
    """Whether a caller showed the cluster's secret. Never where there is none."""
    wanted = settings.secret.encode()
    return bool(wanted) and shown is not None and hmac.compare_digest(wanted, shown)


class Calls:
    """Of one node to the others. Any thread."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._secret = settings.secret
        self._context: ssl.SSLContext | None = None
        if settings.ca is not None:
            self._context = ssl.create_default_context(cafile=str(settings.ca))

    @property
    def headers(self) -> dict[str, str]:
        return {SECRET_HEADER: self._secret} if self._secret else {}

    def connected(self, peer: Peer, timeout_s: float) -> http.client.HTTPConnection:
        """Raises OSError."""
        host, port = peer.http
        made: http.client.HTTPConnection
        if self._context is None:
            made = http.client.HTTPConnection(host, port, timeout=min(CONNECT_S, timeout_s))
        else:
            made = http.client.HTTPSConnection(
                host, port, timeout=min(CONNECT_S, timeout_s), context=self._context
            )
        made.connect()
        made.sock.settimeout(timeout_s)
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
