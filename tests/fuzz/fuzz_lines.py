"""Fuzz the parsers of lines and value lists: kernel and slow twin judge every line alike.

    in   byte 0: what the rest is (mod 5): Graphite, put lines, collectd, OpenTSDB's JSON, a
         pickle; byte 1: resolution (mod 4); the rest: the body
    out  AssertionError, or a crash of a kernel, is a finding

As tests/fuzz/fuzz_parse.py; tests/fuzz/test_fuzz_lines.py replays the kept corpus.

Run      python tests/fuzz/fuzz_lines.py -max_total_time=10 tests/fuzz/corpus/lines
"""

from __future__ import annotations

import sys
from collections.abc import Callable

if __name__ == "__main__":
    import atheris

    import tsdb.parse.kernels.graphite
    import tsdb.parse.kernels.json_text
    import tsdb.parse.kernels.put_lines  # numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["tsdb.parse"]):
        import tsdb.parse.collectd
        import tsdb.parse.graphite
        import tsdb.parse.graphite_pickle
        import tsdb.parse.opentsdb_json
        import tsdb.parse.opentsdb_lines  # noqa: F401  (first here, so that they are instrumented)

import numpy as np

from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import collectd, graphite, graphite_pickle, opentsdb_json, opentsdb_lines, times
from tsdb.parse.line_columns import LinePoint, NoPoint

RESOLUTIONS = list(Resolution)
NOW = 1_700_000_000
SENTENCES_MAX = 100


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    kinds = (check_graphite, check_put, check_collectd, check_json, check_pickle)
    return kinds[data[0] % 5](data[2:], RESOLUTIONS[data[1] % 4])


def rows_of(parsed: Parsed) -> list[tuple[object, int, int]]:
    keys = [
        named(parsed.canonical, parsed.key_bytes[start:end].tobytes())
        for start, end in zip(parsed.key_starts, parsed.key_ends, strict=True)
    ]
    columns = parsed.columns
    assert columns.offsets.tolist() == list(range(columns.runs + 1))
    bits = columns.values.view(np.uint64).tolist()
    return list(zip(keys, columns.timestamps.tolist(), bits, strict=True))


def named(canonical: Callable[[bytes], bytes], raw: bytes) -> object:
    try:
        return canonical(raw)
    except InvalidInput:
        return None


def slowly(
    body: bytes, read: Callable[[bytes], LinePoint | NoPoint], canonical: Callable[[bytes], bytes]
) -> tuple[list[tuple[object, int, int]], int]:
    """(points, lines refused), a line at a time."""
    rows, refused = [], 0
    for line in body.split(b"\n"):
        text = line.strip(b" \t\r")
        if not text:
            continue
        try:
            point = read(text)
        except InvalidInput:
            refused += 1
            continue
        if isinstance(point, LinePoint):
            bits = int(np.array([point.value]).view(np.uint64)[0])
            rows.append((named(canonical, point.key), point.ticks, bits))
    return rows, refused


def check_graphite(body: bytes, resolution: Resolution) -> bool:
    parsed, dropped = graphite.parse(body, resolution, NOW)
    scale = times.decimal_exponent(resolution)
    rows, refused = slowly(
        body, lambda text: graphite.slow_line(text, scale, NOW), graphite.canonical
    )
    assert rows_of(parsed) == rows
    assert len(parsed.skipped) == min(refused, SENTENCES_MAX)
    assert len(parsed.skipped) + parsed.skipped_more == refused + dropped
    return bool(rows)


def check_put(body: bytes, resolution: Resolution) -> bool:
    found = opentsdb_lines.parse(body, resolution)
    commands: list[str] = []
    rows, refused = slowly(
        body,
        lambda text: opentsdb_lines.slow_line(text, resolution, commands),
        opentsdb_lines.canonical,
    )
    assert rows_of(found.points) == rows
    assert list(found.commands) == commands
    parsed = found.points
    assert len(parsed.skipped) + parsed.skipped_more == refused + found.dropped
    return bool(rows)


def check_collectd(body: bytes, resolution: Resolution) -> bool:
    """Any bytes are points or refused."""
    try:
        return bool(rows_of(collectd.parse(body, resolution, NOW)))
    except InvalidInput:
        return False


def check_json(body: bytes, resolution: Resolution) -> bool:
    try:
        reading = opentsdb_json.parse(body, resolution)
    except InvalidInput:
        return False
    rows = rows_of(reading.points)
    assert len(reading.points.skipped) <= len(reading.refusals)
    assert reading.count == len(rows) + len(reading.points.skipped) + reading.points.skipped_more
    return bool(rows)


def check_pickle(body: bytes, resolution: Resolution) -> bool:
    """Any bytes are points or refused."""
    message = len(body).to_bytes(graphite_pickle.LENGTH_BYTES, "big") + body
    parsed, _ = graphite_pickle.parse(message, resolution, NOW)
    return bool(rows_of(parsed))


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
