"""What Prometheus says of itself under /api/v1/status, said of this server.

GET /api/v1/status/buildinfo     `version` is the Prometheus whose API this is; ours is `revision`
GET /api/v1/status/runtimeinfo   since when, where, with how many cores
GET /api/v1/status/config        jobs as they are scraped, without their secrets
GET /api/v1/status/flags         settings
GET /api/v1/status/tsdb          how large the database is, and which labels make it so
GET /api/v1/status/walreplay     how far the replay of the log is
"""

from __future__ import annotations

import os
import socket
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import times
from api.exchange import Answer
from api.node import Node, State
from api.routes import prometheus_status_examples as examples
from api.scrape.config import Job, duration_text
from api.work import Reply, Work

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["declare"]

SPOKEN = "3.5.0"  # Clients look at this to know what they may ask.
REVISION = f"silverback-{version('silverback-tsdb')}"
LINES, LINES_MAX = 10, 10_000
Json = dict[str, Any]


class TsdbQuery(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    limit: int = Field(LINES, ge=1, le=LINES_MAX, description="At most this many lines a list.")


def build() -> Json:
    return {
        "version": SPOKEN,
        "revision": REVISION,
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


def runtime(node: Node, since_ms: int) -> Json:
    retention_s = node.settings.retention_s
    return {
        "startTime": times.time_text(since_ms, ticks_per_s=1000),
        "CWD": "",  # a path is nothing for clients
        "hostname": socket.gethostname(),
        "serverTime": times.time_text(time.time_ns() // 1_000_000, ticks_per_s=1000),
        "reloadConfigSuccess": True,
        "lastConfigTime": times.time_text(since_ms, ticks_per_s=1000),
        "corruptionCount": 0 if node.failure is None else 1,
        "goroutineCount": threading.active_count(),
        "GOMAXPROCS": os.cpu_count() or 1,
        "GOMEMLIMIT": node.settings.memory_limit_bytes or 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "" if retention_s is None else duration_text(int(retention_s) * 1000),
    }


def config(jobs: list[Job]) -> Json:
    """JSON is YAML."""
    shown = [
        {
            "job_name": job.name,
            "scrape_interval": duration_text(job.interval_ms),
            "scrape_timeout": duration_text(job.timeout_ms),
            "metrics_path": job.metrics_path,
            "scheme": job.scheme,
            "honor_labels": job.honor_labels,
            "honor_timestamps": job.honor_timestamps,
        }
        for job in jobs
    ]
    lines = [f"- {orjson.dumps(job).decode()}\n" for job in shown]
    return {"yaml": "scrape_configs:\n" + "".join(lines) if lines else "scrape_configs: []\n"}


def flags(node: Node) -> Json:
    """Every setting as text; none of them is a secret, files with secrets are named only."""
    found = node.settings.model_dump(mode="json")
    return {
        name.replace("_", "-"): text if isinstance(text, str) else orjson.dumps(text).decode()
        for name, text in sorted(found.items())
    }


def tsdb_status(database: Database, *, limit: int) -> Answer:
    """Runs in a thread."""
    engine, stats = database.parts.engine, database.stats()
    found = engine.registry.census(limit)
    version_ = engine.version
    heads = [g.head for g in (*version_.frozen, engine.active) if g.head.points]
    per_s = database.resolution.ticks_per_s
    data = {
        "headStats": {
            "numSeries": stats.series,
            "numLabelPairs": found.labels,
            "chunkCount": sum(head.refs().size for head in heads),
            "minTime": min((_ms(h.min_ts, per_s) for h in heads), default=2**63 - 1),
            "maxTime": max((_ms(h.max_ts, per_s) for h in heads), default=-(2**63)),
        },
        "seriesCountByMetricName": _lines(found.series_by_metric),
        "labelValueCountByLabelName": _lines(found.values_by_name),
        "memoryInBytesByLabelName": _lines(found.bytes_by_name),
        "seriesCountByLabelValuePair": _lines(found.series_by_label),
    }
    return Answer(orjson.dumps({"status": "success", "data": data}))


def _ms(ticks: int, per_s: int) -> int:
    return ticks * 1000 // per_s


def _lines(counts: list[tuple[str, int]]) -> list[Json]:
    return [{"name": name, "value": count} for name, count in counts]


def _data(found: object) -> Reply:
    return Reply(Answer(orjson.dumps({"status": "success", "data": found})))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""
    since_ms = time.time_ns() // 1_000_000

    @app.get("/api/v1/status/buildinfo", **examples.BUILD)
    async def build_info() -> Response:
        return _data(build())

    @app.get("/api/v1/status/runtimeinfo", **examples.RUNTIME)
    async def runtime_info() -> Response:
        return _data(runtime(node, since_ms))

    @app.get("/api/v1/status/config", **examples.CONFIG)
    async def configuration() -> Response:
        pools = [] if node.scraper is None else node.scraper.pools
        return _data(config([pool.job for pool in pools]))

    @app.get("/api/v1/status/flags", **examples.FLAGS)
    async def settings_as_flags() -> Response:
        return _data(flags(node))

    @app.get("/api/v1/status/tsdb", **examples.TSDB)
    async def cardinality(query: Annotated[TsdbQuery, Query()]) -> Response:
        return Work(node, lambda database: tsdb_status(database, limit=query.limit), node.admin)

    @app.get("/api/v1/status/walreplay", **examples.REPLAY)
    async def replay() -> Response:
        current = node.to_replay if node.state is State.READY else node.replayed
        return _data({"min": 0, "max": node.to_replay, "current": current})
