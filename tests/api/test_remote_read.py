"""/api/v1/read answers what Prometheus' remote_read asks; the decoder here is the slow twin."""

from __future__ import annotations

import struct
from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import remote_read
from api.remote_read import ReadQuery, field, queries_of
from tsdb.errors import InvalidInput
from tsdb.index.matchers import Matcher, Op

T = 1_769_860_800_000


def number(tag: int, value: int) -> bytes:
    """A varint field, bit by bit."""
    value &= (1 << 64) - 1
    out = [tag << 3]
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def request_of(queries: list[ReadQuery]) -> bytes:
    ops = [Op.EQUAL, Op.NOT_EQUAL, Op.MATCH, Op.NOT_MATCH]
    found = b""
    for query in queries:
        body = number(1, query.start_ms) + number(2, query.end_ms)
        for matcher in query.matchers:
            kind = number(1, ops.index(matcher.op))
            text = field(2, matcher.name.encode()) + field(3, matcher.value.encode())
            body += field(3, kind + text)
        found += field(1, body + field(4, b"hints"))
    return found


def fields(body: bytes) -> list[tuple[int, Any]]:
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value += (byte % 128) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(body):
        tag = varint()
        if tag % 8 == 0:
            found.append((tag // 8, varint()))
            continue
        size = 8 if tag % 8 == 1 else varint()
        found.append((tag // 8, body[at : at + size]))
        at += size
    return found


def series_of(body: bytes) -> tuple[dict[str, str], list[tuple[int, float]]]:
    labels, points = {}, []
    for tag, value in fields(body):
        inner = dict(fields(value))
        if tag == 1:
            labels[inner[1].decode()] = inner[2].decode()
        else:
            points.append((inner[2], struct.unpack("<d", inner[1])[0]))
    return labels, points


times = st.lists(st.integers(0, 2**62), unique=True, max_size=9).map(sorted) | st.lists(
    st.integers(T, T + 10**6), unique=True, max_size=9
).map(sorted)


@given(times, st.data())
def test_samples_are_what_they_were(stamps: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(), min_size=len(stamps), max_size=len(stamps)))

    body = remote_read.series({"a": "é"}, np.array(stamps, np.int64), np.array(values, np.float64))

    labels, points = series_of(body)
    assert labels == {"a": "é"}
    assert [at for at, _ in points] == stamps
    assert repr([value for _, value in points]) == repr(values)


def test_requests_are_read() -> None:
    matchers = tuple(Matcher("name", op, "a|b") for op in Op)
    queries = [ReadQuery(-5, 10, matchers), ReadQuery(0, 2**62, ())]

    found = queries_of(request_of(queries))

    assert [(q.start_ms, q.end_ms) for q in found] == [(-5, 10), (0, 2**62)]
    assert [str(m) for m in found[0].matchers] == [str(m) for m in matchers]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = queries_of(body)
    except InvalidInput:
        return
    assert isinstance(found, list)


def ask(server: Any, body: bytes) -> Any:
    packed = bytes(cramjam.snappy.compress_raw(body))
    return server("POST", "/api/v1/read", packed, content_type="application/x-protobuf")


def test_points_over_http(server: Any) -> None:
    for host, value in (("b", 2.5), ("a", -0.0)):
        labels = {"__name__": "read_from_afar", "host": host}
        server.database.write(labels, [T, T + 15_000, T + 30_000], [value] * 3)
    matcher = (Matcher("__name__", Op.EQUAL, "read_from_afar"),)

    reply = ask(
        server, request_of([ReadQuery(T, T + 15_000, matcher), ReadQuery(T + 60_000, T, matcher)])
    )

    assert reply.status == 200
    assert reply.headers["content-encoding"] == "snappy"
    results = [v for _, v in fields(bytes(cramjam.snappy.decompress_raw(reply.body)))]
    found = [[series_of(series) for _, series in fields(result)] for result in results]
    assert found[1] == []
    assert [labels["host"] for labels, _ in found[0]] == ["a", "b"]
    assert found[0][1][1] == [(T, 2.5), (T + 15_000, 2.5)]


@pytest.mark.parametrize(
    "body", [b"\xff\xff", b"\x0a\xff", field(1, field(3, number(1, 9))), field(1, field(1, b"x"))]
)
def test_what_is_no_request_is_refused(server: Any, body: bytes) -> None:
    assert ask(server, body).status == 400
    assert server("POST", "/api/v1/read", body).status == 400
