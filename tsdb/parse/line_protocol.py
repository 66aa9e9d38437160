"""InfluxDB's line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.

    in   lines; the unit of their times, or auto; now in ticks; how series are named
    out  Parsed: a run a value, named by head (measurement and tags) and tail (field name)

A series is called `measurement_field`, with the tags as labels and the database or bucket as one
more (`Naming`). Floats, integers `1i`, `1u` and booleans (1 and 0) are values; texts are none,
they are skipped and counted. A line without a time has the server's.

A backslash takes the meaning from a comma, an equals sign, a space or a backslash in names; before
anything else it is a backslash. In a quoted text it does so for any byte, and newlines may stand
there: a quote that is never closed takes the rest of the body with it, as in InfluxDB. Lines that
start with # are comments. A wrong line costs itself: all of its fields, and no other line.

Price: 10 to 20 ns a value in the kernel, 10 µs a line in `slow_line`, which alone refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd
from typing import TypeVar

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s, Parsed, U64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown
from tsdb.parse import line_numbers
from tsdb.parse.kernels import line_protocol as kernels
from tsdb.parse.line_protocol_keys import Keys, Naming, Ranges, with_constants
from tsdb.parse.refused import Refused
from tsdb.parse.text_buffer import is_utf8

__all__ = ["AUTO", "PRECISIONS", "Line", "LineProtocol", "Naming", "Times", "parse", "slow_line"]

INT64_MIN, INT64_MAX, UINT64_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
VALUE_BYTES = 24  # of text, typically; where values are shorter, the columns grow
BLANKS = b" \t\r\n"
AUTO = "auto"
# Units of times: seconds in one, one in a second.
PRECISIONS = {
    "ns": (1, 10**9),
    "us": (1, 10**6),
    "ms": (1, 10**3),
    "s": (1, 1),
    "m": (60, 1),
    "h": (3600, 1),
}
_AUTO_UNITS = ("s", "ms", "us", "ns")
_BOOLEANS = dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0) | dict.fromkeys(
    (b"f", b"F", b"false", b"False", b"FALSE"), 0.0
)
# Names: escapes, what needs none, a backslash before anything else. Possessive: no way back.
_ESCAPED = rb"\\[,= \\]|\\(?![,= \\])"
_MEASUREMENT = re.compile(rb"(?:[^, \\]|" + _ESCAPED + rb")++", re.S)
_NAME = re.compile(rb"(?:[^,= \\]|" + _ESCAPED + rb")++", re.S)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.S)
_WORD = re.compile(rb"[^, \t]*+", re.S)
_WHOLE = re.compile(rb"([+-]?)0*(\d+)([iu])")
_TIME = re.compile(rb"-?0*(\d+)")
_SHOWN_BYTES = 64


Column = TypeVar("Column", I64s, U64s)


@dataclass(frozen=True, slots=True)
class Times:
    """How times become ticks. Unit by unit of `_AUTO_UNITS`; all the same unless `auto`."""

    auto: bool
    factors: tuple[int, ...]
    divisors: tuple[int, ...]
    now_ticks: int

    @classmethod
    def of(cls, precision: str, resolution: Resolution, now_ticks: int) -> Times:
        auto = precision == AUTO
        factors, divisors = [], []
        for unit in _AUTO_UNITS if auto else (precision,) * kernels.UNITS:
            seconds, units = PRECISIONS[unit]
            common = gcd(seconds * resolution.ticks_per_s, units)
            factors.append(seconds * resolution.ticks_per_s // common)
            divisors.append(units // common)
        return cls(auto, tuple(factors), tuple(divisors), now_ticks)

    def ticks(self, number: int) -> int:
        """The nearest tick, half up; InvalidInput past int64."""
        size = abs(number)
        unit = sum(size >= bound for bound in kernels.AUTO_BOUNDS) if self.auto else 0
        divisor = self.divisors[unit]
        ticks = (2 * number * self.factors[unit] + divisor) // (2 * divisor)
        if not (INT64_MIN <= number <= INT64_MAX and INT64_MIN <= ticks <= INT64_MAX):
            raise InvalidInput(f"time {number} is out of range")
        return ticks


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says; ranges are of its text. `fields` holds (start, end, value)."""

    head: tuple[int, int]
    fields: list[tuple[int, int, float]]
    strings: int
    ticks: int


@dataclass(frozen=True, slots=True)
class LineProtocol:
    points: Parsed
    strings: int  # fields that are texts: no values, and not wrong


def parse(
    body: bytes, resolution: Resolution, *, precision: str, now_ticks: int, naming: Naming
) -> LineProtocol:
    """Every line that can be read; LimitExceeded when there is more than one request may hold."""
    reading = _Reading(body, Times.of(precision, resolution, now_ticks), naming)
    reading.run()
    return LineProtocol(reading.parsed(), int(reading.state[kernels.STRINGS]))


class _Reading:
    """One body on its way through the kernel."""

    def __init__(self, body: bytes, times: Times, naming: Naming) -> None:
        self._body, self._times, self._naming = body, times, naming
        self._data, self._constants_at = with_constants(body, naming)
        self._utf8 = is_utf8(self._data[: len(body)])
        self.state: I64s = np.zeros(kernels.STATE_SIZE, np.int64)
        self.state[kernels.LINE] = 1
        room = min(len(body) // VALUE_BYTES + 16, limits.POINTS_PER_REQUEST_MAX)
        # Starts and ends of heads, then of tails.
        self._ranges: list[I64s] = [np.empty(room, np.int64) for _ in range(4)]
        self._stamps: I64s = np.empty(room, np.int64)
        self._values: U64s = np.empty(room, np.uint64)
        self._scales = np.array((*times.factors, *times.divisors), np.int64)
        self.refused = Refused()

    def run(self) -> None:
        state = self.state
        while (status := self._read()) != kernels.DONE:
            if status == kernels.FULL:
                self._grow(self._stamps.size + 1)
                continue
            first, last, number = state[kernels.SLOW_AT : kernels.SLOW_LINE + 1].tolist()
            text = self._body[first:last]
            skip = len(text) - len(text.lstrip(BLANKS))
            text = text.strip(BLANKS)
            if not text or text.startswith(b"#"):
                continue
            try:
                line = slow_line(text, self._times)
            except InvalidInput as error:
                self.refused.add(f"line {number}: {error}")
            else:
                self._append(line, first + skip)

    def parsed(self) -> Parsed:
        runs = int(self.state[kernels.RUNS])
        columns = Columns(
            np.arange(runs + 1, dtype=np.int64),
            self._stamps[:runs],
            self._values[:runs].view(np.float64),
        )
        ranges = Ranges(self._data, *(part[:runs] for part in self._ranges))
        keys = Keys(ranges, self._naming, self._constants_at)
        return Parsed(
            self._naming.form,
            self._data,
            ranges.heads,
            ranges.head_ends,
            columns,
            keys.canonical,
            self.refused.told(),
            self.refused.more,
            ranges.tails,
            ranges.tail_ends,
            keys.canonical_many,
        )

    def _read(self) -> int:
        status: int = kernels.lines(
            self._data,
            len(self._body),
            self._utf8,
            self._times.auto,
            self._scales,
            self._times.now_ticks,
            self.state,
            *self._ranges,
            self._stamps,
            self._values,
        )
        return status

    def _append(self, line: Line, base: int) -> None:
        run = int(self.state[kernels.RUNS])
        rows = slice(run, run + len(line.fields))
        if rows.stop > self._stamps.size:
            self._grow(rows.stop)
        heads, head_ends, tails, tail_ends = self._ranges
        heads[rows], head_ends[rows] = base + line.head[0], base + line.head[1]
        tails[rows] = [base + start for start, _, _ in line.fields]
        tail_ends[rows] = [base + end for _, end, _ in line.fields]
        self._stamps[rows] = line.ticks
        self._values[rows] = np.array([v for _, _, v in line.fields], np.float64).view(np.uint64)
        self.state[kernels.RUNS] = rows.stop
        self.state[kernels.STRINGS] += line.strings

    def _grow(self, values: int) -> None:
        """Room for so many values and more; LimitExceeded where a request may hold no more."""
        if values > limits.POINTS_PER_REQUEST_MAX:
            raise LimitExceeded(
                "too many values in one request: split it",
                limit="POINTS_PER_REQUEST_MAX",
                value=limits.POINTS_PER_REQUEST_MAX,
            )
        room = min(max(2 * self._stamps.size, values), limits.POINTS_PER_REQUEST_MAX)
        self._ranges = [_grown(part, room) for part in self._ranges]
        self._stamps = _grown(self._stamps, room)
        self._values = _grown(self._values, room)


def _grown(array: Column, room: int) -> Column:
    out = np.empty_like(array, shape=room)
    out[: array.size] = array
    return out


def slow_line(text: bytes, times: Times) -> Line:
    """One line without its newline and the blanks around it; InvalidInput says what is wrong."""
    head = _head_end(text)
    at = _after_blanks(text, head)
    if at == len(text):
        raise InvalidInput("it has no fields")
    fields: list[tuple[int, int, float]] = []
    strings = 0
    while True:
        name = _NAME.match(text, at)
        if name is None or text[name.end() : name.end() + 1] != b"=":
            raise InvalidInput(f"a field is name=value, not {_excerpt(text[at:])}")
        _check_text(name[0], "field name")
        at = name.end() + 1
        string = _STRING.match(text, at)
        if string is not None:
            strings += 1
            at = string.end()
        else:
            word = _WORD.match(text, at)
            assert word is not None
            fields.append((name.start(), name.end(), _value(word[0], name[0])))
            at = word.end()
        if text[at : at + 1] != b",":
            break
        at += 1
    return Line((0, head), fields, strings, _ticks(text[at:], times))


def _head_end(text: bytes) -> int:
    """Where measurement and tags end."""
    measurement = _MEASUREMENT.match(text)
    if measurement is None:
        raise InvalidInput("it has no measurement")
    at = measurement.end()
    _check_text(measurement[0], "measurement")
    while text[at : at + 1] == b",":
        name = _NAME.match(text, at + 1)
        if name is None or text[name.end() : name.end() + 1] != b"=":
            raise InvalidInput(f"a tag is name=value, not {_excerpt(text[at + 1 :])}")
        value = _NAME.match(text, name.end() + 1)
        if value is None:
            raise InvalidInput(f"tag {_excerpt(name[0])} has no value")
        _check_text(name[0], "tag name")
        _check_text(value[0], f"value of tag {_excerpt(name[0])}")
        at = value.end()
    if text[at : at + 1] == b"=":
        raise InvalidInput("a tag's value holds an equals sign without a backslash before it")
    return at


def _value(word: bytes, name: bytes) -> float:
    known = _BOOLEANS.get(word)
    if known is not None:
        return known
    whole = _WHOLE.fullmatch(word)
    if whole is not None:
        sign, digits, kind = whole.groups()
        number = int(digits) if len(digits) <= len(str(UINT64_MAX)) else UINT64_MAX + 1
        number = -number if sign == b"-" else number
        low, high = (INT64_MIN, INT64_MAX) if kind == b"i" else (0, UINT64_MAX)
        if (kind == b"u" and sign == b"-") or not low <= number <= high:
            raise InvalidInput(f"field {_excerpt(name)}: {_excerpt(word)} is out of range")
        return float(number)
    text = line_numbers.text_of(word)
    if not line_numbers.NUMBER.fullmatch(text):
        raise InvalidInput(f"field {_excerpt(name)}: {_why_no_value(word)}")
    value = float(text)
    if abs(value) == float("inf"):
        raise InvalidInput(f"field {_excerpt(name)}: {_excerpt(word)} is past the largest float64")
    return value


def _why_no_value(word: bytes) -> str:
    if not word:
        return "it has no value"
    if word.startswith(b'"'):
        return "a quote is never closed"
    if word.lower().lstrip(b"+-") in (b"nan", b"inf", b"infinity"):
        return f"line protocol has no {line_numbers.text_of(word)}"
    return f"{_excerpt(word)} is neither a number, a boolean nor a quoted text"


def _ticks(rest: bytes, times: Times) -> int:
    """Ticks of what follows the fields: nothing, or blanks and a time."""
    text = rest.strip(BLANKS)
    if not text:
        return times.now_ticks
    found = _TIME.fullmatch(text)
    if rest[:1] not in (b" ", b"\t") or found is None:
        raise InvalidInput(f"after the fields comes a whole number as time, not {_excerpt(text)}")
    if len(found[1]) > len(str(INT64_MAX)):
        raise InvalidInput(f"time {_excerpt(text)} is out of range")
    return times.ticks(int(text))


def _after_blanks(text: bytes, at: int) -> int:
    while text[at : at + 1] in (b" ", b"\t"):
        at += 1
    return at


def _check_text(text: bytes, what: str) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{what} is not valid UTF-8 at byte {error.start + 1}") from None


def _excerpt(text: bytes) -> str:
    return shown(text[:_SHOWN_BYTES].decode(errors="replace"))
