"""Routes that take points, by table: they do not go through FastAPI's machinery.

    in   method and raw path of a request
    out  the coroutine that answers it, or None: then FastAPI looks

An exact path is found in a dict, a prefix by its longest match. Each of these is declared in
FastAPI too (`declare` of its module), so that OpenAPI lists it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from api import keys
from api.exchange import Answer, Exchange
from api.node import Node
from api.routes import (
    bulk,
    collectd,
    csv_import,
    exposition,
    influx,
    kv,
    opentsdb,
    otlp,
    pushgateway,
    remote_write,
)

__all__ = ["Write", "writer_of"]

Write: TypeAlias = Callable[[Node, Exchange], Awaitable[Answer]]

EXACT: dict[tuple[str, bytes], Write] = {
    ("POST", b"/api/v1/import"): bulk.write,
    ("POST", b"/api/put"): opentsdb.write,
    ("POST", b"/collectd"): collectd.write,
    ("POST", b"/write"): influx.write_v1,
    ("POST", b"/api/v2/write"): influx.write_v2,
    ("POST", b"/api/v3/write_lp"): influx.write_v3,
    ("POST", b"/api/v2/delete"): influx.delete,
    ("POST", b"/api/v1/write"): remote_write.write,
    ("POST", b"/api/v1/push"): remote_write.write,
    ("POST", b"/api/v1/import/prometheus"): exposition.write,
    ("POST", b"/api/v1/import/csv"): csv_import.write,
    **{("POST", path.encode()): otlp.write for path in otlp.PATHS},
}
# (prefix, methods, write); longer prefixes first
PREFIXES: tuple[tuple[bytes, frozenset[str], Write], ...] = (
    (keys.PREFIX, frozenset({"PUT", "POST"}), kv.write),
    (exposition.GROUPS + b"/job", frozenset({"PUT", "POST"}), exposition.write_group),
    (pushgateway.PREFIX, frozenset({"PUT", "POST", "DELETE"}), pushgateway.write),
    (pushgateway.PREFIX_BASE64, frozenset({"PUT", "POST", "DELETE"}), pushgateway.write),
)


def writer_of(method: str, raw_path: bytes) -> Write | None:
    """Who answers a request that writes points."""
    found = EXACT.get((method, raw_path))
    if found is not None:
        return found
    for prefix, methods, write in PREFIXES:
        if raw_path.startswith(prefix) and method in methods:
            return write
    return None
