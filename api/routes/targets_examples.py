"""What the routes about scraping say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, json_answer, refusals

__all__ = ["METADATA", "POOLS", "RELOAD", "TARGETS"]

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
    "responses": {
        200: data_answer(
            "Targets that are asked, and those that the rules of their job drop.",
            {
                "activeTargets": [ACTIVE],
                "droppedTargets": [],
                "droppedTargetCounts": {"node": 0},
            },
            {
                "type": "object",
                "required": ["activeTargets", "droppedTargets", "droppedTargetCounts"],
            },
        ),
        **refusals(400),
    },
}
METADATA: Json = {
    "tags": ["scraping"],
    "summary": "Types and helps of what targets expose",
    "operation_id": "list_target_metadata",
    "responses": {
        200: data_answer(
            "One object for each target and metric family.",
            [
                {
                    "target": {"instance": "127.0.0.1:9100", "job": "node"},
                    "metric": "node_load1",
                    "type": "gauge",
                    "help": "1m load average.",
                    "unit": "",
                }
            ],
            {"type": "array"},
        ),
        **refusals(400),
    },
}
POOLS: Json = {
    "tags": ["scraping"],
    "summary": "Names of the jobs that are scraped",
    "operation_id": "list_scrape_pools",
    "responses": {
        200: data_answer("By name.", {"scrapePools": ["node"]}, {"type": "object"}),
        **refusals(400),
    },
}
RELOAD: Json = {
    "tags": ["admin"],
    "summary": "Read scrape configuration and rule files again",
    "description": "Targets that stay are scraped on without a gap, alerts that stay keep their "
    "state. A file that is wrong changes nothing of its kind and is answered 400 with the line. "
    "`reloaded` is false where the server has neither `--scrape-config` nor `--rules`. SIGHUP does "
    "the same.",
    "operation_id": "reload",
    "responses": {
        200: json_answer(
            "The file is in force.",
            {"status": "success", "reloaded": True},
            {
                "type": "object",
                "required": ["status", "reloaded"],
                "properties": {"status": {"const": "success"}, "reloaded": {"type": "boolean"}},
            },
        ),
        **refusals(400),
    },
}
