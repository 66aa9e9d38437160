"""/kv over HTTP, against a whole server: what is written comes back, exactly, in every form."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import struct
import zlib
from typing import Any
from urllib.parse import quote

import cramjam
import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

T = 1_700_000_000


def key(text: str) -> str:
    return "/kv/" + quote(text, safe="/")


# --- writing and reading ---------------------------------------------------------------------


def test_what_is_written_is_read(server: Any) -> None:
    written = server("PUT", key("kv/simple"), [[T, 21.5], [T + 0.25, -0.0]])

    assert written.status == 200
    assert written.json == {
        "status": "success", "points": 2, "seq": written.json["seq"], "durable": True,
    }  # fmt: skip
    assert server.get(key("kv/simple")).points == [[T, 21.5], [T + 0.25, -0.0]]


@pytest.mark.parametrize(
    "body",
    [
        [[T, 1], [T + 1, 2]],
        {"timestamps": [T, T + 1], "values": [1, 2]},
        [["2023-11-14T22:13:20Z", 1], ["2023-11-14T23:13:21.000+01:00", 2]],
    ],
    ids=["pairs", "columns", "RFC 3339"],
)
def test_points_may_be_written_in_several_forms(server: Any, body: Any) -> None:
    path = key(f"kv/forms/{type(body).__name__}/{len(str(body))}")

    assert server("POST", path, body).json["points"] == 2
    assert server.get(path).points == [[T, 1], [T + 1, 2]]


def test_a_bare_number_means_now(server: Any) -> None:
    assert server("PUT", key("kv/now"), 7).status == 200

    ((stamp, value),) = server.get(key("kv/now") + "?start=now-1m&end=now").points
    assert value == 7
    assert stamp > T


def test_the_last_write_wins_and_order_does_not_matter(server: Any) -> None:
    server("PUT", key("kv/order"), [[T + 5, 5], [T + 1, 1], [T + 3, 3]])
    server("PUT", key("kv/order"), [[T + 3, 33]])

    assert server.get(key("kv/order")).points == [[T + 1, 1], [T + 3, 33], [T + 5, 5]]


patterns = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 5e-324, 1e308])
)


@given(st.dictionaries(st.integers(0, 10**6), patterns, min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_values_come_back_bit_for_bit(server: Any, points: dict[int, float]) -> None:
    path = key("kv/bits")
    server("DELETE", path)
    server("PUT", path, [[T + ms / 1000, v] for ms, v in points.items()])

    found = server.get(path).points
    assert [round((t - T) * 1000) for t, _ in found] == sorted(points)
    expected = [points[ms] for ms in sorted(points)]
    assert [struct.pack("d", v) for _, v in found] == [struct.pack("d", v) for v in expected]


def test_values_json_has_no_numbers_for(server: Any) -> None:
    server("PUT", key("kv/special"), [[T, "NaN"], [T + 1, "+Inf"], [T + 2, "-Inf"]])

    assert server.get(key("kv/special")).points == [[T, "NaN"], [T + 1, "+Inf"], [T + 2, "-Inf"]]


def test_nan_is_a_number_too(server: Any) -> None:
    server("PUT", key("kv/nan"), [[T, "NaN"], [T + 1, 3]])
    points = server.get(f"{key('kv/nan')}?step=10&agg=sum").points

    assert len(points) == 1
    assert points[0][1] == "NaN" or math.isnan(points[0][1])


@pytest.mark.parametrize(
    "name",
    ["a", "a/b/c", "/leading", "trailing/", "a//b", "with space", "ünï/cødé", "100%", "a?b#c",
     "a+b", "dots.and-dashes", "..", "a,b=c", 'quo"te', "new\nline", "__name__", "x" * 4096],
)  # fmt: skip
def test_any_name_is_a_key(server: Any, name: str) -> None:
    path = "/kv/" + quote(name, safe="")
    assert server("PUT", path, [[T, 1]]).status == 200

    reply = server.get(path)
    assert reply.points == [[T, 1]]
    assert reply.json["key"] == name


def test_labels_make_a_series_of_their_own(server: Any) -> None:
    """A key means exactly its labels: neither fewer nor more."""
    server("PUT", key("lab"), [[T, 0]])
    server("PUT", key('lab{host="a"}'), [[T, 1]])
    server("PUT", key('lab{host="a",core="0"}'), [[T, 2]])
    server("PUT", key('lab{core="0"}'), [[T, 3]])

    assert server.get(key("lab")).points == [[T, 0]]
    assert server.get(key('lab{ host = "a" }')).points == [[T, 1]]
    assert server.get(key('lab{core="0",host="a"}')).points == [[T, 2]]
    assert server.get(key('{__name__="lab",core="0"}')).points == [[T, 3]]
    assert server("DELETE", key('lab{host="a"}')).json["series"] == 1
    assert server.get(key('lab{host="a"}')).points == []
    assert server.get(key('lab{core="0",host="a"}')).points == [[T, 2]]


def test_a_series_among_many_that_differ_by_a_label_each_is_deleted(server: Any) -> None:
    server("PUT", key("among"), [[T, 0]])
    for i in range(40):
        server("PUT", key(f'among{{l{i}="x"}}'), [[T, 1]])

    assert server("DELETE", key("among")).json["series"] == 1
    assert server.get(key("among")).points == []
    assert server.get(key('among{l7="x"}')).points == [[T, 1]]
    assert server("DELETE", key('among{l77="x"}')).status == 404


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "snappy", "deflate", "identity"])
def test_bodies_may_be_compressed(server: Any, encoding: str) -> None:
    plain = json.dumps([[T + i, i] for i in range(100)]).encode()
    encoders: dict[str, Any] = {
        "gzip": gzip.compress,
        "zstd": lambda b: bytes(cramjam.zstd.compress(b)),
        "snappy": lambda b: bytes(cramjam.snappy.compress_raw(b)),
        "deflate": zlib.compress,
        "identity": bytes,
    }
    path = key(f"kv/encoded/{encoding}")

    written = server("PUT", path, encoders[encoding](plain), Content_Encoding=encoding)

    assert written.json["points"] == 100
    assert len(server.get(path).points) == 100


@pytest.mark.parametrize(("ack", "durable"), [("disk", True), ("applied", True), ("memory", None)])
def test_an_ack_can_be_chosen(server: Any, ack: str, durable: bool | None) -> None:
    path = key(f"kv/ack/{ack}")
    written = server("PUT", f"{path}?ack={ack}", [[T, 1]])

    assert written.status == 200
    assert durable is None or written.json["durable"] is durable
    assert server.get(path).points == [[T, 1]]


def test_seqs_grow(server: Any) -> None:
    seqs = [server("PUT", key("kv/seq"), [[T + i, i]]).json["seq"] for i in range(3)]

    assert seqs == sorted(set(seqs))


# --- ranges, steps, limits ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def ramp(server: Any) -> str:
    """Points 0..99, a second apart."""
    server("PUT", key("kv/ramp"), [[T + i, i] for i in range(100)])
    return key("kv/ramp")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"start={T + 10}&end={T + 12}", [10, 11, 12]),
        (f"start={T + 97.5}", [98, 99]),
        (f"end={T + 1}", [0, 1]),
        ("start=2023-11-14T22:13:20Z&end=2023-11-14T22:13:22Z", [0, 1, 2]),
        (f"start={T + 5}&end={T + 5}", [5]),
        (f"start={T + 500}", []),
        ("end=1970-01-02", []),
        ("limit=3", [0, 1, 2]),
        ("limit=-2", [98, 99]),
        ("limit=0", []),
        ("limit=1000", list(range(100))),
        ("limit=-1000", list(range(100))),
        (f"start={T + 40}&limit=2", [40, 41]),
        (f"start={T}&end={T + 9}&step=5", [2, 7]),
        (f"start={T}&end={T + 9}&step=5s&agg=sum", [10, 35]),
        (f"start={T}&end={T + 9}&step=5s&agg=min", [0, 5]),
        (f"start={T}&end={T + 9}&step=5s&agg=max", [4, 9]),
        (f"start={T}&end={T + 9}&step=5s&agg=count", [5, 5]),
        (f"start={T}&end={T + 9}&step=5s&agg=first", [0, 5]),
        (f"start={T}&end={T + 9}&step=5s&agg=last", [4, 9]),
        ("step=1m&agg=count", [40, 60]),
        ("step=1m&agg=count&limit=-1", [60]),
    ],
)
def test_a_range_is_what_was_asked_for(
    server: Any, ramp: str, query: str, expected: list[int]
) -> None:
    assert [v for _, v in server.get(f"{ramp}?{query}").points] == expected


def test_buckets_begin_at_start(server: Any, ramp: str) -> None:
    points = server.get(f"{ramp}?start={T + 3}&end={T + 12}&step=5&agg=first").points
    aligned = server.get(f"{ramp}?step=1m&agg=first").points

    assert points == [[T + 3, 3], [T + 8, 8]]
    assert [t % 60 for t, _ in aligned] == [0, 0]


def test_a_known_key_without_points_there_is_empty_and_an_unknown_one_404(
    server: Any, ramp: str
) -> None:
    unknown = server.get("/kv/kv/never/written")

    assert server.get(f"{ramp}?start=now-1s").points == []
    assert unknown.status == 404
    assert unknown.json["errorType"] == "not_found"
    assert "kv/never/written" in unknown.json["error"]
    assert server("DELETE", "/kv/kv/never/written").status == 404


# --- forms -------------------------------------------------------------------------------------


def test_csv_holds_what_json_holds(server: Any, ramp: str) -> None:
    reply = server.get(f"{ramp}?limit=3", Accept="text/csv")

    assert reply.headers["content-type"] == "text/csv"
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert [float(r["timestamp"]) for r in rows] == [T, T + 1, T + 2]
    assert [float(r["value"]) for r in rows] == [0, 1, 2]


def test_arrow_streams_hold_the_bits(server: Any) -> None:
    bits = [0x7FF8000000000001, 0x8000000000000000, 0x3FF0000000000001]
    values = np.array(bits, np.uint64).view(np.float64)
    server.database.write("kv/arrow", [T * 1000, T * 1000 + 1, T * 1000 + 2], values)

    reply = server.get(key("kv/arrow"), Accept="application/vnd.apache.arrow.stream")

    frame = polars.read_ipc_stream(io.BytesIO(reply.body))
    assert frame["value"].to_numpy().view(np.uint64).tolist() == bits
    assert frame["timestamp"].dt.epoch("ms").to_list() == [T * 1000, T * 1000 + 1, T * 1000 + 2]


def test_an_unknown_form_is_refused_by_name(server: Any, ramp: str) -> None:
    reply = server.get(ramp, Accept="image/png")

    assert reply.status == 406
    assert "text/csv" in reply.json["error"]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_large_answers_are_compressed_on_request(server: Any, coding: str) -> None:
    path = key("kv/large")
    server("PUT", path, [[T + i, i * 0.5] for i in range(20_000)])

    plain, packed = server.get(path), server.get(path, Accept_Encoding=coding)

    assert packed.headers["content-encoding"] == coding
    assert len(packed.body) < len(plain.body) / 2
    unpack = gzip.decompress if coding == "gzip" else cramjam.zstd.decompress
    assert bytes(unpack(packed.body)) == plain.body
    assert "content-encoding" not in plain.headers
    head = server("HEAD", path)
    assert (head.status, head.body) == (200, b"")


# --- deleting ----------------------------------------------------------------------------------


def test_a_deleted_range_is_gone_and_can_be_written_again(server: Any) -> None:
    path = key("kv/deleted")
    server("PUT", path, [[T + i, i] for i in range(10)])

    reply = server("DELETE", f"{path}?start={T + 2}&end={T + 7}")

    assert reply.json == {"status": "success", "series": 1, "durable": True}
    assert [v for _, v in server.get(path).points] == [0, 1, 8, 9]
    server("PUT", path, [[T + 5, 55]])
    assert [v for _, v in server.get(path).points] == [0, 1, 55, 8, 9]
    assert server("DELETE", path).status == 200
    assert server.get(path).points == []


# --- listing -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names(server: Any) -> list[str]:
    names = [f"list/{i:02}" for i in range(7)] + ['list/x{a="1"}', 'list/x{a="2",b="3"}']
    for name in names:
        server("PUT", key(name), [[T, 1]])
    return names


def test_keys_are_listed_by_prefix(server: Any, names: list[str]) -> None:
    reply = server.get("/kv?prefix=list/")
    listed = reply.json["keys"]

    assert reply.json["next"] is None
    assert len(listed) == len(names)
    assert [text for text in listed if "{" not in text] == names[:7]
    for text in listed:
        assert server.get(key(text)).points == [[T, 1]]
    assert server.get("/kv?prefix=list/0").json["keys"] == names[:7]
    assert server.get("/kv?prefix=" + quote("list.0")).json["keys"] == []


def test_keys_are_listed_by_selector(server: Any, names: list[str]) -> None:
    selector = '{__name__="list/x",a=~"1|2",b!="3"}'
    found = server.get("/kv?match=" + quote(selector)).json["keys"]

    assert len(found) == 1
    assert server.get("/kv?prefix=list/&match=" + quote('{a="2"}')).json["keys"] != []
    assert server.get("/kv?match=" + quote('{a="none"}')).json["keys"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_a_listing_hold_every_key_once(server: Any, names: list[str], limit: int) -> None:
    every = server.get("/kv?prefix=list/").json["keys"]
    listed: list[str] = []
    after = ""
    for _ in range(len(every) + 1):
        page = server.get(f"/kv?prefix=list/&limit={limit}{after}").json
        assert len(page["keys"]) <= limit
        listed += page["keys"]
        if page["next"] is None:
            break
        after = "&after=" + quote(page["next"])

    assert listed == every
