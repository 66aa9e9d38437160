"""Fuzz the parsers of bodies: kernel and slow twin judge every byte alike, bombs stay capped.

    in   byte 0: what the rest is (mod 5): JSON lines, points of one key, CSV, a time, a
         compressed body; byte 1: resolution (mod 4) or encoding (mod 4); the rest: the body
    out  AssertionError, or a crash of the kernel, is a finding

The kernels cannot be instrumented; their twins in Python are, and lead the fuzzer into the
grammar. tests/fuzz/test_fuzz_parse.py replays the kept corpus in the ordinary test run.

Run      python tests/fuzz/fuzz_parse.py -max_total_time=10 tests/fuzz/corpus/parse
         NUMBA_BOUNDSCHECK=1 in front of it checks every byte the kernels touch
"""

from __future__ import annotations

import sys
from collections.abc import Callable

if __name__ == "__main__":
    import atheris

    import tsdb.parse.kernels.csv_text
    import tsdb.parse.kernels.json_text  # numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["tsdb.parse"]):
        import tsdb.parse.csv_lines
        import tsdb.parse.json_lines
        import tsdb.parse.points_json  # noqa: F401  (first here, so that they are instrumented)

import numpy as np

from tsdb.batch import Columns, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import compression, csv_lines, json_lines, points_json, times
from tsdb.parse.csv_heading import CsvHeading
from tsdb.parse.text_buffer import is_utf8, padded

RESOLUTIONS = list(Resolution)
ENCODINGS = ("gzip", "deflate", "zstd", "snappy")
DECODED_BYTES_MAX = 1 << 16
NOW = 1_700_000_000
HEADINGS = ("timestamp,value", "series,timestamp,value", "timestamp,a,b", "host,timestamp,value,dc")


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    resolution = RESOLUTIONS[data[1] % 4]
    body = data[2:]
    kinds: tuple[Callable[[], bool], ...] = (
        lambda: check_lines(body, resolution),
        lambda: check_points(body, resolution),
        lambda: check_csv(body, resolution),
        lambda: check_time(body, resolution),
        lambda: check_compressed(body, ENCODINGS[data[1] % 4]),
    )
    return kinds[data[0] % 5]()


def runs_of(parsed: Parsed) -> list[tuple[object, list[int], list[int]]]:
    runs = []
    for i in range(parsed.columns.runs):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        run = slice(*parsed.columns.offsets[i : i + 2])
        stamps = parsed.columns.timestamps[run].tolist()
        runs.append((named(parsed.canonical, raw), stamps, bits_of(parsed.columns.values[run])))
    return runs


def named(canonical: Callable[[bytes], bytes], raw: bytes) -> object:
    try:
        return canonical(raw)
    except InvalidInput:
        return None


def bits_of(values: object) -> list[int]:
    return np.array(values, np.float64).view(np.uint64).tolist()


def check_lines(body: bytes, resolution: Resolution) -> bool:
    parsed = json_lines.parse(body, resolution)
    scale = times.decimal_exponent(resolution) - 3
    runs, refused = [], 0
    for text in body.split(b"\n"):
        if not text.strip(b" \t\r"):
            continue
        try:
            line = json_lines.slow_line(text, scale)
        except InvalidInput:
            refused += 1
            continue
        refused += bool(line.refused)
        if line.values:
            key = named(json_lines.canonical, line.key)
            runs.append((key, line.timestamps, bits_of(line.values)))
    assert runs_of(parsed) == runs
    assert len(parsed.skipped) == min(refused, 101)
    return bool(runs)


def check_points(body: bytes, resolution: Resolution) -> bool:
    def fast() -> tuple[list[int], list[int]]:
        columns = points_json.parse(body, b"key", resolution, NOW).columns
        return columns.timestamps.tolist(), bits_of(columns.values)

    def slow() -> tuple[list[int], list[int]]:
        stamps, values = points_json.slow_points(body, resolution, NOW)
        return stamps, bits_of(values)

    outcomes: list[object] = []
    for read in (fast, slow):
        try:
            outcomes.append(read())
        except InvalidInput as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    return not isinstance(outcomes[0], str)


def check_csv(body: bytes, resolution: Resolution) -> bool:
    """Against the slow twin where lines are records; else only that nothing breaks."""
    heading = HEADINGS[body[0] % 4] if body else HEADINGS[0]
    series = "x" if heading == HEADINGS[0] else None
    file = [heading.encode() + b"\n" + body[1:]]
    parts = list(csv_lines.parse(file, resolution, series=series, unit="ms"))
    in_bytes = csv_lines.parse([bytes([c]) for c in file[0]], resolution, series=series, unit="ms")
    assert [runs_of(part) for part in in_bytes] == [runs_of(part) for part in parts]
    # Names that are not UTF-8 are refused later, by `canonical`; in numbers they are no digits.
    if b'"' in body or b"\r" in body or not is_utf8(padded(body[1:], 10)):
        return any(part.columns.points for part in parts)
    form = CsvHeading.parse(heading, series)
    points, refused = 0, 0
    for record in body[1:].split(b"\n"):
        if not record.strip():
            continue
        try:
            row = csv_lines.slow_row(record.decode(), form, resolution, 3)
            points += sum(value is not None for value in row.values)
        except (InvalidInput, UnicodeDecodeError):
            refused += 1
    assert sum(part.columns.points for part in parts) == points
    assert sum(len(part.skipped) for part in parts) == min(refused, 101)
    check_columns([part.columns for part in parts])
    return points > 0


def check_columns(parts: list[Columns]) -> None:
    for columns in parts:
        assert columns.offsets[0] == 0
        assert (np.diff(columns.offsets) > 0).all()


def check_time(body: bytes, resolution: Resolution) -> bool:
    """Any text is ticks of int64 or refused."""
    try:
        ticks = times.parse_time(body.decode(errors="replace"), resolution, NOW)
    except InvalidInput:
        return False
    assert times.INT64_MIN <= ticks <= times.INT64_MAX
    return True


def check_compressed(body: bytes, encoding: str) -> bool:
    try:
        decoded = compression.decode(body, encoding, bytes_max=DECODED_BYTES_MAX)
    except InvalidInput:
        return False
    assert len(decoded) <= DECODED_BYTES_MAX
    return True


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
