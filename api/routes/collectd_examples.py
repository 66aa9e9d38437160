"""What collectd's route says about itself in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.examples import ERROR_SCHEMA, REFUSALS, WRITTEN_SCHEMA

__all__ = ["COLLECTD"]

Json = dict[str, Any]

VALUE_LIST: Json = {
    "type": "object",
    "required": ["values", "dstypes", "dsnames", "time", "plugin", "type"],
    "properties": {
        "values": {"type": "array", "items": {"type": ["number", "null"]}},
        "dstypes": {"type": "array", "items": {"type": "string"}},
        "dsnames": {"type": "array", "items": {"type": "string"}},
        "time": {"type": "number"},
        "interval": {"type": "number"},
        "host": {"type": "string"},
        "plugin": {"type": "string"},
        "plugin_instance": {"type": "string"},
        "type": {"type": "string"},
        "type_instance": {"type": "string"},
    },
}
SAMPLE: Json = {
    "values": [1240, 816],
    "dstypes": ["derive", "derive"],
    "dsnames": ["rx", "tx"],
    "time": 1700000000.476,
    "interval": 10.0,
    "host": "web01",
    "plugin": "interface",
    "plugin_instance": "eth0",
    "type": "if_octets",
    "type_instance": "",
}
COLLECTD: dict[str, Any] = {
    "tags": ["collectd"],
    "summary": "Write what collectd's write_http sends",
    "description": "A JSON array of value lists (`Format JSON`) or PUTVAL lines "
    "(`Format Command`).",
    "operation_id": "collectd_put_values",
    "responses": {
        200: {
            "description": "Fsynced and visible, unless `ack=memory`; `refused` says what is not.",
            "content": {
                "application/json": {
                    "schema": WRITTEN_SCHEMA,
                    "example": {"status": "success", "points": 2, "seq": 7, "durable": True},
                }
            },
        },
        **{
            status: {
                "description": REFUSALS[status],
                "content": {"application/json": {"schema": ERROR_SCHEMA}},
            }
            for status in (400, 403, 413, 429, 500, 503)
        },
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "Value lists.",
            "content": {
                "application/json": {
                    "schema": {"type": "array", "items": VALUE_LIST},
                    "examples": {"two values": {"value": [SAMPLE]}},
                },
                "text/plain": {
                    "schema": {"type": "string"},
                    "examples": {
                        "PUTVAL": {
                            "value": "PUTVAL web01/load/load interval=10 1700000000.476:0.5:0.4:0.3"
                        }
                    },
                },
            },
        }
    },
}
