"""CSV files as points, a stretch of lines at a time.

    in   pieces of a file with a heading (`tsdb.parse.csv_heading`), of any size
    out  Parsed after Parsed, each of about BLOCK_BYTES of text

Times are dates (RFC 3339; without offset UTC, the time of day may lack) or numbers since 1970 in
the unit the caller names. Unit "auto" takes the one in which the first time lies between 1973 and
5138: only on request, because a guess that is wrong is wrong by a factor of a thousand. Times go
to the nearest tick. Values are numbers, NaN, Inf; in the wide form an empty field is no point.

A kernel reads what programs write; `slow_row` reads the rest a field at a time, with Python's csv
module for what quoting means, and names the line of a row that it refuses. A wrong row costs
itself.

Price: 60 to 100 ns a row in the kernel, 5 µs in `slow_row`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s, Parsed, U8s, U64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown
from tsdb.parse import times
from tsdb.parse.csv_heading import CsvHeading, fields_of
from tsdb.parse.json_text import SPECIAL
from tsdb.parse.kernels import csv_text as kernels
from tsdb.parse.points_json import FORM as CANONICAL_FORM
from tsdb.parse.refused import Refused
from tsdb.parse.text_buffer import padded

__all__ = ["TIME_UNITS", "Row", "parse", "slow_row"]

BLOCK_BYTES = 1 << 20
NEWLINE = 10
TIME_UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_NUMBER = re.compile(r"[+-]?(\d++\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_UNIT_BANDS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"))


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its ticks, its name as bytes of CSV, its values, None where one is missing."""

    ticks: int
    key: bytes
    values: list[float | None]


def parse(
    pieces: Iterable[bytes], resolution: Resolution, *, series: str | None = None, unit: str = "s"
) -> Iterator[Parsed]:
    """Points of a file. `series` names the one series of a file that names none."""
    if unit not in TIME_UNITS and unit != "auto":
        raise InvalidInput(f"unit {shown(unit)} is not one of s, ms, us, ns, auto")
    text = _Text(pieces)
    heading = CsvHeading.parse(text.first_line(), series)
    line, size = 1, BLOCK_BYTES
    while block := text.block(size):
        if unit == "auto":
            unit = _unit_of(block, heading)
        reading = _Block(block, line, heading, resolution, TIME_UNITS.get(unit, 0))
        if not reading.used:  # a record longer than the block, or a quote that is never closed
            if size <= limits.LINE_BYTES_MAX and not text.is_last(size):
                size *= 2
                continue
            reading.refuse_first_line(block)
        size = BLOCK_BYTES
        line = reading.line
        text.advance(reading.used)
        parsed = reading.parsed()
        if parsed.columns.runs or parsed.skipped:
            yield parsed


def slow_row(text: str, heading: CsvHeading, resolution: Resolution, unit_exponent: int) -> Row:
    """One record a field at a time; InvalidInput says what is wrong with it."""
    fields = fields_of(text, heading.delimiter)
    if len(fields) != len(heading.kinds):
        raise InvalidInput(f"{len(fields)} columns where the heading has {len(heading.kinds)}")
    ticks = 0
    names: list[str] = []
    values: list[float | None] = []
    for name, kind, field in zip(heading.names, heading.kinds, fields, strict=True):
        if kind == kernels.TIME:
            ticks = _ticks(field.strip(), resolution, unit_exponent)
        elif kind == kernels.VALUE:
            values.append(_value(name, field.strip(), heading.wide))
        else:
            names.append(field)
    return Row(ticks, _record(names, heading.delimiter), values)


def _ticks(text: str, resolution: Resolution, unit_exponent: int) -> int:
    if _NUMBER.fullmatch(text):
        return times.ticks_from_decimal(text, times.decimal_exponent(resolution) - unit_exponent)
    return times.lenient_time(text, resolution)


def _value(name: str, text: str, wide: bool) -> float | None:
    if wide and not text:
        return None
    value = float(text) if _NUMBER.fullmatch(text) else SPECIAL.get(text)
    if value is None:
        raise InvalidInput(f"{name} {shown(text)} is not a number")
    if abs(value) == float("inf") and text not in SPECIAL:
        raise InvalidInput(f"{name} {shown(text)} is past the largest float64")
    return value


def _record(fields: list[str], delimiter: str) -> bytes:
    out = StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(fields)
    return out.getvalue().encode()


def _unit_of(block: bytes, heading: CsvHeading) -> str:
    """The unit in which the first number among the times is a moment of our days."""
    at = heading.kinds.index(kernels.TIME)
    for line in block.splitlines():
        try:
            fields = fields_of(line.decode(), heading.delimiter)
            text = fields[at].strip() if len(fields) > at else ""
            if _NUMBER.fullmatch(text):
                size = abs(times.ticks_from_decimal(text, 0))
                return next((unit for bound, unit in _UNIT_BANDS if size < bound), "ns")
        except (InvalidInput, UnicodeDecodeError):
            continue  # such a line is refused, with its number, when it is read
    return "auto"


class _Text:
    """The file, of which as much is read as is asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._data = b""
        self._at = 0
        self._ended = False

    def first_line(self) -> str:
        """The heading, without its newline; InvalidInput for a file without one."""
        size = BLOCK_BYTES
        while True:
            line, newline, _ = self.block(size).partition(b"\n")
            if newline or not line:
                break
            if size > limits.LINE_BYTES_MAX:
                raise _too_long()
            size *= 2
        self.advance(len(line) + 1)
        try:
            text = line.decode("utf-8-sig").rstrip("\r")
        except UnicodeDecodeError as error:
            raise InvalidInput("the heading is not UTF-8") from error
        if not text.strip():
            raise InvalidInput("the file is empty, or its first line is")
        return text

    def block(self, size: int) -> bytes:
        """The next `size` bytes, or what is left, which ends with a newline if need be added."""
        while len(self._data) - self._at < size and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                self._data = self._data[self._at :] + piece
                self._at = 0
        block = self._data[self._at : self._at + size]
        return block + b"\n" if self.is_last(size) and block and block[-1] != NEWLINE else block

    def is_last(self, size: int) -> bool:
        """Whether nothing follows the next `size` bytes."""
        return self._ended and len(self._data) - self._at <= size

    def advance(self, size: int) -> None:
        self._at += size


class _Block:
    """Rows of one stretch of text, filled by the kernel and by hand in turn."""

    def __init__(
        self, block: bytes, line: int, heading: CsvHeading, resolution: Resolution, unit: int
    ) -> None:
        """Reads the rows at once. `used`, `line`: how far it came."""
        self._heading = heading
        self._width = heading.kinds.count(kernels.VALUE)
        self._named = kernels.NAME in heading.kinds
        self._refused = Refused()
        self._data = padded(block, NEWLINE)
        rows = len(block) // (len(heading.kinds) + 1) + 2
        self._state = np.zeros(kernels.STATE_SIZE, np.int64)
        self._state[kernels.LINE] = line
        self._key_starts, self._key_ends = np.empty(rows, np.int64), np.empty(rows, np.int64)
        self._offsets = np.zeros(rows + 1, np.int64)
        self._timestamps = np.empty(rows, np.int64)
        self._values = np.empty(rows * self._width, np.uint64)
        self._present = np.empty(rows * self._width, np.uint8)
        self._more_keys: list[bytes] = []
        self._more_bytes = self._data.size
        while self._read(len(block), resolution, unit) == kernels.SLOW:
            first, last, number = self._state[kernels.SLOW_AT :][:3].tolist()
            record = block[first:last]
            if not record.strip():
                continue
            try:
                self._append(slow_row(_decoded(record), heading, resolution, unit))
            except InvalidInput as error:
                self._refused.add(f"line {number}: {error}")
        self.used = int(self._state[kernels.AT])
        self.line = int(self._state[kernels.LINE])

    def refuse_first_line(self, block: bytes) -> None:
        """Give up the line on which a record starts that has no end."""
        self.used = block.find(b"\n") + 1
        if not self.used:
            raise _too_long()
        self.line += 1
        self._refused.add(f"line {self.line}: a quote is never closed")

    def parsed(self) -> Parsed:
        heading = self._heading
        runs, rows = int(self._state[kernels.RUNS]), int(self._state[kernels.ROWS])
        stamps, values = self._timestamps[:rows], self._values[: rows * self._width]
        sentences = self._refused.sentences()
        if heading.wide:
            present = self._present[: rows * self._width].reshape(rows, self._width)
            return _wide(heading, stamps, values.reshape(rows, self._width), present, sentences)
        columns = Columns(self._offsets[: runs + 1], stamps, values.view(np.float64))
        if heading.key is not None:
            key_bytes = padded(heading.key, NEWLINE)
            starts, ends = np.zeros(runs, np.int64), np.full(runs, len(heading.key), np.int64)
            return Parsed(CANONICAL_FORM, key_bytes, starts, ends, columns, bytes, sentences)
        key_bytes = self._data
        if self._more_keys:
            key_bytes = np.concatenate((key_bytes, padded(b"".join(self._more_keys), NEWLINE)))
        starts, ends = self._key_starts[:runs], self._key_ends[:runs]
        return Parsed(heading.form, key_bytes, starts, ends, columns, heading.canonical, sentences)

    def _read(self, size: int, resolution: Resolution, unit_exponent: int) -> int:
        heading = self._heading
        exponent = times.decimal_exponent(resolution)
        # Names that do not stand side by side have no range: then every row is a slow one.
        kinds = np.array(heading.kinds if heading.adjacent else (), np.uint8)
        status: int = kernels.rows(
            self._data,
            size,
            limits.LINE_BYTES_MAX,
            exponent - unit_exponent,
            exponent,
            ord(heading.delimiter),
            kinds,
            self._state,
            self._key_starts,
            self._key_ends,
            self._offsets,
            self._timestamps,
            self._values,
            self._present,
        )
        return status

    def _append(self, row: Row) -> None:
        run, at = int(self._state[kernels.RUNS]), int(self._state[kernels.ROWS])
        self._timestamps[at] = row.ticks
        cells = slice(at * self._width, (at + 1) * self._width)
        values = np.array([0.0 if value is None else value for value in row.values])
        self._values[cells] = values.view(np.uint64)
        self._present[cells] = [value is not None for value in row.values]
        if self._named or run == 0:
            self._key_starts[run] = self._more_bytes
            self._more_bytes += len(row.key)
            self._more_keys.append(row.key)
            self._key_ends[run] = self._more_bytes
            run += 1
        self._offsets[run] = at + 1
        self._state[kernels.RUNS], self._state[kernels.ROWS] = run, at + 1


def _wide(
    heading: CsvHeading, stamps: I64s, values: U64s, present: U8s, sentences: tuple[str, ...]
) -> Parsed:
    """Turn rows of several series into a run for each series."""
    there = present.T.astype(bool)
    kept = np.flatnonzero(there.any(axis=1))
    keys = heading.column_keys()
    ends = np.cumsum([len(keys[i]) for i in kept], dtype=np.int64)
    counts = there[kept].sum(axis=1)
    columns = Columns(
        np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        np.broadcast_to(stamps, there.shape)[kept][there[kept]],
        values.T[kept][there[kept]].view(np.float64),
    )
    key_bytes = padded(b"".join(keys[i] for i in kept), NEWLINE)
    starts = np.concatenate(([0], ends[:-1])) if kept.size else ends
    return Parsed(CANONICAL_FORM, key_bytes, starts, ends, columns, bytes, sentences)


def _decoded(record: bytes) -> str:
    try:
        return record.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 at byte {error.start + 1}") from error


def _too_long() -> LimitExceeded:
    return LimitExceeded("a line is too long", limit="LINE_BYTES_MAX", value=limits.LINE_BYTES_MAX)
