"""What the routes about metadata and exemplars say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.examples import ERROR_SCHEMA, REFUSALS

__all__ = ["EXEMPLARS", "METADATA"]

Json = dict[str, Any]


def _responses(description: str, data: Json, example: object) -> dict[int, Json]:
    schema = {
        "type": "object",
        "required": ["status", "data"],
        "properties": {"status": {"const": "success"}, "data": data},
    }
    shown = {"status": "success", "data": example}
    content = {"application/json": {"schema": schema, "example": shown}}
    wrong = {"application/json": {"schema": ERROR_SCHEMA}}
    refused: dict[int, Json] = {
        status: {"description": REFUSALS[status], "content": wrong}
        for status in (400, 403, 500, 503)
    }
    return {200: {"description": description, "content": content}, **refused}


METADATA: Json = {
    "tags": ["reading"],
    "summary": "Type, help and unit of metric families",
    "description": "What senders said last about each family, in the shape of Prometheus' API.",
    "operation_id": "list_metadata",
    "responses": _responses(
        "Families by name, each with a list of one.",
        {"type": "object"},
        {"up": [{"type": "gauge", "help": "1 when the target answers.", "unit": ""}]},
    ),
}
EXEMPLARS: Json = {
    "tags": ["reading"],
    "summary": "Exemplars of series",
    "description": "Of the last 100,000 that came, those of matching series, oldest first.",
    "operation_id": "list_exemplars",
    "responses": _responses(
        "Series with their exemplars.",
        {"type": "array"},
        [
            {
                "seriesLabels": {"__name__": "requests_total", "job": "web"},
                "exemplars": [
                    {"labels": {"trace_id": "4bf92f35"}, "value": "6", "timestamp": 1700000000.479}
                ],
            }
        ],
    ),
}
