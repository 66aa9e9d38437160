"""Fuzz the reader of InfluxDB's line protocol: kernel and slow twin judge every line alike.

    in   byte 0: precision (mod 7); byte 1: resolution (mod 4); the rest: the body
    out  AssertionError, or a crash of a kernel, is a finding

The slow twin reads the body line by line; where lines end is judged by a splitter of its own. As
tests/fuzz/fuzz_parse.py; tests/fuzz/test_fuzz_line_protocol.py replays the kept corpus.

Run      python tests/fuzz/fuzz_line_protocol.py -max_total_time=10 tests/fuzz/corpus/line_protocol
"""

from __future__ import annotations

import re
import sys

if __name__ == "__main__":
    import atheris

    import tsdb.parse.kernels.line_protocol
    import tsdb.parse.kernels.line_protocol_keys  # numba cannot compile what is instrumented

    with atheris.instrument_imports(include=["tsdb.parse"]):
        import tsdb.parse.line_protocol  # noqa: F401  (first here, so that it is instrumented)

import numpy as np

from tsdb.batch import TAIL_MARK, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import line_protocol
from tsdb.parse.line_protocol import Naming, Times

RESOLUTIONS = list(Resolution)
PRECISIONS = [*line_protocol.PRECISIONS, line_protocol.AUTO]
NAMING = Naming("d")
NOW = 1_700_000_000
SENTENCES_MAX = 100
BLANKS = b" \t\r\n"
# A comment; or a head, and fields in which a quoted text may hold newlines.
_TEXT = rb'="(?:[^"\\]|\\(?s:.))*+(?:"|\\?\Z)'
_LINE = re.compile(
    rb"[ \t]*+(?:#[^\n]*+|(?:[^ \n\\]|\\[^\n]|\\(?=\n|\Z))*+(?:" + _TEXT
    + rb"|[^\n\\]|\\[^\n]|\\(?=\n|\Z))*+)(?:\n|\Z)"
)  # fmt: skip

Row = tuple[bytes | None, int, int]


def check(data: bytes) -> bool:
    """Whether the input held anything that is kept."""
    if len(data) < 2:
        return False
    precision, resolution = PRECISIONS[data[0] % 7], RESOLUTIONS[data[1] % 4]
    body = data[2:]
    found = line_protocol.parse(body, resolution, precision=precision, now_ticks=NOW, naming=NAMING)
    rows, refused, strings = slowly(body, Times.of(precision, resolution, NOW), found.points)
    assert rows_of(found.points) == rows
    assert found.points.skipped == tuple(refused[:SENTENCES_MAX])
    assert len(refused) == len(found.points.skipped) + found.points.skipped_more
    assert found.strings == strings
    return bool(rows)


def rows_of(points: Parsed) -> list[Row]:
    columns = points.columns
    assert points.tail_starts is not None
    assert points.tail_ends is not None
    assert points.canonical_many is not None
    keys, offsets = points.canonical_many(np.arange(columns.runs))
    text = points.key_bytes.tobytes()
    rows = []
    for i in range(columns.runs):
        head = text[points.key_starts[i] : points.key_ends[i]]
        tail = text[points.tail_starts[i] : points.tail_ends[i]]
        key = named(points, head + TAIL_MARK + tail)
        assert keys[offsets[i] : offsets[i + 1]].tobytes() in (b"", key)
        bits = int(columns.values[i : i + 1].view(np.uint64)[0])
        rows.append((key, int(columns.timestamps[i]), bits))
    return rows


def named(points: Parsed, raw: bytes) -> bytes | None:
    try:
        return points.canonical(raw)
    except InvalidInput:
        return None


def slowly(body: bytes, times: Times, points: Parsed) -> tuple[list[Row], list[str], int]:
    """(points, what is wrong, texts), a line at a time."""
    rows: list[Row] = []
    refused = []
    strings = at = 0
    number = 1
    while at < len(body):
        line = _LINE.match(body, at)
        assert line is not None, body[at:]
        text, begun = line[0].strip(BLANKS), number
        at, number = line.end(), number + line[0].count(b"\n")
        if not text or text.startswith(b"#"):
            continue
        try:
            one = line_protocol.slow_line(text, times)
        except InvalidInput as error:
            refused.append(f"line {begun}: {error}")
            continue
        strings += one.strings
        head = text[slice(*one.head)]
        for start, end, value in one.fields:
            bits = int(np.array([value]).view(np.uint64)[0])
            rows.append((named(points, head + TAIL_MARK + text[start:end]), one.ticks, bits))
    return rows, refused, strings


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
