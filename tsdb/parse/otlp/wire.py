"""ExportMetricsServiceRequest in protobuf, field by field.

    in   a decoded body
    out  Resources; InvalidInput when the bytes are no such message

    ExportMetricsServiceRequest  1 resource_metrics
    ResourceMetrics              1 resource, 2 scope_metrics
    ScopeMetrics                 2 metrics
    Metric                       1 name, 2 description, 3 unit, 5 gauge, 7 sum, 9 histogram,
                                 10 exponential histogram, 11 summary

Price: 20 to 40 µs a data point.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tsdb import limits
from tsdb.errors import InvalidInput
from tsdb.parse import protobuf
from tsdb.parse.otlp.model import Attributes, Case, Kind, Metric, Pairs, Point, Resource, Value

__all__ = ["attributes_of", "metric_of", "point_attributes", "resources_of", "text_of"]

KINDS = {5: Kind.GAUGE, 7: Kind.SUM, 9: Kind.HISTOGRAM, 10: Kind.EXPONENTIAL, 11: Kind.SUMMARY}
# Where kinds of data points keep what they have in common.
ATTRIBUTES = {Kind.GAUGE: 7, Kind.SUM: 7, Kind.HISTOGRAM: 9, Kind.EXPONENTIAL: 1, Kind.SUMMARY: 7}
FLAGS = {Kind.GAUGE: 8, Kind.SUM: 8, Kind.HISTOGRAM: 10, Kind.EXPONENTIAL: 10, Kind.SUMMARY: 8}
CASES = {Kind.GAUGE: 5, Kind.SUM: 5, Kind.HISTOGRAM: 8}
TIME = 3


def resources_of(body: bytes) -> Iterator[Resource]:
    """Of a whole body."""
    for number, _, message in protobuf.fields(body):
        if number == 1:
            yield _resource(_bytes(message))


def _resource(message: bytes) -> Resource:
    found = Resource()
    for number, _, value in protobuf.fields(message):
        if number == 1:
            _add_attributes(found.attributes, _bytes(value), 1)
        elif number == 2:
            for field, _, metric in protobuf.fields(_bytes(value)):
                if field == 2:
                    found.metrics.append(metric_of(_bytes(metric)))
    return found


def attributes_of(message: bytes) -> Attributes:
    """Of a Resource."""
    found = Pairs()
    _add_attributes(found, message, 1)
    return found


def point_attributes(fields: bytes) -> Attributes:
    """Of the fields of a gauge's or sum's data point."""
    found = Pairs()
    _add_attributes(found, fields, ATTRIBUTES[Kind.GAUGE])
    return found


def text_of(field: bytes) -> str:
    return _text(field)


def metric_of(message: bytes) -> Metric:
    found = Metric()
    for number, _, value in protobuf.fields(message):
        if number == 1:
            found.name = _text(value)
        elif number == 2:
            found.help = _text(value)
        elif number == 3:
            found.unit = _text(value)
        elif number in KINDS:
            if found.kind is not KINDS[number]:
                found.points.clear()  # of a oneof the last one counts
            found.kind = KINDS[number]
            _add_points(found, found.kind, _bytes(value))
    return found


def _add_points(metric: Metric, kind: Kind, message: bytes) -> None:
    for number, sort, value in protobuf.fields(message):
        if number == 1:
            metric.points.append(_point(kind, _bytes(value)))
        elif number == 2 and sort == protobuf.VARINT:
            metric.temporality = _int(value)
        elif number == 3 and sort == protobuf.VARINT:
            metric.is_monotonic = bool(value)


def _point(kind: Kind, message: bytes) -> Point:
    found = Point()
    attributes, flags, cases = ATTRIBUTES[kind], FLAGS[kind], CASES.get(kind)
    if kind is Kind.SUMMARY:
        found.total = 0.0
    for number, _, value in protobuf.fields(message):
        if number == attributes:
            found.attributes.append(_attribute(_bytes(value)))
        elif number == TIME:
            found.ns = _int(value)
        elif number == flags:
            found.flags = _int(value)
        elif number == cases:
            found.cases.append(_case(_bytes(value)))
        elif kind in (Kind.GAUGE, Kind.SUM):
            if number == 4:
                found.value = protobuf.double(_int(value))
            elif number == 6:
                found.value = float(protobuf.signed(_int(value)))
        elif kind is not Kind.EXPONENTIAL:
            _add_distribution(found, kind, number, value)
    return found


def _add_distribution(point: Point, kind: Kind, number: int, value: int | bytes) -> None:
    """A field of a histogram's or a summary's point."""
    if number == 4:
        point.count = _int(value)
    elif number == 5:
        point.total = protobuf.double(_int(value))
    elif number == 6 and kind is Kind.SUMMARY:
        parts = {field: _int(part) for field, _, part in protobuf.fields(_bytes(value))}
        point.quantiles.append((protobuf.double(parts.get(1, 0)), protobuf.double(parts.get(2, 0))))
    elif number == 6:
        point.buckets.extend(_eights(value))
    elif number == 7:
        point.bounds.extend(protobuf.double(bits) for bits in _eights(value))


def _case(message: bytes) -> Case:
    found = Case()
    for number, _, value in protobuf.fields(message):
        match number:
            case 2:
                found.ns = _int(value)
            case 3:
                found.value = protobuf.double(_int(value))
            case 4:
                found.span_id = _bytes(value)
            case 5:
                found.trace_id = _bytes(value)
            case 6:
                found.value = float(protobuf.signed(_int(value)))
            case 7:
                found.attributes.append(_attribute(_bytes(value)))
    return found


def _add_attributes(attributes: Attributes, message: bytes, wanted: int) -> None:
    for number, _, value in protobuf.fields(message):
        if number == wanted:
            attributes.append(_attribute(_bytes(value)))


def _attribute(message: bytes, depth: int = 0) -> tuple[str, Value]:
    key, found = "", None
    for number, _, value in protobuf.fields(message):
        if number == 1:
            key = _text(value)
        elif number == 2:
            found = _value(_bytes(value), depth)
    return key, found


def _value(message: bytes, depth: int) -> Value:
    if depth > limits.JSON_DEPTH_MAX:
        raise InvalidInput(f"an attribute nests more than {limits.JSON_DEPTH_MAX} deep")
    found: Value = None
    for number, _, value in protobuf.fields(message):
        match number:
            case 1:
                found = _text(value)
            case 2:
                found = bool(_int(value))
            case 3:
                found = protobuf.signed(_int(value))
            case 4:
                found = protobuf.double(_int(value))
            case 5:
                parts = protobuf.fields(_bytes(value))
                found = [_value(_bytes(one), depth + 1) for part, _, one in parts if part == 1]
            case 6:
                parts = protobuf.fields(_bytes(value))
                pairs = [_attribute(_bytes(one), depth + 1) for part, _, one in parts if part == 1]
                found = Pairs(pairs)
            case 7:
                found = _bytes(value)
    return found


def _eights(value: int | bytes) -> list[int]:
    """Numbers of eight bytes, packed or one alone."""
    if isinstance(value, int):
        return [value]
    if len(value) % 8:
        raise InvalidInput("a list of eight-byte numbers is cut off")
    return list(struct.unpack(f"<{len(value) // 8}Q", value))


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("a text is not valid UTF-8") from error


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise InvalidInput("a field has the wrong type; is it an ExportMetricsServiceRequest?")
    return value


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise InvalidInput("a field has the wrong type; is it an ExportMetricsServiceRequest?")
    return value
