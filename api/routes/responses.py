"""Parts that the routes' descriptions share: schemas, answers, refusals, parameters.

    out  pieces of OpenAPI for `api.routes.examples` and its neighbours

Every route may refuse; which statuses it may use is its own, what each means is said once.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ERROR_SCHEMA",
    "WRITTEN_SCHEMA",
    "Json",
    "data_answer",
    "json_answer",
    "json_content",
    "parameter",
    "refusals",
]

Json = dict[str, Any]

ERROR_SCHEMA = {
    "type": "object",
    "required": ["status", "errorType", "error"],
    "properties": {
        "status": {"const": "error"},
        "errorType": {"type": "string"},
        "error": {"type": "string"},
        "limit": {"type": "string"},
        "limitValue": {"type": "number"},
    },
}
WRITTEN_SCHEMA = {
    "type": "object",
    "required": ["status", "points", "seq", "durable"],
    "properties": {
        "status": {"enum": ["success", "partial"]},
        "points": {"type": "integer", "minimum": 0},
        "seq": {"type": "integer", "minimum": 0},
        "durable": {"type": "boolean"},
        "refused": {"type": "array", "items": {"type": "string"}},
        "refused_count": {"type": "integer"},
    },
}
REFUSALS = {
    400: "The request is wrong; `error` names the culprit.",
    403: "Where the request comes from, it may not be made.",
    404: "There is no such key.",
    406: "There is no answer in a form that `Accept` names.",
    413: "The body passes a bound; `limit` names it.",
    415: "The body is in a form that is not read here.",
    422: "The question passes a bound; `limit` names it.",
    429: "The queue is full, or new series are refused: retry after `Retry-After` seconds.",
    500: "Our bug, or stored data is damaged; the server's log has more.",
    503: "Starting, shutting down, too busy, or storage failed: retry after `Retry-After` seconds.",
}


def json_content(schema: Json, **more: Any) -> Json:
    return {"application/json": {"schema": schema, **more}}


def refusals(*statuses: int, schema: Json = ERROR_SCHEMA) -> dict[int | str, Json]:
    """The ways to refuse that a route has beside those that all have."""
    return {
        status: {"description": REFUSALS[status], "content": json_content(schema)}
        for status in (*statuses, 403, 500, 503)
    }


def json_answer(description: str, example: Json, schema: Json | None = None) -> Json:
    content = json_content(schema or _schema_of(example), example=example)
    return {"description": description, "content": content}


def data_answer(description: str, example: object, data: Json) -> Json:
    """In the envelope of Prometheus' API; `data` is the schema of what is in it."""
    schema = {
        "type": "object",
        "required": ["status", "data"],
        "properties": {"status": {"const": "success"}, "data": data},
    }
    return json_answer(description, {"status": "success", "data": example}, schema)


def parameter(name: str, description: str, **schema: Any) -> Json:
    """One of the query string, for routes that FastAPI does not take apart."""
    shape = {"type": "string", **schema}
    return {"name": name, "in": "query", "schema": shape, "description": description}


def _schema_of(example: Json) -> Json:
    """Keys and types of an example are those of every answer."""
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array"}
    properties = {k: {"type": kinds[type(v)]} for k, v in example.items() if v is not None}
    return {"type": "object", "required": sorted(properties), "properties": properties}
