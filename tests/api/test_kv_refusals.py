"""/kv over HTTP: what is wrong is refused by name, with the right status, and costs nothing."""

from __future__ import annotations

import gzip
import socket
from typing import Any
from urllib.parse import quote

import cramjam
import pytest

T = 1_700_000_000

NESTED = b"[" * 100_000
BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "cut off": (b"[[1700000000,", ""),
    "not JSON": (b"hello", ""),
    "an unclosed string": (b'[["2023', ""),
    "nested deeply": (NESTED, ""),
    "NaN as a word": (b"[[1700000000, NaN]]", ""),
    "Infinity as a word": (b"[[1700000000, Infinity]]", ""),
    "null as a value": (b"[[1700000000, null]]", "point 1"),
    "a boolean": (b"[[1700000000, true]]", "point 1"),
    "an object as a value": (b"[[1700000000, {}]]", "point 1"),
    "three in a pair": (b"[[1700000000, 1], [1700000000, 1, 2]]", "point 2"),
    "one in a pair": (b"[[1700000000]]", "point 1"),
    "flat": (b"[1700000000, 1]", ""),
    "columns that differ in length": (b'{"timestamps":[1,2],"values":[1]}', ""),
    "columns by other names": (b'{"times":[1],"values":[1]}', ""),
    "a time that is none": (b'[["yesterday", 1]]', "yesterday"),
    "a time without a zone": (b'[["2023-11-14T22:13:20", 1]]', "point 1"),
    "a time beyond int64": (b"[[1e30, 1]]", "point 1"),
    "a time in the far future": (b"[[9999999999999, 1]]", "point 1"),
    "a time in ms by mistake": (b"[[1700000000000, 1]]", "point 1"),
    "a number beyond float64": (b"[[1700000000, 1e999]]", ""),
    "invalid UTF-8": (b'[["\xff\xfe", 1]]', ""),
    "UTF-16": ("[[1700000000, 1]]".encode("utf-16"), ""),
    "two documents": (b"[[1700000000, 1]] [[1700000000, 2]]", ""),
}


@pytest.mark.parametrize(("body", "word"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_wrong_body_is_refused_and_nothing_of_it_kept(
    server: Any, body: bytes, word: str
) -> None:
    path = "/kv/kv/bad"
    server("PUT", path, [[T, 1]])

    reply = server("PUT", path, body)

    assert reply.status == 400, reply.body
    assert (reply.json["status"], reply.json["errorType"]) == ("error", "bad_data")
    assert word in reply.json["error"], reply.json
    assert server.get(path).points == [[T, 1]]


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("x{", 400, "expected"),
        ('x{a="1"', 400, "expected"),
        ("x{a=1}", 400, "quoted"),
        ('x{a=~"1"}', 400, "="),
        ('x{a="1",a="2"}', 400, "twice"),
        ('x{=""}', 400, ""),
        ("{}", 400, ""),
        ("n" * 5_000, 400, "LABEL_VALUE_BYTES_MAX"),
        ('x{' + "l" * 300 + '="1"}', 400, "LABEL_NAME_BYTES_MAX"),
        ('x{' + ",".join(f'l{i}="1"' for i in range(70)) + "}", 400, "_MAX"),
        ('x{a="' + "v" * 6_000 + '"}', 400, "LABEL_VALUE_BYTES_MAX"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_by_name(server: Any, name: str, status: int, word: str) -> None:
    reply = server("PUT", "/kv/" + quote(name, safe=""), [[T, 1]])

    assert reply.status == status, reply.body
    assert word in reply.body.decode()


@pytest.mark.parametrize("path", ["/kv/", "/kv/%ff%fe", "/kv/%7B%7D"])
def test_a_key_that_is_none_is_refused(server: Any, path: str) -> None:
    assert [server(m, path, [[T, 1]]).status for m in ("PUT", "GET", "DELETE")] == [400] * 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (f"start={T + 1}&end={T}", [f"end={T}", f"start={T + 1}"]),
        ("start=yesterday", ["start", "yesterday"]),
        ("end=2023-13-01", ["end", "2023-13-01"]),
        ("start=1e30", ["start"]),
        ("step=5x", ["5x"]),
        ("step=0", ["step"]),
        ("step=-1", ["-1"]),
        ("agg=avg", ["step"]),
        ("step=5&agg=median", ["agg"]),
        ("limit=many", ["limit"]),
        ("limit=1.5", ["limit"]),
        ("strat=1", ["'strat'", "unknown"]),
        ("start=%ff", ["UTF-8"]),
    ],
)
def test_a_wrong_question_is_refused_by_name(server: Any, query: str, words: list[str]) -> None:
    server("PUT", "/kv/kv/asked", [[T, 1]])

    reply = server.get(f"/kv/kv/asked?{query}")

    assert reply.status == 400, reply.body
    assert reply.json["errorType"] == "bad_data"
    for word in words:
        assert word in reply.json["error"], reply.json


@pytest.mark.parametrize(
    ("query", "word"), [("ack=maybe", "maybe"), ("akc=disk", "akc"), ("ack=", "ack")]
)
def test_a_wrong_ack_is_refused_by_name(server: Any, query: str, word: str) -> None:
    reply = server("PUT", f"/kv/kv/ack?{query}", [[T, 1]])

    assert reply.status == 400
    assert word in reply.json["error"]


def test_a_wrong_listing_is_refused_by_name(server: Any) -> None:
    for query, word in [
        ("limit=0", "limit"), ("limit=1000000", "limit"), ("match=%7Ba%3D~%22(%22%7D", ""),
        ("match=%7B", ""), ("after=x%7B", ""), ("pre=x", "pre"),
    ]:  # fmt: skip
        reply = server.get(f"/kv?{query}")
        assert reply.status == 400, (query, reply.body)
        assert word in reply.json["error"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "snappy", "deflate"])
def test_a_body_that_is_not_what_its_encoding_says_is_refused(server: Any, encoding: str) -> None:
    for body in (b"[[1700000000, 1]]", b"", b"\x1f\x8b\x08\x00"):
        reply = server("PUT", "/kv/kv/bad", body, Content_Encoding=encoding)
        assert reply.status in (400, 413), reply.body


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip, zstd", "\x01", "é"])
def test_an_unknown_encoding_is_refused(server: Any, encoding: str) -> None:
    reply = server("PUT", "/kv/kv/bad", b"1", Content_Encoding=encoding)

    assert reply.status == 400


def test_bombs_are_refused_before_they_go_off(server: Any) -> None:
    bombs = {
        "gzip": gzip.compress(bytes(40 << 20)),
        "zstd": bytes(cramjam.zstd.compress(bytes(40 << 20))),
        "snappy": bytes(cramjam.snappy.compress_raw(bytes(33 << 20)))[: 1 << 20],
    }
    for encoding, bomb in bombs.items():
        reply = server("PUT", "/kv/kv/bomb", bomb, Content_Encoding=encoding)
        assert reply.status == 413, (encoding, reply.body)
        assert reply.json["limit"] in ("BODY_BYTES_MAX", "BODY_RATIO_MAX")


def test_a_body_too_large_is_refused_by_its_declared_size(server: Any) -> None:
    reply = server("PUT", "/kv/kv/huge", bytes((16 << 20) + 1))

    assert reply.status == 413
    assert reply.json["limit"] == "BODY_ENCODED_BYTES_MAX"
    assert reply.json["errorType"] == "too_large"


def test_a_body_that_is_held_back_is_asked_for_only_if_it_will_be_read(server: Any) -> None:
    """curl asks before it sends more than a megabyte."""
    head = "PUT /kv/expect HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
    with socket.create_connection(("127.0.0.1", server.port), 30) as wire:
        wire.sendall(f"{head}99999999\r\n\r\n".encode())
        refused = b"".join(iter(lambda: wire.recv(4096), b""))
    with socket.create_connection(("127.0.0.1", server.port), 30) as wire:
        wire.sendall(f"{head}1\r\n\r\n".encode())
        assert wire.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"1")
        assert wire.recv(4096).startswith(b"HTTP/1.1 200")

    assert refused.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in refused


def test_too_many_points_are_refused(server: Any) -> None:
    body = b"[" + b"[1,1]," * 1_000_000 + b"[1,1]]"
    packed = gzip.compress(body, 1)
    reply = server("PUT", "/kv/kv/many", packed, Content_Encoding="gzip")

    assert reply.status == 413
    assert reply.json["limit"] in ("POINTS_PER_REQUEST_MAX", "BODY_RATIO_MAX")


def test_a_path_with_an_encoded_slash_of_ours_is_nothing(server: Any) -> None:
    assert server.get("/kv%2Fa").status == 404
    assert server("PUT", "/kv%2Fa", b"1").status == 404
