"""What collectd's route says about itself in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.responses import WRITTEN_SCHEMA, Json, json_answer, refusals

__all__ = ["COLLECTD"]

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
        200: json_answer(
            "Fsynced and visible, unless `ack=memory`; `refused` says what is not.",
            {"status": "success", "points": 2, "seq": 7, "durable": True},
            WRITTEN_SCHEMA,
        ),
        **refusals(400, 413, 429),
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
