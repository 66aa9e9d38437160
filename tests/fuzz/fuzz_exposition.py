"""Fuzz the parsers of Prometheus' text and of CSV by format: kernel and slow twin judge alike.

    in   byte 0: what the rest is (mod 4): text, OpenMetrics, delimited protobuf, CSV; byte 1:
         resolution (mod 4); the rest: the body
    out  AssertionError, or a crash of a kernel, is a finding

As tests/fuzz/fuzz_parse.py; tests/fuzz/test_fuzz_exposition.py replays the kept corpus.

Run      python tests/fuzz/fuzz_exposition.py -max_total_time=10 tests/fuzz/corpus/exposition
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import atheris

    import tsdb.parse.kernels.exposition  # numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["tsdb.parse"]):
        import tsdb.parse.csv_format
        import tsdb.parse.exposition
        import tsdb.parse.exposition_protobuf  # noqa: F401  (first here: they are instrumented)

import numpy as np

from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import csv_format, exposition, exposition_protobuf, exposition_text, times

RESOLUTIONS = list(Resolution)
NOW = 1_700_000_000
CSV = csv_format.CsvFormat.parse("1:label:a,2:metric:b,3:metric:c,4:time:unix_ms")


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    kinds = (check_text, check_openmetrics, check_protobuf, check_csv)
    return kinds[data[0] % 4](data[2:], RESOLUTIONS[data[1] % 4])


def named(raw: bytes) -> bytes | None:
    try:
        return exposition.canonical(raw)
    except InvalidInput:
        return None


def rows_of(parsed: Parsed) -> list[tuple[bytes | None, int, int]]:
    ranges = zip(parsed.key_starts, parsed.key_ends, strict=True)
    keys = [named(parsed.key_bytes[start:end].tobytes()) for start, end in ranges]
    columns = parsed.columns
    assert columns.offsets.tolist() == list(range(columns.runs + 1))
    bits = columns.values.view(np.uint64).tolist()
    return list(zip(keys, columns.timestamps.tolist(), bits, strict=True))


def slowly(body: bytes, form: exposition.Format) -> list[tuple[bytes | None, int, int]]:
    rows = []
    for line in body.split(b"\n"):
        if line[:1] == b"#":
            continue
        try:
            found = exposition_text.read_line(line.rstrip(exposition_text.BLANK), form)
        except InvalidInput:
            continue
        if found is not None:
            series = named(line[found.key_start : found.key_end])
            rows.append((series, found.ticks, found.bits))
    return [row for row in rows if row[0] is not None]


def check_text(body: bytes, resolution: Resolution) -> bool:
    parsed = exposition.parse(body, resolution, now_ticks=NOW)
    rows = slowly(body, exposition.Format(times.decimal_exponent(resolution), NOW))
    assert [row for row in rows_of(parsed) if row[0] is not None] == rows
    return bool(rows)


def check_openmetrics(body: bytes, resolution: Resolution) -> bool:
    """What stands before the end; with lines that are wrong, strict refuses."""
    body = body.replace(b"# EOF", b"") + b"\n# EOF\n"
    parsed = exposition.parse(body, resolution, now_ticks=NOW, openmetrics=True)
    exponent = times.decimal_exponent(resolution)
    rows = slowly(body, exposition.Format(exponent, NOW, openmetrics=True))
    assert [row for row in rows_of(parsed) if row[0] is not None] == rows
    try:
        whole = exposition.parse(body, resolution, now_ticks=NOW, openmetrics=True, strict=True)
        assert not parsed.skipped
        assert len(whole.exemplars) == len(parsed.exemplars)
    except InvalidInput:
        assert parsed.skipped
    return bool(rows)


def check_protobuf(body: bytes, resolution: Resolution) -> bool:
    """Any bytes are text or refused."""
    try:
        text = exposition_protobuf.text_of(body)
    except InvalidInput:
        return False
    return exposition.parse(text, resolution, now_ticks=NOW).columns.runs > 0


def check_csv(body: bytes, resolution: Resolution) -> bool:
    parsed = csv_format.parse(body, CSV, resolution, now_ticks=NOW)
    assert parsed.columns.runs == parsed.columns.points
    return parsed.columns.runs > 0


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
