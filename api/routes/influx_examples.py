"""What InfluxDB's routes say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.responses import ERROR_SCHEMA, Json, json_content, parameter, refusals

__all__ = ["BUCKETS", "DELETE", "HEALTH", "PING", "QUERY", "QUERY_POST", "READY", "WRITE_1",
           "WRITE_2", "WRITE_3"]  # fmt: skip

TAG = "InfluxDB"
LINES = (
    "cpu,host=web01,dc=eu usage=12.5,idle=87i,ok=true 1700000000000000000\n"
    'log,host=web01 level="texts are skipped",code=200u 1700000000000000000\n'
)
ERROR_1: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
ERROR_2: Json = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "line": {"type": "integer"},
    },
}
ERROR_3: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["error_message"],
                "properties": {
                    "error_message": {"type": "string"},
                    "line_number": {"type": ["integer", "null"]},
                    "original_line": {"type": ["string", "null"]},
                },
            },
        },
    },
}
RESULTS: Json = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": {"type": "object"}}},
}
DOCUMENT: Json = {"type": "object"}


def _refused(schema: Json, *statuses: int) -> dict[int | str, Json]:
    """In InfluxDB's form, or in ours where a request does not get as far as the route."""
    return refusals(*statuses, schema={"anyOf": [schema, ERROR_SCHEMA]})


ACK = parameter(
    "ack",
    "What the answer means: `disk` fsynced and visible, `memory` visible and handed to the "
    "operating system, `applied` as `disk`.",
    enum=["disk", "applied", "memory"],
)


def _write(version: int, error: Json, summary: str, *parameters: Json) -> dict[str, Any]:
    return {
        "tags": [TAG],
        "summary": summary,
        "description": "Lines `measurement,tag=value field=1.5,other=2i time`. Each number and "
        "boolean is a point of the series `measurement_field` with the tags as labels; texts are "
        "skipped. A wrong line costs itself: the others are kept, and the answer, 400, names it. "
        "Bodies may be compressed.",
        "operation_id": f"influx_write_{version}",
        "responses": {
            204: {"description": "All values are kept: fsynced and visible."},
            **_refused(error, 400, 413, 429),
        },
        "openapi_extra": {
            "parameters": [*parameters, ACK],
            "requestBody": {
                "required": True,
                "description": "Lines.",
                "content": {
                    "text/plain": {
                        "schema": {"type": "string"},
                        "examples": {"lines": {"value": LINES}},
                    }
                },
            },
        },
    }


WRITE_1 = _write(
    1, ERROR_1, "Write line protocol (InfluxDB 1)",
    parameter("db", "Database: value of the label `db` (setting influx_db_label)."),
    parameter("rp", "Retention policy; changes nothing."),
    parameter("precision", "Unit of the times.", default="ns",
               enum=["n", "ns", "u", "us", "ms", "s", "m", "h"]),
    parameter("consistency", "Changes nothing."),
    parameter("u", "User, where the server has accounts."),
    parameter("p", "Password or token of the user."),
)  # fmt: skip
WRITE_2 = _write(
    2, ERROR_2, "Write line protocol (InfluxDB 2)",
    parameter("bucket", "Bucket: value of the label `db` (setting influx_db_label)."),
    parameter("org", "Organization; changes nothing."),
    parameter("orgID", "Changes nothing."),
    parameter("precision", "Unit of the times.", default="ns", enum=["ns", "us", "ms", "s"]),
)  # fmt: skip
WRITE_3 = _write(
    3, ERROR_3, "Write line protocol (InfluxDB 3)",
    parameter("db", "Database: value of the label `db` (setting influx_db_label)."),
    parameter("precision", "Unit of the times; `auto` tells it by their size.", default="auto",
               enum=["auto", "nanosecond", "microsecond", "millisecond", "second"]),
    parameter("accept_partial", "Whether good lines are kept beside wrong ones.",
               enum=["true", "false"], default="true"),
    parameter("no_sync", "`true`: answer before the fsync, as `ack=memory`.",
               enum=["true", "false"], default="false"),
)  # fmt: skip
DELETE: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Delete points (InfluxDB 2)",
    "description": "Points from `start` to `stop` of the series that the predicate names, "
    '`name="value"` joined by AND. `_measurement` alone is refused where it could mean another '
    "one; `_field` beside it says it exactly.",
    "operation_id": "influx_delete",
    "responses": {
        204: {"description": "The points are gone, durably."},
        **_refused(ERROR_2, 400, 413, 422, 429),
    },
    "openapi_extra": {
        "parameters": [
            parameter("bucket", "Bucket the points are of."),
            parameter("org", "Organization; changes nothing."),
        ],
        "requestBody": {
            "required": True,
            "description": "The range and the predicate.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["start", "stop"],
                        "properties": {
                            "start": {"type": "string", "format": "date-time"},
                            "stop": {"type": "string", "format": "date-time"},
                            "predicate": {"type": "string"},
                        },
                    },
                    "examples": {
                        "one host": {
                            "value": {
                                "start": "2023-11-14T00:00:00Z",
                                "stop": "2023-11-15T00:00:00Z",
                                "predicate": '_measurement="cpu" AND host="web01"',
                            }
                        }
                    },
                }
            },
        },
    },
}
PING: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Whether somebody is there",
    "operation_id": "influx_ping",
    "responses": {
        204: {"description": "Yes. `X-Influxdb-Version` names the protocol."},
        **_refused(ERROR_1, 400),
    },
}
HEALTH: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Whether reads and writes are taken (InfluxDB 2)",
    "operation_id": "influx_health",
    "responses": {
        200: {
            "description": "They are.",
            "content": json_content(DOCUMENT, example={"name": "influxdb", "status": "pass"}),
        },
        **_refused(ERROR_1, 400),
        503: {"description": "Not now: `status` is `fail`.", "content": json_content(DOCUMENT)},
    },
}
READY: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Whether the server is started (InfluxDB 2)",
    "operation_id": "influx_ready",
    "responses": {
        200: {
            "description": "It is.",
            "content": json_content(DOCUMENT, example={"status": "ready"}),
        },
        **_refused(ERROR_1, 400),
    },
}
BUCKETS: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Which buckets there are (InfluxDB 2)",
    "operation_id": "influx_buckets",
    "responses": {
        200: {
            "description": "Those something was written to.",
            "content": json_content(DOCUMENT, example={"buckets": []}),
        },
        **_refused(ERROR_1, 400),
    },
    "openapi_extra": {"parameters": [parameter("name", "Only the bucket of this name.")]},
}
EXAMPLE_QUERY = "SHOW DATABASES"
QUERY_PARAMETERS = [
    {
        "name": "q",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "examples": [[EXAMPLE_QUERY]]},
        "description": "InfluxQL.",
    },
    parameter("db", "Database it is about; all unless given."),
    parameter("epoch", "Times as numbers in this unit, not as text.",
               enum=["ns", "u", "ms", "s", "m", "h"]),
]  # fmt: skip
QUERY: dict[str, Any] = {
    "tags": [TAG],
    "summary": "Ask with InfluxQL (InfluxDB 1)",
    "description": "CREATE DATABASE (changes nothing), SHOW DATABASES, MEASUREMENTS, FIELD KEYS, "
    "TAG KEYS, TAG VALUES, RETENTION POLICIES, and SELECT of fields or `*` with conditions on tags "
    "and time, ORDER BY time, LIMIT, OFFSET. No functions, no GROUP BY.",
    "operation_id": "influx_query",
    "responses": {
        200: {
            "description": "A result for each statement.",
            "content": json_content(RESULTS, example={"results": []}),
        },
        **_refused(ERROR_1, 400, 413, 422, 429),
    },
    "openapi_extra": {"parameters": QUERY_PARAMETERS},
}
QUERY_POST: dict[str, Any] = {
    **QUERY,
    "operation_id": "influx_query_post",
    "summary": "The same, asked with a form",
    "openapi_extra": {
        "parameters": [{**one, "required": False} for one in QUERY_PARAMETERS],
        "requestBody": {
            "required": False,
            "description": "The parameters, unless they are in the URL.",
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "q": {"type": "string"},
                            "db": {"type": "string"},
                            "epoch": {"type": "string"},
                        },
                    },
                    "examples": {"databases": {"value": "q=SHOW+DATABASES"}},
                }
            },
        },
    },
}
