"""What a Grafana data source asks of Prometheus, replayed: its methods, parameters and habits."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest

T = 1_769_860_800
FORM = "application/x-www-form-urlencoded"
DASHBOARD = {"x_dashboard_uid": "u", "x_panel_id": "2", "x_grafana_org_id": "1"}
MINUTE = {"start": T // 60 * 60, "end": T // 60 * 60 + 7_200}  # as label calls round them


@pytest.fixture(scope="module")
def source(server: Any) -> Any:
    """The module's server with what a dashboard shows."""
    stamps = [(T + 15 * i) * 1000 for i in range(241)]
    for host in ("a", "b"):
        for status in ("200", "500"):
            labels = {
                "__name__": "grafana_requests_total", "host": host, "status": status,
                "http.route": "/x",
            }  # fmt: skip
            server.database.write(labels, stamps, [float(i) for i in range(241)])
    return server


def get(source: Any, path: str, **parameters: object) -> Any:
    reply = source.get(f"{path}?{urlencode(parameters, doseq=True)}", **DASHBOARD)
    return data_of(reply)


def post(source: Any, path: str, **parameters: object) -> Any:
    body = urlencode(parameters, doseq=True).encode()
    return data_of(source("POST", path, body, content_type=FORM, **DASHBOARD))


def data_of(reply: Any) -> Any:
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["status"] == "success"
    return reply.json["data"]


@pytest.fixture(params=[get, post])
def call(request: Any) -> Any:
    """Data sources are set to GET or to POST."""
    return request.param


def test_save_and_test(source: Any, call: Any) -> None:
    found = call(source, "/api/v1/query", query="1+1", time="4")

    assert found == {"resultType": "scalar", "result": [4, "2"]}
    build = get(source, "/api/v1/status/buildinfo")
    assert "features" not in build  # else it is taken for Mimir
    assert int(build["version"].partition(".")[0]) >= 3


def test_what_is_probed_when_a_data_source_starts(source: Any, call: Any) -> None:
    exemplars = call(
        source, "/api/v1/query_exemplars", query="test", start=T * 1000, end=(T + 3600) * 1000
    )
    assert exemplars == []  # an error would turn exemplars off
    assert get(source, "/api/v1/rules") == {"groups": []}
    assert get(source, "/api/v1/alerts") == {"alerts": []}
    assert get(source, "/api/v1/metadata", limit=40000, custom="x") is not None


def test_a_panel(source: Any, call: Any) -> None:
    found = call(
        source, "/api/v1/query_range", query="sum by (host) (rate(grafana_requests_total[1m]))",
        start=T + 600, end=T + 1200, step="15", timeout="60s", custom="appended",
    )  # fmt: skip

    assert found["resultType"] == "matrix"
    assert [each["metric"] for each in found["result"]] == [{"host": "a"}, {"host": "b"}]
    assert {len(each["values"]) for each in found["result"]} == {41}


def test_stitched_tails_are_the_whole(source: Any) -> None:
    """Incremental querying asks only for what is new: answers must not depend on the range."""
    query = "rate(grafana_requests_total[1m])"
    span = {"query": query, "step": "15"}
    whole = get(source, "/api/v1/query_range", start=T + 300, end=T + 900, **span)["result"]
    head = get(source, "/api/v1/query_range", start=T + 300, end=T + 585, **span)["result"]
    tail = get(source, "/api/v1/query_range", start=T + 600, end=T + 900, **span)["result"]

    for every, first, rest in zip(whole, head, tail, strict=True):
        assert every["values"] == first["values"] + rest["values"]


def test_tables_and_variables(source: Any, call: Any) -> None:
    found = call(source, "/api/v1/query", query="count(grafana_requests_total)", time=T + 600.5)
    assert found["result"] == [{"metric": {}, "value": [T + 600.5, "4"]}]
    series = call(
        source, "/api/v1/series", **{"match[]": "grafana_requests_total", "limit": 40000}, **MINUTE
    )
    assert len(series) == 4
    everything = call(source, "/api/v1/series", **{"match[]": '{__name__!=""}'}, **MINUTE)
    assert series[0] in everything


def test_the_editor(source: Any, call: Any) -> None:
    names = call(source, "/api/v1/labels", limit=1000, **MINUTE)
    assert {"__name__", "host", "http.route"} <= set(names)
    narrowed = call(source, "/api/v1/labels", **{"match[]": "grafana_requests_total"}, **MINUTE)
    assert narrowed == ["__name__", "host", "http.route", "status"]
    metrics = get(source, "/api/v1/label/__name__/values", limit=40000, **MINUTE)
    assert "grafana_requests_total" in metrics
    two = ["grafana_requests_total", '{status="500"}']
    assert get(source, "/api/v1/label/status/values", **{"match[]": two}, **MINUTE) == [
        "200", "500",
    ]  # fmt: skip
    assert get(source, "/api/v1/label/U__http_2e_route/values", **MINUTE) == ["/x"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("sum(", 400), ("grafana_requests_total + on() grafana_requests_total", 422)],
)
def test_refusals_are_json_that_is_shown(source: Any, query: str, status: int) -> None:
    reply = source.get(f"/api/v1/query?{urlencode({'query': query, 'time': T + 60})}")

    assert reply.status == status  # only 2xx, 400, 422 and 503 are read as JSON
    assert {"status", "errorType", "error"} <= set(reply.json)


def test_answers_are_compressed(source: Any) -> None:
    path = "/api/v1/query_range?" + urlencode(
        {"query": "grafana_requests_total", "start": T, "end": T + 3600, "step": 15}
    )
    packed = source.get(path, accept_encoding="gzip")

    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == source.get(path).json


def test_pages_of_status_that_are_proxied(source: Any) -> None:
    for page in ("config", "flags", "runtimeinfo", "tsdb", "walreplay"):
        assert get(source, f"/api/v1/status/{page}")
    assert get(source, "/api/v1/alertmanagers")["activeAlertmanagers"] == []
    assert "activeTargets" in get(source, "/api/v1/targets")
    assert get(source, "/api/v1/targets/metadata") is not None
    assert get(source, "/api/v1/notifications") == []
