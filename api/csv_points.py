"""CSV files as points: the shapes that people have, read in slices of columns.

    in   lines of text
    out  Slice after Slice: runs of points by series, and a sentence for each line left out

    timestamp,value              one series, named by the caller
    series,timestamp,value       what `silverback export --format csv` writes
    timestamp,cpu,memory,...     a column a series, named by its heading
    value                        no times: for compression figures only

A heading line is optional but in the third shape; comma, semicolon and tab are told apart by the
first line. Times are numbers of seconds, ms, us or ns since 1970 (told apart by their size unless
the caller says) or dates, without a zone in UTC.

Columns go through NumPy; a slice it refuses is read again line by line, so that the wrong line is
named and costs only itself. Price: about 1 µs a point.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

import numpy as np

from api.times import parse_time
from tsdb.batch import F64s, I64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse.times import ticks_from_decimal

__all__ = ["CsvPoints", "Run", "Shape", "Slice"]

ROWS_PER_SLICE = 32_768
TIME_HEADINGS = {"timestamp", "time", "date", "datetime", "ts", "t"}
SERIES_HEADINGS = {"series", "metric", "name", "key"}
VALUE_HEADINGS = {"value", "values", "v"}
UNIT_EXPONENTS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
# 10^11 s is the year 5138 and 10^11 ms is 1973: whole numbers of today fall into one band each.
UNIT_LIMITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"))
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?Z?")
_INT64_MAX = 2**63 - 1


class Shape(Enum):
    ONE_SERIES = "timestamp,value"
    LONG = "series,timestamp,value"
    WIDE = "timestamp, a column a series"
    VALUES = "value"


@dataclass(frozen=True, slots=True)
class Run:
    """Points of one series in the order of the file. No timestamps in `Shape.VALUES`."""

    series: str
    timestamps: I64s
    values: F64s


@dataclass(slots=True)
class Slice:
    """`refused`: the number of each line that was left out, and why; in order."""

    runs: list[Run]
    rows: int
    refused: list[tuple[int, str]] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(run.values.size for run in self.runs)


class CsvPoints:
    """One file. `shape` and `series` are known once it is made; `slices()` reads it once."""

    def __init__(
        self,
        lines: Iterable[str],
        *,
        series: str,
        resolution: Resolution,
        unit: str = "auto",
    ) -> None:
        """`series` names the one series of a file that names none."""
        source = iter(lines)
        first = next(source, "").lstrip("\ufeff")
        delimiter = max(",;\t", key=first.count)
        self._rows = csv.reader(_with_first(first, source), delimiter=delimiter)
        self._line = 0
        self._resolution = resolution
        self._unit: str | None = None if unit == "auto" else unit
        head = _cells(first, delimiter)
        self._at_time, self._at_value, self._at_series = 0, 1, 2
        self.shape = self._recognise(head)
        self.series = (series,) if self.shape is not Shape.WIDE else tuple(head[1:])

    def _recognise(self, head: Sequence[str]) -> Shape:
        """The shape by the first line, which is passed over when it is a heading."""
        lowered = [cell.lower() for cell in head]
        if not any(lowered):
            raise InvalidInput("the file is empty")
        named = lowered[0] in TIME_HEADINGS
        if not named and any(_is_number(cell) or _DATE.match(cell) for cell in head):
            return self._by_width(len(head))
        next(self._rows)
        self._line = 1
        time = _position(lowered, TIME_HEADINGS)
        value = _position(lowered, VALUE_HEADINGS)
        series = _position(lowered, SERIES_HEADINGS)
        if time is not None and value is not None and len(head) <= 3:
            self._at_time, self._at_value, self._at_series = time, value, series or 0
            return Shape.ONE_SERIES if series is None else Shape.LONG
        if len(head) == 1:
            return Shape.VALUES
        if time == 0 or not lowered[0]:
            return Shape.WIDE
        raise InvalidInput(
            f"the heading {','.join(head)!r} is not one of timestamp,value; "
            "series,timestamp,value; timestamp,a,b,..."
        )

    def _by_width(self, columns: int) -> Shape:
        if columns == 1:
            return Shape.VALUES
        if columns == 2:
            return Shape.ONE_SERIES
        if columns == 3:
            self._at_series, self._at_time, self._at_value = 0, 1, 2
            return Shape.LONG
        raise InvalidInput(f"{columns} columns need a heading line: timestamp,name,name,...")

    def slices(self) -> Iterator[Slice]:
        width = {Shape.VALUES: 1, Shape.ONE_SERIES: 2, Shape.LONG: 3}.get(
            self.shape, len(self.series) + 1
        )
        while rows := self._next_rows():
            first_line = self._line + 1
            self._line += len(rows)
            numbered = [(first_line + i, row) for i, row in enumerate(rows) if row]
            good = [pair for pair in numbered if len(pair[1]) == width]
            part = Slice([], len(rows))
            part.refused += [
                (line, f"{len(row)} columns, expected {width}")
                for line, row in numbered
                if len(row) != width
            ]
            self._fill(part, [line for line, _ in good], [row for _, row in good])
            part.refused.sort()
            yield part

    def _next_rows(self) -> list[list[str]]:
        try:
            return list(islice(self._rows, ROWS_PER_SLICE))
        except csv.Error as error:
            raise InvalidInput(f"after line {self._line}: {error}") from error

    def _fill(self, part: Slice, lines: list[int], rows: list[list[str]]) -> None:
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        if self.shape is Shape.VALUES:
            values, keep = self._values(part, lines, columns[0])
            part.runs.append(Run(self.series[0], np.empty(0, np.int64), values[keep]))
            return
        stamps, timed = self._stamps(part, lines, columns[self._at_time])
        if self.shape is Shape.WIDE:
            for name, cells in zip(self.series, columns[1:], strict=True):
                values, keep = self._values(part, lines, cells, blank_is_absent=True)
                part.runs.append(Run(name, stamps[keep & timed], values[keep & timed]))
            return
        values, keep = self._values(part, lines, columns[self._at_value])
        keep &= timed
        if self.shape is Shape.ONE_SERIES:
            part.runs.append(Run(self.series[0], stamps[keep], values[keep]))
            return
        for name, at in _grouped(columns[self._at_series]):
            mine = at[keep[at]]
            if mine.size:
                part.runs.append(Run(name, stamps[mine], values[mine]))

    # --- cells to arrays -------------------------------------------------------------------------

    def _values(
        self, part: Slice, lines: list[int], cells: Sequence[str], *, blank_is_absent: bool = False
    ) -> tuple[F64s, np.ndarray]:
        """Floats, and which of them are there."""
        try:
            return np.array(cells, np.float64), np.ones(len(cells), np.bool_)
        except ValueError:
            pass
        values, keep = np.zeros(len(cells)), np.zeros(len(cells), np.bool_)
        for i, cell in enumerate(cells):
            if blank_is_absent and not cell.strip():
                continue
            try:
                values[i] = float(cell)
                keep[i] = True
            except ValueError:
                part.refused.append((lines[i], f"{cell.strip()!r} is not a number"))
        return values, keep

    def _stamps(
        self, part: Slice, lines: list[int], cells: Sequence[str]
    ) -> tuple[I64s, np.ndarray]:
        """Ticks, and which of them are there."""
        stamps = self._whole_numbers(cells)
        if stamps is None:
            stamps = self._dates(cells)
        if stamps is not None:
            return stamps, np.ones(len(cells), np.bool_)
        stamps, keep = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.bool_)
        for i, cell in enumerate(cells):
            try:
                stamps[i] = self._stamp(cell.strip())
                keep[i] = True
            except InvalidInput as error:
                part.refused.append((lines[i], str(error)))
        return stamps, keep

    def _whole_numbers(self, cells: Sequence[str]) -> I64s | None:
        try:
            numbers = np.array(cells, np.int64)
        except (ValueError, OverflowError):
            return None
        shift = self._shift(int(numbers[0]))
        if shift < 0 or int(np.abs(numbers).max()) > _INT64_MAX // 10**shift:
            return None
        return numbers * np.int64(10**shift)

    def _shift(self, first: float) -> int:
        """k: a whole number of the file's unit is 10^k ticks."""
        if self._unit is None:
            bands = (unit for limit, unit in UNIT_LIMITS if abs(first) < limit)
            self._unit = next(bands, "ns")
        ticks = len(str(self._resolution.ticks_per_s)) - 1
        return ticks - UNIT_EXPONENTS[self._unit]

    def _dates(self, cells: Sequence[str]) -> I64s | None:
        """Dates of one form, none finer than a tick: what NumPy reads as we do."""
        form = _DATE.fullmatch(cells[0])
        digits = len((form[3] or ".")[1:]) if form else 0
        exact = digits <= len(str(self._resolution.ticks_per_s)) - 1
        if form is None or not exact or len(set(map(len, cells))) != 1:
            return None
        if cells[0].endswith("Z"):
            if not all(cell.endswith("Z") for cell in cells):
                return None
            cells = [cell[:-1] for cell in cells]
        try:
            return np.array(cells, f"M8[{self._resolution.name_}]").astype(np.int64)
        except (ValueError, UserWarning, OverflowError):
            return None

    def _stamp(self, cell: str) -> int:
        if _is_number(cell):
            return ticks_from_decimal(cell, self._shift(float(cell)))
        return parse_time(cell, ticks_per_s=self._resolution.ticks_per_s, now_ticks=0)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise InvalidInput(f"line 1: {error}") from error


def _with_first(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _position(lowered: Sequence[str], names: set[str]) -> int | None:
    return next((i for i, cell in enumerate(lowered) if cell in names), None)


def _grouped(names: Sequence[str]) -> Iterator[tuple[str, I64s]]:
    """Each distinct name with the rows that hold it, in the order of the file."""
    codes: dict[str, int] = {}
    at = np.fromiter((codes.setdefault(name, len(codes)) for name in names), np.int64, len(names))
    order = np.argsort(at, kind="stable")
    edges = np.searchsorted(at[order], np.arange(len(codes) + 1))
    for name, code in codes.items():
        yield name, order[edges[code] : edges[code + 1]]
