"""What the routes say about themselves: OpenAPI texts, schemas and examples.

    out  keyword arguments for FastAPI's route decorators

Every example is executed against a running server by tests/api/test_openapi.py, and
docs/reference/http.md is rendered from what FastAPI makes of this page.
"""

from __future__ import annotations

from typing import Any

from api.routes.responses import WRITTEN_SCHEMA, Json, json_answer, refusals

__all__ = [
    "DELETE_KEY",
    "EXPORT",
    "FLUSH",
    "HEALTHY",
    "IMPORT",
    "KEY",
    "LIST_KEYS",
    "METRICS",
    "READY",
    "READ_KEY",
    "SNAPSHOT",
    "STATUS",
    "WRITE_KEY",
    "WRITE_KEY_POST",
]

NUMBER_OR_TEXT = {"anyOf": [{"type": "number"}, {"type": "string"}]}
POINTS = {
    "type": "array",
    "items": {"type": "array", "items": NUMBER_OR_TEXT, "minItems": 2, "maxItems": 2},
}
LISTING_SCHEMA = {
    "type": "object",
    "required": ["status", "keys", "next"],
    "properties": {
        "status": {"const": "success"},
        "keys": {"type": "array", "items": {"type": "string"}},
        "next": {"type": ["string", "null"]},
    },
}


def _body(examples: dict[str, Any], media: str, description: str, schema: Json) -> Json:
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {media: {"schema": schema, "examples": shown}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


KEY: dict[str, Any] = {
    "description": 'A plain name (slashes allowed) or a percent-encoded `name{label="v"}`.',
    "openapi_examples": {
        "plain": {"value": "sensors/kitchen/temp"},
        "labels": {"value": 'cpu{host="a"}'},
    },
}
_WRITTEN = json_answer(
    "Fsynced and visible, unless `ack=memory`. `status` is `partial` when some lines or points "
    "were refused; `refused` says which and why.",
    {"status": "success", "points": 2, "seq": 7, "durable": True},
    WRITTEN_SCHEMA,
)
WRITE_KEY: dict[str, Any] = {
    "tags": ["keys"],
    "summary": "Write points of one series",
    "description": "Appends, or overwrites where a timestamp is there already. Points may come in "
    "any order and of any age. The answer comes after the points are fsynced. Bodies may be "
    "compressed (`Content-Encoding: gzip`, `zstd`, `snappy`, `deflate`).",
    "operation_id": "write_points",
    "responses": {200: _WRITTEN, **refusals(400, 413, 429)},
    "openapi_extra": _body(
        {
            "pairs": [[1700000000, 21.5], ["2023-11-14T22:13:30Z", 21.7]],
            "columns": {"timestamps": [1700000000.25, 1700000010], "values": [21.5, "NaN"]},
            "now": 21.5,
        },
        "application/json",
        "Pairs of timestamp and value, two columns, or one bare number that means now. Timestamps "
        "are Unix seconds with a fraction, RFC 3339 or `now-1h`.",
        {
            "anyOf": [
                POINTS,
                {
                    "type": "object",
                    "required": ["timestamps", "values"],
                    "properties": {
                        "timestamps": {"type": "array", "items": NUMBER_OR_TEXT},
                        "values": {"type": "array", "items": NUMBER_OR_TEXT},
                    },
                },
                {"type": "number"},
            ]
        },
    ),
}
WRITE_KEY_POST = WRITE_KEY | {
    "operation_id": "write_points_post",
    "summary": "The same as PUT",
    "description": "For clients that only know POST.",
}
READ_KEY: dict[str, Any] = {
    "tags": ["keys"],
    "summary": "Read points of one series",
    "description": "Points from `start` to `end`, both inclusive; everything unless given. With "
    "`step`, one value a bucket: buckets begin at `start` and are stamped with their beginning, "
    "empty ones are left out. `Accept` chooses JSON, CSV or an Arrow stream.",
    "operation_id": "read_points",
    "responses": {
        200: {
            "description": "Points in ascending order of time, which is in Unix seconds. NaN and "
            'the infinities are the strings "NaN", "+Inf" and "-Inf" in JSON.',
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["key", "points"],
                        "properties": {"key": {"type": "string"}, "points": POINTS},
                    },
                    "example": {"key": "sensors/kitchen/temp", "points": [[1700000000.0, 21.5]]},
                },
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.arrow.stream": {
                    "schema": {"type": "string", "format": "binary"}
                },
            },
        },
        **refusals(400, 404, 406, 422),
    },
}
DELETE_KEY: dict[str, Any] = {
    "tags": ["keys"],
    "summary": "Delete points of one series",
    "description": "Deletes from `start` to `end`, both inclusive; everything unless given. "
    "Durable when it answers. Points written afterwards live, in the same range too.",
    "operation_id": "delete_points",
    "responses": {
        200: json_answer("Deleted.", {"status": "success", "series": 1, "durable": True}),
        **refusals(400, 404),
    },
}
LIST_KEYS: dict[str, Any] = {
    "tags": ["keys"],
    "summary": "List keys",
    "description": "Keys of series in a fixed order, page by page: `next` is what "
    "`after` wants for the page that follows, null on the last.",
    "operation_id": "list_keys",
    "responses": {
        200: json_answer(
            "One page.",
            {"status": "success", "keys": ["sensors/kitchen/temp", 'cpu{host="a"}']},
            LISTING_SCHEMA,
        ),
        **refusals(400, 422),
    },
}
IMPORT: dict[str, Any] = {
    "tags": ["bulk"],
    "summary": "Import many series",
    "description": "JSON lines, one a series; timestamps are milliseconds, decimals allowed. "
    "A line that is wrong costs itself: the answer says which, and how many points were kept. "
    "Bodies may be compressed as for `PUT /kv/{key}`.",
    "operation_id": "import_lines",
    "responses": {200: _WRITTEN, **refusals(400, 413, 429)},
    "openapi_extra": _body(
        {
            "one series": '{"metric":{"__name__":"cpu","host":"a"},'
            '"values":[0.5,0.75],"timestamps":[1700000000000,1700000010000]}\n'
        },
        "application/x-ndjson",
        "A line a series.",
        {"type": "string"},
    ),
}
EXPORT: dict[str, Any] = {
    "tags": ["bulk"],
    "summary": "Export many series",
    "description": "Streams what import takes, bit for bit (of NaN: one pattern and the stale "
    "marker). A long series takes several lines.",
    "operation_id": "export_lines",
    "responses": {
        200: {
            "description": "A line a series; nothing when none matches.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **refusals(400, 422),
    },
}
FLUSH: dict[str, Any] = {
    "tags": ["admin"],
    "summary": "Turn points in memory into blocks",
    "description": "Answered on loopback only.",
    "operation_id": "flush",
    "responses": {
        200: json_answer("Blocks were written.", {"status": "success", "blocks": 1}),
        **refusals(400),
    },
}
SNAPSHOT: dict[str, Any] = {
    "tags": ["admin"],
    "summary": "Make a snapshot",
    "description": "A consistent copy of the database by hard links, a data directory of its own, "
    "in `folder` below the data directory. Answered on loopback only.",
    "operation_id": "snapshot",
    "responses": {
        200: json_answer(
            "The snapshot is on disk.",
            {"status": "success", "name": "20231114T221320Z-1b2c3d4e", "folder": "snapshots"},
        ),
        **refusals(400),
    },
}
HEALTHY: dict[str, Any] = {
    "tags": ["health"],
    "summary": "Is the process alive?",
    "operation_id": "healthy",
    "responses": {
        200: json_answer("It is.", {"status": "success", "state": "healthy"}),
        **refusals(400),
    },
}
READY: dict[str, Any] = {
    "tags": ["health"],
    "summary": "Are writes and reads taken?",
    "description": "503 while the log is replayed, with `replayed` and `total` entries.",
    "operation_id": "ready",
    "responses": {
        200: json_answer("They are.", {"status": "success", "state": "ready"}),
        **refusals(400),
    },
}
METRICS: dict[str, Any] = {
    "tags": ["health"],
    "summary": "Figures about the server",
    "operation_id": "metrics",
    "responses": {
        200: {
            "description": "Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **refusals(400),
    },
}
STATUS: dict[str, Any] = {
    "tags": ["health"],
    "summary": "The database in a few numbers",
    "operation_id": "status",
    "responses": {
        200: json_answer(
            "As of now.",
            {"status": "success", "state": "ready", "resolution": "ms", "series": 1, "points": 2,
             "blocks": 0, "seq": 7},
        ),
        **refusals(400),
    },
}  # fmt: skip
