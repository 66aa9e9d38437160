"""Series as an Arrow IPC stream: what polars, pandas, duckdb, R and Spark read without parsing.

    in   selection
    out  bytes of the streaming format, columns
         labels     dictionary of text, each a JSON object such as {"__name__":"cpu","host":"a"}
         timestamp  timestamp of the database's unit in UTC
         value      float64, all bits as stored

Points go out as they lie in memory; labels once a series, then four bytes a point. The stream is
a schema, one dictionary and record batches, each a flatbuffer of fixed shape (Arrow columnar
format 1.5, "IPC Streaming Format"). Writing those few tables here costs less than a library of
24 MB that only writes; the tests read the bytes back with one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import orjson

from api.encode.flatbuffer import Field, Table, Text, Vector, serialized
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution

if TYPE_CHECKING:
    from tsdb.query.selection import Selection

__all__ = ["MEDIA_TYPE", "stream", "stream_of"]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
BATCH_POINTS = 1 << 16

_CONTINUES, _END = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x00\x00\x00\x00"
_VERSION_5 = 4
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3  # union MessageHeader
_INT, _FLOATING_POINT, _UTF8, _TIMESTAMP = 2, 3, 5, 10  # union Type
_UNITS = {Resolution.S: 0, Resolution.MS: 1, Resolution.US: 2, Resolution.NS: 3}
_DOUBLE = 2
_DICTIONARY_ID = 0


def stream(selection: Selection) -> Iterator[bytes]:
    """The stream in pieces of at most BATCH_POINTS points."""
    return stream_of(selection.labels(), selection.columns(), selection.resolution)


def stream_of(
    labels: Iterable[Mapping[str, str]], columns: Columns, resolution: Resolution
) -> Iterator[bytes]:
    """The same of any runs with a label set each."""
    yield _message(_SCHEMA, _schema(resolution), [])
    yield _dictionary([orjson.dumps(dict(each)) for each in labels])
    for at in range(0, columns.points, BATCH_POINTS):
        yield _points(columns, at, min(at + BATCH_POINTS, columns.points))
    yield _END


def _schema(resolution: Resolution) -> Table:
    index = Table({0: ("i", 32), 1: ("?", True)})
    kinds = [
        ("labels", _UTF8, Table({}), Table({0: ("q", _DICTIONARY_ID), 1: index})),
        ("timestamp", _TIMESTAMP, Table({0: ("h", _UNITS[resolution]), 1: Text("UTC")}), None),
        ("value", _FLOATING_POINT, Table({0: ("h", _DOUBLE)}), None),
    ]
    fields = []
    for name, kind, parameters, dictionary in kinds:
        slots: dict[int, Field] = {0: Text(name), 2: ("B", kind), 3: parameters, 5: Vector([])}
        if dictionary:
            slots[4] = dictionary
        fields.append(Table(slots))
    return Table({1: Vector(fields)})


def _dictionary(texts: list[bytes]) -> bytes:
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    buffers = [b"", offsets.tobytes(), b"".join(texts)]
    batch = _record_batch(len(texts), 1, buffers)
    return _message(_DICTIONARY_BATCH, Table({0: ("q", _DICTIONARY_ID), 1: batch}), buffers)


def _points(columns: Columns, first: int, last: int) -> bytes:
    places = np.arange(first, last)
    runs = np.searchsorted(columns.offsets, places, side="right") - 1
    buffers = [
        b"",  # no validity bitmaps: nothing is null
        runs.astype(np.int32).tobytes(),
        b"",
        columns.timestamps[first:last].tobytes(),
        b"",
        columns.values[first:last].tobytes(),
    ]
    return _message(_RECORD_BATCH, _record_batch(last - first, 3, buffers), buffers)


def _record_batch(length: int, nodes: int, buffers: list[bytes]) -> Table:
    places: list[bytes] = []
    at = 0
    for buffer in buffers:
        places.append(struct.pack("<qq", at, len(buffer)))
        at += _padded_size(len(buffer))
    node = struct.pack("<qq", length, 0)
    return Table({0: ("q", length), 1: Vector([node] * nodes), 2: Vector(places)})


def _message(kind: int, header: Table, buffers: list[bytes]) -> bytes:
    body = b"".join(buffer.ljust(_padded_size(len(buffer)), b"\0") for buffer in buffers)
    head = serialized(Table({0: ("h", _VERSION_5), 1: ("B", kind), 2: header, 3: ("q", len(body))}))
    return _CONTINUES + struct.pack("<i", len(head)) + head + body


def _padded_size(size: int) -> int:
    return -(-size // 8) * 8
