"""Every bound of this server, its value, and how often it refused somebody.

GET /api/v1/status/limits
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI
from starlette.responses import Response

from api.exchange import Answer
from api.node import Node
from api.refusals import LIMITS
from api.routes.responses import json_answer, refusals
from api.work import Reply

__all__ = ["declare"]

COUNT = {"type": "integer", "minimum": 0}
BOUND = {
    "type": "object",
    "required": ["value", "refused", "points_refused"],
    "properties": {"value": {"type": "number"}, "refused": COUNT, "points_refused": COUNT},
}
BOUNDS: dict[str, Any] = {
    "tags": ["health"],
    "summary": "Every bound and how often it refused",
    "description": "Those of [limits](limits.md) and of [settings](settings.md), by name, with the "
    "requests and connections refused since the server started, and the points left out of writes.",
    "operation_id": "limits",
    "responses": {
        200: json_answer(
            "As of now.",
            {
                "status": "success",
                "limits": {"HEADERS_MAX": {"value": 64, "refused": 0, "points_refused": 0}},
            },
            {
                "type": "object",
                "required": ["status", "limits"],
                "properties": {
                    "status": {"const": "success"},
                    "limits": {"type": "object", "additionalProperties": BOUND},
                },
            },
        ),
        **refusals(),
    },
}


def bounds(node: Node) -> Answer:
    settings = {
        name: value
        for name, value in node.settings
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    requests, points = node.refusals.requests, node.refusals.points
    document = {
        "status": "success",
        "limits": {
            name: {"value": value, "refused": requests[name], "points_refused": points[name]}
            for name, value in sorted((LIMITS | settings).items())
        },
    }
    return Answer(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def declare(app: FastAPI, node: Node) -> None:
    """The route as FastAPI knows it."""

    @app.get("/api/v1/status/limits", **BOUNDS)
    async def limits_of_this_server() -> Response:
        return Reply(bounds(node))
