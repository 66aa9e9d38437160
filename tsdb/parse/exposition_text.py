"""One line of Prometheus' text or OpenMetrics, read a word at a time.

    in   bytes of a line without its newline, what the format is
    out  Line, or NOTHING; InvalidInput says what is wrong

This is the slow twin of `tsdb.parse.kernels.exposition` and alone decides what is wrong. The
grammar is that of Prometheus' own parsers: white space around every word; escapes `\\"`, `\\\\` and
`\\n` in label values (a backslash before anything else is itself); quoted names (Prometheus 3: a
quoted word without a value is the metric name); Go's numbers, neither hexadecimal nor with
underscores.

Price: 5 to 10 µs a line.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import line_numbers, times
from tsdb.parse.json_text import STALE
from tsdb.parse.kernels.exposition import NAN_BITS

__all__ = [
    "Format",
    "Line",
    "Pairs",
    "bits_of",
    "plain_pairs",
    "read_exemplar",
    "read_line",
    "series_pairs",
]

Pairs = list[tuple[bytes, bytes]]
NAME = labels.METRIC_NAME.encode()
BLANK = b" \t\r"
_DOUBLE, _WORD64 = struct.Struct("<d"), struct.Struct("<Q")
_BLANKS = re.compile(rb"[ \t]*")
_METRIC = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(rb'"([^"\\\n]*(?:\\[^\n][^"\\\n]*)*)"')
_WORD = re.compile(rb"[^ \t\r\n]+")
_ESCAPE = re.compile(rb'\\([\\"n])')
_WHOLE = re.compile(rb"-?[0-9]+")
_PLAIN = re.compile(
    rb'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"(?:,|(?=\})))*)\})?'
)
_PLAIN_PAIR = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="([^"]*)"')
_UNESCAPED = {b"\\": b"\\", b'"': b'"', b"n": b"\n"}


@dataclass(frozen=True, slots=True)
class Format:
    """How bytes become ticks. `stamps`: whether times in the text count."""

    exponent: int  # 10^exponent ticks a second
    now_ticks: int
    openmetrics: bool = False
    stamps: bool = True

    @property
    def scale(self) -> int:
        return self.exponent if self.openmetrics else self.exponent - 3


@dataclass(frozen=True, slots=True)
class Line:
    """A point: its series is `text[key_start:key_end]`, its exemplar `text[exemplar:]`."""

    key_start: int
    key_end: int
    ticks: int
    bits: int
    stamped: bool
    exemplar: int | None


def read_line(text: bytes, form: Format) -> Line | None:
    """One line that is no comment; None for an empty one."""
    start = _after_blanks(text, 0)
    if form.openmetrics and (start or not text):
        raise InvalidInput("empty" if start == len(text) else "it begins with a space")
    if start == len(text):
        return None
    _, end = series_pairs(text, start)
    at = _after_blanks(text, end)
    word = _WORD.match(text, at)
    if word is None:
        raise InvalidInput("there is no value")
    bits = bits_of(word[0])
    ticks, stamped, exemplar = form.now_ticks, False, None
    at = _after_blanks(text, word.end())
    rest = text[at:].rstrip(BLANK)
    if rest and not (form.openmetrics and rest[:1] == b"#"):
        word = _WORD.match(text, at)
        if word is None:
            raise InvalidInput(f"{_shown(rest)} follows the value")
        ticks, stamped = _ticks(word[0], form), True
        at = _after_blanks(text, word.end())
        rest = text[at:].rstrip(BLANK)
    if rest:
        if not form.openmetrics or rest[:1] != b"#":
            raise InvalidInput(f"{_shown(rest)} follows what should be the end")
        exemplar = at
    if not form.stamps:
        ticks = form.now_ticks
    return Line(start, end, ticks, bits, stamped, exemplar)


def read_exemplar(text: bytes, ticks: int, form: Format) -> tuple[Pairs, int, float]:
    """(labels, ticks, value) of `# {trace_id="a"} 1 123.4`; without a time it has the point's."""
    start = _after_blanks(text, 1)
    if text[start : start + 1] != b"{":
        raise InvalidInput("it begins with labels")
    named: Pairs = []
    end = _labels(text, start + 1, named)
    if any(name == NAME for name, _ in named):
        raise InvalidInput("it has no metric name")
    words = text[end:].split()
    if not 1 <= len(words) <= 2:
        raise InvalidInput("it has a value and perhaps a time")
    (value,) = _DOUBLE.unpack(_WORD64.pack(bits_of(words[0])))
    return named, _ticks(words[1], form) if len(words) > 1 else ticks, value


def series_pairs(text: bytes, start: int = 0) -> tuple[Pairs, int]:
    """Labels of the series at `start` as written, and where it ends."""
    pairs: Pairs = []
    found = _METRIC.match(text, start)
    end = start
    if found is not None:
        pairs.append((NAME, found[0]))
        end = found.end()
    at = _after_blanks(text, end)
    if text[at : at + 1] == b"{":
        end = _labels(text, at + 1, pairs)
    if not pairs or all(name != NAME for name, _ in pairs):
        raise InvalidInput(f"{_shown(text[start:])} has no metric name")
    return pairs, end


def plain_pairs(raw: bytes) -> Pairs:
    """`series_pairs` of a text that is nothing but a series; quick for those without escapes."""
    plain = _PLAIN.fullmatch(raw)
    if plain is not None:
        pairs = _PLAIN_PAIR.findall(plain[2]) if plain[2] else []
        pairs.append((NAME, plain[1]))
        return pairs
    pairs, end = series_pairs(raw)
    assert end == len(raw), raw
    return pairs


def bits_of(word: bytes) -> int:
    """Bits of a value as Go writes and reads it."""
    lower = word.lower()
    if lower == b"nan":
        return NAN_BITS
    if word == b"StaleNaN":
        value: float | None = STALE
    else:
        value = None if b"nan" in lower else line_numbers.float_of(word)
    if value is None:
        raise InvalidInput(f"value {_shown(word)} is not a number")
    (bits,) = _WORD64.unpack(_DOUBLE.pack(value))
    found: int = bits
    return found


def _labels(text: bytes, at: int, pairs: Pairs) -> int:
    """Append the labels whose opening brace is before `at`; position after the closing one."""
    named = bool(pairs)
    while True:
        at = _after_blanks(text, at)
        if text[at : at + 1] == b"}":
            return at + 1
        name, at, quoted = _label_name(text, at)
        at = _after_blanks(text, at)
        if text[at : at + 1] == b"=":
            value = _QUOTED.match(text, _after_blanks(text, at + 1))
            if value is None:
                raise InvalidInput(f"label {_shown(name)} has no value in quotes that are closed")
            pairs.append((name, _unescaped(value[1])))
            at = value.end()
        elif quoted and not named:
            pairs.append((NAME, name))
            named = True
        elif quoted:
            raise InvalidInput(f"metric name {_shown(name)} is a second one")
        else:
            raise InvalidInput(f"label {_shown(name)} has no value")
        at = _after_blanks(text, at)
        if text[at : at + 1] == b",":
            at += 1
        elif text[at : at + 1] != b"}":
            raise InvalidInput(f"labels are not closed at {_shown(text[at:])}")


def _label_name(text: bytes, at: int) -> tuple[bytes, int, bool]:
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        name = _unescaped(quoted[1])
        if not name:
            raise InvalidInput("a name is empty")
        return name, quoted.end(), True
    found = _LABEL.match(text, at)
    if found is None:
        raise InvalidInput(f"no label name begins with {_shown(text[at:])}")
    return found[0], found.end(), False


def _ticks(word: bytes, form: Format) -> int:
    text = line_numbers.text_of(word)
    if not form.openmetrics and not _WHOLE.fullmatch(word):
        raise InvalidInput(f"time {shown(text)} is not a whole number of milliseconds")
    return times.ticks_from_decimal(text, form.scale)


def _after_blanks(text: bytes, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: _UNESCAPED[found[1]], text) if b"\\" in text else text


def _shown(text: bytes) -> str:
    return shown(line_numbers.text_of(text))
