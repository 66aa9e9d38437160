"""Prometheus' protobuf exposition, as Go's push client sends it, turned into text.

    in   io.prometheus.client.MetricFamily messages, each behind its length
    out  text 0.0.4, which `tsdb.parse.exposition` reads; InvalidInput says what is wrong

    MetricFamily  1 name, 2 help, 3 type, 4 metric
    Metric        1 label, 2 gauge, 3 counter, 4 summary, 5 untyped, 6 timestamp_ms, 7 histogram
    Histogram     1 sample_count, 2 sample_sum, 3 bucket (1 cumulative_count, 2 upper_bound),
                  4 sample_count_float, 5 schema and beyond: native buckets, which we do not have

Exemplars are left out. Price: 15 µs a series; only pushes of jobs come this way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tsdb.errors import InvalidInput
from tsdb.index.quoting import is_label_name, is_metric_name
from tsdb.parse import protobuf

__all__ = ["text_of"]

TYPES = ("counter", "gauge", "summary", "untyped", "histogram", "histogram")
SIMPLE = {2: 1, 3: 1, 5: 1}  # gauge, counter, untyped: field of the value
SUMMARY, HISTOGRAM, SCHEMA = 4, 7, 5
QUANTILES, BUCKETS = 3, 3
_SPECIAL = re.compile(r'[\\"\n]')
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}

Labels = list[tuple[str, str]]


@dataclass(slots=True)
class _Metric:
    labels: Labels = field(default_factory=list)
    parts: list[tuple[int, bytes]] = field(default_factory=list)  # field, message
    stamp: str = ""


def text_of(body: bytes) -> bytes:
    """All families of a body of delimited messages."""
    lines: list[str] = []
    # A delimited stream is a message whose repeated field's keys were left out.
    at = 0
    while at < len(body):
        size, start = protobuf.varint(body, at)
        at = start + size
        if at > len(body):
            raise InvalidInput("a metric family is cut off")
        lines.extend(_family(body[start:at]))
    return "".join(line + "\n" for line in lines).encode()


def _family(message: bytes) -> Iterator[str]:
    name, told, kind = "", "", 0
    metrics: list[bytes] = []
    for number, _, value in protobuf.fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2:
            told = _text(value)
        elif number == 3 and isinstance(value, int):
            kind = value
        elif number == 4:
            metrics.append(_bytes(value))
    if not name or kind >= len(TYPES):
        raise InvalidInput(f"a metric family has no name or the unknown type {kind}")
    shown = name if is_metric_name(name) else _quoted(name)
    if told:
        escaped = told.replace("\\", "\\\\").replace("\n", "\\n")
        yield f"# HELP {shown} {escaped}"
    yield f"# TYPE {shown} {TYPES[kind]}"
    for metric in metrics:
        yield from _points(name, _metric(metric))


def _metric(message: bytes) -> _Metric:
    found = _Metric()
    for number, _, value in protobuf.fields(message):
        if number == 1:
            pair = {n: _text(v) for n, _, v in protobuf.fields(_bytes(value))}
            found.labels.append((pair.get(1, ""), pair.get(2, "")))
        elif number == 6 and isinstance(value, int):
            found.stamp = f" {protobuf.signed(value)}"
        else:
            found.parts.append((number, _bytes(value)))
    return found


def _points(name: str, metric: _Metric) -> Iterator[str]:
    for number, part in metric.parts:
        if number in SIMPLE:
            value = _doubles(part).get(SIMPLE[number], 0.0)
            yield _line(name, metric.labels, value, metric.stamp)
        elif number == SUMMARY:
            yield from _summary(name, metric, part)
        elif number == HISTOGRAM:
            yield from _histogram(name, metric, part)


def _summary(name: str, metric: _Metric, part: bytes) -> Iterator[str]:
    for number, _, value in protobuf.fields(part):
        if number == QUANTILES:
            one = _doubles(_bytes(value))
            labels = [*metric.labels, ("quantile", _number(one.get(1, 0.0)))]
            yield _line(name, labels, one.get(2, 0.0), metric.stamp)
    yield from _totals(name, metric, part)


def _histogram(name: str, metric: _Metric, part: bytes) -> Iterator[str]:
    fields = list(protobuf.fields(part))
    buckets = [_doubles(_bytes(value)) for number, _, value in fields if number == BUCKETS]
    if not buckets and any(number >= SCHEMA for number, _, _ in fields):
        raise InvalidInput(f"{name} is a native histogram, which is not kept yet")
    count = _doubles(part).get(1, 0.0)
    if not any(bucket.get(2) == float("inf") for bucket in buckets):
        buckets.append({1: count, 2: float("inf")})
    for bucket in buckets:
        labels = [*metric.labels, ("le", _number(bucket.get(2, 0.0)))]
        yield _line(f"{name}_bucket", labels, bucket.get(1, 0.0), metric.stamp)
    yield from _totals(name, metric, part)


def _totals(name: str, metric: _Metric, part: bytes) -> Iterator[str]:
    totals = _doubles(part)
    yield _line(f"{name}_count", metric.labels, totals.get(1, 0.0), metric.stamp)
    yield _line(f"{name}_sum", metric.labels, totals.get(2, 0.0), metric.stamp)


def _doubles(message: bytes) -> dict[int, float]:
    """Numbers of a message by field, the last one of each."""
    found = {}
    for number, wire, value in protobuf.fields(message):
        if isinstance(value, int):
            found[number] = protobuf.double(value) if wire == protobuf.I64 else float(value)
    return found


def _line(name: str, labels: Labels, value: float, stamp: str) -> str:
    pairs = [
        f"{label if is_label_name(label) else _quoted(label)}={_quoted(text)}"
        for label, text in labels
    ]
    plain = is_metric_name(name)
    inside = ",".join(pairs if plain else [_quoted(name), *pairs])
    return f"{name if plain else ''}{{{inside}}} {_number(value)}{stamp}"


def _number(value: float) -> str:
    text = repr(value)
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text.removesuffix(".0"))


def _quoted(text: str) -> str:
    return f'"{_SPECIAL.sub(lambda found: _ESCAPED[found[0]], text)}"'


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise InvalidInput("a protobuf message is a number")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise InvalidInput("a text is not valid UTF-8") from None
