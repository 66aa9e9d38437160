"""Every refusal by a bound says its name and value, and is counted under that name."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from api.refusals import NAMES, Refusals, limit_of
from tsdb import limits
from tsdb.errors import LimitExceeded

T = 1_769_860_800


def counted(server: Any, name: str = "silverback_refused_total") -> dict[str, float]:
    text = server.get("/metrics").body.decode()
    return {
        sample.labels.get("limit", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.value
    }


def talk(server: Any, data: bytes) -> Any:
    """Send, read to the end; the JSON of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as wire:
        wire.sendall(data)
        got = b""
        while more := wire.recv(1 << 16):
            got += more
    return json.loads(got.partition(b"\r\n\r\n")[2])


@pytest.fixture(scope="module")
def strict(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve(
        tmp_path_factory.mktemp("strict") / "db",
        header_timeout_s=0.2, body_timeout_s=0.2, body_bytes_max=1000, body_encoded_bytes_max=500,
        series_max=3, connections_max=5,
    ) as server:  # fmt: skip
        yield server


@pytest.mark.parametrize("path", ["/api/put", "/write?db=x", "/api/v1/write", "/api/v1/import"])
def test_a_refusal_in_another_protocols_form_is_counted_too(strict: Any, path: str) -> None:
    before = counted(strict).get("BODY_ENCODED_BYTES_MAX", 0)

    assert strict("POST", path, b" " * 600).status in (400, 413)
    assert counted(strict)["BODY_ENCODED_BYTES_MAX"] == before + 1


START = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT /kv/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: "


@pytest.mark.parametrize(
    ("sent", "limit", "value"),
    [
        (START, "header_timeout_s", 0.2),
        (PUT + b"100\r\n\r\n[[", "body_timeout_s", 0.2),
        (START + b"X: " + b"a" * 20_000, "HEADER_BYTES_MAX", limits.HEADER_BYTES_MAX),
        (START + b"X: y\r\n" * 80 + b"\r\n", "HEADERS_MAX", limits.HEADERS_MAX),
        (
            b"PUT /kv/x HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n"
            b"Content-Length: 600\r\n\r\n" + b" " * 600,
            "BODY_ENCODED_BYTES_MAX",
            500,
        ),
        (
            b"GET /kv?prefix=" + b"a" * 13_000 + b" HTTP/1.1\r\nConnection: close\r\n"
            b"Host: localhost\r\n\r\n",
            "QUERY_STRING_BYTES_MAX",
            limits.QUERY_STRING_BYTES_MAX,
        ),
    ],
)
def test_a_refused_request_names_its_limit(
    strict: Any, sent: bytes, limit: str, value: float
) -> None:
    before = counted(strict).get(limit, 0)

    told = talk(strict, sent)

    assert (told["limit"], told["limitValue"]) == (limit, value)
    assert limit in told["error"]
    assert counted(strict)[limit] == before + 1


def test_all_limits_are_told(strict: Any) -> None:
    told = strict.get("/api/v1/status/limits").json["limits"]

    assert told["HEADER_BYTES_MAX"]["value"] == limits.HEADER_BYTES_MAX
    assert told["header_timeout_s"]["value"] == 0.2
    assert told["series_max"]["value"] == 3
    assert set(told) <= NAMES
    counts = counted(strict)
    assert {name: told[name]["refused"] for name in counts} == counts


def test_refused_points_are_counted_by_limit(strict: Any) -> None:
    lines = [
        {"metric": {"__name__": f"n{i}"}, "values": [1, 2], "timestamps": [T * 1000, T * 1000 + 1]}
        for i in range(5)
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)

    reply = strict("POST", "/api/v1/import", body)

    assert reply.status in (200, 400, 429), reply.body
    assert counted(strict, "silverback_points_refused_total")["SERIES_MAX"] > 0


def test_a_crowd_is_counted(strict: Any) -> None:
    wires = [socket.create_connection(("127.0.0.1", strict.port), 30) for _ in range(5)]
    try:
        for wire in wires:
            wire.sendall(START[:-2])
        told = talk(strict, START + b"\r\n")
        assert (told["limit"], told["limitValue"]) == ("connections_max", 5)
    finally:
        for wire in wires:
            wire.close()
    assert counted_when_there_is_room(strict)["connections_max"] >= 1


def counted_when_there_is_room(server: Any) -> dict[str, float]:
    for _ in range(1000):
        try:
            if server.get("/-/healthy").status == 200:
                break
        except ConnectionError:
            continue
    return counted(server)


def test_zeros_are_there_before_the_first(serve: Any, tmp_path: Path) -> None:
    """A rate over a series that appears with its first refusal misses that refusal."""
    with serve(tmp_path / "db") as server:
        text = server.get("/metrics").body.decode()
    assert 'silverback_refused_total{limit="queue_bytes_max"} 0.0' in text


def test_an_error_is_counted_once_on_its_way_out() -> None:
    found = Refusals()
    error = LimitExceeded("too much", limit="SERIES_MAX", value=7)
    found.note_error(error)
    found.note_error(error)
    assert found.requests["SERIES_MAX"] == 1


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("no (limit SERIES_MAX = 2,000,000)", ("SERIES_MAX", 2_000_000)),
        ("no (limit header_timeout_s = 0.5): retry", ("header_timeout_s", 0.5)),
        (
            "'(limit SERIES_MAX = 1)' (limit LABELS_PER_SERIES_MAX = 2)",
            ("LABELS_PER_SERIES_MAX", 2),
        ),
        ("(limit anything = 1)", None),
        ("(limit SERIES_MAX = x)", None),
        ("nothing", None),
    ],
)
def test_limits_of_sentences(text: str, limit: tuple[str, float] | None) -> None:
    assert limit_of(text) == limit


@given(st.text())
def test_no_text_of_a_client_becomes_a_label(text: str) -> None:
    found = Refusals()
    found.note(f"(limit {text} = 1)")
    found.note(text)
    assert set(found.requests) <= NAMES
