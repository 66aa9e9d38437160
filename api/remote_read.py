"""Prometheus' remote_read: what a request asks, and the answer in samples.

Chunks, the other kind of answer, are `api.remote_read_chunks`.

    in   protobuf ReadRequest, decompressed; label sets with their points
    out  queries, the kind of answer to give; protobuf ReadResponse

    ReadRequest   1 queries { 1 start_ms, 2 end_ms, 3 matchers { 1 type, 2 name, 3 value } },
                  2 accepted_response_types
    ReadResponse  1 results { 1 timeseries { 1 labels { 1 name, 2 value },
                                             2 samples { 1 value double, 2 timestamp_ms } } }

A sample of this century has 18 bytes, so that a series' samples are one array.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tsdb.batch import Columns, F64s, I64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index.matchers import Matcher, Op

__all__ = [
    "CHUNKS",
    "SAMPLES",
    "ReadQuery",
    "field",
    "in_milliseconds",
    "kind_of",
    "labels_of",
    "queries_of",
    "series",
    "varint",
]

SAMPLES, CHUNKS = 0, 1  # kinds of answers

OPS = (Op.EQUAL, Op.NOT_EQUAL, Op.MATCH, Op.NOT_MATCH)
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIX_BYTES = (1 << 35, 1 << 42)  # what varints of six bytes hold: from 1971 to 2109 in ms
SAMPLE = np.dtype([("head", "u1", 3), ("value", "<f8"), ("tag", "u1"), ("time", "u1", 6)])
U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ReadQuery:
    start_ms: int
    end_ms: int
    matchers: tuple[Matcher, ...]


def queries_of(body: bytes) -> list[ReadQuery]:
    """Raises InvalidInput for what is no ReadRequest."""
    return [_query(_bytes(value)) for number, value in _fields(body) if number == 1]


def kind_of(body: bytes) -> int:
    """SAMPLES or CHUNKS: the first of the kinds that a request accepts and we have; a request
    that names none means samples. Raises InvalidInput where there is none."""
    accepted: list[int] = []
    for number, value in _fields(body):
        if number == 2:
            accepted += [value] if isinstance(value, int) else _packed(value)
    for kind in accepted or [SAMPLES]:
        if kind in {SAMPLES, CHUNKS}:
            return kind
    raise InvalidInput(
        f"none of the response types {accepted[:9]} is known: there are SAMPLES (0) and "
        "STREAMED_XOR_CHUNKS (1)"
    )


def _packed(body: bytes) -> list[int]:
    found, at = [], 0
    while at < len(body):
        value, at = _varint_at(body, at)
        found.append(value)
    return found


def _query(body: bytes) -> ReadQuery:
    start = end = 0
    matchers = []
    for number, value in _fields(body):
        if number == 1:
            start = _signed(value)
        elif number == 2:
            end = _signed(value)
        elif number == 3:
            matchers.append(_matcher(_bytes(value)))
    return ReadQuery(start, end, tuple(matchers))


def _matcher(body: bytes) -> Matcher:
    kind, name, text = 0, b"", b""
    for number, value in _fields(body):
        if number == 1:
            kind = _signed(value)
        elif number == 2:
            name = _bytes(value)
        elif number == 3:
            text = _bytes(value)
    if not 0 <= kind < len(OPS):
        raise InvalidInput(f"a matcher of type {kind} is none that Prometheus knows")
    try:
        return Matcher(name.decode(), OPS[kind], text.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput("a matcher is not valid UTF-8") from error


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field; fixed ones as bytes."""
    at = 0
    while at < len(body):
        tag, at = _varint_at(body, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint_at(body, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint_at(body, at)
        elif kind in {FIXED64, FIXED32}:
            size = 8 if kind == FIXED64 else 4
        else:
            raise InvalidInput("the body is no ReadRequest")
        if at + size > len(body):
            raise InvalidInput("the body ends within a field")
        yield tag >> 3, body[at : at + size]
        at += size


def _varint_at(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            raise InvalidInput("the body ends within a number")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & U64, at
    raise InvalidInput("a number of the body has more than ten bytes")


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise InvalidInput("the body is no ReadRequest: text where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise InvalidInput("the body is no ReadRequest: a number where text belongs")
    return value


# --- the answer ----------------------------------------------------------------------------------


def field(number: int, value: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def series(labels: Mapping[str, str], times_ms: I64s, values: F64s) -> bytes:
    """One TimeSeries."""
    return labels_of(labels) + _samples(times_ms, values)


def labels_of(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode()))
        for name, value in labels.items()
    )


def in_milliseconds(columns: Columns, resolution: Resolution) -> Columns:
    """The points at milliseconds; of several within one the last, as Prometheus knows one."""
    per_s = resolution.ticks_per_s
    if per_s == 1000:
        return columns
    if per_s < 1000:
        return Columns(columns.offsets, columns.timestamps * (1000 // per_s), columns.values)
    stamps = columns.timestamps // (per_s // 1000)
    last = np.append(stamps[1:] != stamps[:-1], True)[: stamps.size]
    ends = columns.offsets[1:]
    last[ends[ends > 0] - 1] = True
    kept_before = np.concatenate(([0], np.cumsum(last))).astype(np.int64)
    return Columns(kept_before[columns.offsets], stamps[last], columns.values[last])


def _samples(times: I64s, values: F64s) -> bytes:
    low, high = SIX_BYTES
    if times.size and low <= times[0] and times[-1] < high:
        rows = np.empty(times.size, SAMPLE)
        rows["head"], rows["value"], rows["tag"] = (0x12, 0x10, 0x09), values, 0x10
        for i in range(6):
            more = 0x80 if i < 5 else 0
            rows["time"][:, i] = (times >> 7 * i & 0x7F) | more
        return rows.tobytes()
    pairs = zip(times.tolist(), values.view(np.uint64).tolist(), strict=True)
    return b"".join(
        field(2, struct.pack("<BQB", 0x09, bits, 0x10) + varint(at)) for at, bits in pairs
    )


def varint(number: int) -> bytes:
    """As of an int64 or uint64 field: negative ones take ten bytes."""
    number &= U64
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
