"""OTLP over HTTP: what exporters are told, and what is in the database afterwards."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from api.routes.otlp import PATHS

NS = 1_700_000_000_000_000_000
PROTOBUF = "application/x-protobuf"
FAR_AHEAD_NS = 7_258_118_400 * 10**9  # the year 2200
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"otlp_{next(_numbers)}"


def request_of(name: str, *times_ns: int) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    for ns in times_ns:
        metric.gauge.data_points.add(time_unix_nano=ns, as_double=1.5)
    return message


def points(server: Any, name: str) -> list[Any]:
    found = server.get(f"/api/v1/export?match[]={name}").body.splitlines()
    return [t for line in found for t in json.loads(line)["timestamps"]]


@pytest.mark.parametrize("path", PATHS)
def test_all_paths(server: Any, name: str, path: str) -> None:
    body = gzip.compress(request_of(name, NS).SerializeToString())
    reply = server("POST", path, body, content_type=PROTOBUF, content_encoding="gzip")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", PROTOBUF)
    assert points(server, name) == [NS // 10**6]


def test_json(server: Any, name: str) -> None:
    data = {"gauge": {"dataPoints": [{"timeUnixNano": str(NS), "asInt": "3"}]}, "name": name}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [data]}]}]}).encode()
    reply = server("POST", PATHS[0], body, content_type="application/json; charset=utf-8")
    assert (reply.status, reply.body) == (200, b"{}")
    assert points(server, name) == [NS // 10**6]


def test_partial_success(server: Any, name: str) -> None:
    message = request_of(name, NS, FAR_AHEAD_NS)
    native = message.resource_metrics[0].scope_metrics[0].metrics.add(name="native")
    native.exponential_histogram.data_points.add(time_unix_nano=NS)
    body = message.SerializeToString()

    reply = server("POST", PATHS[0], body, content_type=PROTOBUF)

    assert reply.status == 200
    partial = ExportMetricsServiceResponse.FromString(reply.body).partial_success
    assert partial.rejected_data_points == 2
    assert "exponential histogram" in partial.error_message
    assert "ahead of the clock" in partial.error_message
    assert points(server, name) == [NS // 10**6]


def test_nothing_to_keep(server: Any, name: str) -> None:
    assert server("POST", PATHS[0], b"", content_type=PROTOBUF).status == 200
    body = request_of(name, FAR_AHEAD_NS).SerializeToString()
    reply = server("POST", PATHS[0], body, content_type=PROTOBUF)
    assert reply.status == 400
    assert "ahead of the clock" in Status.FromString(reply.body).message


def test_errors_are_a_status(server: Any) -> None:
    reply = server("POST", PATHS[0], b"\xff", content_type=PROTOBUF)
    assert (reply.status, reply.headers["content-type"]) == (400, PROTOBUF)
    status = Status.FromString(reply.body)
    assert status.code == 3
    assert "ExportMetricsServiceRequest" in status.message

    reply = server("POST", PATHS[0], b"{", content_type="application/json")
    assert reply.status == 400
    assert json.loads(reply.body)["code"] == 3

    assert server("POST", PATHS[0], b"x", content_type="text/plain").status == 415
