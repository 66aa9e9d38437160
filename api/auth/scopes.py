"""What a request needs: read, write or admin, by its method and path. The one place that says so.

    in   method and raw path
    out  a set of scopes, any one of which is enough; OPEN needs none

Scopes are small ints or-ed together, so that the check of a request is one `&`. What no rule names
needs admin: a new route is closed until somebody decides (and a test fails until then).
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from api.auth.scope_names import ADMIN, OPEN, READ, WRITE
from api.routes.writers import writer_of

__all__ = ["is_between_nodes", "needed", "rule_of"]

_CREATE = re.compile(
    r"\s*CREATE\s+DATABASE\s+(\"[^\";]*\"|[\w-]+)\s*;?\s*", re.IGNORECASE | re.ASCII
)
ADMIN_PREFIX = b"/api/v1/admin/"
ACTIVE_QUERIES_PREFIX = b"/api/v1/status/active_queries/"
# Load balancers and senders ask these before they have credentials; the answers hold no data.
OPEN_PATHS = frozenset(
    {
        b"/-/healthy",
        b"/-/ready",
        b"/ping",
        b"/health",
        b"/ready",
        b"/favicon.ico",
        b"/favicon.svg",
    }
)
# Questions that come as a POST, and the few orders outside of ADMIN_PREFIX.
EXACT: dict[tuple[str, bytes], int] = {
    ("POST", b"/-/reload"): ADMIN,
    ("PUT", b"/-/reload"): ADMIN,
    ("POST", b"/api/suggest"): READ,  # OpenTSDB
    ("POST", b"/api/v2/query"): READ,  # InfluxDB 2: is told that Flux is not spoken
    ("POST", b"/query"): READ,  # InfluxDB 1, but see _creates
    ("POST", b"/api/v1/query"): READ,
    ("POST", b"/api/v1/query_range"): READ,
    ("POST", b"/api/v1/correlate"): READ,
    ("POST", b"/api/v1/query_cost"): READ,
    ("POST", b"/api/v1/query_exemplars"): READ,
    ("POST", b"/api/v1/format_query"): READ,
    ("POST", b"/api/v1/parse_query"): READ,
    ("POST", b"/api/v1/series"): READ,
    ("POST", b"/api/v1/labels"): READ,
    ("POST", b"/api/v1/read"): READ,
    ("POST", b"/api/v1/cluster/moves"): ADMIN,
    ("DELETE", b"/api/v1/cluster/moves"): ADMIN,
    ("POST", b"/api/v1/cluster/drain"): ADMIN,
    ("POST", b"/api/v1/cluster/evict"): ADMIN,
    ("POST", b"/api/v1/cluster/rebalance"): ADMIN,
    ("POST", b"/api/v1/search/metric_names"): READ,
    ("POST", b"/api/v1/search/label_names"): READ,
    ("POST", b"/api/v1/search/label_values"): READ,
}

BETWEEN_NODES = frozenset(
    {
        ("GET", b"/api/v1/alerts"),
        ("GET", b"/api/v1/rules"),
        ("GET", b"/api/v1/targets"),
        ("GET", b"/api/v1/cluster/node"),
        ("GET", b"/api/v1/cluster/shard"),
        ("GET", b"/api/v1/cluster/snapshot"),
        ("POST", b"/api/v1/cluster/read"),
    }
)


def rule_of(method: str, raw_path: bytes) -> int | None:
    """The scopes that some rule names, or None."""
    exact = EXACT.get((method, raw_path))
    if exact is not None:
        return exact
    if (method, raw_path) in BETWEEN_NODES and raw_path.startswith(b"/api/v1/cluster/"):
        return ADMIN
    if raw_path.startswith(ADMIN_PREFIX):
        return ADMIN
    if method == "DELETE" and raw_path.startswith(ACTIVE_QUERIES_PREFIX):
        return ADMIN
    if method in ("GET", "HEAD"):
        return OPEN if raw_path in OPEN_PATHS else READ
    if method == "OPTIONS":
        return OPEN  # names of methods, no data
    if method == "DELETE" or writer_of(method, raw_path) is not None:
        return WRITE  # who may write a point may overwrite it, so deleting is no more than that
    return None


def is_between_nodes(method: str, raw_path: bytes) -> bool:
    """Whether nodes of a cluster ask this of each other, with a secret of their own."""
    return (method, raw_path) in BETWEEN_NODES


def needed(method: str, raw_path: bytes, query_string: bytes = b"") -> int:
    found = rule_of(method, raw_path)
    if raw_path == b"/query" and (_creates(query_string) or _asks_in_body(method, query_string)):
        return READ | WRITE
    return ADMIN if found is None else found


def _asks_in_body(method: str, query_string: bytes) -> bool:
    """Whether the statement comes later, in a form: then the route looks at who asks it."""
    return method == "POST" and not any(
        name == "q" for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    )


def _creates(query_string: bytes) -> bool:
    """Whether an InfluxQL statement only creates a database, as agents do before they write."""
    fields = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    asked = [text for name, text in fields if name == "q"]
    return len(asked) == 1 and _CREATE.fullmatch(asked[0]) is not None
