"""What the routes about the text of queries say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import QUERY_TEXT, form
from api.routes.responses import Json, data_answer, refusals

__all__ = ["FORMAT", "FORMAT_POST", "PARSE", "PARSE_POST"]

FORMAT: Json = {
    "tags": ["PromQL"],
    "summary": "A query, formatted",
    "description": "Character for character as Prometheus 3.5 does it.",
    "operation_id": "format_query",
    "responses": {
        200: data_answer("The query.", "sum by (job) (up)", {"type": "string"}),
        **refusals(400, 413),
    },
    "openapi_extra": {"parameters": [QUERY_TEXT]},
}
FORMAT_POST: Json = FORMAT | {
    "operation_id": "format_query_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form([QUERY_TEXT], "query=up"),
}
PARSE: Json = {
    "tags": ["PromQL"],
    "summary": "A query's tree",
    "description": "In the form of Prometheus' own endpoint, for user interfaces.",
    "operation_id": "parse_query",
    "responses": {
        200: data_answer(
            "The tree.",
            {"type": "numberLiteral", "val": "1"},
            {"type": "object", "required": ["type"]},
        ),
        **refusals(400, 413),
    },
    "openapi_extra": {"parameters": [QUERY_TEXT]},
}
PARSE_POST: Json = PARSE | {
    "operation_id": "parse_query_post",
    "summary": "The same, asked with a form",
    "openapi_extra": form([QUERY_TEXT], "query=up"),
}
