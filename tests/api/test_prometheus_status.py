"""/api/v1/status/..., admin/tsdb/..., format_query and parse_query answer as Prometheus' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

T = 1_700_000_000_000


@pytest.fixture(scope="module")
def told(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve(tmp_path_factory.mktemp("told") / "db", retention_s="400d") as server:
        for host in ("a", "b", "c"):
            server.database.write({"__name__": "m", "host": host}, [T, T + 1000], [1, 2])
        server.database.write({"__name__": "other", "host": "a"}, [T], [1])
        yield server


def data_of(reply: Any) -> Any:
    assert (reply.status, reply.json["status"]) == (200, "success"), reply.body
    return reply.json["data"]


def test_buildinfo_names_the_api_and_no_features(told: Any) -> None:
    found = data_of(told.get("/api/v1/status/buildinfo"))

    assert found["version"] == "3.5.0"
    assert found["revision"].startswith("silverback-")
    assert "features" not in found


def test_runtime_flags_config_replay(told: Any) -> None:
    runtime = data_of(told.get("/prometheus/api/v1/status/runtimeinfo"))
    assert runtime["storageRetention"]
    assert runtime["startTime"] <= runtime["serverTime"]
    flags = data_of(told.get("/api/v1/status/flags"))
    assert flags["host"] == "127.0.0.1"
    assert all(isinstance(text, str) for text in flags.values())
    assert data_of(told.get("/api/v1/status/config")) == {"yaml": "scrape_configs: []\n"}
    replay = data_of(told.get("/api/v1/status/walreplay"))
    assert replay["min"] <= replay["current"] == replay["max"]


def test_what_makes_the_database_large(told: Any) -> None:
    found = data_of(told.get("/api/v1/status/tsdb"))

    assert found == {
        "headStats": {
            "numSeries": 4, "numLabelPairs": 5, "chunkCount": 4, "minTime": T, "maxTime": T + 1000,
        },
        "seriesCountByMetricName": [{"name": "m", "value": 3}, {"name": "other", "value": 1}],
        "labelValueCountByLabelName": [
            {"name": "host", "value": 3}, {"name": "__name__", "value": 2},
        ],
        "memoryInBytesByLabelName": [
            {"name": "__name__", "value": 6}, {"name": "host", "value": 3},
        ],
        "seriesCountByLabelValuePair": [
            {"name": "__name__=m", "value": 3}, {"name": "host=a", "value": 2},
            {"name": "host=b", "value": 1}, {"name": "host=c", "value": 1},
            {"name": "__name__=other", "value": 1},
        ],
    }  # fmt: skip
    short = data_of(told.get("/api/v1/status/tsdb?limit=1"))
    assert short["seriesCountByMetricName"] == [{"name": "m", "value": 3}]


def test_queries_as_text(told: Any) -> None:
    formatted = told.get("/api/v1/format_query?query=sum(a)by(b)")
    assert data_of(formatted) == "sum by (b) (a)"
    tree = data_of(told.get("/api/v1/parse_query?query=sum(a)by(b)"))
    assert (tree["type"], tree["op"], tree["grouping"]) == ("aggregation", "sum", ["b"])
    form = {"content_type": "application/x-www-form-urlencoded"}
    posted = told("POST", "/api/v1/format_query", b"query=a%2Bb", **form)
    assert data_of(posted) == "a + b"
    wrong = told.get("/api/v1/format_query?query=sum(")
    assert (wrong.status, wrong.json["errorType"]) == (400, "bad_data")
    assert wrong.json["error"].startswith('invalid parameter "query": 1:5: parse error: ')


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_deleting_series(told: Any, method: str) -> None:
    database = told.database
    for name in ("unwanted", "unwanted_too"):
        database.write({"__name__": name}, T + np.arange(5) * 1000, np.arange(5))

    path = "/api/v1/admin/tsdb/delete_series"
    assert told(method, path).json["error"] == "no match[] parameter provided"
    backwards = told(method, f"{path}?match[]=unwanted&start=5&end=1")
    assert backwards.status == 400
    reply = told(
        method,
        f"{path}?match[]=unwanted&match[]=unwanted_too&start={T // 1000 + 1}&end={T // 1000 + 3}",
    )

    assert (reply.status, reply.body) == (204, b"")
    for name in ("unwanted", "unwanted_too"):
        assert database.select(name).columns().timestamps.tolist() == [T, T + 4000]
    assert told(method, "/api/v1/admin/tsdb/clean_tombstones").status == 204


def test_a_snapshot_is_a_database(told: Any) -> None:
    name = data_of(told("PUT", "/api/v1/admin/tsdb/snapshot"))["name"]

    assert any((told.database.path / "snapshots" / name).glob("MANIFEST-*"))
