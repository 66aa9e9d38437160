"""Whether a query may begin: what it would cost, before it reads anything.

    in   a query, its Source, what all queries hold together (api/turns.py)
    out  nothing; QueryFailed for one that cannot fit; Postponed for one that has to wait

Refused is what certainly passes a bound of one query: the lower bounds of its cost, so nothing is
refused that would have been answered. Reserved is what it may hold at most: its upper bounds, cut
at the bounds of one query, at which evaluation stops. Price: 0.1 ms for a series, 2.5 ms for 10,000
series in six blocks.

A node of a cluster that keeps some of the shards does not know what is in the others: its queries
are neither refused nor made to wait here, and are stopped at the same bounds while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.node import Node
from api.readers import Postponed
from api.running import Running

if TYPE_CHECKING:
    from tsdb.promql.cost import Cost
    from tsdb.promql.query import Answer, Source

__all__ = ["admit", "cost_of", "described", "settle"]


def admit(node: Node, query: Running, source: Source) -> None:
    """In a reader's thread, before the first point is read. Who was postponed comes a second time
    and holds its bytes then."""
    if query.held_bytes:
        return
    cost = cost_of(node, query, source)
    if cost is None:
        return
    reason = refusal_of(cost, node)
    if reason is not None:
        from tsdb.promql.errors import QueryFailed

        raise QueryFailed(reason)
    bytes_ = cost.held_bytes(node.points_max, node.cells_max)
    if not node.memory.take(bytes_):
        query.wanted_bytes, query.evaluated = bytes_, None
        raise Postponed(bytes_)
    query.held_bytes = bytes_


def settle(node: Node, query: Running, found: Answer) -> None:
    """In the same thread, once it is evaluated: what it read is dropped, the answer alone is held
    until its last piece is sent."""
    from tsdb.promql.cost import CELL_BYTES, POINT_BYTES
    from tsdb.promql.values import Vector

    value = found.value
    match value:
        case Vector():
            left = CELL_BYTES * value.values.size
        case (_, columns):
            left = POINT_BYTES * columns.points
        case _:
            left = 0
    if left < query.held_bytes:
        node.memory.give(query.held_bytes - left)
        query.held_bytes = left


def cost_of(node: Node, query: Running, source: Source) -> Cost | None:
    """None where it is not known. Raises InvalidInput for what is no query."""
    from tsdb.promql import query as promql

    if node.cluster is not None and node.cluster.elsewhere is not None:
        return None
    weigh = node.database().weigh
    return promql.cost(source, weigh, query.text, start=query.start, end=query.end, step=query.step)


def refusal_of(cost: Cost, node: Node) -> str | None:
    """Why it cannot fit, by the bound it would certainly pass; or None."""
    if cost.points_least > node.points_max:
        return (
            f"the query would read {cost.points_least:,} points or more of {cost.series:,} series: "
            "narrow the range or the selectors, or record what it asks for with a rule "
            f"(limit POINTS_PER_SELECT_MAX = {node.points_max})"
        )
    if cost.cells_least > node.cells_max:
        return (
            f"the query would hold {cost.cells_least:,} values or more at once, of "
            f"{cost.series:,} series: ask for fewer series or a longer step "
            f"(limit QUERY_CELLS_MAX = {node.cells_max})"
        )
    return None


def described(cost: Cost | None, node: Node) -> dict[str, Any]:
    """For those who ask before they query."""
    limits = {
        "points": node.points_max,
        "cells": node.cells_max,
        "memoryBytes": node.memory.bytes_max,
    }
    free = max(node.memory.bytes_max - node.memory.taken, 0)
    if cost is None:
        reason = "this node keeps some of the shards and does not know what is in the others"
        return {"verdict": "unknown", "reason": reason, "limits": limits, "freeBytes": free}
    reason = refusal_of(cost, node) or ""
    over = cost.unknown or cost.points > node.points_max or cost.cells > node.cells_max
    return {
        "verdict": "refused" if reason else "uncertain" if over else "fits",
        "reason": reason,
        "selectors": cost.selectors,
        "series": cost.series,
        "points": {"atLeast": cost.points_least, "atMost": None if cost.unknown else cost.points},
        "cells": {"atLeast": cost.cells_least, "atMost": None if cost.unknown else cost.cells},
        "blocks": cost.blocks,
        "bytes": cost.bytes,
        "memoryBytes": cost.held_bytes(node.points_max, node.cells_max),
        "freeBytes": free,
        "limits": limits,
    }
