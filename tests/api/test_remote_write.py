"""remote_write over HTTP: what senders are told, and what is in the database afterwards."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote

import cramjam
import pytest

from benchmarks.remote_write_messages import V1, V2, request_1, request_2
from tsdb import limits

MS = 1_700_000_000_000
TYPE_1 = "application/x-protobuf"
TYPE_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
FAR_AHEAD = 32_503_680_000_000  # the year 3000


_numbers = itertools.count()


@pytest.fixture
def cpu() -> dict[str, str]:
    """Labels of a series that no other test has."""
    return {"__name__": f"cpu_{next(_numbers)}", "host": "a"}


def send(server: Any, message: Any, path: str = "/api/v1/write", **headers: str) -> Any:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    is_2 = isinstance(message, V2.Request)
    given = {"content_type": TYPE_2 if is_2 else TYPE_1, "content_encoding": "snappy"} | headers
    return server("POST", path, bytes(cramjam.snappy.compress_raw(body)), **given)


def points(server: Any, labels: dict[str, str]) -> dict[str, list[tuple[int, Any]]]:
    """Points of all series of a name, by host."""
    reply = server.get(f"/api/v1/export?match[]={quote(labels['__name__'])}")
    found = {}
    for line in reply.body.splitlines():
        one = json.loads(line)
        assert set(one["metric"]) == set(labels)
        found[one["metric"]["host"]] = list(zip(one["timestamps"], one["values"], strict=True))
    return found


def written(reply: Any) -> tuple[int, ...]:
    names = ("samples", "histograms", "exemplars")
    return tuple(int(reply.headers[f"x-prometheus-remote-write-{n}-written"]) for n in names)


def test_both_versions_write(server: Any, cpu: dict[str, str]) -> None:
    series = [(cpu | {"host": h}, [(MS, 1.5), (MS + 1, 0.0)]) for h in "ab"]

    first = send(server, request_1(*series))
    second = send(server, request_2((cpu | {"host": "c"}, [(MS, 3.0)])), "/api/v1/push")

    assert (first.status, first.body) == (204, b"")
    assert "x-prometheus-remote-write-samples-written" not in first.headers
    assert second.status == 204
    assert written(second) == (1, 0, 0)
    assert points(server, cpu) == {
        "a": [(MS, 1.5), (MS + 1, 0)],
        "b": [(MS, 1.5), (MS + 1, 0)],
        "c": [(MS, 3)],
    }


@pytest.mark.parametrize("make", [request_1, request_2])
def test_the_same_series_in_another_order_is_the_same(
    server: Any, make: Any, cpu: dict[str, str]
) -> None:
    send(server, make((cpu, [(MS, 1.0)])))
    reply = send(server, make((dict(reversed(cpu.items())) | {"gone": ""}, [(MS + 1, 2.0)])))

    assert reply.status == 204, reply.body
    assert points(server, cpu) == {"a": [(MS, 1), (MS + 1, 2)]}


@pytest.mark.parametrize("make", [request_1, request_2])
def test_wrong_points_cost_themselves(server: Any, make: Any, cpu: dict[str, str]) -> None:
    reply = send(server, make((cpu, [(MS, 1.0), (FAR_AHEAD, 2.0)]), ({"": "x"}, [(MS, 1.0)])))

    assert reply.status == 400
    assert reply.json["points"] == 1
    assert reply.json["refused_count"] == 2
    assert f'{cpu["__name__"]}{{host="a"}}' in reply.json["refused"][0]
    assert "label name is empty" in reply.json["refused"][1]
    assert reply.json["error"].startswith("1 kept, 2 refused: ")
    if make is request_2:
        assert written(reply) == (1, 0, 0)
    assert points(server, cpu) == {"a": [(MS, 1)]}


def test_nothing_that_is_kept_is_400_as_well(server: Any, cpu: dict[str, str]) -> None:
    reply = send(server, request_2((cpu, [(FAR_AHEAD, 2.0)])))

    assert reply.status == 400
    assert written(reply) == (0, 0, 0)
    assert "ahead of the clock" in reply.json["error"]


@pytest.mark.parametrize("version", [1, 2])
def test_histograms_are_refused_and_the_rest_is_kept(
    server: Any, version: int, cpu: dict[str, str]
) -> None:
    message = (request_1 if version == 1 else request_2)((cpu, [(MS, 1.0)]))
    module = V1 if version == 1 else V2
    message.timeseries[0].histograms.append(module.Histogram(count_int=7, timestamp=MS))
    exemplar = message.timeseries[0].exemplars.add(value=0.5, timestamp=MS)
    if version == 1:
        exemplar.labels.add(name=b"trace_id", value=b"abc")
    else:
        exemplar.labels_refs.extend([1, 2])

    reply = send(server, message)

    assert reply.status == 400
    assert "1 native histograms are not kept" in reply.json["error"]
    assert f'{cpu["__name__"]}{{host="a"}}' in reply.json["error"]
    if version == 2:
        assert written(reply) == (1, 0, 1)
    assert points(server, cpu) == {"a": [(MS, 1)]}


def test_metadata_alone_is_a_request(server: Any, cpu: dict[str, str]) -> None:
    metadata = V1.MetricMetadata(type=1, metric_family_name="cpu", help="Time.", unit="s")

    assert send(server, V1.WriteRequest(metadata=[metadata])).status == 204
    assert send(server, b"").status == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"content_type": "application/x-protobuf; proto=prometheus.WriteRequest"}, 204),
        ({"content_type": ""}, 204),
        ({"content_encoding": ""}, 204),
        ({"content_encoding": "gzip"}, 415),
        ({"content_encoding": "identity"}, 415),
        ({"content_type": "application/json"}, 415),
        ({"content_type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, 415),
        ({"content_type": TYPE_2}, 400),
        ({"content_encoding": "zstd"}, 400),
    ],
)
def test_forms(server: Any, headers: dict[str, str], status: int, cpu: dict[str, str]) -> None:
    reply = send(server, request_1((cpu, [(MS, 1.0)])), **headers)

    assert reply.status == status, reply.body
    if status == 400 and "content_type" in headers:
        assert "prometheus.WriteRequest?" in reply.json["error"]


def test_zstd_is_understood(server: Any, cpu: dict[str, str]) -> None:
    body = request_1((cpu, [(MS, 1.0)])).SerializeToString()
    headers = {"content_type": TYPE_1, "content_encoding": "zstd"}

    assert (
        server("POST", "/api/v1/write", bytes(cramjam.zstd.compress(body)), **headers).status == 204
    )


def test_garbage_is_400_and_bombs_are_413(server: Any) -> None:
    assert send(server, b"\x0b\x0c").status == 400
    assert server("POST", "/api/v1/write", b"not snappy", content_type=TYPE_1).status == 400
    claim = b"\xff\xff\xff\xff\x0f" + b"\x00" * 16  # four gigabytes
    reply = server("POST", "/api/v1/write", claim, content_type=TYPE_1)
    assert reply.status == 413
    assert reply.json["limit"] == "BODY_BYTES_MAX"
    too_many = V1.WriteRequest(timeseries=[V1.TimeSeries()])
    body = too_many.SerializeToString()
    many = b"\x0a\x04\x12\x00\x12\x00" * (limits.POINTS_PER_REQUEST_MAX // 2 + 1)
    reply = send(server, body + many)
    assert reply.json["limit"] == "POINTS_PER_REQUEST_MAX"


def test_new_series_past_the_bound_are_retried(
    serve: Any, tmp_path: Any, cpu: dict[str, str]
) -> None:
    with serve(tmp_path / "small", series_max=1) as server:
        reply = send(server, request_2((cpu, [(MS, 1.0)]), (cpu | {"host": "b"}, [(MS, 1.0)])))

        assert reply.status == 429
        assert "retry-after" in reply.headers
        assert written(reply) == (1, 0, 0)


@pytest.mark.parametrize("make", [request_1, request_2])
def test_new_series_behind_a_run_that_is_refused_keep_their_names(
    server: Any, make: Any, cpu: dict[str, str]
) -> None:
    runs = [(cpu | {"host": h}, [(FAR_AHEAD if h == "a" else MS, 1.0)]) for h in "abc"]

    assert send(server, make(*runs)).json["points"] == 2
    assert set(points(server, cpu)) == {"b", "c"}
