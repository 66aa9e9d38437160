"""What a request presents to say who it is.

    in   headers, path, query string
    out  its bytes (to look up, hashed) and their meaning (to verify, once)

    Authorization: Basic base64(user:password)      the password may be a token
    Authorization: Bearer TOKEN
    Authorization: Token TOKEN                      InfluxDB 2
    Authorization: Token USER:PASSWORD              InfluxDB 1
    ?u=USER&p=PASSWORD                              InfluxDB 1, on its own paths only

A URL is written to the logs of every proxy on the way, so credentials in one are taken only where
clients have no other way.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qsl

__all__ = ["Credentials", "parsed", "presented"]

INFLUX_1_PATHS = frozenset({b"/write", b"/query", b"/ping"})
QUERY_SCHEME = b"query "
QUERY_FIELDS_MAX = 64


@dataclass(frozen=True, slots=True)
class Credentials:
    """`user` is None for a token alone."""

    user: bytes | None
    secret: bytes


def presented(headers: dict[bytes, bytes], raw_path: bytes, query_string: bytes) -> bytes | None:
    """The bytes that stand for the caller; None when it presents nothing."""
    found = headers.get(b"authorization")
    if found is not None or raw_path not in INFLUX_1_PATHS or b"p=" not in query_string:
        return found
    try:
        fields = dict(parse_qsl(query_string, max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        return None
    if b"p" not in fields:
        return None
    return QUERY_SCHEME + base64.b64encode(fields.get(b"u", b"") + b":" + fields[b"p"])


def parsed(text: bytes) -> Credentials | None:
    """None when it is none of the forms above."""
    scheme, _, rest = text.partition(b" ")
    scheme, rest = scheme.lower(), rest.strip()
    if not rest:
        return None
    if scheme in (b"basic", b"query"):
        try:
            pair = base64.b64decode(rest, validate=True)
        except binascii.Error:
            return None
        user, colon, secret = pair.partition(b":")
        return Credentials(user, secret) if colon else None
    if scheme == b"bearer":
        return Credentials(None, rest)
    if scheme == b"token":
        user, colon, secret = rest.partition(b":")
        return Credentials(user, secret) if colon else Credentials(None, rest)
    return None
