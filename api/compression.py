"""How well points compress, and why: the report behind `silverback compress`.

    in   Source: columns from a file or a workload
    out  Figures: bits a timestamp and a value, bytes a point, the share of each control code

The real encoder runs over every point and its output is decoded and compared bit for bit, so a
figure that is printed belongs to data that came back. Shares stand beside those of the Gorilla
paper (VLDB 2015, figures 3 and 5). Chunk headers and padding are counted.

Price: three passes, about 40 ns a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from api import workloads
from api.exits import CommandFailed, Exit
from api.input_files import open_input, stem_of
from api.parsed_files import csv_points, is_one_column, series_of, values_alone
from tsdb import limits
from tsdb.batch import Columns, F64s, I64s
from tsdb.codec import gorilla
from tsdb.codec.accounting import Accounting, Code, account, alp_bits_per_value
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels

__all__ = ["PAPER_SHARES", "Figures", "Source", "expand", "measure", "read_file", "read_workload"]

RAW_POINT_BYTES, RAW_VALUE_BYTES = 16, 8
SUFFIXES = (".csv", ".tsv", ".bin")
TIMESTAMP_CODES = (
    Code.DOD_0,
    Code.DOD_10,
    Code.DOD_110,
    Code.DOD_1110,
    Code.DOD_1111,
    Code.DOD_ESCAPE,
)
VALUE_CODES = (Code.XOR_0, Code.XOR_10, Code.XOR_11)
PAPER_SHARES = {Code.DOD_0: 0.96, Code.XOR_0: 0.51, Code.XOR_10: 0.30, Code.XOR_11: 0.19}


@dataclass(frozen=True, slots=True)
class Source:
    """Runs of points under one name. `timed` is False for a file that holds values alone."""

    name: str
    columns: Columns
    resolution: Resolution
    timed: bool = True
    skipped: tuple[str, ...] = ()  # a sentence for each line that holds no point


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts over one source or several; ratios are worked out from them."""

    name: str
    series: int
    points: int
    chunks: int
    timed_points: int
    timestamp_bits: int
    value_bits: int
    padding_bits: int
    uses: dict[Code, int]
    alp_bits_per_value: float | None = None

    @property
    def bits_per_timestamp(self) -> float | None:
        return self.timestamp_bits / self.timed_points if self.timed_points else None

    @property
    def bits_per_value(self) -> float:
        return self.value_bits / max(self.points, 1)

    @property
    def bytes_per_point(self) -> float:
        bits = self.timestamp_bits + self.value_bits + self.padding_bits
        return bits / 8 / max(self.points, 1)

    @property
    def raw_bytes(self) -> int:
        untimed = self.points - self.timed_points
        return RAW_POINT_BYTES * self.timed_points + RAW_VALUE_BYTES * untimed

    @property
    def ratio(self) -> float:
        """How many times smaller than 16 B a point (8 B where there are no timestamps)."""
        return self.raw_bytes / max(self.points * self.bytes_per_point, 1)

    def share(self, code: Code) -> float:
        """Of the timestamps' codes or of the values' codes, whichever `code` belongs to."""
        family = TIMESTAMP_CODES if code in TIMESTAMP_CODES else VALUE_CODES
        return self.uses[code] / max(sum(self.uses[c] for c in family), 1)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            "total",
            self.series + other.series,
            self.points + other.points,
            self.chunks + other.chunks,
            self.timed_points + other.timed_points,
            self.timestamp_bits + other.timestamp_bits,
            self.value_bits + other.value_bits,
            self.padding_bits + other.padding_bits,
            {code: self.uses[code] + other.uses[code] for code in Code},
        )

    def document(self) -> dict[str, Any]:
        """For --json."""
        codes = (*(TIMESTAMP_CODES if self.timed_points else ()), *VALUE_CODES)
        return {
            "name": self.name,
            "series": self.series,
            "points": self.points,
            "chunks": self.chunks,
            "bits_per_timestamp": self.bits_per_timestamp,
            "bits_per_value": self.bits_per_value,
            "bytes_per_point": self.bytes_per_point,
            "ratio": self.ratio,
            "shares": {code.name.lower(): self.share(code) for code in codes},
            "alp_bits_per_value": self.alp_bits_per_value,
        }


def total(figures: Iterable[Figures]) -> Figures:
    return reduce(Figures.__add__, figures)


def measure(source: Source, *, chunk_points: int = limits.CHUNK_POINTS_MAX) -> Figures:
    """Encode, decode, compare, count. CommandFailed if a single bit came back changed."""
    columns = _cut(source.columns, chunk_points)
    accounting = account(columns, source.resolution)
    _check_round_trip(source, columns, accounting)
    bits = {code: count for code, (_, count) in accounting.by_code().items()}
    timed = source.timed
    return Figures(
        source.name,
        source.columns.runs,
        columns.points,
        columns.runs,
        columns.points if timed else 0,
        sum(bits[code] for code in Code if code < Code.FIRST_VALUE) if timed else 0,
        sum(bits[code] for code in Code if Code.FIRST_VALUE <= code < Code.PADDING),
        bits[Code.PADDING] if timed else 0,
        {code: count for code, (count, _) in accounting.by_code().items()}
        | (dict.fromkeys(TIMESTAMP_CODES, 0) if not timed else {}),
        alp_bits_per_value(columns.values),
    )


def _cut(columns: Columns, chunk_points: int) -> Columns:
    """The same points in runs of at most `chunk_points`, as the database would store them."""
    counts = np.diff(columns.offsets)
    chunks = -(-counts // chunk_points)
    first = np.repeat(np.cumsum(chunks) - chunks, chunks)
    starts = np.repeat(columns.offsets[:-1], chunks)
    starts += (np.arange(chunks.sum()) - first) * chunk_points
    offsets: I64s = np.append(starts, columns.points).astype(np.int64)
    return Columns(offsets, columns.timestamps, columns.values)


def _check_round_trip(source: Source, columns: Columns, accounting: Accounting) -> None:
    data, offsets = gorilla.encode_runs(columns, source.resolution)
    padded = np.zeros(data.size + gorilla.DECODE_SLACK_BYTES, np.uint8)
    padded[: data.size] = data
    counts = np.diff(columns.offsets)
    back = gorilla.decode_chunks(padded, offsets[:-1], offsets[1:], counts, source.resolution)
    same = (
        np.array_equal(back.timestamps, columns.timestamps)
        and np.array_equal(back.values.view(np.uint64), columns.values.view(np.uint64))
        and accounting.encoded_bytes == data.size
    )
    if not same:
        raise CommandFailed(f"{source.name}: what came back is not what went in", Exit.DIFFERENT)


# --- where points come from -----------------------------------------------------------------------


def expand(paths: Iterable[Path]) -> list[Path]:
    """Files, and the data files below folders, in order."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            p
            for p in sorted(path.rglob("*"))
            if p.is_file()
            and p.with_suffix("" if p.suffix in {".gz", ".zst"} else p.suffix).suffix in SUFFIXES
        ]
        if not inside:
            raise InvalidInput(f"{path} holds no {', '.join(SUFFIXES)} files")
        found += inside
    return found


def read_workload(name: str, *, seed: int = workloads.SEED) -> Source:
    if name not in workloads.WORKLOADS:
        raise InvalidInput(f"workload {name!r} is not one of {', '.join(workloads.WORKLOADS)}")
    made = workloads.generate(name, seed=seed)
    return Source(name, made.columns, Resolution.parse(made.resolution))


def read_file(path: Path, name: str, resolution: Resolution) -> Source:
    """CSV with times (tsdb.parse.csv_heading), one column of values, or float64 in a .bin file."""
    if ".bin" in path.suffixes or is_one_column(path):
        with open_input(path) as file:
            values = _float64s(path, file.content.read()) if ".bin" in path.suffixes else None
            values = values_alone(file) if values is None else values
        return _source(name, [(np.zeros(values.size, np.int64), values)], resolution, timed=False)
    pieces: dict[Labels, list[tuple[I64s, F64s]]] = {}
    refused: list[str] = []
    with open_input(path) as file:
        points = csv_points(file, resolution, series=None, otherwise=stem_of(path), unit="auto")
        for parsed in points:
            refused += parsed.skipped
            for one in series_of(parsed, refused):
                pieces.setdefault(one.labels, []).append((one.timestamps, one.values))
    runs = [
        (np.concatenate([t for t, _ in parts]), np.concatenate([v for _, v in parts]))
        for parts in pieces.values()
    ]
    return _source(name, runs, resolution, timed=True, skipped=tuple(refused))


def _float64s(path: Path, data: bytes) -> F64s:
    if len(data) % 8:
        raise InvalidInput(f"{path}: {len(data):,} bytes are no whole number of float64")
    return np.frombuffer(data, "<f8").astype(np.float64)


def _source(
    name: str,
    runs: list[tuple[I64s, F64s]],
    resolution: Resolution,
    *,
    timed: bool,
    skipped: tuple[str, ...] = (),
) -> Source:
    sizes = [values.size for _, values in runs]
    if not sum(sizes):
        raise InvalidInput(f"{name}: no points in it" + (f"; {skipped[0]}" if skipped else ""))
    columns = Columns(
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.concatenate([stamps for stamps, _ in runs]),
        np.concatenate([values for _, values in runs]),
    )
    return Source(name, columns, resolution, timed, skipped)


def names_of(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each path with the shortest name that tells it from the others."""
    parents = {path.parent for path in paths}
    if len(parents) == 1:
        yield from ((path, stem_of(path)) for path in paths)
        return
    yield from ((path, f"{path.parent.name}/{stem_of(path)}") for path in paths)
