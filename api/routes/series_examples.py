"""What the routes about series and labels say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import LABELS as LABEL_SET
from api.routes.promql_examples import form
from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["FEDERATE", "LABELS", "LABELS_POST", "READ", "SERIES", "SERIES_POST", "VALUES"]

MATCH: Json = {
    "name": "match[]",
    "in": "query",
    "schema": {
        "type": "array", "items": {"type": "string"}, "examples": [['{__name__!=""}']],
    },
    "description": "Selector; may be repeated.",
}  # fmt: skip
RANGE = [
    parameter("start", "Only series with points since; Unix seconds or RFC 3339."),
    parameter("end", "Only series with points until."),
    parameter("limit", "At most this many; 0 for all.", type="integer", minimum=0),
]
TEXTS: Json = {"type": "array", "items": {"type": "string"}}

SERIES: Json = {
    "tags": ["PromQL"],
    "summary": "Series that match",
    "description": "Their label sets, each once, in order.",
    "operation_id": "list_series",
    "responses": {
        200: data_answer(
            "Label sets.",
            [{"__name__": "up", "job": "node"}],
            {"type": "array", "items": LABEL_SET},
        ),
        **refusals(400, 413, 422),
    },
    "openapi_extra": {"parameters": [MATCH | {"required": True}, *RANGE]},
}
SERIES_POST: Json = SERIES | {
    "operation_id": "list_series_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form([MATCH | {"required": True}, *RANGE], "match[]=up"),
}
LABELS: Json = {
    "tags": ["PromQL"],
    "summary": "Names of labels",
    "description": "Of all series, or of those that match and have points in the range.",
    "operation_id": "list_labels",
    "responses": {
        200: data_answer("Names in order.", ["__name__", "job"], TEXTS),
        **refusals(400, 413, 422),
    },
    "openapi_extra": {"parameters": [MATCH, *RANGE]},
}
LABELS_POST: Json = LABELS | {
    "operation_id": "list_labels_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form([MATCH, *RANGE], "limit=1000"),
}
VALUES: Json = {
    "tags": ["PromQL"],
    "summary": "Values of a label",
    "description": "`U__` in front of the name says that it is escaped: `_2e_` is a dot.",
    "operation_id": "list_label_values",
    "responses": {
        200: data_answer("Values in order.", ["node", "web"], TEXTS),
        **refusals(400, 422),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "examples": {"job": {"value": "job"}},
                "description": "Name of the label.",
            },
            MATCH,
            *RANGE,
        ]
    },
}
FEDERATE: Json = {
    "tags": ["PromQL"],
    "summary": "Latest points, for another Prometheus to scrape",
    "description": "Of the last five minutes, in the text format, untyped, with their times.",
    "operation_id": "federate",
    "responses": {
        200: {
            "description": "Series by metric name.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **refusals(400, 413, 422),
    },
    "openapi_extra": {"parameters": [MATCH | {"required": True}]},
}
# {a="b"} from 1 to 2 ms after 1970, compressed: one that is text, for JSON's sake.
_QUESTION = "\n\x0c\x08\x01\x10\x02\x1a\x06\x12\x01a\x1a\x01b"
READ: Json = {
    "tags": ["PromQL"],
    "summary": "Prometheus' remote_read",
    "description": "What the matchers find: samples, or chunks streamed group by group of series "
    "where the request accepts those first.",
    "operation_id": "remote_read",
    "responses": {
        200: {
            "description": "A ReadResponse, compressed with snappy; or frames of "
            "ChunkedReadResponse, each after its length (varint) and its CRC-32C (big-endian).",
            "content": {
                "application/x-protobuf": {"schema": {"type": "string"}},
                "application/x-streamed-protobuf": {"schema": {"type": "string"}},
            },
        },
        **refusals(400, 413, 422),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "A ReadRequest, compressed with snappy.",
            "content": {
                "application/x-protobuf": {
                    "schema": {"type": "string", "format": "binary"},
                    "examples": {
                        "nothing": {
                            "value": chr(len(_QUESTION)) + chr((len(_QUESTION) - 1) * 4) + _QUESTION
                        }
                    },
                }
            },
        }
    },
}
