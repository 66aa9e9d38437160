"""How much of a shard's log nobody needs any more.

    in   the log's state, how far each node has it on its own disk
    out  the position up to which it may go, or None

A log is left alone until it is large. Then it loses what every node has on disk, less a margin that
lets a node with a damaged end of its own log read it again. A node that is away keeps everything
after its position, until the log reaches its budget: then the others go on without it, and it will
copy its data from one of them when it comes back (replication/rebuild.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from replication.arrivals import PASSED_MAX
from replication.stream import LogState

__all__ = ["BUDGET_BYTES", "KEEP_BYTES", "trim_to"]

KEEP_BYTES = 256 << 20  # of a log, of which half is kept as a margin
BUDGET_BYTES = 1 << 30  # from here on nobody is waited for; LOG_BYTES_MAX refuses writes later


def trim_to(state: LogState, durable: Mapping[str, int | None], heard: Set[str]) -> int | None:
    """`durable`: of every node of the cluster, None if it never said; `heard`: of which lately."""
    if state.size_bytes < KEEP_BYTES:
        return None
    counted = dict(durable)
    if state.size_bytes >= BUDGET_BYTES:
        counted = {node: seq for node, seq in durable.items() if node in heard}
    if 2 * len(counted) <= len(durable):
        return None
    positions = [0 if seq is None else seq for seq in counted.values()]
    messages = state.last_seq - state.first_seq + 1
    margin = messages * (KEEP_BYTES // 2) // state.size_bytes + PASSED_MAX
    through = min(*positions, state.last_seq - margin)
    return through if through >= state.first_seq else None
