"""What OpenTSDB's routes say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.responses import ERROR_SCHEMA, Json, json_content, parameter, refusals

__all__ = ["AGGREGATORS", "PUT", "SUGGEST", "SUGGEST_POST", "VERSION"]

POINT: Json = {
    "type": "object",
    "required": ["metric", "timestamp", "value"],
    "properties": {
        "metric": {"type": "string", "minLength": 1},
        "timestamp": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        "value": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
COUNTS: Json = {
    "type": "object",
    "required": ["success", "failed"],
    "properties": {
        "success": {"type": "integer"},
        "failed": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "details": {"type": "string"},
            },
        }
    },
}
NAMES: Json = {"type": "array", "items": {"type": "string"}}


SAMPLE: Json = {
    "metric": "sys.cpu.nice",
    "timestamp": 1700000000,
    "value": 18,
    "tags": {"host": "web01", "dc": "lga"},
}
PUT: dict[str, Any] = {
    "tags": ["OpenTSDB"],
    "summary": "Write data points",
    "description": "One data point or an array of them, as OpenTSDB takes them. Times are Unix "
    "seconds, or milliseconds if they are more than 2^32 - 1; numbers may be strings. A point that "
    "is wrong costs itself: the others are kept, and the answer is 400. Bodies may be compressed.",
    "operation_id": "opentsdb_put",
    "responses": {
        200: {
            "description": "All points are kept; `summary` or `details` was asked for.",
            "content": json_content(COUNTS, example={"success": 2, "failed": 0}),
        },
        204: {"description": "All points are kept: fsynced and visible."},
        **refusals(400, 413, 429, schema={"anyOf": [ERROR, COUNTS, ERROR_SCHEMA]}),
    },
    "openapi_extra": {
        "parameters": [
            parameter("summary", "Count the points that are kept and that are not."),
            parameter("details", "Tell the points that are not kept, and why."),
            parameter("sync", "Changes nothing: every answer comes after the fsync."),
            parameter("sync_timeout", "Changes nothing."),
        ],
        "requestBody": {
            "required": True,
            "description": "Data points.",
            "content": {
                "application/json": {
                    "schema": {"anyOf": [POINT, {"type": "array", "items": POINT}]},
                    "examples": {
                        "one": {"value": SAMPLE},
                        "several": {"value": [SAMPLE, SAMPLE | {"timestamp": 1700000000500}]},
                    },
                }
            },
        },
    },
}
VERSION: dict[str, Any] = {
    "tags": ["OpenTSDB"],
    "summary": "Which OpenTSDB this speaks like",
    "operation_id": "opentsdb_version",
    "responses": {
        200: {
            "description": "The version whose protocol this is.",
            "content": json_content(
                {"type": "object", "required": ["version"]}, example={"version": "2.4.0"}
            ),
        },
        **refusals(400),
    },
}
AGGREGATORS: dict[str, Any] = {
    "tags": ["OpenTSDB"],
    "summary": "What a range can be folded with",
    "operation_id": "opentsdb_aggregators",
    "responses": {
        200: {
            "description": "Names, as `agg` of `GET /kv` takes them.",
            "content": json_content(NAMES),
        },
        **refusals(400),
    },
}
SUGGEST: dict[str, Any] = {
    "tags": ["OpenTSDB"],
    "summary": "Names that begin with a text",
    "operation_id": "opentsdb_suggest",
    "responses": {
        200: {"description": "Names in alphabetical order.", "content": json_content(NAMES)},
        **refusals(400, 413, 429),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "type",
                "in": "query",
                "schema": {"enum": ["metrics", "tagk", "tagv"], "default": "metrics"},
                "description": "Which names.",
            },
            {
                "name": "q",
                "in": "query",
                "schema": {"type": "string"},
                "description": "What they begin with; all unless given.",
            },
            {
                "name": "max",
                "in": "query",
                "schema": {"type": "integer", "minimum": 0, "default": 25},
                "description": "At most this many.",
            },
        ]
    },
}
SUGGEST_POST: dict[str, Any] = {
    **SUGGEST,
    "operation_id": "opentsdb_suggest_post",
    "summary": "The same, asked with a body",
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The parameters of GET.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "type": {"enum": ["metrics", "tagk", "tagv"]},
                            "q": {"type": "string"},
                            "max": {"type": "integer", "minimum": 0},
                        },
                    },
                    "examples": {"metrics": {"value": {"type": "metrics", "q": "sys", "max": 10}}},
                }
            },
        }
    },
}
