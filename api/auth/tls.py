"""TLS for the listener, with certificates that may change while it listens.

    in   Tls
    out  an SSLContext that gives every new connection what was read last

A context is never changed: a new one is made, whole, and connections made from then on get it.
(Loading into the old one would add authorities and never drop any.)
"""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Collection, Mapping
from typing import Any

from api.auth.web_config import Tls
from tsdb.errors import InvalidInput

__all__ = ["ListenerContext", "context_of", "is_named"]


class ListenerContext(ssl.SSLContext):
    """What the event loop holds; it asks for one object a connection, before the handshake.

    A handshake under way is no connection to the protocol yet, so they are counted here.
    """

    def __new__(cls, current: ssl.SSLContext, connections_max: int) -> ListenerContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: ssl.SSLContext, connections_max: int) -> None:
        self.current = current
        self.cut = 0
        self._connections_max = connections_max
        self._open: weakref.WeakSet[ssl.SSLObject] = weakref.WeakSet()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        if len(self._open) >= self._connections_max:
            self.cut += 1
            raise ssl.SSLError("too many connections")
        made = self.current.wrap_bio(*args, **kwargs)
        self._open.add(made)
        return made


def is_named(peer: Mapping[str, Any] | None, names: Collection[str]) -> bool:
    """Whether a client's certificate bears one of the names, as a whole, whatever kind it is."""
    found = () if peer is None else peer.get("subjectAltName", ())
    return any(text in names for _, text in found)


def context_of(tls: Tls) -> ssl.SSLContext:
    """Raises InvalidInput naming the file that does not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls.min_version
    context.maximum_version = tls.max_version
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if tls.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    if tls.curve:
        context.set_ecdh_curve(tls.curve)
    try:
        # A key with a passphrase would ask for it on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{tls.cert_file} with {tls.key_file}: {_reason(error)}") from error
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{tls.client_ca_file}: {_reason(error)}") from error
    context.verify_mode = tls.client_auth
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; a server cannot type one")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).lower().replace("_", " ")
    return str(getattr(error, "strerror", None) or error).lower()
