"""What `explain=1` shows: the tree of a query with what each node did.

in   the root of a trace
out  nested objects: a node's text or a read's selector, time, series, values
"""

from __future__ import annotations

from typing import Any

from tsdb.batch import Decoded
from tsdb.promql import printing
from tsdb.promql.trace import Step

__all__ = ["shown"]


def shown(step: Step) -> dict[str, Any]:
    """A step and those inside it. Seconds of a step include what is inside."""
    if isinstance(step.what, tuple):
        return {
            "read": "{" + ",".join(map(str, step.what)) + "}",
            "seconds": round(step.took_s, 6),
            "series": step.series,
            "points": step.values,
            **_decoded(step.did),
        }
    found: dict[str, Any] = {
        "node": printing.text(step.what),
        "seconds": round(step.took_s, 6),
        "steps": step.steps,
        "series": step.series,
        "values": step.values,
    }
    if step.reused:
        found["reused"] = True
    if step.inside:
        found["inside"] = [shown(inner) for inner in step.inside]
    return found


def _decoded(did: Decoded | None) -> dict[str, int]:
    """Of a read; nothing where shards of other nodes were asked."""
    if did is None:
        return {}
    return {
        "blocksOpened": did.blocks_opened,
        "blocksSkipped": did.blocks_skipped,
        "chunks": did.chunks,
        "pointsDecoded": did.points,
        "bytesDecoded": did.bytes,
        "pointsInMemory": did.memory_points,
    }
