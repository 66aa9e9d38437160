"""What the routes about scraping say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from typing import Any

from api.routes.examples import ERROR_SCHEMA, REFUSALS

__all__ = ["METADATA", "POOLS", "RELOAD", "TARGETS"]

Json = dict[str, Any]

ENVELOPE: Json = {
    "type": "object",
    "required": ["status", "data"],
    "properties": {"status": {"const": "success"}, "data": {}},
}


def _responses(description: str, example: Json, data: Json | None = None) -> dict[int, Json]:
    schema = {
        **ENVELOPE,
        "properties": {"status": {"const": "success"}, "data": data or {}},
    }
    good = {
        "description": description,
        "content": {"application/json": {"schema": schema, "example": example}},
    }
    wrong = {"application/json": {"schema": ERROR_SCHEMA}}
    refused = {
        status: {"description": REFUSALS[status], "content": wrong}
        for status in (400, 403, 500, 503)
    }
    return {200: good, **refused}


ACTIVE: Json = {
    "discoveredLabels": {"__address__": "127.0.0.1:9100", "__scheme__": "http", "job": "node"},
    "labels": {"instance": "127.0.0.1:9100", "job": "node"},
    "scrapePool": "node",
    "scrapeUrl": "http://127.0.0.1:9100/metrics",
    "globalUrl": "http://myhost:9100/metrics",
    "lastError": "",
    "lastScrape": "2023-11-14T22:13:20.000Z",
    "lastScrapeDuration": 0.021,
    "health": "up",
    "scrapeInterval": "15s",
    "scrapeTimeout": "10s",
}
TARGETS: Json = {
    "tags": ["scraping"],
    "summary": "Targets and their health",
    "description": "In the shape of Prometheus' API. Empty without `--scrape-config`.",
    "operation_id": "list_targets",
    "responses": _responses(
        "Targets that are asked, and those that the rules of their job drop.",
        {
            "status": "success",
            "data": {
                "activeTargets": [ACTIVE],
                "droppedTargets": [],
                "droppedTargetCounts": {"node": 0},
            },
        },
        {
            "type": "object",
            "required": ["activeTargets", "droppedTargets", "droppedTargetCounts"],
        },
    ),
}
METADATA: Json = {
    "tags": ["scraping"],
    "summary": "Types and helps of what targets expose",
    "operation_id": "list_target_metadata",
    "responses": _responses(
        "One object for each target and metric family.",
        {
            "status": "success",
            "data": [
                {
                    "target": {"instance": "127.0.0.1:9100", "job": "node"},
                    "metric": "node_load1",
                    "type": "gauge",
                    "help": "1m load average.",
                    "unit": "",
                }
            ],
        },
        {"type": "array"},
    ),
}
POOLS: Json = {
    "tags": ["scraping"],
    "summary": "Names of the jobs that are scraped",
    "operation_id": "list_scrape_pools",
    "responses": _responses(
        "By name.", {"status": "success", "data": {"scrapePools": ["node"]}}, {"type": "object"}
    ),
}
RELOAD: Json = {
    "tags": ["admin"],
    "summary": "Read the scrape configuration again",
    "description": "Targets that stay are scraped on without a gap. A file that is wrong changes "
    "nothing and is answered 400 with the line. `reloaded` is false where the server has no "
    "`--scrape-config`. SIGHUP does the same.",
    "operation_id": "reload",
    "responses": {
        200: {
            "description": "The file is in force.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["status", "reloaded"],
                        "properties": {
                            "status": {"const": "success"},
                            "reloaded": {"type": "boolean"},
                        },
                    },
                    "example": {"status": "success", "reloaded": True},
                }
            },
        },
        **{k: v for k, v in _responses("", {}).items() if k != 200},
    },
}
