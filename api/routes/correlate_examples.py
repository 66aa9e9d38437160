"""What the correlation search says about itself in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import T, form
from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["CORRELATE", "CORRELATE_POST"]

PARAMETERS: list[Json] = [
    parameter("query", "PromQL of the candidates.", examples=[["vector(time())"]])
    | {"required": True},
    parameter("target", "PromQL of one series.", examples=[["vector(time())"]])
    | {"required": True},
    parameter("start", "First step; an hour before `end` unless given.", examples=[[str(T)]]),
    parameter("end", "No step after this; now unless given.", examples=[[str(T + 600)]]),
    parameter("step", "Seconds, or a duration; a 240th of the range unless given."),
    parameter("method", "`pearson`."),
    parameter("limit", "At most this many series; 20 unless given.", type="integer", minimum=0),
    parameter("timeout", "Stop after this long; never longer than 2 minutes."),
]
EXAMPLE: Json = {
    "target": {"__name__": "latency_seconds", "job": "api"},
    "method": "pearson",
    "steps": 241,
    "series": 1000,
    "skipped": 12,
    "result": [
        {
            "metric": {"__name__": "queue_length", "job": "worker"},
            "correlation": 0.97,
            "overlap": 241,
        }
    ],
}
CORRELATE: Json = {
    "tags": ["PromQL"],
    "summary": "Which series moved with this one?",
    "description": "Pearson's correlation of every series of `query` with `target`, strongest "
    "first, either way. Steps that either side lacks do not count; constant series and overlaps "
    "below eight steps are `skipped`.",
    "operation_id": "correlate",
    "responses": {
        200: data_answer(
            "The series that correlate most.",
            EXAMPLE,
            {"type": "object", "required": ["target", "series", "skipped", "result"]},
        ),
        **refusals(400, 406, 413, 422),
    },
    "openapi_extra": {"parameters": PARAMETERS},
}
CORRELATE_POST: Json = CORRELATE | {
    "operation_id": "correlate_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form(
        PARAMETERS, f"query=vector(time())&target=vector(time())&start={T}&end={T + 600}"
    ),
}
