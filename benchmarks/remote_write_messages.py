"""Messages of remote_write 1.0 and 2.0 as the protobuf library has them: for tests and benchmarks.

V1.WriteRequest, V1.TimeSeries ...   prometheus.*
V2.Request, V2.TimeSeries ...        io.prometheus.write.v2.*
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["V1", "V2", "request_1", "request_2"]

KINDS = {"double": 1, "int64": 3, "string": 9, "uint32": 13, "enum": 5, "uint64": 4}
V1_FIELDS: dict[str, list[tuple[int, str, str]]] = {
    "Label": [(1, "name", "bytes"), (2, "value", "bytes")],
    "Sample": [(1, "value", "double"), (2, "timestamp", "int64")],
    "Exemplar": [(1, "labels", "*Label"), (2, "value", "double"), (3, "timestamp", "int64")],
    "Histogram": [(1, "count_int", "uint64"), (3, "sum", "double"), (15, "timestamp", "int64")],
    "TimeSeries": [
        (1, "labels", "*Label"), (2, "samples", "*Sample"), (3, "exemplars", "*Exemplar"),
        (4, "histograms", "*Histogram"), (99, "unknown", "bytes"),
    ],
    "MetricMetadata": [
        (1, "type", "enum"), (2, "metric_family_name", "string"), (4, "help", "string"),
        (5, "unit", "string"),
    ],
    "WriteRequest": [
        (1, "timeseries", "*TimeSeries"), (3, "metadata", "*MetricMetadata"),
        (77, "unknown", "*uint64"),
    ],
}  # fmt: skip
V2_FIELDS: dict[str, list[tuple[int, str, str]]] = {
    "Sample": V1_FIELDS["Sample"],
    "Histogram": V1_FIELDS["Histogram"],
    "Exemplar": [(1, "labels_refs", "*uint32"), (2, "value", "double"), (3, "timestamp", "int64")],
    "Metadata": [(1, "type", "enum"), (3, "help_ref", "uint32"), (4, "unit_ref", "uint32")],
    "TimeSeries": [
        (1, "labels_refs", "*uint32"), (2, "samples", "*Sample"), (3, "histograms", "*Histogram"),
        (4, "exemplars", "*Exemplar"), (5, "metadata", "Metadata"),
        (6, "created_timestamp", "int64"),
    ],
    "Request": [(4, "symbols", "*bytes"), (5, "timeseries", "*TimeSeries")],
}  # fmt: skip


def _classes(package: str, messages: dict[str, list[tuple[int, str, str]]]) -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, field, written in fields:
            one = message.field.add(name=field, number=number, label=3 if written[0] == "*" else 1)
            kind = written.lstrip("*")
            if kind in messages:
                one.type, one.type_name = 11, f".{package}.{kind}"
            else:
                one.type = 12 if kind == "bytes" else KINDS[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    found = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }
    return SimpleNamespace(**found)


V1: Any = _classes("prometheus", V1_FIELDS)
V2: Any = _classes("io.prometheus.write.v2", V2_FIELDS)


def request_1(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Any:
    """A WriteRequest of (labels, points as (ms, value)); labels in the order given."""
    return V1.WriteRequest(
        timeseries=[
            V1.TimeSeries(
                labels=[V1.Label(name=n.encode(), value=v.encode()) for n, v in labels.items()],
                samples=[V1.Sample(timestamp=t, value=v) for t, v in points],
            )
            for labels, points in series
        ]
    )


def request_2(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Any:
    """The same as a 2.0 Request."""
    symbols: dict[bytes, int] = {b"": 0}
    found = []
    for labels, points in series:
        texts = [text.encode() for pair in labels.items() for text in pair]
        refs = [symbols.setdefault(text, len(symbols)) for text in texts]
        samples = [V2.Sample(timestamp=t, value=v) for t, v in points]
        found.append(V2.TimeSeries(labels_refs=refs, samples=samples))
    return V2.Request(symbols=list(symbols), timeseries=found)
