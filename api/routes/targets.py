"""Whom we scrape and how it goes, in the shape of Prometheus' API.

GET /api/v1/targets            active and dropped targets with their health
GET /api/v1/targets/metadata   types and helps of what targets expose
GET /api/v1/scrape_pools       names of jobs
POST /-/reload                 read scrape configuration and rule files again

Without --scrape-config there are none of them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import times
from api.exchange import Answer
from api.node import Node
from api.routes import targets_examples as examples
from api.scrape.config import duration_text
from api.scrape.loop import TargetLoop
from api.scrape.scraper import Pool
from api.work import Reply
from tsdb.index.matchers import Matcher
from tsdb.index.selector import parse_selector

__all__ = ["declare"]

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time
METADATA_MAX = 100_000
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
HEALTH = {None: "unknown", True: "up", False: "down"}

Json = dict[str, Any]


class TargetsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["active", "dropped", "any"] = Field("any", description="Which targets.")
    scrape_pool: str | None = Field(None, alias="scrapePool", description="Of this job only.")


class MetadataQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    match_target: str = Field("", description='Selector over target labels: `{job="node"}`.')
    metric: str = Field("", description="Of this metric only.")
    limit: int = Field(METADATA_MAX, ge=0, le=METADATA_MAX, description="At most this many.")


def targets(pools: list[Pool], query: TargetsQuery) -> Json:
    """What /api/v1/targets says."""
    chosen = [p for p in pools if query.scrape_pool in (None, p.job.name)]
    active: list[Json] = []
    dropped: list[Json] = []
    if query.state != "dropped":
        active = [_active(loop) for pool in chosen for loop in list(pool.loops.values())]
    if query.state != "active":
        dropped = [
            {"discoveredLabels": dict(one.discovered), "scrapePool": one.job}
            for pool in chosen
            for one in pool.dropped
        ]
    counts = {pool.job.name: pool.dropped_count for pool in chosen}
    return {
        "activeTargets": sorted(active, key=lambda one: (one["scrapePool"], one["scrapeUrl"])),
        "droppedTargets": dropped,
        "droppedTargetCounts": counts if query.state != "active" else None,
    }


def metadata(pools: list[Pool], query: MetadataQuery) -> list[Json]:
    """One object a target and family."""
    text = query.match_target
    matchers = parse_selector(text, allow_empty=True) if text else ()
    found: list[Json] = []
    for loop in _matching(pools, matchers):
        for family in loop.memory.metadata:
            if query.metric and family.family != query.metric:
                continue
            if len(found) == query.limit:
                return found
            named = {} if query.metric else {"metric": family.family}
            found.append(
                {"target": dict(loop.target.labels)}
                | named
                | {"type": family.kind, "help": family.help, "unit": family.unit}
            )
    return found


def _matching(pools: list[Pool], matchers: tuple[Matcher, ...]) -> Iterator[TargetLoop]:
    for pool in pools:
        for loop in list(pool.loops.values()):
            labels = dict(loop.target.labels)
            if all(m.matches(labels.get(m.name, "")) for m in matchers):
                yield loop


def _active(loop: TargetLoop) -> Json:
    target, health = loop.target, loop.health
    at = times.time_text(health.at_ms, ticks_per_s=1_000) if health.at_ms else NEVER
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": loop.job.name,
        "scrapeUrl": target.url,
        "globalUrl": _global(target.url),
        "lastError": health.error,
        "lastScrape": at,
        "lastScrapeDuration": health.took_s,
        "health": HEALTH[health.up],
        "scrapeInterval": duration_text(target.interval_ms),
        "scrapeTimeout": duration_text(target.timeout_ms),
    }


def _global(url: str) -> str:
    """As other machines would ask: this one's name where the target is on it."""
    split = urlsplit(url)
    if split.hostname not in LOOPBACK:
        return url
    port = f":{split.port}" if split.port else ""
    return split._replace(netloc=socket.gethostname() + port).geturl()


async def _answer(node: Node, data: Callable[[list[Pool]], object]) -> Response:
    """In a thread: there may be thousands of targets."""

    def body() -> bytes:
        pools = [] if node.scraper is None else node.scraper.pools
        found = {"status": "success", "data": data(pools)}
        return orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)

    async with node.admin.caller():
        return Reply(Answer(await node.admin.run(body)))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    _declare_reads(app, node)

    @app.put("/-/reload", include_in_schema=False)  # Prometheus takes both
    @app.post("/-/reload", **examples.RELOAD)
    async def reload() -> Response:
        node.door.check_admin()
        parts = [part for part in (node.scraper, node.ruler) if part is not None]
        for part in parts:
            await part.reload()
        reloaded = b"true" if parts else b"false"
        return Reply(Answer(b'{"status":"success","reloaded":%b}\n' % reloaded))


def _declare_reads(app: FastAPI, node: Node) -> None:
    @app.get("/api/v1/targets", **examples.TARGETS)
    async def list_targets(query: Annotated[TargetsQuery, Query()]) -> Response:
        return await _answer(node, lambda pools: targets(pools, query))

    @app.get("/api/v1/targets/metadata", **examples.METADATA)
    async def list_metadata(query: Annotated[MetadataQuery, Query()]) -> Response:
        return await _answer(node, lambda pools: metadata(pools, query))

    @app.get("/api/v1/scrape_pools", **examples.POOLS)
    async def list_pools() -> Response:
        return await _answer(node, lambda pools: {"scrapePools": [p.job.name for p in pools]})
