"""How new an answer of a cluster must be: `X-Silverback-Read` and `X-Silverback-Position`.

    in   the headers of a read, the open database
    out  nothing, once this node has applied enough; else Unavailable (503)

stale          what is here now
session        what this node has acked, and what the position in the request names (the default)
linearizable   everything acked anywhere before the request came (the default of /kv and of
               /api/v1/export): one round to a majority of every shard's log

A single node has one log: whatever is asked for, an answer is as new as can be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.exchange import POSITION, Exchange
from replication.database import parse_token
from tsdb.errors import InvalidInput

if TYPE_CHECKING:
    from replication.database import ClusterDatabase

__all__ = ["settled"]

READ = b"x-silverback-read"
STALE, SESSION, LINEARIZABLE = "stale", "session", "linearizable"
LEVELS = (STALE, SESSION, LINEARIZABLE)
EXACT = (b"/kv", b"/api/v1/export")


@contextlib.contextmanager
def settled(database: ClusterDatabase, exchange: Exchange) -> Iterator[None]:
    """Inside, this thread reads at the level that the request asks for."""
    exact = exchange.scope["raw_path"].startswith(EXACT)
    default = LINEARIZABLE if exact else SESSION
    level = exchange.headers.get(READ, default.encode()).decode("latin-1").strip().lower()
    if level not in LEVELS:
        known = ", ".join(LEVELS)
        raise InvalidInput(f"X-Silverback-Read: {level[:40]!r} is not one of {known}")
    if level == STALE:
        with database.stale():
            yield
        return
    token = exchange.headers.get(POSITION, b"").decode("latin-1")
    positions = parse_token(token, len(database.acked))
    if level == LINEARIZABLE:
        positions += database.barrier()
    with database.after(positions):
        yield
