"""Sockets that listen, or one line for the operator saying why there is none.

in   host, port, kind
out  a bound socket, listening if it is a stream; CommandFailed
"""

from __future__ import annotations

import socket

from api.exits import CommandFailed, Exit

__all__ = ["BACKLOG", "bound"]

BACKLOG = 1024


def bound(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Of the first address that `host` has."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=kind, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        try:
            if kind == socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandFailed(
            f"cannot listen on {host} port {port}: {reason}", Exit.UNAVAILABLE
        ) from error
    return listener
