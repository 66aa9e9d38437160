"""Fuzz the reader of OpenTelemetry's metrics, in protobuf and in JSON.

    in   byte 0: encoding (mod 2); byte 1: resolution (mod 4), deltas taken as they are (bit 2);
         the rest: the body
    out  AssertionError, or anything but InvalidInput, is a finding

The kernel's way and the slow one say the same; whatever protobuf's own library reads means the same
once that library has written it again; names are canonical or refused; counts hold together.
tests/fuzz/test_fuzz_otlp.py replays the corpus.

Run      python tests/fuzz/fuzz_otlp.py -max_total_time=10 tests/fuzz/corpus/otlp
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["tsdb.parse.otlp"]):
        import tsdb.parse.otlp.parse  # noqa: F401  (first here, so that it is instrumented)

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tsdb.batch import TAIL_MARK
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse.otlp.bulk import KnownOrigins, parse_bulk
from tsdb.parse.otlp.parse import Found, parse_json, parse_protobuf
from tsdb.parse.otlp.series import Options

RESOLUTIONS = list(Resolution)
Rows = list[tuple[str, int, int]]


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    resolution, options = RESOLUTIONS[data[1] % 4], Options(frozenset({"a"}), bool(data[1] & 4))
    body = data[2:]
    if data[0] % 2:
        found = _found(parse_json, body, resolution, options)
        return found is not None and bool(rows_of(found))
    found = _found(parse_protobuf, body, resolution, options)
    bulk = _found(_parse_bulk, body, resolution, options)
    if found is None:
        return bulk is not None and bool(rows_of(bulk))
    rows = rows_of(found)
    assert bulk is not None
    assert rows_of(bulk) == rows
    assert bulk.points == found.points
    try:
        again = ExportMetricsServiceRequest.FromString(body).SerializeToString()
    except DecodeError:  # it looks into parts that say nothing about points
        return bool(rows)
    written = _found(parse_protobuf, again, resolution, options)
    assert written is not None
    assert rows_of(written) == rows
    assert (written.points, written.refused) == (found.points, found.refused)
    return bool(rows)


def _found(parse, body: bytes, resolution: Resolution, options: Options) -> Found | None:
    try:
        return parse(body, resolution, options)
    except InvalidInput:
        return None


def _parse_bulk(body: bytes, resolution: Resolution, options: Options) -> Found:
    return parse_bulk(body, resolution, options, KnownOrigins())


def rows_of(found: Found) -> Rows:
    parsed = found.parsed
    columns = parsed.columns
    assert columns.offsets[-1] == columns.points
    assert 0 <= found.refused <= found.points
    text = parsed.key_bytes.tobytes()
    rows: Rows = []
    for run in range(columns.runs):
        raw = text[parsed.key_starts[run] : parsed.key_ends[run]]
        if parsed.tail_starts is not None and parsed.tail_ends is not None:
            raw += TAIL_MARK + text[parsed.tail_starts[run] : parsed.tail_ends[run]]
        try:
            key = str(labels.parse(parsed.canonical(raw)))
        except InvalidInput:
            continue  # the slow way refuses it before
        first, last = columns.offsets[run], columns.offsets[run + 1]
        bits = columns.values[first:last].view(np.uint64).tolist()
        stamps = columns.timestamps[first:last].tolist()
        rows += [(key, at, value) for at, value in zip(stamps, bits, strict=True)]
    return rows


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
