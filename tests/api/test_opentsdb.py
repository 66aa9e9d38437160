"""OpenTSDB's HTTP API: its shapes, its codes, and points that are kept exactly."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

T = 1_700_000_000


def point(metric: str, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "timestamp": T, "value": 1, "tags": {"host": "a"}} | more


def read(server: Any, selector: str) -> list[tuple[int, float]]:
    columns = server.database.select(selector).columns()
    return list(zip(columns.timestamps.tolist(), columns.values.tolist(), strict=True))


def test_a_point_and_an_array_of_points(server: Any) -> None:
    one = server("POST", "/api/put", point("put.one", value=18))
    more = server("POST", "/api/put", [point("put.more"), point("put.more", timestamp=T + 1)])

    assert (one.status, one.body, more.status) == (204, b"", 204)
    assert read(server, '{"put.one",host="a"}') == [(T * 1000, 18.0)]
    assert read(server, '{"put.more"}') == [(T * 1000, 1.0), (T * 1000 + 1000, 1.0)]


@pytest.mark.parametrize(
    ("stamp", "ticks"),
    [
        (T, T * 1000),
        (T * 1000 + 123, T * 1000 + 123),
        (str(T), T * 1000),
        (T + 0.25, T * 1000 + 250),
        (f"{T}.125", T * 1000 + 125),
        (f" {T * 1000 + 5} ", T * 1000 + 5),
    ],
)
def test_seconds_and_milliseconds(server: Any, stamp: Any, ticks: int) -> None:
    name = f"put.stamps.{stamp}"
    assert server("POST", "/api/put", point(name, timestamp=stamp)).status == 204
    assert read(server, f'{{"{name}"}}') == [(ticks, 1.0)]


@pytest.mark.parametrize(
    ("value", "stored"), [("18", 18.0), ("-1.5e3", -1500.0), (0, 0.0), (1e300, 1e300), ("7.", 7.0)]
)
def test_values_are_numbers_or_strings(server: Any, value: Any, stored: float) -> None:
    name = f"put.values.{value}"
    assert server("POST", "/api/put", point(name, value=value)).status == 204
    assert read(server, f'{{"{name}"}}') == [(T * 1000, stored)]


def test_tags_may_lack_be_empty_or_be_no_strings(server: Any) -> None:
    body = [
        {"metric": "put.tags.none", "timestamp": T, "value": 1},
        point("put.tags.empty", tags={"host": "", "dc": "x"}),
        point("put.tags.kinds", tags={"port": 80, "on": True, "é": "ü"}),
    ]
    assert server("POST", "/api/put", body).status == 204
    assert read(server, '{"put.tags.none"}')
    assert read(server, '{"put.tags.empty",host="",dc="x"}')
    assert read(server, '{"put.tags.kinds",port="80",on="true","é"="ü"}')


def test_a_body_may_be_compressed(server: Any) -> None:
    body = gzip.compress(json.dumps([point("put.gzip")]).encode())
    assert server("POST", "/api/put", body, Content_Encoding="gzip").status == 204
    assert read(server, '{"put.gzip"}')


def test_summary_and_details_of_good_points(server: Any) -> None:
    body = [point("put.good"), point("put.good", timestamp=T + 1)]

    summary = server("POST", "/api/put?summary", body)
    details = server("POST", "/api/put?details=true&sync", body)
    silent = server("POST", "/api/put?sync&sync_timeout=60000&details=false", body)

    assert (summary.status, summary.json) == (200, {"success": 2, "failed": 0})
    assert (details.status, details.json) == (200, {"success": 2, "failed": 0, "errors": []})
    assert (silent.status, silent.body) == (204, b"")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no metric": ({"metric": None}, "Metric name was empty"),
    "an empty metric": ({"metric": ""}, "Metric name was empty"),
    "no timestamp": ({"timestamp": None}, "Invalid timestamp"),
    "a timestamp of 0": ({"timestamp": 0}, "timestamp"),
    "a negative timestamp": ({"timestamp": -5}, "timestamp"),
    "nanoseconds": ({"timestamp": T * 10**9}, "neither seconds nor milliseconds"),
    "a timestamp in words": ({"timestamp": "soon"}, "timestamp"),
    "a far timestamp": ({"timestamp": T * 3000}, ""),
    "no value": ({"value": None}, "Unable to parse value to a number"),
    "a value in words": ({"value": "high"}, "is not a number"),
    "NaN": ({"value": "NaN"}, "Unable to parse value to a number"),
    "a truth": ({"value": True}, "Unable to parse value to a number"),
    "tags that are a list": ({"tags": ["a"]}, "tags are an object"),
    "a tag that is an object": ({"tags": {"a": {}}}, "Invalid tag value"),
    "a tag without a name": ({"tags": {"": "x"}}, "label name is empty"),
    "a tag of 64 KiB": ({"tags": {"a": "x" * 65_536}}, "LABEL_VALUE_BYTES_MAX"),
    "a NUL": ({"tags": {"a": "x\0y"}}, "NUL"),
}


@pytest.mark.parametrize(("change", "word"), BAD.values(), ids=BAD)
def test_a_wrong_point_costs_itself(server: Any, change: dict[str, Any], word: str) -> None:
    good = point("put.beside", timestamp=T + len(word))
    bad = point("put.bad") | change
    reply = server("POST", "/api/put?details", [good, bad])

    assert reply.status == 400, reply.body
    assert (reply.json["success"], reply.json["failed"]) == (1, 1)
    (error,) = reply.json["errors"]
    assert word in error["error"]
    assert error["datapoint"] == bad
    assert read(server, '{"put.beside"}')
    assert not read(server, '{"put.bad"}')

    plain = server("POST", "/api/put", [good, bad])
    assert (plain.status, plain.json["error"]["code"]) == (400, 400)
    assert "data points had errors" in plain.json["error"]["message"]
    alone = server("POST", "/api/put?summary", bad)
    assert (alone.status, alone.json) == (400, {"success": 0, "failed": 1})


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"metric":', b"\xff", b"3", b"[" * 5000])
def test_what_is_no_point_is_refused_in_its_shape(server: Any, body: bytes) -> None:
    reply = server("POST", "/api/put", body)

    assert reply.status == 400
    assert reply.json["error"]["code"] == 400


def test_a_body_past_a_bound_is_413(server: Any) -> None:
    reply = server("POST", "/api/put", b"[" + b"0," * 2_100_000 + b"0]")

    assert reply.status == 413
    assert "POINTS_PER_REQUEST_MAX" in reply.json["error"]["message"]


def test_new_series_past_the_bound_are_to_be_sent_again(serve: Any, tmp_path: Any) -> None:
    with serve(tmp_path / "db", series_max=1) as server:
        first = server("POST", "/api/put?details", [point("a"), point("b")])
        known = server("POST", "/api/put", point("a", value=2))

    assert (first.status, first.json["error"]["code"]) == (429, 429)
    assert int(first.headers["retry-after"]) > 0
    assert known.status == 204


def test_an_unknown_parameter_is_refused(server: Any) -> None:
    reply = server("POST", "/api/put?detail", point("x"))
    assert (reply.status, "detail" in reply.json["error"]["message"]) == (400, True)


# --- names --------------------------------------------------------------------------------------


def test_what_tools_ask_first(server: Any) -> None:
    assert server.get("/api/version").json["version"].startswith("2.")
    assert "sum" in server.get("/api/aggregators").json


def test_names_are_suggested(server: Any) -> None:
    server("POST", "/api/put", [point(f"sug.{c}", tags={f"tag{c}": f"val{c}"}) for c in "cab"])

    assert server.get("/api/suggest?type=metrics&q=sug.").json == ["sug.a", "sug.b", "sug.c"]
    assert server.get("/api/suggest?type=metrics&q=sug.&max=2").json == ["sug.a", "sug.b"]
    assert server.get("/api/suggest?type=tagk&q=tagb").json == ["tagb"]
    asked = {"type": "tagv", "q": "valc", "max": 5}
    assert server("POST", "/api/suggest", asked).json == ["valc"]


@pytest.mark.parametrize("query", ["type=x", "type=metrics&max=-1", "type=metrics&max=x"])
def test_a_wrong_suggestion_is_refused(server: Any, query: str) -> None:
    assert server.get(f"/api/suggest?{query}").status == 400
    assert server("POST", "/api/suggest", b"[]").status == 400
    assert server("POST", "/api/suggest", b"{").status == 400
