"""tsdb.parse.otlp: as Prometheus' receiver names things, in protobuf and in JSON."""

import base64
import json
import struct

import numpy as np
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tsdb.batch import FamilyMetadata
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse.otlp.model import Kind, Pairs
from tsdb.parse.otlp.names import float_text, label_name, metric_name, value_text
from tsdb.parse.otlp.parse import parse_json, parse_protobuf
from tsdb.parse.otlp.series import Options

NS = 1_700_000_000_123_456_789
MS = 1_700_000_000_123
CUMULATIVE, DELTA = 2, 1
STALE = 0x7FF0000000000002


def put(attributes, **pairs):
    for key, value in pairs.items():
        one = attributes.add(key=key.replace("__", "."))
        setattr(one.value, {str: "string_value", int: "int_value"}[type(value)], value)


def request(**resource):
    message = ExportMetricsServiceRequest()
    one = message.resource_metrics.add()
    put(one.resource.attributes, **resource)
    return message, one.scope_metrics.add().metrics


def as_json(message):
    """protobuf's JSON has ids in base64, OTLP in hexadecimal."""
    document = json.loads(json_format.MessageToJson(message))

    def walk(item):
        if isinstance(item, dict):
            for key, value in item.items():
                if key in ("traceId", "spanId"):
                    item[key] = base64.b64decode(value).hex()
                walk(value)
        elif isinstance(item, list):
            for one in item:
                walk(one)

    walk(document)
    return json.dumps(document).encode()


def read(message, resolution=Resolution.MS, options=None):
    """What both encodings say, which is the same."""
    options = options or Options()
    found = parse_protobuf(message.SerializeToString(), resolution, options)
    other = parse_json(as_json(message), resolution, options)
    assert series(found) == series(other)
    assert found.parsed.skipped == other.parsed.skipped
    assert found.parsed.metadata == other.parsed.metadata
    assert found.parsed.exemplars == other.parsed.exemplars
    assert (found.points, found.refused) == (other.points, other.refused)
    return found


def series(found):
    parsed = found.parsed
    bits = parsed.columns.values.view(np.uint64).tolist()
    text = parsed.key_bytes.tobytes()
    ranges = zip(parsed.key_starts.tolist(), parsed.key_ends.tolist(), strict=True)
    keys = [str(labels.parse(text[a:b])) for a, b in ranges]
    return list(zip(keys, parsed.columns.timestamps.tolist(), bits, strict=True))


def values(found):
    return {key: struct.unpack("<d", struct.pack("<Q", bits))[0] for key, _, bits in series(found)}


@pytest.mark.parametrize(
    ("name", "unit", "kind", "monotonic", "wanted"),
    [
        ("system.io", "foo/bar", Kind.GAUGE, False, "system_io_foo_per_bar"),
        ("http.server.duration", "ms", Kind.HISTOGRAM, False, "http_server_duration_milliseconds"),
        ("requests", "1", Kind.SUM, True, "requests_total"),
        ("total.total.x", "{req}", Kind.SUM, True, "x_total"),
        ("fill", "1", Kind.GAUGE, False, "fill_ratio"),
        ("fill.ratio.now", "1", Kind.GAUGE, False, "fill_now_ratio"),
        ("net", "By/s", Kind.GAUGE, False, "net_bytes_per_second"),
        ("net.bytes", "By", Kind.SUM, False, "net_bytes"),
        ("3com__x..y_", "", Kind.GAUGE, False, "_3com_x_y"),
        ("m:n", "%", Kind.GAUGE, False, "m:n_percent"),
        ("x", " / ", Kind.GAUGE, False, "x"),
        ("x", "°F", Kind.GAUGE, False, "x_F"),
        ("x", "a__b/{y}", Kind.GAUGE, False, "x_a_b"),
        ("x", "_", Kind.GAUGE, False, "x"),
        ("ä", "", Kind.GAUGE, False, ""),
    ],
)
def test_metric_names(name, unit, kind, monotonic, wanted):
    assert metric_name(name, unit, kind, is_monotonic=monotonic) == wanted


def test_label_names():
    given = ["k8s.pod", "1st", "_a", "__a", "ä", "", "a-b"]
    wanted = ["k8s_pod", "key_1st", "key_a", "__a", "key_", "", "a_b"]
    assert [label_name(key) for key in given] == wanted


def test_attribute_values():
    pairs = Pairs([("b", [1, None, "x<"]), ("a", b"\1"), ("c", Pairs())])
    given = ["t", True, -5, 0.5, 1e-7, 1e21, b"\1\2", None, pairs, [True, 2.0]]
    assert [value_text(value) for value in given] == [
        "t", "true", "-5", "0.5", "1e-7", "1e+21", "AQI=", "",
        '{"a":"AQ==","b":[1,null,"x\\u003c"],"c":{}}', "[true,2]",
    ]  # fmt: skip


def test_float_text():
    given = [0.1, 1.0, 1e21, 5e-324, float("inf"), float("-inf"), float("nan"), -2.5]
    wanted = ["0.1", "1", "1" + "0" * 21, "0." + "0" * 323 + "5", "+Inf", "-Inf", "NaN", "-2.5"]
    assert [float_text(value) for value in given] == wanted


def test_gauges_and_sums():
    message, metrics = request(
        service__name="api", service__namespace="shop", service__instance__id="i1", host__name="h"
    )
    gauge = metrics.add(name="temp", unit="Cel", description="Warm.").gauge
    point = gauge.data_points.add(time_unix_nano=NS, as_double=-0.0)
    put(point.attributes, a__b="2", a_b="1", empty="", n=3)
    gauge.data_points.add(time_unix_nano=NS, flags=1)
    counter = metrics.add(name="reqs").sum
    counter.is_monotonic, counter.aggregation_temporality = True, CUMULATIVE
    counter.data_points.add(time_unix_nano=NS + 10**9, as_int=-7)

    found = read(message)

    own = 'instance="i1", job="shop/api"'
    assert series(found) == [
        (f'temp_celsius{{a_b="2;1", {own}, n="3"}}', MS, 1 << 63),
        (f"temp_celsius{{{own}}}", MS, STALE),
        (f"reqs_total{{{own}}}", MS + 1000, struct.unpack("<Q", struct.pack("<d", -7.0))[0]),
        (f'target_info{{host_name="h", {own}}}', MS, 0x3FF0000000000000),
        (f'target_info{{host_name="h", {own}}}', MS + 1000, 0x3FF0000000000000),
    ]
    assert found.parsed.metadata == (
        FamilyMetadata("temp_celsius", "gauge", "Warm.", "Cel"),
        FamilyMetadata("reqs_total", "counter"),
    )
    assert (found.points, found.refused) == (3, 0)


def test_histograms_summaries_and_exemplars():
    message, metrics = request(service__name="api")
    histogram = metrics.add(name="wait", unit="s").histogram
    histogram.aggregation_temporality = CUMULATIVE
    point = histogram.data_points.add(
        time_unix_nano=NS, count=6, sum=2.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 10]
    )
    case = point.exemplars.add(time_unix_nano=NS, as_double=0.7, trace_id=b"\1" * 16)
    put(case.filtered_attributes, user="u")
    case = point.exemplars.add(time_unix_nano=NS, as_int=99, span_id=b"\2" * 8)
    put(case.filtered_attributes, long="u" * 200)
    histogram.data_points.add(time_unix_nano=NS, count=1)
    summary = metrics.add(name="size").summary
    point = summary.data_points.add(time_unix_nano=NS, count=2, sum=9)
    point.quantile_values.add(quantile=0.99, value=5)

    found = read(message)

    assert values(found) == {
        'wait_seconds_bucket{job="api", le="0.5"}': 1,
        'wait_seconds_bucket{job="api", le="10"}': 3,
        'wait_seconds_bucket{job="api", le="+Inf"}': 1,  # of the second point
        'wait_seconds_count{job="api"}': 1,
        'wait_seconds_sum{job="api"}': 2.5,
        'size{job="api", quantile="0.99"}': 5,
        'size_count{job="api"}': 2,
        'size_sum{job="api"}': 9,
    }
    told = [
        (str(labels.parse(e.series)), dict(labels.parse(e.labels)), e.timestamp, e.value)
        for e in found.parsed.exemplars
    ]
    assert told == [
        ('wait_seconds_bucket{job="api", le="10"}', {"trace_id": "01" * 16, "user": "u"}, MS, 0.7),
        ('wait_seconds_bucket{job="api", le="+Inf"}', {"span_id": "02" * 8}, MS, 99),
    ]


def test_what_is_left_out_is_told():
    message, metrics = request()
    metrics.add(name="native").exponential_histogram.data_points.add(time_unix_nano=NS)
    metrics.add(name="none").gauge.data_points.add(time_unix_nano=NS)
    metrics.add(name="...").gauge.data_points.add(time_unix_nano=NS, as_int=1)
    for _ in range(2):
        metrics.add(name="when").sum.data_points.add(time_unix_nano=NS, as_int=1)
    metrics.add(name="kind")
    long = metrics.add(name="long").gauge.data_points.add(time_unix_nano=NS, as_int=1)
    put(long.attributes, x="x" * 5000)
    metrics.add(name="good").gauge.data_points.add(time_unix_nano=NS, as_int=1)

    found = read(message)

    assert values(found) == {"good": 1}
    assert (found.points, found.refused, found.told) == (7, 6, 7)
    assert found.parsed.skipped[0] == (
        'metric "native": is an exponential histogram, which is not kept yet'
    )


def test_deltas_are_kept_or_refused():
    message, metrics = request()
    delta = metrics.add(name="d").sum
    delta.aggregation_temporality, delta.is_monotonic = DELTA, True
    delta.data_points.add(time_unix_nano=NS, as_int=1)

    assert values(read(message)) == {"d_total": 1}
    assert read(message).parsed.metadata[0].kind == "unknown"
    refusing = read(message, options=Options(delta=False))
    assert (values(refusing), refusing.refused) == ({}, 1)


def test_promoted_attributes():
    message, metrics = request(host__name="h", zone="z")
    metrics.add(name="x").gauge.data_points.add(time_unix_nano=NS, as_int=1)

    options = Options(frozenset({"host.name"}))
    assert values(read(message, options=options)) == {'x{host_name="h"}': 1}


@pytest.mark.parametrize(
    ("resolution", "tick"),
    [(Resolution.S, NS // 10**9), (Resolution.US, NS // 1000), (Resolution.NS, NS)],
)
def test_resolutions(resolution, tick):
    message, metrics = request()
    metrics.add(name="x").gauge.data_points.add(time_unix_nano=NS, as_int=1)
    assert [t for _, t, _ in series(read(message, resolution))] == [tick]


def test_target_info_over_time():
    message, metrics = request(service__name="a", host="h")
    points = metrics.add(name="x").gauge.data_points
    points.add(time_unix_nano=NS, as_int=1)
    points.add(time_unix_nano=NS + 400 * 10**9, as_int=1)
    info = [t for key, t, _ in series(read(message)) if key.startswith("target_info")]
    assert info == [MS, MS + 150_000, MS + 300_000, MS + 400_000]

    points.add(as_int=1)  # at 0, as senders do that know no time
    info = [t for key, t, _ in series(read(message)) if key.startswith("target_info")]
    assert len(info) == 1000
    assert info[-1] == MS + 400_000


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x08\x01\x0a", b"\x0a\x02\x08\x01"])
def test_bytes_that_are_no_message(body):
    with pytest.raises(InvalidInput, match="ExportMetricsServiceRequest"):
        parse_protobuf(body, Resolution.MS, Options())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b'{"resourceMetrics":{}}', "array"),
        (b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":1}]}]}]}', "string"),
    ],
)
def test_json_that_is_no_message(body, why):
    with pytest.raises(InvalidInput, match=why):
        parse_json(body, Resolution.MS, Options())


def test_json_as_senders_write_it():
    body = {
        "unknown": 1,
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{
            "name": "x",
            "sum": {
                "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
                "isMonotonic": None,
                "dataPoints": [
                    {"timeUnixNano": NS, "asInt": 5, "attributes": None},
                    {"timeUnixNano": str(NS), "asDouble": "NaN", "attributes": [
                        {"key": "b", "value": {"arrayValue": {"values": [{"boolValue": True}]}}}]},
                ],
            },
        }]}]}],
    }  # fmt: skip
    found = values(parse_json(json.dumps(body).encode(), Resolution.MS, Options()))
    assert found.pop('x{b="[true]"}') != 0
    assert found == {"x": 5}
