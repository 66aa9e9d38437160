"""Files of points as a stream of `Parsed`, whatever they are called and packed as.

    in   an open InputFile
    out  Parsed after Parsed (tsdb.parse.csv_lines, tsdb.parse.json_lines); runs by series

What a wrong line costs and how it is named is the parsers' business. Here is only what concerns
files: which format it is, what its one series is called, which labels the user adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from api.input_files import InputFile, open_input
from tsdb.batch import F64s, I64s, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels, canonical
from tsdb.index.labels import parse as parse_key
from tsdb.parse import csv_lines
from tsdb.query.selection import Series

__all__ = ["csv_points", "is_json", "is_one_column", "series_of", "values_alone", "with_labels"]

PIECE_BYTES = 1 << 20
JSON_SUFFIXES, CSV_SUFFIXES = {".jsonl", ".ndjson", ".json"}, {".csv", ".tsv"}
DELIMITERS = ",;\t"


def is_json(path: Path) -> bool:
    """By name, as most files say; a file without one of our endings is looked into."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if str(path) == "-" or suffixes & JSON_SUFFIXES:
        return True
    if suffixes & CSV_SUFFIXES:
        return False
    with open_input(path) as file:
        return file.content.read(1) == b"{"


def is_one_column(path: Path) -> bool:
    """Whether a CSV file holds values and no times."""
    with open_input(path) as file:
        first = next(file.pieces(PIECE_BYTES), b"").partition(b"\n")[0].decode("utf-8", "replace")
    return bool(first.strip()) and not any(delimiter in first for delimiter in DELIMITERS)


def csv_points(
    file: InputFile, resolution: Resolution, *, series: str | None, otherwise: str, unit: str
) -> Iterator[Parsed]:
    """A CSV file with a heading. A file that names no series is `series`, or else `otherwise`."""
    pieces = file.pieces(PIECE_BYTES)
    first = next(pieces, b"")
    heading = first.partition(b"\n")[0].decode("utf-8-sig", "replace").lower()
    cells = {cell.strip(' "\r') for cell in heading.replace(";", ",").replace("\t", ",").split(",")}
    if series is None and "value" in cells and len(cells) == 2:
        series = otherwise
    return csv_lines.parse(chain([first], pieces), resolution, series=series, unit=unit)


def values_alone(file: InputFile) -> F64s:
    """The numbers of a file of one column, with or without a heading."""
    lines = b"".join(file.pieces(PIECE_BYTES)).split()
    for skipped in (0, 1):
        try:
            return np.array([float(line) for line in lines[skipped:]], np.float64)
        except ValueError as error:
            if skipped:
                raise InvalidInput(f"{file.name}: {error}") from error
    raise AssertionError("unreachable: the second round returns or raises")


def with_labels(parsed: Parsed, labels: Mapping[str, str]) -> Parsed:
    """The same points in series that have these labels too; a label of the file's own is kept."""
    if not labels:
        return parsed

    def extended(raw: bytes) -> bytes:
        return canonical({**labels, **parse_key(parsed.canonical(raw))})

    # Names are remembered by form: the same bytes now mean another series.
    return replace(parsed, form=f"{parsed.form} {sorted(labels.items())}", canonical=extended)


def series_of(parsed: Parsed, refused: list[str]) -> list[Series]:
    """Runs by series, each series once. One whose name is no name is told in `refused`."""
    columns = parsed.columns
    runs: dict[bytes, list[tuple[I64s, F64s]]] = {}
    text = parsed.key_bytes.tobytes()
    keys = zip(parsed.key_starts.tolist(), parsed.key_ends.tolist(), strict=True)
    bounds = columns.offsets.tolist()
    for (start, end), low, high in zip(keys, bounds[:-1], bounds[1:], strict=True):
        points = columns.timestamps[low:high], columns.values[low:high]
        runs.setdefault(text[start:end], []).append(points)
    found: dict[Labels, Series] = {}
    for raw, pieces in runs.items():
        try:
            labels = parse_key(parsed.canonical(raw))
        except InvalidInput as error:
            refused.append(str(error))
            continue
        stamps, values = (np.concatenate(column) for column in zip(*pieces, strict=True))
        found[labels] = Series(labels, stamps, values)
    return list(found.values())
