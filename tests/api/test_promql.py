"""/api/v1/query and /api/v1/query_range answer as Prometheus 3.5 does."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pytest

from api.errors import QueryCanceled, QueryTimedOut
from api.routes import promql
from api.running import Queries, Running

T = 1_700_000_000
FORM = "application/x-www-form-urlencoded"
# path and parameters, status, the answer's data or its error
Json = dict[str, Any]


@pytest.fixture(scope="module")
def stored(server: Any) -> Any:
    """The module's server with a gauge and a counter of two hosts, 15 s apart."""
    times = (T + 15 * np.arange(41)) * 1000
    for host, slope in (("a", 1.5), ("b", 3.0)):
        labels = {"host": host, "job": "promql"}
        server.database.write(
            {"__name__": "asked_gauge", **labels}, times, slope * (times // 1000 - T)
        )
        server.database.write({"__name__": "asked_total", **labels}, times, np.arange(41) * slope)
    return server


def data_of(reply: Any) -> Json:
    assert reply.status == 200, reply.body
    found = reply.json
    assert found["status"] == "success"
    data: Json = found["data"]
    return data


def ask(server: Any, path: str, **parameters: object) -> Any:
    return server.get(f"/api/v1/{path}?{urlencode(parameters)}")


def test_an_instant_vector(stored: Any) -> None:
    found = data_of(ask(stored, "query", query="asked_gauge", time=T + 30))

    metric = {"__name__": "asked_gauge", "job": "promql"}
    assert found == {
        "resultType": "vector",
        "result": [
            {"metric": metric | {"host": "a"}, "value": [T + 30, "45"]},
            {"metric": metric | {"host": "b"}, "value": [T + 30, "90"]},
        ],
    }


def test_a_matrix(stored: Any) -> None:
    found = data_of(
        ask(
            stored, "query_range", query="sum by (job) (rate(asked_total[1m]))",
            start=T + 60, end=T + 90, step=15,
        )
    )  # fmt: skip

    values = [[T + 60, "0.3"], [T + 75, "0.3"], [T + 90, "0.3"]]
    assert found == {
        "resultType": "matrix",
        "result": [{"metric": {"job": "promql"}, "values": values}],
    }


def test_points_of_a_range_selector(stored: Any) -> None:
    found = data_of(ask(stored, "query", query='asked_gauge{host="a"}[30s]', time=T + 30))

    assert found["resultType"] == "matrix"
    assert found["result"][0]["values"] == [[T + 15, "22.5"], [T + 30, "45"]]


def test_the_probe_of_a_data_source(stored: Any) -> None:
    assert data_of(ask(stored, "query", query="1+1", time=4)) == {
        "resultType": "scalar", "result": [4, "2"],
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/prometheus"])
@pytest.mark.parametrize(
    ("query", "body", "headers"),
    [
        ("query=2&time=4", None, {}),
        ("", b"query=2&time=4", {"content_type": FORM}),
        ("query=1&time=4", b"query=2", {"content_type": FORM + "; charset=utf-8"}),
        ("query=2&time=4", b"", {"content_type": "application/json"}),
        ("query=2&time=4", b"query=1", {"content_type": "application/json"}),
    ],
)
def test_parameters_stand_in_the_form_or_the_url(
    stored: Any, prefix: str, query: str, body: bytes | None, headers: dict[str, str]
) -> None:
    reply = stored("POST", f"{prefix}/api/v1/query?{query}", body, **headers)

    assert data_of(reply)["result"] == [4, "2"]


@pytest.mark.parametrize(
    ("path", "status", "kind", "error"),
    [
        ("query", 400, "bad_data", "no expression found in input"),
        ("query?query=up{", 400, "bad_data", 'invalid parameter "query": 1:4: parse error: '),
        ("query?query=1&time=x", 400, "bad_data",
         "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid "
         "timestamp"),
        ("query?query=1&time=1e30", 400, "bad_data", 'cannot parse "1e30" to a valid timestamp'),
        ("query?query=1&timeout=x", 400, "bad_data",
         'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("query?query=1&lookback_delta=x", 400, "bad_data", 'cannot parse "x" to a valid duration'),
        ("query?query=1&limit=x", 400, "bad_data",
         'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
        ("query?query=1&limit=-1", 400, "bad_data",
         'invalid parameter "limit": limit must be non-negative'),
        ("query?query=1&timeout=0.0000001", 503, "timeout", "query timed out in query"),
        ("query_range?query=1&end=10&step=1", 400, "bad_data",
         'invalid parameter "start": cannot parse "" to a valid timestamp'),
        ("query_range?query=1&start=1&end=0&step=1", 400, "bad_data",
         'invalid parameter "end": end timestamp must not be before start time'),
        ("query_range?query=1&start=1&end=10", 400, "bad_data",
         'invalid parameter "step": cannot parse "" to a valid duration'),
        ("query_range?query=1&start=1&end=10&step=0", 400, "bad_data",
         'invalid parameter "step": zero or negative query resolution step widths are not '),
        ("query_range?query=1&start=1&end=11002&step=1", 400, "bad_data",
         "exceeded maximum resolution of 11,000 points per timeseries."),
        ("query_range?query=up[5m]&start=1&end=10&step=1", 400, "bad_data",
         'invalid parameter "query": invalid expression type "range vector" for range query, '
         "must be Scalar or instant Vector"),
        ("query?query=asked_gauge%2Bon(job)asked_total&time=1700000030", 422, "execution",
         "found duplicate series for the match group"),
    ],
)  # fmt: skip
def test_refusals_in_prometheus_words(
    stored: Any, path: str, status: int, kind: str, error: str
) -> None:
    reply = stored.get(f"/api/v1/{path}")

    assert (reply.status, reply.json["status"], reply.json["errorType"]) == (status, "error", kind)
    assert error in reply.json["error"]


def test_a_bound_that_is_passed_is_named(stored: Any) -> None:
    reply = ask(stored, "query_range", query="1", start=1, end=1e6, step=1)

    assert (reply.json["limit"], reply.json["limitValue"]) == ("QUERY_STEPS_MAX", 11_000)


def test_as_many_steps_as_prometheus_allows(stored: Any) -> None:
    found = data_of(ask(stored, "query_range", query="1", start=1, end=11_001, step=1))

    assert len(found["result"][0]["values"]) == 11_001


def test_limit_lookback_stats_and_what_nobody_knows(stored: Any) -> None:
    reply = ask(stored, "query", query="asked_gauge", time=T, limit=1, panel="7")
    assert len(reply.json["data"]["result"]) == 1
    assert reply.json["warnings"] == ["results truncated due to limit"]

    at = T + 640
    assert len(data_of(ask(stored, "query", query="asked_gauge", time=at))["result"]) == 2
    short = ask(stored, "query", query="asked_gauge", time=at, lookback_delta="30s")
    assert data_of(short)["result"] == []

    stats = data_of(ask(stored, "query", query="asked_gauge[1m]", time=at - 40, stats="all"))
    assert stats["stats"]["samples"] == {"totalQueryableSamples": 8, "peakSamples": 8}
    assert set(stats["stats"]["timings"]) == {
        "evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime",
        "execQueueTime", "execTotalTime",
    }  # fmt: skip


def test_infos_stand_beside_the_data(stored: Any) -> None:
    reply = ask(stored, "query", query="rate(asked_gauge[1m])", time=T + 60)

    assert "might not be a counter" in reply.json["infos"][0]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("4", 4_000), ("4.0625", 4_063), ("1e3", 1_000_000), ("-4.5", -4_500), (".5", 500),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20.1289+01:00", 1_700_000_000_128),
    ],
)  # fmt: skip
def test_times_are_read_as_prometheus_reads_them(stored: Any, text: str, ms: int) -> None:
    found = data_of(stored.get(f"/api/v1/query?query=vector(1)&time={quote(text)}"))

    assert found["result"][0]["value"][0] == ms / 1000


def test_the_ends_of_time_are_moments(stored: Any) -> None:
    for text in ("-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z"):
        found = data_of(ask(stored, "query", query="asked_gauge", time=text))
        assert found["result"] == []


@pytest.mark.parametrize(
    ("step", "count"), [("15", 3), ("15s", 3), ("0m15s", 3), ("10.5", 3), ("1m", 1), ("500ms", 61)]
)
def test_steps_are_seconds_or_durations(stored: Any, step: str, count: int) -> None:
    found = data_of(ask(stored, "query_range", query="1", start=T, end=T + 30, step=step))

    assert len(found["result"][0]["values"]) == count


def test_an_arrow_stream(stored: Any) -> None:
    media = "application/vnd.apache.arrow.stream"
    path = f"/api/v1/query_range?query=asked_gauge&start={T}&end={T + 30}&step=15"
    reply = stored.get(path, accept=media)

    assert reply.headers["content-type"] == media
    table = pa.ipc.open_stream(io.BytesIO(reply.body)).read_all().to_pydict()
    hosts = [json.loads(labels)["host"] for labels in table["labels"]]
    assert hosts == ["a"] * 3 + ["b"] * 3
    assert table["value"] == [0, 22.5, 45, 0, 45, 90]
    assert [at.timestamp() for at in table["timestamp"]] == [T, T + 15, T + 30] * 2
    scalar = stored.get(f"/api/v1/query?query=2&time={T}", accept=media)
    assert pa.ipc.open_stream(io.BytesIO(scalar.body)).read_all()["value"].to_pylist() == [2.0]
    assert stored.get('/api/v1/query?query="a"', accept=media).status == 406


def test_long_answers_are_compressed(stored: Any) -> None:
    path = f"/api/v1/query_range?query=asked_gauge&start={T}&end={T + 300}&step=1"
    reply = stored.get(path, accept_encoding="gzip")

    assert reply.headers["content-encoding"] == "gzip"


# --- stopping ------------------------------------------------------------------------------------


def running(**more: Any) -> Running:
    asked: Json = {
        "id": 7, "text": "up", "start": 0, "end": 0, "step": None, "client": "", "request_id": "r",
        "timeout_s": 100.0,
    }  # fmt: skip
    return Running(**asked | more)


def test_a_query_stops_when_it_has_to() -> None:
    queries, query = Queries(), running()
    queries.begin(query)
    query.check()
    assert queries.shown()[0] | {"seconds": 0, "since": 0} == {
        "id": "7", "query": "up", "start": 0, "end": 0, "step": None, "client": "",
        "account": "", "memoryBytes": 0,
        "requestId": "r", "since": 0, "seconds": 0, "state": "queued", "points": 0,
    }  # fmt: skip

    assert queries.cancel("7")
    with pytest.raises(QueryCanceled, match="query queue: stopped by an operator"):
        query.check()
    queries.end(query)
    assert not queries.cancel("7")
    with pytest.raises(QueryTimedOut, match="query execution"):
        running(timeout_s=0.0, evaluated=1.0).check()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Every query goes on until it is stopped; what stopped it."""
    stopped: list[Exception] = []
    release = threading.Event()

    def evaluated(source: Any, query: Running) -> Any:
        try:
            while not release.wait(0.005):
                query.check()
        except (QueryCanceled, QueryTimedOut) as error:
            stopped.append(error)
            raise
        raise AssertionError("never stopped")

    monkeypatch.setattr(promql, "evaluated", evaluated)
    yield stopped
    release.set()


def until(condition: Any) -> Any:
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
    return found


def test_an_operator_stops_a_query(stored: Any, endless: list[Exception]) -> None:
    replies: list[Any] = []
    asking = threading.Thread(target=lambda: replies.append(ask(stored, "query", query="endless")))
    asking.start()
    path = "/api/v1/status/active_queries"
    until(lambda: "running" in [each["state"] for each in stored.get(path).json["data"]])
    active = stored.get(path).json["data"]
    assert [each["query"] for each in active] == ["endless"]

    path = f"/api/v1/status/active_queries/{active[0]['id']}"
    assert data_of(stored("DELETE", path)) == {"canceled": True}
    asking.join()

    assert (replies[0].status, replies[0].json["errorType"]) == (503, "canceled")
    assert data_of(stored("DELETE", path)) == {"canceled": False}


def test_a_query_stops_when_its_client_goes_away(stored: Any, endless: list[Exception]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stored.port)
    connection.request("GET", "/api/v1/query?query=endless")
    until(lambda: stored.get("/api/v1/status/active_queries").json["data"])
    connection.close()

    until(lambda: endless)
    assert "its client went away" in str(endless[0])
    until(lambda: not stored.get("/api/v1/status/active_queries").json["data"])


def test_a_query_stops_when_its_time_is_over(stored: Any, endless: list[Exception]) -> None:
    reply = ask(stored, "query", query="endless", timeout="50ms")

    assert (reply.status, reply.json["errorType"]) == (503, "timeout")
    assert reply.json["error"] == "query timed out in query execution"


def test_deep_queries_are_shown(server: Any) -> None:
    """Deeper than orjson goes."""
    text = quote("+".join(["x"] * 300))
    assert server.get(f"/api/v1/parse_query?query={text}").json["data"]["type"] == "binaryExpr"
    deep = quote("(1 + " * 30 + "vector(1)" + ")" * 30)
    explained = server.get(f"/api/v1/query?query={deep}&time=1&explain=1")
    assert explained.status == 200, explained.body
    assert explained.json["data"]["explain"]["steps"] == 1


def test_experimental_functions_have_to_be_named(serve: Any, tmp_path: Path) -> None:
    features = "promql-experimental-functions"
    with serve(tmp_path / "db", features=features) as running:
        text = quote('sort_by_label(vector(1), "a")')
        assert running.get(f"/api/v1/query?query={text}&time=1").status == 200


def test_explain_counts_what_was_read(serve: Any, tmp_path: Path) -> None:
    """Three blocks of known chunks; one is outside the range, and one point is in memory."""
    hour = 3_600_000
    with serve(tmp_path / "db") as running:
        for at in (0, 100 * hour, 200 * hour):
            for host in ("a", "b"):
                stamps = range(at, at + 100 * 15_000, 15_000)
                running.database.write(f'explained{{host="{host}"}}', stamps, [1.0] * 100)
            running.database.flush()
        running.database.write('explained{host="a"}', [200 * hour + hour], [1.0])
        blocks = running.database.parts.engine.version.blocks
        assert len(blocks) == 3
        text = quote('sum(rate(explained{host="a"}[150h]))')
        found = running.get(f"/api/v1/query?query={text}&time={201 * 3600}&explain=1")
        assert found.status == 200, found.body
        (rate,) = found.json["data"]["explain"]["inside"]
        (read,) = rate["inside"]
        size = sum(int(block.table.starts[1]) for block in blocks[1:])
        assert {**read, "seconds": 0} == {
            "read": '{__name__="explained",host="a"}', "seconds": 0, "series": 1, "points": 201,
            "blocksOpened": 2, "blocksSkipped": 1, "chunks": 2, "pointsDecoded": 200,
            "bytesDecoded": size, "pointsInMemory": 1,
        }  # fmt: skip
        assert "explain" not in running.get(f"/api/v1/query?query={text}&time=0").json["data"]
