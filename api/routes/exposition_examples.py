"""What the routes of Prometheus' text say about themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import WRITTEN_SCHEMA, Json, json_answer, parameter, refusals

__all__ = ["DELETE", "IMPORT", "IMPORT_CSV", "IMPORT_GROUP", "POST", "PUT"]

TEXT = (
    "# TYPE jobs_total counter\n# HELP jobs_total Jobs that ran.\n"
    'jobs_total{queue="mail",ok="yes"} 12\nlast_run_seconds 3.5\n'
)
CSV = "GOOG,1.23,4.56,1700000000\nMSFT,3.21,1.67,1700000000\n"
GROUP: Json = {
    "name": "group",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "The job, then names and values of more labels, all parted by slashes. "
    "`name@base64` (`job@base64` too) takes a value in base64 of URLs, for slashes in it.",
    "examples": {
        "a job": {"value": "backup"},
        "more labels": {"value": "backup/instance/db1/dir@base64/L3Zhci90bXA"},
    },
}


ACK = parameter(
    "ack",
    "What the answer means: `disk` fsynced and visible, `memory` visible and handed to the "
    "operating system.",
    enum=["disk", "memory", "applied"],
)
EXTRA = parameter(
    "extra_label",
    "`name=value`: a label for every series, in place of its own. May be repeated.",
    pattern="^[^=]+=",
)
EXAMPLE = {"status": "success", "points": 2, "seq": 17, "durable": True}
WRITTEN = json_answer(
    "What was kept is on disk; `partial` when lines were refused.", EXAMPLE, WRITTEN_SCHEMA
)


def _body(media: str, text: str, description: str) -> Json:
    return {
        "required": True,
        "description": description,
        "content": {media: {"schema": {"type": "string"}, "examples": {"text": {"value": text}}}},
    }


_TEXT_BODY = _body("text/plain", TEXT, "Prometheus' text 0.0.4 or OpenMetrics 1.0.")
_TIME = parameter("timestamp", "Unix milliseconds for lines that bring no time; now unless given.")
IMPORT: Json = {
    "tags": ["prometheus"],
    "summary": "Import Prometheus' text or OpenMetrics",
    "description": "Lines as a scrape has them. Times are milliseconds, in OpenMetrics seconds, "
    "and may lack. A line that is wrong costs itself; types and help are kept. "
    "Bodies may be compressed.",
    "operation_id": "import_prometheus",
    "responses": {200: WRITTEN, **refusals(400, 413, 429)},
    "openapi_extra": {"parameters": [ACK, EXTRA, _TIME], "requestBody": _TEXT_BODY},
}
IMPORT_GROUP: Json = {
    **IMPORT,
    "summary": "The same, with labels in the path",
    "operation_id": "import_prometheus_group",
    "openapi_extra": {"parameters": [GROUP, ACK, EXTRA, _TIME], "requestBody": _TEXT_BODY},
}


def _push(summary: str, description: str, operation: str) -> Json:
    return {
        "tags": ["Pushgateway"],
        "summary": summary,
        "description": description,
        "operation_id": operation,
        "responses": {
            200: {
                "description": "All of it is on disk.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **refusals(400, 413, 429),
        },
        "openapi_extra": {"parameters": [GROUP, ACK], "requestBody": _TEXT_BODY},
    }


PUT: Json = _push(
    "Push a group of metrics, in place of what it held",
    "As the Pushgateway. The labels of the path replace those in the body, which brings no times: "
    "points are written with the time of arrival. Series of the group that are gone end with a "
    "stale marker. Text, OpenMetrics, or delimited protobuf as Go's client sends it.",
    "push_put",
)
POST: Json = _push(
    "Push some metrics of a group",
    "As PUT, but only metrics whose names the body has are replaced.",
    "push_post",
)
DELETE: Json = {
    "tags": ["Pushgateway"],
    "summary": "Delete a group",
    "description": "All series of the group end with a stale marker; what is stored stays.",
    "operation_id": "push_delete",
    "responses": {
        202: {
            "description": "They have ended, on disk.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **refusals(400, 429),
    },
    "openapi_extra": {"parameters": [GROUP, ACK]},
}
IMPORT_CSV: Json = {
    "tags": ["bulk"],
    "summary": "Import CSV whose columns the query describes",
    "description": "As VictoriaMetrics. A row may hold several metrics; what is wrong costs its "
    "row. Bodies may be compressed.",
    "operation_id": "import_csv",
    "responses": {200: WRITTEN, **refusals(400, 413, 429)},
    "openapi_extra": {
        "parameters": [
            {
                "name": "format",
                "in": "query",
                "required": True,
                "schema": {
                    "type": "string",
                    "examples": [["1:label:ticker,2:metric:ask,3:metric:bid,4:time:unix_s"]],
                },
                "description": "`column:type:context`, parted by commas; columns count from 1. "
                "Types: `metric` (context: its name), `label` (its name), `time` (`unix_s`, "
                "`unix_ms`, `unix_us`, `unix_ns`, `rfc3339`). Columns without a rule are skipped; "
                "without a time column points are of now.",
            },
            ACK,
            EXTRA,
        ],
        "requestBody": _body("text/csv", CSV, "Rows, without a heading."),
    },
}
