"""What remote_write's routes say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, refusals

__all__ = ["WRITE"]

MEDIA = "application/x-protobuf"
# __name__="up", value 2, one millisecond after 1970: one that is text, for JSON's sake.
_MESSAGE = "\n\x1d\n\x0e\n\x08__name__\x12\x02up\x12\x0b\t\0\0\0\0\0\0\0@\x10\x01"
SNAPPY_LITERAL = 4  # times (its bytes - 1)
_BODY = chr(len(_MESSAGE)) + chr((len(_MESSAGE) - 1) * SNAPPY_LITERAL) + _MESSAGE
_COUNTS: Json = {
    f"X-Prometheus-Remote-Write-{what}-Written": {
        "description": "What of a 2.0 request is kept.",
        "schema": {"type": "integer"},
    }
    for what in ("Samples", "Histograms", "Exemplars")
}


def _write(summary: str, operation: str) -> Json:
    return {
        "tags": ["prometheus"],
        "summary": summary,
        "operation_id": operation,
        "status_code": 204,
        "response_description": "All of it is on disk.",
        "responses": {
            204: {"headers": _COUNTS},
            **refusals(400, 413, 415, 429),
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "description": "A prometheus.WriteRequest or an io.prometheus.write.v2.Request, "
                "as `proto` of Content-Type says, in snappy's block format.",
                "content": {
                    MEDIA: {
                        "schema": {"type": "string", "format": "binary"},
                        "examples": {"one point": {"value": _BODY}},
                    }
                },
            }
        },
    }


WRITE: dict[str, Json] = {
    "/api/v1/write": _write("Prometheus remote_write 1.0 and 2.0", "remote_write"),
    "/api/v1/push": _write("The same, as Mimir has it", "remote_push"),
}
