"""What the routes of PromQL say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["ACTIVE", "CANCEL", "QUERY", "QUERY_POST", "QUERY_RANGE", "QUERY_RANGE_POST", "form"]

FORM = "application/x-www-form-urlencoded"
ARROW = "application/vnd.apache.arrow.stream"
T = 1_700_000_000
TIME = "Unix seconds with a fraction, or RFC 3339."
LABELS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
RESULT: Json = {
    "type": "object",
    "required": ["resultType", "result"],
    "properties": {
        "resultType": {"enum": ["vector", "matrix", "scalar", "string"]},
        "result": {"type": "array"},
        "stats": {"type": "object"},
        "explain": {"type": "object"},
    },
}
VECTOR: Json = {
    "resultType": "vector",
    "result": [{"metric": {"__name__": "up", "job": "node"}, "value": [T, "1"]}],
}
MATRIX: Json = {
    "resultType": "matrix",
    "result": [{"metric": {"job": "node"}, "values": [[T, "0.5"], [T + 15, "0.75"]]}],
}
BOTH = (
    parameter("timeout", "Stop after this long; never longer than 2 minutes."),
    parameter("limit", "At most this many series; 0 for all.", type="integer", minimum=0),
    parameter("lookback_delta", "How old a latest point may be; 5m unless given."),
    parameter("stats", "`all` adds timings and counts of points."),
    parameter(
        "explain",
        "`1` adds what each node of the query did: time, series, values; of reads the blocks "
        "opened and skipped, chunks, points and bytes decoded, points in memory.",
    ),
)


def _required(name: str, description: str, example: str) -> Json:
    return parameter(name, description, examples=[[example]]) | {"required": True}


QUERY_TEXT = _required("query", "PromQL.", "1+1")
INSTANT = [QUERY_TEXT, parameter("time", f"{TIME} Now unless given."), *BOTH]
RANGE = [
    QUERY_TEXT,
    _required("start", f"First step. {TIME}", str(T)),
    _required("end", f"No step after this. {TIME}", str(T + 60)),
    _required("step", "Seconds, or a duration such as `1m30s`.", "15"),
    *BOTH,
]


def form(parameters: list[Json], example: str) -> Json:
    """The same parameters in a body, which go before those of the query string."""
    return {
        "parameters": parameters,
        "requestBody": {
            "required": False,
            "description": "The parameters, as a form. A body of another type is not looked at.",
            "content": {
                FORM: {
                    "schema": {"type": "string"},
                    "examples": {"form": {"value": example}},
                }
            },
        },
    }


def _answers(description: str, example: Json) -> dict[int | str, Json]:
    found = data_answer(description, example, RESULT)
    found["content"][ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return {200: found, **refusals(400, 406, 413, 422)}


QUERY: Json = {
    "tags": ["PromQL"],
    "summary": "A query at one moment",
    "description": "As Prometheus answers it; `warnings` and `infos` beside `data` where there "
    "are any. Parameters that are not known are ignored.",
    "operation_id": "query",
    "responses": _answers("A vector, scalar, string, or points of a range selector.", VECTOR),
    "openapi_extra": {"parameters": INSTANT},
}
QUERY_POST: Json = QUERY | {
    "operation_id": "query_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form(INSTANT, f"query=1%2B1&time={T}"),
}
QUERY_RANGE: Json = {
    "tags": ["PromQL"],
    "summary": "A query from start to end, every step",
    "description": "At most 11,000 steps after the first.",
    "operation_id": "query_range",
    "responses": _answers("A matrix.", MATRIX),
    "openapi_extra": {"parameters": RANGE},
}
QUERY_RANGE_POST: Json = QUERY_RANGE | {
    "operation_id": "query_range_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form(RANGE, f"query=1%2B1&start={T}&end={T + 60}&step=15"),
}
ACTIVE: Json = {
    "tags": ["PromQL"],
    "summary": "Queries under way",
    "description": "The longest running first, with what they have read so far.",
    "operation_id": "list_active_queries",
    "responses": {
        200: data_answer(
            "Queries.",
            [{"id": "1", "query": "sum(rate(x[5m]))", "state": "running", "seconds": 0.8}],
            {"type": "array"},
        ),
        **refusals(),
    },
}
CANCEL: Json = {
    "tags": ["PromQL"],
    "summary": "Stop a query",
    "description": "Its client is answered 503 `canceled`. One that has ended cannot be stopped.",
    "operation_id": "cancel_query",
    "responses": {
        200: data_answer(
            "Whether there was such a query. It stops at the next node of its tree.",
            {"canceled": True},
            {"type": "object", "properties": {"canceled": {"type": "boolean"}}},
        ),
        **refusals(),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "examples": {"id": {"value": "1"}},
                "description": "As the list of active queries has it.",
            }
        ]
    },
}
