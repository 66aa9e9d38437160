"""Fuzz remote_write: the kernels read what the protobuf library reads, and any bytes are judged.

    in   byte 0: 1.0 or 2.0 (mod 2); byte 1: resolution (mod 4); the rest: the body
    out  AssertionError, or a crash of a kernel, is a finding

As tests/fuzz/fuzz_parse.py; tests/fuzz/test_fuzz_remote_write.py replays the kept corpus. Names are
remembered from input to input, as they are from body to body.

Run      python tests/fuzz/fuzz_remote_write.py -max_total_time=10 tests/fuzz/corpus/remote_write
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

if __name__ == "__main__":
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for benchmarks
    import atheris

    import tsdb.index.tables
    import tsdb.parse.kernels.remote_write_2
    import tsdb.parse.kernels.remote_write_keys  # numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["tsdb.parse"]):
        import tsdb.parse.remote_write  # noqa: F401  (first here, so that it is instrumented)

import numpy as np
from google.protobuf.message import DecodeError

from benchmarks.remote_write_messages import V1, V2
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse import remote_write
from tsdb.parse.remote_names import KnownNames
from tsdb.parse.text_buffer import padded

RESOLUTIONS = list(Resolution)
MS_PER_S = 1_000

known = KnownNames(bytes_max=1 << 16)  # forgets every now and then


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    is_2, resolution, body = data[0] % 2 == 1, RESOLUTIONS[data[1] % 4], data[2:]
    read = remote_write.parse_2 if is_2 else remote_write.parse_1
    try:
        parsed = read(padded(body, 0), resolution, known)
    except InvalidInput:
        return False
    rows = rows_of(parsed)
    try:
        expected = twin_2(body, resolution) if is_2 else twin_1(body, resolution)
    except DecodeError:  # a label that is no message costs its series here, there the body
        return bool(rows)
    assert rows == expected, (rows, expected)
    return bool(rows)


def rows_of(parsed: Parsed) -> list[tuple[Any, ...]]:
    columns = parsed.columns
    assert parsed.canonical_many is not None
    many, ends = parsed.canonical_many(np.arange(columns.runs))
    rows: list[tuple[Any, ...]] = []
    for i in range(columns.runs):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        key = named(parsed, raw)
        assert many[ends[i] : ends[i + 1]].tobytes() in (key, b"")
        run = slice(*columns.offsets[i : i + 2])
        bits = columns.values[run].view(np.uint64).tolist()
        rows.append((key, columns.timestamps[run].tolist(), bits))
    return rows


def named(parsed: Parsed, raw: bytes) -> bytes | None:
    try:
        return parsed.canonical(raw)
    except InvalidInput:
        return None


def twin_1(body: bytes, resolution: Resolution) -> list[tuple[Any, ...]]:
    rows = []
    for one in V1.WriteRequest.FromString(body).timeseries:
        key = canonical((label.name, label.value) for label in one.labels)
        rows += row(key, one.samples, resolution)
    return rows


def twin_2(body: bytes, resolution: Resolution) -> list[tuple[Any, ...]]:
    message = V2.Request.FromString(body)
    rows = []
    for one in message.timeseries:
        refs = list(one.labels_refs)
        if len(refs) % 2 or len(refs) > remote_write.REFS_MAX:
            continue
        if any(ref >= len(message.symbols) for ref in refs):
            continue
        texts = [message.symbols[ref] for ref in refs]
        rows += row(canonical(zip(texts[::2], texts[1::2], strict=True)), one.samples, resolution)
    return rows


def row(key: bytes | None, samples: Any, resolution: Resolution) -> list[tuple[Any, ...]]:
    points = [(tick(s.timestamp, resolution), s.value) for s in samples]
    points = [(t, v) for t, v in points if -(1 << 63) <= t < 1 << 63]
    bits = np.array([v for _, v in points], np.float64).view(np.uint64).tolist()
    return [(key, [t for t, _ in points], bits)] if points else []


def tick(ms: int, resolution: Resolution) -> int:
    """The nearest one, half up."""
    return (2 * ms * resolution.ticks_per_s + MS_PER_S) // (2 * MS_PER_S)


def canonical(pairs: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    try:
        return labels.canonical_pairs(pairs)
    except InvalidInput:
        return None


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
