"""InfluxDB's APIs over sockets: what is kept, what is told, and in whose words."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

NS = 1_700_000_000_000_000_000
MS = NS // 10**6


def read(server: Any, selector: str) -> list[tuple[int, float]]:
    columns = server.database.select(selector).columns()
    return list(zip(columns.timestamps.tolist(), columns.values.tolist(), strict=True))


def names(server: Any, selector: str) -> list[str]:
    return sorted(str(labels) for labels in server.database.series(selector))


def ask(server: Any, text: str, **more: str) -> Any:
    query = "&".join(f"{k}={quote(v)}" for k, v in ({"q": text} | more).items())
    reply = server.get(f"/query?{query}")
    assert reply.status == 200, reply.body
    return reply.json["results"]


def test_a_line_of_each_api(server: Any) -> None:
    line = f"each,host=a v=1.5,n=2i,ok=t,u=3u {NS}".encode()
    paths = ("/write?db=one", "/api/v2/write?org=o&bucket=two", "/api/v3/write_lp?db=three")
    for path in paths:
        reply = server("POST", path, line)
        assert (reply.status, reply.body) == (204, b"")

    for db in ("one", "two", "three"):
        assert names(server, f'{{__name__=~"each_.*",db="{db}"}}') == [
            f'each_{field}{{db="{db}", host="a"}}' for field in ("n", "ok", "u", "v")
        ]
        assert read(server, f'each_v{{db="{db}"}}') == [(MS, 1.5)]
        assert read(server, f'each_ok{{db="{db}"}}') == [(MS, 1.0)]


@pytest.mark.parametrize(
    ("path", "unit", "number"),
    [
        ("/write", "n", NS), ("/write", "ns", NS), ("/write", "u", NS // 1000),
        ("/write", "ms", MS), ("/write", "s", NS // 10**9), ("/write", "m", 28333333),
        ("/write", "h", 472222), ("/write", "", NS), ("/api/v2/write", "us", NS // 1000),
        ("/api/v2/write", "s", NS // 10**9),
        ("/api/v3/write_lp", "auto", MS), ("/api/v3/write_lp", "auto", NS // 10**9),
        ("/api/v3/write_lp", "", NS), ("/api/v3/write_lp", "second", NS // 10**9),
        ("/api/v3/write_lp", "nanosecond", NS),
    ],
)  # fmt: skip
def test_precisions(server: Any, path: str, unit: str, number: int) -> None:
    db = f"unit{path}{unit}{number}"
    label = "bucket" if "v2" in path else "db"
    target = f"{path}?{label}={quote(db)}&precision={unit}"
    assert server("POST", target, b"unit v=1 %d" % number).status == 204
    expected = {"m": 28333333 * 60_000, "h": 472222 * 3_600_000}.get(unit, MS)
    assert read(server, f'unit_v{{db="{db}"}}') == [(expected, 1.0)]


def test_a_line_without_a_time_has_the_servers(server: Any) -> None:
    before = server.database.now_ticks()
    assert server("POST", "/write", b"clock v=1").status == 204
    ((ticks, _),) = read(server, "clock_v")
    assert before <= ticks <= server.database.now_ticks()


def test_bodies_may_be_compressed_and_have_carriage_returns(server: Any) -> None:
    body = gzip.compress(
        f"# comment\r\nzipped v=1 {NS}\r\n\r\nzipped v=2 {NS + 10**6}\r\n".encode()
    )
    assert server("POST", "/write", body, Content_Encoding="gzip").status == 204
    assert read(server, "zipped_v") == [(MS, 1.0), (MS + 1, 2.0)]


BAD = f"part v=1 {NS}\npart v=x {NS}\n\npart v=2 {NS + 10**6}\npart,t= v=1\n".encode()


def test_good_lines_are_kept_and_the_others_told_1(server: Any) -> None:
    reply = server("POST", "/write?db=p1", BAD)

    assert reply.status == 400
    assert reply.json["error"].startswith('partial write: line 2: field "v": "x" is neither')
    assert reply.json["error"].endswith("2 values kept, dropped=2")
    assert reply.headers["x-influxdb-error"].startswith("partial write: line 2")
    assert read(server, 'part_v{db="p1"}') == [(MS, 1.0), (MS + 1, 2.0)]


def test_good_lines_are_kept_and_the_others_told_2(server: Any) -> None:
    reply = server("POST", "/api/v2/write?bucket=p2&org=x", BAD)

    assert reply.status == 400
    assert reply.json["code"] == "invalid"
    assert reply.json["line"] == 2
    assert "partial write: line 2" in reply.json["message"]
    assert read(server, 'part_v{db="p2"}') == [(MS, 1.0), (MS + 1, 2.0)]


def test_good_lines_are_kept_and_the_others_told_3(server: Any) -> None:
    reply = server("POST", "/api/v3/write_lp?db=p3", BAD)

    assert reply.status == 400
    assert reply.json == {
        "error": "partial write of line protocol occurred",
        "data": [
            {
                "error_message": 'field "v": "x" is neither a number, a boolean nor a quoted text',
                "line_number": 2,
                "original_line": f"part v=x {NS}",
            },
            {
                "error_message": 'tag "t" has no value',
                "line_number": 5,
                "original_line": "part,t= v=1",
            },
        ],
    }
    assert read(server, 'part_v{db="p3"}') == [(MS, 1.0), (MS + 1, 2.0)]


def test_all_or_nothing(server: Any) -> None:
    reply = server("POST", "/api/v3/write_lp?db=whole&accept_partial=false", BAD)

    assert reply.status == 400
    assert reply.json["error"] == "parsing failed for write_lp endpoint"
    assert reply.json["data"][0]["line_number"] == 2
    assert names(server, '{db="whole"}') == []


@pytest.mark.parametrize("path", ["/write", "/api/v2/write", "/api/v3/write_lp"])
def test_a_body_with_nothing_good(server: Any, path: str) -> None:
    reply = server("POST", path, b"nothing\n=\n")
    told = json.dumps(reply.json)
    assert reply.status == 400
    assert "it has no fields" in told
    assert "points" not in reply.json


def test_texts_are_skipped_and_counted(server: Any) -> None:
    def skipped() -> float:
        lines = server.get("/metrics").body.decode().splitlines()
        return next(
            float(x.split()[1])
            for x in lines
            if x.startswith("silverback_text_fields_skipped_total")
        )

    before = skipped()
    only = server("POST", "/write", b'texts a="x",b="y \\" z"\n')
    mixed = server("POST", "/write?db=t", b'texts a="new\nline",v=1 %d\n' % NS)

    assert (only.status, mixed.status) == (204, 204)
    assert names(server, '{__name__=~"texts_.*"}') == ['texts_v{db="t"}']
    assert skipped() == before + 3


def test_series_that_cannot_be_name_their_line(server: Any) -> None:
    body = b"dup v=1 %d\ndup,a=1,a=2 v=1 %d\n" % (NS, NS)
    reply = server("POST", "/write?db=dup", body)
    assert reply.status == 400
    assert 'line 2: label "a" is given twice' in reply.json["error"]
    assert read(server, 'dup_v{db="dup"}') == [(MS, 1.0)]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/write?precison=s", "precison"),
        ("/write?precision=d", "precision='d'"),
        ("/api/v2/write?precision=minute", "precision='minute'"),
        ("/api/v3/write_lp?accept_partial=maybe", "accept_partial"),
        ("/api/v3/write_lp?no_sync=1", "no_sync"),
        ("/write?ack=never", "ack='never'"),
    ],
)
def test_parameters_that_are_wrong(server: Any, path: str, words: str) -> None:
    reply = server("POST", path, b"wrong v=1")
    assert reply.status == 400
    assert words in json.dumps(reply.json)
    assert names(server, '{__name__=~"wrong_.*"}') == []


def test_credentials_are_taken_where_nobody_asks(server: Any) -> None:
    line = b"open v=1"
    assert server("POST", "/write?u=root&p=root&rp=autogen&consistency=one", line).status == 204
    basic = {"Authorization": "Basic cm9vdDpyb290"}
    assert server("POST", "/write", line, **basic).status == 204
    assert server("POST", "/api/v2/write", line, Authorization="Token abc").status == 204


def test_pings(server: Any) -> None:
    for method in ("GET", "HEAD"):
        reply = server(method, "/ping")
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["x-influxdb-version"].startswith("1.8")
    assert server.get("/health").json["status"] == "pass"
    assert server.get("/ready").json == {"status": "ready"}
    assert server.get("/settings").status == 404


def test_flux_is_refused_clearly(server: Any) -> None:
    reply = server("POST", "/api/v2/query", b"from(bucket: x)")
    assert reply.status == 400
    assert "Flux" in reply.json["message"]


# --- questions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(server: Any) -> Any:
    lines = [f"weather,city=oslo,dc=n temp={i}.5,wind={i}i {NS + i * 10**9}" for i in range(3)] + [
        f"weather,city=rome temp=30 {NS}",
        f"sea,city=rome level=1 {NS}",
    ]
    assert server("POST", "/write?db=asked", "\n".join(lines).encode()).status == 204
    return server


def test_show(asked: Any) -> None:
    def values(text: str) -> Any:
        return {s["name"]: s["values"] for s in ask(asked, text, db="asked")[0].get("series", ())}

    assert ask(asked, "CREATE DATABASE foo")[0] == {"statement_id": 0}
    assert ["asked"] in values("show databases")["databases"]
    assert values("SHOW MEASUREMENTS") == {"measurements": [["sea"], ["weather"]]}
    assert values("SHOW FIELD KEYS FROM weather") == {
        "weather": [["temp", "float"], ["wind", "float"]]
    }
    assert values("SHOW TAG KEYS") == {"sea": [["city"]], "weather": [["city"], ["dc"]]}
    assert values('SHOW TAG VALUES FROM "weather" WITH KEY = city') == {
        "weather": [["city", "oslo"], ["city", "rome"]]
    }
    assert values("SHOW TAG VALUES WITH KEY IN (city, dc) LIMIT 1 OFFSET 1") == {
        "weather": [["city", "rome"]]
    }
    assert values("SHOW FIELD KEYS FROM none") == {}
    assert asked.get("/api/v2/buckets?name=asked").json["buckets"][0]["name"] == "asked"


def test_select(asked: Any) -> None:
    def rows(text: str, **more: str) -> Any:
        (series,) = ask(asked, text, db="asked", epoch="ms", **more)[0]["series"]
        return series["columns"], series["values"]

    assert rows("SELECT temp FROM weather WHERE city = 'oslo'") == (
        ["time", "temp"], [[MS, 0.5], [MS + 1000, 1.5], [MS + 2000, 2.5]]
    )  # fmt: skip
    assert rows("SELECT * FROM weather ORDER BY time DESC LIMIT 2") == (
        ["time", "city", "dc", "temp", "wind"],
        [[MS + 2000, "oslo", "n", 2.5, 2.0], [MS + 1000, "oslo", "n", 1.5, 1.0]],
    )
    assert rows("SELECT temp, city FROM autogen.weather WHERE time <= '2023-11-14T22:13:20Z'") == (
        ["time", "temp", "city"], [[MS, 0.5, "oslo"], [MS, 30.0, "rome"]]
    )  # fmt: skip
    assert rows(f"SELECT wind FROM weather WHERE time > {NS} AND time < {MS + 2000}ms")[1] == [
        [MS + 1000, 1.0]
    ]
    assert rows("SELECT temp FROM weather WHERE city =~ /^r/ AND city !~ /x/")[1] == [[MS, 30.0]]
    assert ask(asked, 'SELECT temp FROM "asked"."autogen"."weather" WHERE city=\'rome\'')[0][
        "series"
    ][0]["values"] == [["2023-11-14T22:13:20.000Z", 30.0]]
    assert ask(asked, "SELECT nothing FROM weather; SELECT * FROM none", db="asked") == [
        {"statement_id": 0}, {"statement_id": 1}
    ]  # fmt: skip


def test_a_form_asks_the_same(asked: Any) -> None:
    reply = asked(
        "POST", "/query?db=asked", b"q=SHOW+MEASUREMENTS",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert reply.json["results"][0]["series"][0]["values"] == [["sea"], ["weather"]]


@pytest.mark.parametrize(
    "text",
    [
        "", "DROP DATABASE x", "SELECT mean(temp) FROM weather", "SELECT * FROM /x/",
        "SELECT * FROM weather GROUP BY city", "SELECT * FROM weather WHERE temp > 5",
        "SELECT * FROM weather WHERE time > 'yesterday'", "SHOW", "SHOW TAG VALUES",
        "SELECT * FROM weather WHERE city = 'a' OR city = 'b'", "SELECT * FROM weather LIMIT -1",
        "SELECT * FROM weather WHERE city =~ /(/", "SELECT", "SELECT * FROM a.b.c.d", "\x00",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_told(asked: Any, text: str) -> None:
    reply = asked.get(f"/query?db=asked&q={quote(text)}")
    assert reply.status == 400
    assert reply.json["error"]


# --- deletes ------------------------------------------------------------------------------------


def delete(server: Any, bucket: str, predicate: str | None, **more: str) -> Any:
    document = {"start": "2023-11-14T00:00:00Z", "stop": "2023-11-15T00:00:00Z"} | more
    if predicate is not None:
        document["predicate"] = predicate
    return server("POST", f"/api/v2/delete?org=o&bucket={bucket}", document)


def test_deletes(server: Any) -> None:
    lines = f"del,host=a v=1 {NS}\ndel,host=b v=1 {NS}\ndel_x,host=a v=1,w_y=1 {NS}\n"
    for bucket in ("d1", "d2"):
        assert server("POST", f"/api/v2/write?bucket={bucket}", lines.encode()).status == 204

    assert delete(server, "d1", 'host="a" AND _measurement="del_x" AND _field="w_y"').status == 204
    assert read(server, 'del_x_w_y{db="d1"}') == []
    unclear = delete(server, "d1", '_measurement="del"')
    assert (unclear.status, unclear.json["code"]) == (400, "invalid")
    assert "add _field" in unclear.json["message"]
    assert delete(server, "d1", "_measurement=del_x").status == 204
    assert read(server, 'del_x_v{db="d1"}') == []
    assert delete(server, "d1", 'host="b"').status == 204
    assert read(server, 'del_v{db="d1"}') == [(MS, 1.0)]
    assert delete(server, "d1", None, stop="2023-11-14T01:00:00Z").status == 204
    assert read(server, 'del_v{db="d1"}') == [(MS, 1.0)]
    assert delete(server, "d1", None).status == 204
    assert read(server, '{db="d1"}') == []
    assert len(read(server, '{db="d2"}')) == 4


@pytest.mark.parametrize(
    "predicate",
    ['host="a" OR host="b"', "host", "host=", 'host="a" AND', '_field="v"', '_measurement!="x"',
     'host>"a"', '_measurement="a" AND _measurement="b"'],
)  # fmt: skip
def test_predicates_that_are_wrong(server: Any, predicate: str) -> None:
    assert delete(server, "wrong", predicate).status == 400


def test_a_delete_of_everything_is_refused(server: Any) -> None:
    document = {"start": "2023-11-14T00:00:00Z", "stop": "2023-11-15T00:00:00Z"}
    assert server("POST", "/api/v2/delete", document).status == 400
    assert server("POST", "/api/v2/delete", {"stop": "2023-11-15T00:00:00Z"}).status == 400
    assert server("POST", "/api/v2/delete", b"[]").status == 400


# --- names --------------------------------------------------------------------------------------


def test_names_by_settings(serve: Any, tmp_path: Any) -> None:
    chosen = {"influx_db_label": "", "influx_separator": ".", "influx_bare_value": True}
    with serve(tmp_path / "db", **chosen) as server:
        body = f"cpu,host=a value=1,user=2 {NS}".encode()
        assert server("POST", "/write?db=x", body).status == 204
        assert names(server, "{}") == ['cpu{host="a"}', '{"cpu.user", host="a"}']
        assert ask(server, "SHOW FIELD KEYS", db="x")[0]["series"] == [
            {"name": "cpu", "columns": ["fieldKey", "fieldType"],
             "values": [["user", "float"], ["value", "float"]]}
        ]  # fmt: skip
        assert delete(server, "x", '_measurement="cpu" AND _field="value"').status == 204
        assert read(server, "cpu") == []


def test_new_series_past_the_bound_are_a_matter_of_time(serve: Any, tmp_path: Any) -> None:
    with serve(tmp_path / "db", series_max=1) as server:
        reply = server("POST", "/write", f"m a=1,b=2 {NS}".encode())
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) > 0
        assert "SERIES_MAX" in reply.json["error"]
