"""prometheus_client, Python's own, pushing to us as to a Pushgateway."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Summary,
    delete_from_gateway,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

STALE = "StaleNaN"
GROUP = {"instance": "db 1", "path": "/var/tmp", "none": ""}


def registry_of(value: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("backup_seconds", "How long.", ["step"], registry=registry).labels('a"\\\n').set(value)
    Counter("backup_files", "Files.", registry=registry).inc(value)
    Histogram("backup_size", "Sizes.", registry=registry, buckets=(1, 2)).observe(value)
    Summary("backup_wait", "Waits.", registry=registry).observe(value)
    Info("backup_tool", "Tool.", registry=registry).info({"version": "1"})
    return registry


def newest(server: Any, selector: str) -> dict[str, Any]:
    return {name: points[-1][1] for name, points in server.series(selector).items()}


def test_push_add_and_delete(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path) as server:
        push_to_gateway(server.url, job="nightly", registry=registry_of(1.5), grouping_key=GROUP)
        found = newest(server, '{job="nightly"}')
        own = '"instance": "db 1", "job": "nightly", "path": "/var/tmp"'
        assert found[f'{{"__name__": "backup_files_total", {own}}}'] == 1.5
        step = '"step": "a\\"\\\\\\n"'
        assert found[f'{{"__name__": "backup_seconds", {own}, {step}}}'] == 1.5
        buckets = newest(server, "backup_size_bucket")
        assert sorted(buckets.values()) == [0, 1, 1]
        assert {json.loads(name)["__name__"] for name in found} >= {
            "backup_size_sum", "backup_wait_count", "backup_tool_info", "backup_files_created",
            "push_time_seconds", "push_failure_time_seconds",
        }  # fmt: skip

        only = CollectorRegistry()
        Gauge("backup_seconds", "How long.", registry=only).set(3)
        pushadd_to_gateway(server.url, job="nightly", registry=only, grouping_key=GROUP)
        found = newest(server, "backup_seconds")
        assert sorted(map(str, found.values())) == ["3", STALE]
        assert STALE not in newest(server, "backup_files_total").values()

        delete_from_gateway(server.url, job="nightly", grouping_key=GROUP)
        assert set(newest(server, '{job="nightly"}').values()) == {STALE}


def test_openmetrics_and_a_refusal(silverback: Any, tmp_path: Any) -> None:
    with silverback(tmp_path) as server:
        registry = CollectorRegistry()
        counter = Counter("traced", "With exemplars.", registry=registry)
        counter.inc(2, {"trace_id": "abc"})
        url = f"{server.url}/api/v1/import/prometheus"
        headers = {"Content-Type": "application/openmetrics-text; version=1.0.0"}
        with urlopen(Request(url, openmetrics(registry), headers)) as answer:
            assert answer.status == 200
        assert server.values("traced_total") == [2]

        with pytest.raises(HTTPError, match="400"):
            push_to_gateway(server.url, job="x", registry=registry_of(1), grouping_key={"__x": "y"})
