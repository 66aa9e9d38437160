"""What OTLP's routes say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, json_answer, refusals

__all__ = ["WRITE"]

STATUS_SCHEMA: Json = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
ANSWER_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {
                "rejectedDataPoints": {"type": "string"},
                "errorMessage": {"type": "string"},
            },
        }
    },
}
BODY: Json = {
    "resourceMetrics": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "queue.length",
                            "gauge": {
                                "dataPoints": [
                                    {"timeUnixNano": "1700000000000000000", "asDouble": 3}
                                ]
                            },
                        }
                    ]
                }
            ],
        }
    ]
}


def _write(summary: str, operation: str) -> Json:
    return {
        "tags": ["opentelemetry"],
        "summary": summary,
        "operation_id": operation,
        "description": "Protobuf is answered in protobuf, JSON in JSON. Series are named as "
        "Prometheus' receiver names them. Bodies may be compressed as for `PUT /kv/{key}`.",
        "responses": {
            200: json_answer(
                "On disk, but for the data points that `partialSuccess` counts.", {}, ANSWER_SCHEMA
            ),
            **refusals(400, 413, 415, 429, schema=STATUS_SCHEMA),
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "description": "An ExportMetricsServiceRequest, as JSON or application/x-protobuf.",
                "content": {
                    "application/json": {
                        "schema": {"type": "object"},
                        "examples": {"a gauge": {"value": BODY}},
                    },
                },
            }
        },
    }


WRITE: dict[str, Json] = {
    "/v1/metrics": _write("OpenTelemetry metrics (OTLP)", "otlp_metrics"),
    "/api/v1/otlp/v1/metrics": _write("The same, as Prometheus has it", "otlp_metrics_prometheus"),
    "/opentelemetry/v1/metrics": _write(
        "The same, as VictoriaMetrics has it", "otlp_metrics_victoria"
    ),
}
