"""CSV rows whose columns a format describes, as VictoriaMetrics has it.

    in   GOOG,1.23,4.56,1700000000 and format 1:label:ticker,2:metric:ask,3:metric:bid,4:time:unix_s
    out  Parsed: a run a value

A row may hold several metrics with the same labels; there is no heading. Columns without a rule
are passed over, an empty value is no point, a row without a time (or with time 0) is of now. A row
is a line: text in quotes may hold commas, not newlines. A wrong row costs itself.

`tsdb.parse.csv_lines` is our own CSV, with a heading. Price: 1.4 µs a value, in plain
Python: nobody sends this by the second.
"""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import times
from tsdb.parse.refused import Refused

__all__ = ["CsvFormat", "parse"]

FORM = "canonical"  # tsdb.commit.gate: keys need no treatment
NAME = labels.METRIC_NAME.encode()
TIME_UNITS = {"unix_s": 0, "unix_ms": 3, "unix_us": 6, "unix_ns": 9}
RFC3339 = "rfc3339"

Extra = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """Columns from 0 on: of values with their metric names, of labels with theirs, of the time."""

    metrics: tuple[tuple[int, bytes], ...]
    labels: tuple[tuple[int, bytes], ...]
    time: tuple[int, str] | None

    @classmethod
    def parse(cls, text: str) -> CsvFormat:
        """InvalidInput says what is wrong with a rule."""
        metrics: list[tuple[int, bytes]] = []
        named: list[tuple[int, bytes]] = []
        moment = None
        for rule in text.split(","):
            column, kind, context = _rule(rule)
            if kind == "time":
                if moment is not None:
                    raise InvalidInput(f"format: {shown(rule)} is a second time")
                if context not in TIME_UNITS and context != RFC3339:
                    raise InvalidInput(
                        f"format: time {shown(context)} is not one of "
                        f"{', '.join(TIME_UNITS)}, {RFC3339}"
                    )
                moment = (column, context)
            else:
                (metrics if kind == "metric" else named).append((column, context.encode()))
        if not metrics:
            raise InvalidInput("format: no column is a metric, as 2:metric:cpu is")
        return cls(tuple(metrics), tuple(named), moment)

    @property
    def width(self) -> int:
        """Columns that a row needs."""
        places = [column for column, _ in (*self.metrics, *self.labels)]
        return max(places if self.time is None else [*places, self.time[0]]) + 1


def parse(
    body: bytes, form: CsvFormat, resolution: Resolution, *, now_ticks: int, extra: Extra = ()
) -> Parsed:
    """Every row that can be read."""
    reading = _Reading(form, resolution, now_ticks, extra)
    refused = Refused()
    text = body.decode(errors="surrogateescape")  # what is no UTF-8 fails where it is used
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.rstrip("\r"):
                reading.add(_cells(line.rstrip("\r")))
        except InvalidInput as error:
            refused.add(f"line {number}: {error}")
    return reading.parsed(refused)


class _Reading:
    """Columns in the making."""

    def __init__(
        self, form: CsvFormat, resolution: Resolution, now_ticks: int, extra: Extra
    ) -> None:
        self._form = form
        self._width = form.width
        self._resolution = resolution
        self._now = now_ticks
        self._extra = extra
        self._own = [pair for pair in form.labels if pair[1] not in dict(extra)]
        self._of_labels: dict[tuple[str, ...], int] = {}  # -> number of its first series
        self._keys: list[bytes] = []
        self._series: list[int] = []
        self._stamps: list[int] = []
        self._values: list[float] = []

    def add(self, cells: list[str]) -> None:
        """One row, whole or not at all."""
        if len(cells) < self._width:
            raise InvalidInput(f"{len(cells)} columns where the format needs {self._width}")
        ticks = self._ticks(cells)
        named = tuple([cells[column] for column, _ in self._own])
        first = self._of_labels.get(named)
        if first is None:
            first = self._new(named)
        found = [
            (first + i, _value(cells[column]))
            for i, (column, _) in enumerate(self._form.metrics)
            if cells[column]
        ]
        for series, value in found:
            self._series.append(series)
            self._stamps.append(ticks)
            self._values.append(value)

    def parsed(self, refused: Refused) -> Parsed:
        ends = np.fromiter(itertools.accumulate(map(len, self._keys)), np.int64, len(self._keys))
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if self._keys else ends
        series = np.array(self._series, np.int64)
        columns = Columns(
            np.arange(series.size + 1, dtype=np.int64),
            np.array(self._stamps, np.int64),
            np.array(self._values, np.float64),
        )
        text = np.frombuffer(b"".join(self._keys), np.uint8)
        told, more = refused.told(), refused.more
        return Parsed(FORM, text, starts[series], ends[series], columns, bytes, told, more)

    def _new(self, named: tuple[str, ...]) -> int:
        try:
            pairs = [
                (name, text.encode()) for (_, name), text in zip(self._own, named, strict=True)
            ]
        except UnicodeEncodeError:
            raise InvalidInput("a label is not valid UTF-8") from None
        keys = [
            labels.canonical_pairs([(NAME, metric), *pairs, *self._extra])
            for _, metric in self._form.metrics
        ]
        first = self._of_labels[named] = len(self._keys)
        self._keys += keys
        return first

    def _ticks(self, cells: list[str]) -> int:
        if self._form.time is None:
            return self._now
        column, unit = self._form.time
        text = cells[column]
        if unit == RFC3339:
            return times.rfc3339(text, self._resolution)
        scale = times.decimal_exponent(self._resolution) - TIME_UNITS[unit]
        if scale >= 0 and len(text) <= 18 and text.isdecimal() and text.isascii():
            ticks = int(text) * (10**scale)
            if ticks <= times.INT64_MAX:
                return ticks or self._now
        return times.ticks_from_decimal(text, scale) or self._now


def _rule(rule: str) -> tuple[int, str, str]:
    column, _, rest = rule.partition(":")
    kind, _, context = rest.partition(":")
    if not (column.isascii() and column.isdecimal()) or not rest or not context:
        raise InvalidInput(f"format: {shown(rule)} is not column:type:context, as 2:metric:cpu")
    if not 1 <= int(column[:9]) <= limits.CSV_COLUMNS_MAX or len(column) > 9:
        raise LimitExceeded(
            f"format: column {shown(column)}", limit="CSV_COLUMNS_MAX", value=limits.CSV_COLUMNS_MAX
        )
    if kind not in ("metric", "label", "time"):
        raise InvalidInput(f"format: type {shown(kind)} is not one of metric, label, time")
    return int(column) - 1, kind, context


def _cells(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        cells: list[str] = next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise InvalidInput(f"it is no CSV: {error}") from None
    return cells


def _value(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput(f"value {shown(_clean(text))} is not a number") from None
    if "_" in text or (math.isinf(value) and not text.strip(" +-").isalpha()):
        raise InvalidInput(f"value {shown(_clean(text))} is not a number of float64")
    return value


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
