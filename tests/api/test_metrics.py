"""/metrics: parses as Prometheus' text, counts what happened, keeps its labels few."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route

from api.app import Application


def figures(server: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = server.get("/metrics").body.decode()
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_points_and_requests_are_counted(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path / "db") as server:
        for i in range(5):
            server("PUT", "/kv/a", [[1_700_000_000 + i, i]])
        server.get("/kv/a")
        server.get("/kv/b")
        found = figures(server)

    count = "silverback_http_request_seconds_count"
    assert found["silverback_up", ()] == 1
    assert found["silverback_series", ()] == 1
    assert found["silverback_points_applied_total", ()] == 5
    assert found["silverback_head_points", ()] == 5
    put = (("method", "PUT"), ("route", "/kv/{key}"), ("status", "200"))
    assert found[count, put] == 5
    assert found[count, (("method", "GET"), ("route", "/kv/{key}"), ("status", "404"))] == 1
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def test_labels_do_not_grow_with_what_clients_send(server: Any) -> None:
    for i in range(20):
        server.get(f"/nothing/{i}")
        server("PATCH", f"/kv/{i}")
        server("PUT", f"/kv/metrics/{i}", b"broken")

    routes = {dict(labels)["route"] for name, labels in figures(server) if "route" in dict(labels)}
    declared = Application(server.server.node).api.routes
    assert routes <= {route.path_format for route in declared if isinstance(route, Route)} | {
        "other"
    }


def test_figures_that_the_docs_name_exist(server: Any) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "run-a-server.md"
    named = set(re.findall(r"`(silverback_\w+)`", page.read_text("utf-8")))
    there = {name for name, _ in figures(server)}

    assert named
    assert {n for n in named if n not in there and f"{n}_count" not in there} == set()
