"""/api/v1/read answers what Prometheus' remote_read asks; the decoder here is the slow twin."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import remote_read, remote_read_chunks
from api.remote_read import ReadQuery, field, queries_of
from tsdb.batch import Columns
from tsdb.codec import reference
from tsdb.codec.resolution import Resolution
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


# --- chunks --------------------------------------------------------------------------------------


def castagnoli(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def split_frames(stream: bytes) -> list[bytes]:
    """Messages of a stream; their checksums hold, and it ends where the last one does."""
    found, at = [], 0
    while at < len(stream):
        size = shift = 0
        while True:
            byte = stream[at]
            at += 1
            size += (byte % 128) << shift
            shift += 7
            if byte < 128:
                break
        told = int.from_bytes(stream[at : at + 4], "big")
        message = stream[at + 4 : at + 4 + size]
        assert len(message) == size
        assert castagnoli(message) == told
        found.append(message)
        at += 4 + size
    return found


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def chunk_points(body: bytes) -> list[tuple[int, float]]:
    """One chunk, decoded bit by bit; what it says of itself holds."""
    inner = dict(fields(body))
    assert inner[3] == 1, "its encoding is XOR"
    count = int.from_bytes(inner[4][:2], "big")
    assert 1 <= count <= 120
    times, bits = reference.decode(inner[4][2:], count, Resolution.MS)
    assert (times[0], times[-1]) == (signed(inner[1]), signed(inner[2]))
    return [
        (at, struct.unpack("<d", struct.pack("<Q", b))[0])
        for at, b in zip(times, bits, strict=True)
    ]


def streamed(stream: bytes) -> list[tuple[int, dict[str, str], list[tuple[int, float]]]]:
    """(query, labels, points) of each frame."""
    found = []
    for message in split_frames(stream):
        outer = fields(message)
        (series,) = [value for tag, value in outer if tag == 1]
        labels, points = {}, []
        for tag, value in fields(series):
            if tag == 1:
                pair = dict(fields(value))
                labels[pair[1].decode()] = pair[2].decode()
            else:
                points += chunk_points(value)
        found.append((dict(outer).get(2, 0), labels, points))
    return found


class Held:
    """Series as a selection holds them."""

    def __init__(self, runs: list[list[tuple[int, float]]], resolution: Resolution) -> None:
        offsets = np.cumsum([0, *map(len, runs)])
        flat = [point for run in runs for point in run]
        times, values = np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat])
        self._columns = Columns(offsets, times, values.astype(np.float64))
        self.resolution = resolution

    def columns(self) -> Columns:
        return self._columns

    def labels(self) -> list[dict[str, str]]:
        return [{"n": str(i)} for i in range(self._columns.runs)]


runs_of = st.lists(
    st.lists(
        st.tuples(st.integers(-(2**62), 2**62) | st.integers(T, T + 10**6), st.floats()),
        min_size=1, max_size=300, unique_by=lambda point: point[0],
    ).map(sorted),
    max_size=3,
)  # fmt: skip


@given(runs_of, st.integers(0, 2), st.sampled_from([Resolution.MS, Resolution.NS]))
def test_chunks_are_what_they_were(
    runs: list[list[tuple[int, float]]], query: int, resolution: Resolution
) -> None:
    held: Any = Held(runs, resolution)

    found = streamed(b"".join(remote_read_chunks.frames([held], query)))

    per_ms = resolution.ticks_per_s // 1000
    wanted = [list({at // per_ms: value for at, value in run}.items()) for run in runs]
    assert [labels for _, labels, _ in found] == held.labels()
    assert repr([points for _, _, points in found]) == repr(wanted)
    assert {number for number, _, _ in found} <= {query}


def test_frames_are_bounded() -> None:
    noise = np.random.default_rng(1).integers(0, 2**62, 300_000).view(np.float64)
    run = [(T + i * 1000, float(v)) for i, v in enumerate(noise)]
    held: Any = Held([run], Resolution.MS)

    found = list(remote_read_chunks.frames([held], 0))

    assert 2 <= len(found) <= 3
    assert max(map(len, found)) <= remote_read_chunks.FRAME_BYTES_MAX + 4096


@pytest.mark.parametrize(
    ("accepted", "kind"), [([], 0), ([0], 0), ([1], 1), ([1, 0], 1), ([0, 1], 0), ([7, 1], 1)]
)
def test_the_first_kind_that_is_known(accepted: list[int], kind: int) -> None:
    one_by_one = b"".join(number(2, each) for each in accepted)
    packed = field(2, bytes(accepted)) if accepted else b""
    assert remote_read.kind_of(one_by_one) == remote_read.kind_of(packed) == kind


def test_no_kind_that_is_known() -> None:
    with pytest.raises(InvalidInput, match="STREAMED_XOR_CHUNKS"):
        remote_read.kind_of(number(2, 7))


def test_chunks_over_http(server: Any) -> None:
    for host, value in (("b", 2.5), ("a", -0.0)):
        labels = {"__name__": "streamed_from_afar", "host": host}
        server.database.write(labels, [T + 15_000 * i for i in range(300)], [value] * 300)
    matcher = (Matcher("__name__", Op.EQUAL, "streamed_from_afar"),)
    queries = [ReadQuery(T, T + 15_000, matcher), ReadQuery(T + 15_000, T + 10**7, matcher)]

    reply = ask(server, request_of(queries) + number(2, 1) + number(2, 0))

    assert reply.status == 200
    assert reply.headers["content-type"] == (
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    )
    assert "content-encoding" not in reply.headers
    found = streamed(reply.body)
    assert [(n, labels["host"], len(points)) for n, labels, points in found] == [
        (0, "a", 2), (0, "b", 2), (1, "a", 299), (1, "b", 299),
    ]  # fmt: skip
    assert found[1][2] == [(T, 2.5), (T + 15_000, 2.5)]


def test_a_client_that_goes_away_ends_the_stream(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = [], threading.Event()

    def noted(selections: Any, query: int) -> Iterator[bytes]:
        try:
            for frame in frames(selections, query):
                begun.append(len(frame))
                yield frame
        finally:
            ended.set()

    frames = remote_read_chunks.frames
    monkeypatch.setattr(remote_read_chunks, "frames", noted)
    noise = np.random.default_rng(1).integers(0, 2**62, 400_000).view(np.float64)
    stamps = [T + i for i in range(noise.size)]
    for host in range(4):
        server.database.write({"__name__": "endless", "host": str(host)}, stamps, noise)
    matcher = (Matcher("__name__", Op.EQUAL, "endless"),)
    body = request_of([ReadQuery(T, T + 10**9, matcher)]) + number(2, 1)
    packed = bytes(cramjam.snappy.compress_raw(body))
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        head = f"POST /api/v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(packed)}"
        wire.sendall(head.encode() + b"\r\n\r\n" + packed)
        assert wire.recv(1 << 12).startswith(b"HTTP/1.1 200")

    assert ended.wait(30)
    assert sum(begun) < 4 * noise.nbytes, "the rest was never made"
