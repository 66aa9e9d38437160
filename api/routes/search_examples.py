"""What the search routes say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.promql_examples import form
from api.routes.responses import Json, parameter, refusals
from api.routes.series_examples import MATCH
from tsdb import limits

__all__ = [
    "LABEL_NAMES",
    "LABEL_NAMES_POST",
    "LABEL_VALUES",
    "LABEL_VALUES_POST",
    "METRIC_NAMES",
    "METRIC_NAMES_POST",
]

SEARCH: Json = {
    "name": "search[]",
    "in": "query",
    "schema": {"type": "array", "items": {"type": "string"}, "examples": [["cpu"]]},
    "description": "What to look for; names that fit any of several.",
}
LABEL: Json = {
    "name": "label",
    "in": "query",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "examples": ["job"]},
    "description": "Name of the label.",
}


def _flag(name: str, description: str) -> Json:
    return parameter(name, description, type="boolean")


def _choice(name: str, description: str, *choices: str) -> Json:
    return parameter(name, description, enum=list(choices))


COMMON: list[Json] = [
    SEARCH,
    MATCH,
    parameter("start", "Only series with points since; an hour ago unless given."),
    parameter("end", "Only series with points until; now unless given."),
    _choice(
        "fuzz_alg",
        "How names are compared: the characters in their order, or similar ones.",
        "subsequence",
        "jarowinkler",
    ),
    parameter(
        "fuzz_threshold",
        "Scores from here on fit, in hundredths.",
        type="integer",
        minimum=0,
        maximum=100,
    ),
    _flag("case_sensitive", "Whether capitals count; they do unless this is false."),
    _choice("sort_by", "By name unless given; score needs search[].", "alpha", "score"),
    _choice("sort_dir", "With sort_by=alpha.", "asc", "dsc"),
    _flag("include_score", "Say how well each fits, from 0 to 1."),
    parameter(
        "limit",
        "At most this many; 100 for 0.",
        type="integer",
        minimum=0,
        maximum=limits.KEYS_PER_ANSWER_MAX,
    ),
    parameter("batch_size", "Results a line; 100 for 0.", type="integer", minimum=0),
]
LINES = '{"results":[{"name":"node_cpu_seconds_total"}]}\n{"status":"success","has_more":false}\n'


def _route(what: str, name: str, *more: Json) -> Json:
    return {
        "tags": ["PromQL"],
        "summary": f"Search {what}",
        "description": "Lines of JSON: batches of results, then one that says whether there is "
        "more. As Prometheus' experimental API of the same name.",
        "operation_id": f"search_{name}",
        "responses": {
            200: {
                "description": "What fits.",
                "content": {
                    "application/x-ndjson": {
                        "schema": {"type": "string"},
                        "examples": {"lines": {"value": LINES}},
                    }
                },
            },
            **refusals(400, 422),
        },
        "openapi_extra": {"parameters": [*more, *COMMON]},
    }


def _posted(route: Json, example: str) -> Json:
    parameters: list[Any] = route["openapi_extra"]["parameters"]
    return (
        route
        | {
            "operation_id": f"{route['operation_id']}_post",
            "summary": f"{route['summary']}, asked with a form",
            "openapi_extra": form(parameters, example),
        }
        | {"responses": route["responses"] | refusals(413)}
    )


METRIC_NAMES = _route(
    "names of metrics", "metric_names", _flag("include_metadata", "With type, help and unit.")
)
METRIC_NAMES_POST = _posted(METRIC_NAMES, "search[]=cpu")
LABEL_NAMES = _route("names of labels", "label_names")
LABEL_NAMES_POST = _posted(LABEL_NAMES, "search[]=jo")
LABEL_VALUES = _route("values of a label", "label_values", LABEL)
LABEL_VALUES_POST = _posted(LABEL_VALUES, "label=job&search[]=no")
