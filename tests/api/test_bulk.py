"""Import and export over HTTP: what goes in comes out, and one bad line costs itself."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from tsdb import limits

MS = 1_700_000_000_000


def line(metric: dict[str, str], stamps: list[Any], values: list[Any]) -> bytes:
    document = {"metric": metric, "values": values, "timestamps": stamps}
    return json.dumps(document).encode() + b"\n"


def exported(server: Any, *selectors: str, **parameters: str) -> dict[str, list[tuple[int, float]]]:
    """Series text -> points, of an export."""
    query = [("match[]", s) for s in selectors] + list(parameters.items())
    reply = server.get("/api/v1/export?" + "&".join(f"{k}={quote(v)}" for k, v in query))
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/x-ndjson"
    found: dict[str, list[tuple[int, float]]] = {}
    for text in reply.body.splitlines():
        one = json.loads(text)
        name = json.dumps(one["metric"], sort_keys=True)
        found.setdefault(name, []).extend(zip(one["timestamps"], one["values"], strict=True))
    return found


def test_what_is_imported_is_exported(server: Any) -> None:
    body = b"".join(
        line({"__name__": "bulk", "host": h}, [MS, MS + 1], [float(i), i + 0.5])
        for i, h in enumerate("abc")
    )
    written = server("POST", "/api/v1/import", body)

    assert written.json["points"] == 6
    found = exported(server, 'bulk{host=~"a|b"}')
    assert found == {
        '{"__name__": "bulk", "host": "a"}': [(MS, 0.0), (MS + 1, 0.5)],
        '{"__name__": "bulk", "host": "b"}': [(MS, 1.0), (MS + 1, 1.5)],
    }


def test_an_export_can_be_imported_elsewhere(serve: Any, server: Any, tmp_path: Any) -> None:
    values = [0.1, -0.0, 1e308, 5e-324, "NaN", "Infinity", "-Infinity", "StaleNaN", 123456789.125]
    stamps = [MS + i * 1000 for i in range(len(values))]
    server("POST", "/api/v1/import", line({"__name__": "moved", "a": 'q"\\é'}, stamps, values))
    lines = server.get("/api/v1/export?match[]=moved").body

    with serve(tmp_path / "other") as other:
        assert other("POST", "/api/v1/import", lines).json["points"] == len(values)
        here = server.database.select("moved").columns().values.view(np.uint64)
        there = other.database.select("moved").columns().values.view(np.uint64)

    assert here.tolist() == there.tolist()


def test_a_range_is_exported(server: Any) -> None:
    server("POST", "/api/v1/import", line({"__name__": "span"}, [MS, MS + 1, MS + 2], [0, 1, 2]))

    (points,) = exported(server, "span", start="2023-11-14T22:13:20.001Z").values()
    assert [v for _, v in points] == [1, 2]
    assert exported(server, "span", end="2001-01-01") == {}
    assert exported(server, "nothing_of_this_name") == {}


def test_a_series_that_two_selectors_match_comes_once(server: Any) -> None:
    server("POST", "/api/v1/import", line({"__name__": "twice", "a": "1"}, [MS], [1]))

    (points,) = exported(server, "twice", '{a="1",__name__=~"twi.*"}', "twice").values()
    assert points == [(MS, 1.0)]


def test_an_export_larger_than_memory_goes_range_by_range(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut into ranges of 1,000 points, the answer is the same."""
    rng = np.random.default_rng(7)
    body = b"".join(
        line(
            {"__name__": "ranged", "i": str(i)},
            np.sort(rng.choice(10**7, 700, replace=False) + MS - 10**9).tolist(),
            rng.normal(size=700).tolist(),
        )
        for i in range(7)
    )
    assert server("POST", "/api/v1/import", body).json["points"] == 4_900
    whole = exported(server, "ranged")
    monkeypatch.setattr(limits, "EXPORT_POINTS", 1_000)

    assert exported(server, "ranged") == whole
    assert {name: len(points) for name, points in whole.items()} == dict.fromkeys(whole, 700)


def test_a_long_export_streams(server: Any) -> None:
    count = 300_000
    for part in range(3):
        stamps = list(range(MS + part * count, MS + (part + 1) * count, 3))
        body = line({"__name__": "long"}, stamps, [float(s % 1000) for s in stamps])
        server("POST", "/api/v1/import", gzip.compress(body, 1), Content_Encoding="gzip")

    plain = server.get("/api/v1/export?match[]=long")
    packed = server.get("/api/v1/export?match[]=long", Accept_Encoding="gzip")

    assert plain.headers["transfer-encoding"] == "chunked"
    assert gzip.decompress(packed.body) == plain.body
    assert sum(len(json.loads(x)["values"]) for x in plain.body.splitlines()) == count


# --- what is wrong ----------------------------------------------------------------------------


def test_one_bad_line_in_ten_thousand_costs_itself(server: Any) -> None:
    lines = [line({"__name__": "tenk", "i": str(i)}, [MS], [i]) for i in range(10_000)]
    lines[6_543] = b'{"metric":{"__name__":"tenk"},"values":[1],"timestamps":["soon"]}\n'

    reply = server("POST", "/api/v1/import", b"".join(lines))

    assert reply.status == 200
    assert reply.json["status"] == "partial"
    assert (reply.json["points"], reply.json["refused_count"]) == (9_999, 1)
    assert "line 6544" in reply.json["refused"][0]
    assert len(exported(server, "tenk")) == 9_999


BAD_LINES: dict[str, bytes] = {
    "not JSON": b"hello\n",
    "cut off": b'{"metric":{"__name__":"bad"},"values":[1],"timest',
    "no metric": b'{"values":[1],"timestamps":[1]}\n',
    "an empty metric": b'{"metric":{},"values":[1],"timestamps":[1]}\n',
    "columns that differ": b'{"metric":{"__name__":"bad"},"values":[1,2],"timestamps":[1]}\n',
    "a label that is a number": b'{"metric":{"__name__":5},"values":[1],"timestamps":[1]}\n',
    "a label given twice": b'{"metric":{"__name__":"bad","a":"1","a":"2"},"values":[1],'
    b'"timestamps":[1]}\n',
    "an empty label name": b'{"metric":{"__name__":"bad","":"x"},"values":[1],"timestamps":[1]}\n',
    "a label of 64 KiB": b'{"metric":{"__name__":"bad","a":"' + b"x" * 65_536 + b'"},'
    b'"values":[1],"timestamps":[1]}\n',
    "seventy labels": line({f"l{i}": "x" for i in range(70)}, [1], [1]),
    "invalid UTF-8": b'{"metric":{"__name__":"\xff"},"values":[1],"timestamps":[1]}\n',
    "half a surrogate pair": b'{"metric":{"__name__":"\\ud800"},"values":[1],"timestamps":[1]}\n',
    "nested deeply": b"[" * 50_000 + b"\n",
    "a time in the far future": line({"__name__": "bad"}, [MS * 1000], [1]),
    "a time beyond int64": line({"__name__": "bad"}, [1e300], [1]),
    "a value that is text": line({"__name__": "bad"}, [MS], ["high"]),
    "NaN as a word": b'{"metric":{"__name__":"bad"},"values":[NaN],"timestamps":[1]}\n',
    "an array": b"[1,2,3]\n",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_body_of_nothing_good_is_refused_whole(server: Any, bad: bytes) -> None:
    reply = server("POST", "/api/v1/import", bad)

    assert reply.status in (400, 413), reply.body
    assert reply.json["status"] == "error"
    assert len(reply.json["error"]) < 2_000
    assert "Traceback" not in reply.body.decode()


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_good_line_before_it_is_kept_and_counted(server: Any, bad: bytes) -> None:
    good = line({"__name__": "good"}, [MS], [1])
    reply = server("POST", "/api/v1/import", good + bad)

    assert reply.status == 200, reply.body
    assert reply.json["points"] == 1
    assert reply.json["refused_count"] >= 1


def test_an_empty_body_writes_nothing(server: Any) -> None:
    reply = server("POST", "/api/v1/import", b"")

    assert reply.status in (200, 400)
    assert reply.json.get("points", 0) == 0


def test_series_past_the_bound_are_refused_and_known_ones_still_written(
    serve: Any, tmp_path: Any
) -> None:
    with serve(tmp_path / "db", series_max=10) as server:
        first = b"".join(line({"__name__": "s", "i": str(i)}, [MS], [0]) for i in range(10))
        assert server("POST", "/api/v1/import", first).status == 200
        more = b"".join(line({"__name__": "s", "i": str(i)}, [MS + 1], [1]) for i in range(5, 15))

        mixed = server("POST", "/api/v1/import", more)
        new = server("PUT", "/kv/another", [[MS / 1000, 1]])
        known = server("PUT", "/kv/" + quote('s{i="3"}'), [[MS / 1000 + 1, 1]])

    assert mixed.status == 429
    assert mixed.json["limit"] == "SERIES_MAX"
    assert (mixed.json["points"], mixed.json["refused_count"]) == (5, 5)
    assert int(mixed.headers["retry-after"]) > 0
    assert (new.status, new.json["limit"]) == (429, "SERIES_MAX")
    assert known.status == 200


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "match[]"),
        ("match[]=x{", "expected"),
        ("match[]=x&start=now&end=now-1h", "before"),
        ("match[]=x&match=y", "match"),
        ('match[]={a=~"("}', ""),
        ('match[]={a=~"' + "(a%2B)*" * 500 + '"}', ""),
    ],
)
def test_a_wrong_export_is_refused_by_name(server: Any, query: str, word: str) -> None:
    reply = server.get("/api/v1/export?" + quote(query, safe="=&[]%"))

    assert reply.status == 400, reply.body
    assert word in reply.json["error"]
