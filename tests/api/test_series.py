"""/api/v1/series, labels, label values, federation: what Prometheus lists, in its words."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from api.routes.series import unescaped
from tsdb.errors import InvalidInput

T = 1_700_000_000
FORM = "application/x-www-form-urlencoded"
CUT = ["results truncated due to limit"]


@pytest.fixture(scope="module")
def listed(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of its own: series in a block, series in memory, one in between."""
    with serve(tmp_path_factory.mktemp("listed") / "db") as server:
        database = server.database
        for host in ("a", "b"):
            labels = {"__name__": "old", "host": host}
            database.write(labels, [(T + s) * 1000 for s in (0, 600)], [1, 2])
        database.write({"__name__": "both", "host": "a"}, [T * 1000], [1])
        database.flush()
        database.write({"__name__": "both", "host": "a"}, [(T + 9000) * 1000], [1])
        database.write(
            {"__name__": "new", "http.status": "200"},
            [(T + s) * 1000 for s in (8000, 9000)],
            [1, 2],
        )
        database.write({"__name__": "new", "http.status": "200"}, [(T + 7000) * 1000], [0])
        yield server


def ask(server: Any, path: str, *match: str, **more: object) -> Any:
    return server.get(f"{path}?{urlencode([('match[]', m) for m in match] + [*more.items()])}")


def data_of(reply: Any) -> Any:
    assert (reply.status, reply.json["status"]) == (200, "success"), reply.body
    return reply.json["data"]


def names_of(reply: Any) -> list[str]:
    return [each["__name__"] + each.get("host", "") for each in data_of(reply)]


def test_series_of_several_selectors_come_once_and_in_order(listed: Any) -> None:
    reply = ask(listed, "/api/v1/series", "old", '{host="a"}')

    assert data_of(reply) == [
        {"__name__": "both", "host": "a"},
        {"__name__": "old", "host": "a"},
        {"__name__": "old", "host": "b"},
    ]
    posted = listed("POST", "/api/v1/series", b"match[]=old", content_type=FORM)
    assert names_of(posted) == ["olda", "oldb"]


@pytest.mark.parametrize(
    ("start", "end", "names"),
    [
        (T - 10, T - 1, []),
        (T - 10, T, ["botha", "olda", "oldb"]),
        (T + 1, T + 2, ["olda", "oldb"]),  # within a run
        (T + 700, T + 6999, []),
        (T + 7000, T + 7500, ["new"]),  # only its late point
        (T + 9000, T + 9e9, ["botha", "new"]),
        (T, T + 9000, ["botha", "new", "olda", "oldb"]),
    ],
)
def test_series_of_a_range(listed: Any, start: float, end: float, names: list[str]) -> None:
    assert names_of(ask(listed, "/api/v1/series", '{__name__!=""}', start=start, end=end)) == names
    values = ask(listed, "/api/v1/label/host/values", start=start, end=end)
    assert data_of(values) == sorted({name[-1] for name in names} - {"w"})


def test_names_and_values(listed: Any) -> None:
    assert data_of(listed.get("/api/v1/labels")) == ["__name__", "host", "http.status"]
    assert data_of(ask(listed, "/api/v1/labels", "old", "both")) == ["__name__", "host"]
    assert data_of(ask(listed, "/api/v1/labels", start=T + 8000)) == [
        "__name__", "host", "http.status",
    ]  # fmt: skip
    posted = listed("POST", "/api/v1/labels", b"match[]=new", content_type=FORM)
    assert data_of(posted) == ["__name__", "http.status"]
    assert data_of(listed.get("/api/v1/label/__name__/values")) == ["both", "new", "old"]
    assert data_of(ask(listed, "/api/v1/label/__name__/values", '{host="b"}')) == ["old"]
    assert data_of(listed.get("/prometheus/api/v1/label/none/values")) == []


@pytest.mark.parametrize("name", ["http.status", "U__http_2e_status", "U__http_2E_status"])
def test_names_in_utf8_may_be_escaped(listed: Any, name: str) -> None:
    assert data_of(listed.get(f"/api/v1/label/{quote(name)}/values")) == ["200"]


@pytest.mark.parametrize(
    ("escaped", "name"),
    [("plain", "plain"), ("U__a__b", "a_b"), ("U__a_2e_b", "a.b"), ("U___e9_", "é"), ("U__", "")],
)
def test_what_an_escaped_name_means(escaped: str, name: str) -> None:
    assert unescaped(escaped) == name


@pytest.mark.parametrize("escaped", ["U__a_b", "U__a_d800_b", "U__a_110000_b", "U__a_"])
def test_names_that_are_escaped_wrongly(escaped: str) -> None:
    with pytest.raises(InvalidInput, match="not escaped as U__ says"):
        unescaped(escaped)


def test_a_limit_cuts_and_says_so(listed: Any) -> None:
    for path, match in (
        ("/api/v1/series", ["old"]),
        ("/api/v1/labels", []),
        ("/api/v1/label/__name__/values", []),
    ):
        cut = ask(listed, path, *match, limit=1)
        assert len(data_of(cut)) == 1
        assert cut.json["warnings"] == CUT
        assert "warnings" not in ask(listed, path, *match, limit=50).json


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("series", "no match[] parameter provided"),
        ("series?match[]={}",
         'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
        ("series?match[]=up{", 'invalid parameter "match[]": '),
        ("labels?limit=x", 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
        ("labels?start=x", "invalid parameter \"start\": invalid time value for 'start': "),
        ("labels?" + "match[]=a&" * 33, "33 match[] parameters"),
    ],
)  # fmt: skip
def test_refusals_in_prometheus_words(listed: Any, path: str, error: str) -> None:
    reply = listed.get(f"/api/v1/{path}")

    assert (reply.status, reply.json["errorType"]) == (400, "bad_data")
    assert error in reply.json["error"]


def test_an_empty_range_lists_nothing(listed: Any) -> None:
    assert data_of(ask(listed, "/api/v1/series", "old", start=5, end=1)) == []


# --- federation ----------------------------------------------------------------------------------


def test_federation(listed: Any) -> None:
    now = time.time_ns() // 1_000_000
    stale = "0x7ff0000000000002"
    write = listed.database.write
    write({"__name__": "fed:b", "job": 'x"y\\', "instance": "i"}, [now - 9000, now - 1], [1, 1e21])
    write({"__name__": "fed:a", "http.status": "2"}, [now - 1], [0.5])
    write({"__name__": "fed:old"}, [now - 400_000], [1])
    import numpy as np

    write({"__name__": "fed:gone"}, [now - 1], np.array([int(stale, 16)], np.uint64).view("f8"))

    reply = ask(listed, "/federate", '{__name__=~"fed:.*"}', '{__name__="fed:a"}')

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.body.decode().splitlines() == [
        "# TYPE fed:a untyped",
        f'fed:a{{http_status="2",instance=""}} 0.5 {now - 1}',
        "# TYPE fed:b untyped",
        f'fed:b{{instance="i",job="x\\"y\\\\"}} 1000000000000000000000 {now - 1}',
    ]
    assert ask(listed, "/federate", "none").body == b""
    assert listed.get("/federate").status == 400
