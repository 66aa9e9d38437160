"""The kernel's way through an OTLP body and the slow one say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tsdb.batch import TAIL_MARK
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse.otlp.bulk import FORM, KnownOrigins, parse_bulk
from tsdb.parse.otlp.parse import parse_protobuf
from tsdb.parse.otlp.series import Options

NS = 1_700_000_000_123_456_789


def rows_of(found):
    """(canonical key or None where it is refused, tick, bits), in order."""
    parsed = found.parsed
    rows = []
    stamps = parsed.columns.timestamps.tolist()
    bits = parsed.columns.values.view(np.uint64).tolist()
    for i, (tick, value) in enumerate(zip(stamps, bits, strict=True)):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        if parsed.tail_starts is not None:
            tail = parsed.key_bytes[parsed.tail_starts[i] : parsed.tail_ends[i]].tobytes()
            raw += TAIL_MARK + tail
        try:
            rows.append((parsed.canonical(raw), tick, value))
        except InvalidInput:
            rows.append(None)
    return rows


def both(body, resolution=Resolution.MS, options=None, known=None):
    options = options or Options(frozenset({"zone"}))
    found = []
    for parse in (
        lambda: parse_bulk(body, resolution, options, known or KnownOrigins()),
        lambda: parse_protobuf(body, resolution, options),
    ):
        try:
            found.append(parse())
        except InvalidInput as error:
            found.append(str(error))
    return found


def same(body, **told):
    bulk, slow = both(body, **told)
    if isinstance(slow, str) or isinstance(bulk, str):
        assert bulk == slow
        return None
    kept = [row for row in rows_of(bulk) if row is not None]
    assert kept == rows_of(slow)
    lost = len(rows_of(bulk)) - len(kept)
    assert bulk.points == slow.points
    assert bulk.refused + lost == slow.refused
    assert bulk.parsed.metadata == slow.parsed.metadata
    assert bulk.parsed.exemplars == slow.parsed.exemplars
    if not lost:
        assert bulk.parsed.skipped == slow.parsed.skipped
    return bulk


def attributes(of, pairs):
    for key, value in pairs:
        one = of.add(key=key)
        name = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
        setattr(one.value, name[type(value)], value)


def gauge(metric, points):
    for pairs, value in points:
        point = metric.gauge.data_points.add(time_unix_nano=NS)
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
        attributes(point.attributes, pairs)


def plain(series=3):
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    attributes(resource.resource.attributes, [("service.name", "shop"), ("zone", "a")])
    metric = resource.scope_metrics.add().metrics.add(name="http.load", unit="1")
    gauge(metric, [([("host", f"h{i}")], i + 0.5) for i in range(series)])
    return message


def test_gauges_are_read_by_the_kernel():
    found = same(plain().SerializeToString())
    assert found.parsed.form == FORM
    keys = [row[0] for row in rows_of(found)]
    assert len(keys) == len(set(keys)) == 4  # and target_info
    assert b"http_load_ratio" in keys[0]


def test_a_known_origin_is_looked_at_once():
    known = KnownOrigins()
    body = plain().SerializeToString()
    names = [same(body, known=known).parsed for _ in range(2)]
    assert names[0].key_bytes.tobytes() == names[1].key_bytes.tobytes()


def test_resources_are_told_apart():
    message = plain()
    other = message.resource_metrics.add()
    other.CopyFrom(message.resource_metrics[0])
    other.resource.attributes[0].value.string_value = "bank"
    found = same(message.SerializeToString())
    assert len({row[0] for row in rows_of(found)}) == 8


def test_what_the_kernel_leaves_out_keeps_its_place():
    message = plain(1)
    metrics = message.resource_metrics[0].scope_metrics[0].metrics
    histogram = metrics.add(name="took", unit="s").histogram
    histogram.aggregation_temporality = 2
    point = histogram.data_points.add(time_unix_nano=NS, count=3, sum=2.5)
    point.explicit_bounds.append(1.0)
    point.bucket_counts.extend([1, 2])
    gauge(metrics.add(name="took_count_seconds"), [([], 7.0)])
    found = same(message.SerializeToString())
    assert len(rows_of(found)) == 1 + 4 + 1 + 1


@pytest.mark.parametrize("temporality", [0, 1, 2])
@pytest.mark.parametrize("delta", [True, False])
def test_sums(temporality, delta):
    message = plain(1)
    total = message.resource_metrics[0].scope_metrics[0].metrics.add(name="seen").sum
    total.aggregation_temporality, total.is_monotonic = temporality, True
    total.data_points.add(time_unix_nano=NS, as_int=-5)
    found = same(message.SerializeToString(), options=Options(delta=delta))
    assert found.points == 2


def test_exemplars_empty_values_and_stale_points():
    message = plain(1)
    metrics = message.resource_metrics[0].scope_metrics[0].metrics
    total = metrics.add(name="seen").sum
    total.aggregation_temporality = 2
    point = total.data_points.add(time_unix_nano=NS, as_double=1)
    point.exemplars.add(time_unix_nano=NS, as_double=3, trace_id=b"x" * 16)
    metrics.add(name="empty").gauge.data_points.add(time_unix_nano=NS)
    metrics.add(name="gone").gauge.data_points.add(time_unix_nano=NS, flags=1)
    metrics.add(name="nothing").gauge.SetInParent()
    metrics.add(name="unkind")
    metrics.add(name="...").gauge.data_points.add(time_unix_nano=NS, as_int=1)
    metrics.add(name="late").gauge.data_points.add(time_unix_nano=2**64 - 1, as_int=1)
    for resolution in (Resolution.MS, Resolution.NS):
        found = same(message.SerializeToString(), resolution=resolution)
        assert (found.points, found.refused) == (6, 3 if resolution is Resolution.NS else 2)


def test_a_body_of_many_points_grows_its_room():
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="x")
    for i in range(5000):
        metric.gauge.data_points.add(as_int=i)
    found = same(message.SerializeToString())
    assert found.points == 5000


VALUES = st.text(max_size=4) | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False)
PAIRS = st.lists(st.tuples(st.sampled_from(["a", "b.c", "b_c", "", "zone"]), VALUES), max_size=4)
POINTS = st.lists(
    st.tuples(PAIRS, st.integers(-(2**63), 2**63 - 1) | st.floats(width=64)), max_size=4
)
METRICS = st.lists(
    st.tuples(
        st.sampled_from(["a", "a.b", "", "1x", "a_total"]),
        st.sampled_from(["", "1", "s", "By/s", "{x}"]),
        st.sampled_from(["gauge", "sum", "summary"]),
        POINTS,
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PAIRS, METRICS), max_size=3),
    st.sampled_from(list(Resolution)),
    st.booleans(),
)
def test_any_message(resources, resolution, delta):
    message = ExportMetricsServiceRequest()
    for pairs, metrics in resources:
        resource = message.resource_metrics.add()
        attributes(resource.resource.attributes, pairs)
        scope = resource.scope_metrics.add()
        for name, unit, kind, points in metrics:
            metric = scope.metrics.add(name=name, unit=unit)
            of = getattr(metric, kind)
            of.SetInParent()
            if kind == "sum":
                of.aggregation_temporality = 2 if len(points) % 2 else 1
                of.is_monotonic = len(points) > 2
            for own, value in points:
                point = of.data_points.add(time_unix_nano=NS + len(own))
                attributes(point.attributes, own)
                if kind == "summary":
                    point.sum = float(value)
                elif isinstance(value, int):
                    point.as_int = value
                else:
                    point.as_double = value
    told = {"resolution": resolution, "options": Options(frozenset({"zone"}), delta)}
    assert same(message.SerializeToString(), **told) is not None


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damaged_bodies_end_in_words(head, at, put):
    body = plain().SerializeToString()
    at = min(at, len(body))
    for damaged in (head, body[:at], body[:at] + put + body[at + len(put) :]):
        bulk, slow = both(damaged)
        assert not isinstance(slow, str) or isinstance(bulk, str) or None in rows_of(bulk)
        if not isinstance(slow, str) and not isinstance(bulk, str):
            assert [row for row in rows_of(bulk) if row is not None] == rows_of(slow)
