"""What the routes of Prometheus' admin API say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.promql_examples import form
from api.routes.responses import Json, data_answer, parameter, refusals

__all__ = ["CLEAN", "DELETE", "SNAPSHOT"]

MATCH: Json = {
    "name": "match[]",
    "in": "query",
    "required": True,
    "schema": {
        "type": "array", "items": {"type": "string"}, "examples": [['{__name__="unwanted"}']],
    },
    "description": "Selector; may be repeated.",
}  # fmt: skip

DELETE: Json = {
    "tags": ["admin"],
    "summary": "Delete points of series, as Prometheus does",
    "description": "Durable and invisible when it is answered. PUT does the same.",
    "operation_id": "prometheus_delete_series",
    "responses": {204: {"description": "They are gone."}, **refusals(400, 413, 422)},
    "openapi_extra": form(
        [
            MATCH,
            parameter("start", "From here; Unix seconds or RFC 3339. From the first unless given."),
            parameter("end", "To here, inclusive. To the last unless given."),
        ],
        "match[]=unwanted",
    ),
}
SNAPSHOT: Json = {
    "tags": ["admin"],
    "summary": "Take a snapshot, as Prometheus does",
    "description": "Under `snapshots` in the data directory, by hard links.",
    "operation_id": "prometheus_snapshot",
    "responses": {
        200: data_answer(
            "Its name.", {"name": "20260101T000000Z-0123456789abcdef"}, {"type": "object"}
        ),
        **refusals(),
    },
}
CLEAN: Json = {
    "tags": ["admin"],
    "summary": "Take deleted points off the disk",
    "description": (
        "Rewrites the blocks that hold deleted points, and no others; they are invisible before."
    ),
    "operation_id": "prometheus_clean_tombstones",
    "responses": {204: {"description": "Done."}, **refusals()},
}
