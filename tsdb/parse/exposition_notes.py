"""`# TYPE`, `# HELP` and `# UNIT` lines: what a sender says about families of series.

    in   lines of metadata, one behind the other, as the kernel gathered them
    out  one FamilyMetadata a family; what is wrong, by number of the line among them

A scrape says the same every time, and takes as many bytes for it as for points: what was read is
remembered, up to REMEMBERED_BYTES_MAX of text. Price: 0.5 µs a line the first time (2 µs with
escapes), then a hash of the text.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from tsdb.batch import FamilyMetadata
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown
from tsdb.parse import line_numbers

__all__ = ["Notes", "read_notes"]

REMEMBERED_BYTES_MAX = 8 << 20  # about 30 MB with what was read from it
KINDS = {
    "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown",
}  # fmt: skip
_NOTE = re.compile(
    rb'#[ \t]+(HELP|TYPE|UNIT)[ \t]+(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|"((?:[^"\\]|\\.)*)")'
    rb"(?:[ \t](.*))?",
    re.DOTALL,
)
_PLAIN = re.compile(r"^# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\\r\n]*)\n", re.MULTILINE)
_ESCAPE = re.compile(rb'\\([\\"n])')
_HELP_ESCAPE = re.compile(rb"\\([\\n])")
_UNESCAPED = {b"\\": b"\\", b'"': b'"', b"n": b"\n"}


@dataclass(frozen=True, slots=True)
class Notes:
    families: tuple[FamilyMetadata, ...] = ()
    wrong: tuple[tuple[int, str], ...] = ()  # number of the line, why


class _Remembered:
    """What was read from the texts that came last."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._notes: OrderedDict[tuple[bytes, bool], Notes] = OrderedDict()
        self._bytes = 0

    def read(self, text: bytes, openmetrics: bool) -> Notes:
        at = (text, openmetrics)
        with self._lock:
            found = self._notes.get(at)
            if found is not None:
                self._notes.move_to_end(at)
                return found
        found = _read(text, openmetrics)
        with self._lock:
            if at not in self._notes:
                self._notes[at] = found
                self._bytes += len(text)
            while self._bytes > self._bytes_max:
                (oldest, _), _ = self._notes.popitem(last=False)
                self._bytes -= len(oldest)
        return found


_REMEMBERED = _Remembered(REMEMBERED_BYTES_MAX)


def read_notes(text: bytes, *, openmetrics: bool) -> Notes:
    """All lines of metadata of a body; the last one counts where a family has several."""
    return _REMEMBERED.read(text, openmetrics)


def _read(text: bytes, openmetrics: bool) -> Notes:
    found: dict[str, list[str]] = {}  # family -> kind, help, unit
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(_lines(text)):
        try:
            if isinstance(line, bytes):
                _note(line.rstrip(b"\r"), found, openmetrics)
            else:
                _add(line, found)
        except InvalidInput as error:
            wrong.append((number, str(error)))
    return Notes(tuple(FamilyMetadata(name, *said) for name, said in found.items()), tuple(wrong))


def _lines(text: bytes) -> Sequence[tuple[str, str, str] | bytes]:
    """(what, family, text) of each line where all are plain; else the lines."""
    try:
        plain: Sequence[tuple[str, str, str] | bytes] = _PLAIN.findall(text.decode())
    except UnicodeDecodeError:
        plain = []
    lines = text.split(b"\n")[:-1]
    return plain if len(plain) == len(lines) else lines


def _note(line: bytes, found: dict[str, list[str]], openmetrics: bool) -> None:
    note = _NOTE.fullmatch(line)
    if note is None:
        raise InvalidInput(f"{shown(line_numbers.text_of(line))} names no metric")
    what, plain, quoted, said = note.groups()
    name = plain if quoted is None else _ESCAPE.sub(lambda f: _UNESCAPED[f[1]], quoted)
    if not name:
        raise InvalidInput("a metric name is empty")
    try:
        family, text = name.decode(), (said or b"").decode()
    except UnicodeDecodeError:
        raise InvalidInput("not valid UTF-8") from None
    if what == b"HELP":
        escape = _ESCAPE if openmetrics else _HELP_ESCAPE
        text = escape.sub(lambda f: _UNESCAPED[f[1]], said or b"").decode()
    _add((what.decode(), family, text), found)


def _add(line: tuple[str, str, str], found: dict[str, list[str]]) -> None:
    what, family, text = line
    place = 1
    if what == "TYPE":
        place, text = 0, text.strip()
        text = "unknown" if text == "untyped" else text
        if text not in KINDS:
            raise InvalidInput(f"{shown(text)} is no type of metric")
    elif what == "UNIT":
        place, text = 2, text.strip()
        if text and not family.endswith("_" + text):
            raise InvalidInput(f"unit {shown(text)} is not the end of {shown(family)}")
    said = found.get(family)
    if said is None:
        said = found[family] = ["unknown", "", ""]
    said[place] = text
