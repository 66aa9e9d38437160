"""What the route of costs says of itself; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import QUERY_TEXT, TIME, T, form
from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["COST", "COST_POST"]

PARAMETERS = [
    QUERY_TEXT,
    parameter("time", f"The moment to ask about. {TIME} Now unless given."),
    parameter("start", "First step; needs `end` and `step`, and then there is no `time`."),
    parameter("end", "No step after this."),
    parameter("step", "Seconds, or a duration such as `1m30s`."),
    parameter("lookback_delta", "How old a latest point may be; 5m unless given."),
]
BOUNDS: Json = {
    "type": "object",
    "required": ["atLeast", "atMost"],
    "properties": {
        "atLeast": {"type": "integer"},
        "atMost": {"type": ["integer", "null"]},
    },
}
FOUND: Json = {
    "type": "object",
    "required": ["verdict", "reason", "limits", "freeBytes"],
    "properties": {
        "verdict": {"enum": ["fits", "uncertain", "refused", "unknown"]},
        "reason": {"type": "string"},
        "selectors": {"type": "integer"},
        "series": {"type": "integer"},
        "points": BOUNDS,
        "cells": BOUNDS,
        "blocks": {"type": "integer"},
        "bytes": {"type": "integer"},
        "memoryBytes": {"type": "integer"},
        "freeBytes": {"type": "integer"},
        "limits": {"type": "object"},
    },
}
EXAMPLE: Json = {
    "verdict": "fits",
    "reason": "",
    "selectors": 1,
    "series": 1000,
    "points": {"atLeast": 240_000, "atMost": 252_000},
    "cells": {"atLeast": 61_000, "atMost": 124_000},
    "blocks": 1,
    "bytes": 310_000,
    "memoryBytes": 5_148_000,
    "freeBytes": 2_147_483_648,
    "limits": {"points": 50_000_000, "cells": 50_000_000, "memoryBytes": 2_147_483_648},
}
COST: Json = {
    "tags": ["PromQL"],
    "summary": "What a query would cost",
    "description": "From the index and chunk tables alone, in milliseconds: series, points, values "
    "held at once (cells), blocks and bytes to open, memory to reserve. `atLeast` is certain and "
    "`atMost` is not passed (`null`: any number). `refused`: the query would be answered 422 for "
    "`reason`; `fits`: it passes no bound; `uncertain`: it may pass one while it runs; `unknown`: "
    "this node of a cluster keeps only some of the shards.",
    "operation_id": "query_cost",
    "responses": {200: data_answer("The cost.", EXAMPLE, FOUND), **refusals(400, 413)},
    "openapi_extra": {"parameters": PARAMETERS},
}
COST_POST: Json = COST | {
    "operation_id": "query_cost_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form(PARAMETERS, f"query=1%2B1&start={T}&end={T + 60}&step=15"),
}
