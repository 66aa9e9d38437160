"""What the routes about the server's state say of themselves; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, refusals

__all__ = ["BUILD", "CONFIG", "FLAGS", "REPLAY", "RUNTIME", "TSDB"]


def _route(operation_id: str, summary: str, description: str, example: Json) -> Json:
    return {
        "tags": ["status"],
        "summary": summary,
        "description": description,
        "operation_id": operation_id,
        "responses": {
            200: data_answer(summary + ".", example, {"type": "object"}),
            **refusals(400),
        },
    }


BUILD = _route(
    "prometheus_build",
    "Which version of Prometheus' API this is",
    "`revision` names this server's own version.",
    {"version": "3.5.0", "revision": "silverback-0.1.0", "branch": ""},
)
RUNTIME = _route(
    "prometheus_runtime",
    "Since when the server runs, and with what",
    "Fields that only Go has are empty.",
    {"startTime": "2026-01-01T00:00:00Z", "hostname": "db1", "GOMAXPROCS": 2},
)
CONFIG = _route(
    "prometheus_config",
    "Jobs as they are scraped",
    "YAML, without credentials; empty without --scrape-config.",
    {"yaml": "scrape_configs: []\n"},
)
FLAGS = _route("prometheus_flags", "Settings as text", "By the names of flags.", {"port": "9292"})
TSDB = _route(
    "prometheus_tsdb",
    "How large the database is, and what makes it so",
    "Counts of series by metric name and label, of values by label name.",
    {
        "headStats": {"numSeries": 1},
        "seriesCountByMetricName": [{"name": "up", "value": 1}],
        "labelValueCountByLabelName": [{"name": "job", "value": 1}],
    },
)
REPLAY = _route(
    "prometheus_replay",
    "How far the replay of the log is",
    "Entries; answered while the server starts.",
    {"min": 0, "max": 100, "current": 100},
)
