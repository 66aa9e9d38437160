"""What the routes about metadata and exemplars say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import QUERY_TEXT, form
from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["EXEMPLARS", "EXEMPLARS_POST", "METADATA"]

FOUND: Json = {
    "seriesLabels": {"__name__": "requests_total", "job": "web"},
    "exemplars": [{"labels": {"trace_id": "4bf92f35"}, "value": "6", "timestamp": 1700000000.479}],
}
METADATA: Json = {
    "tags": ["reading"],
    "summary": "Type, help and unit of metric families",
    "description": "What senders said last about each family, in the shape of Prometheus' API.",
    "operation_id": "list_metadata",
    "responses": {
        200: data_answer(
            "Families by name, each with a list of one.",
            {"up": [{"type": "gauge", "help": "1 when the target answers.", "unit": ""}]},
            {"type": "object"},
        ),
        **refusals(400),
    },
}
EXEMPLARS: Json = {
    "tags": ["reading"],
    "summary": "Exemplars of series",
    "description": "Of the last 100,000 that came, those of matching series, oldest first.",
    "operation_id": "list_exemplars",
    "responses": {
        200: data_answer("Series with their exemplars.", [FOUND], {"type": "array"}),
        **refusals(400, 413),
    },
}
EXEMPLARS_POST: Json = EXEMPLARS | {
    "operation_id": "list_exemplars_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form(
        [
            QUERY_TEXT,
            parameter("start", "First moment of the range, inclusive."),
            parameter("end", "Last moment of the range, inclusive."),
        ],
        "query=up",
    ),
}
