"""`# TYPE`, `# HELP` and `# UNIT` lines: what a sender says about families of series.

    in   lines of metadata, one behind the other, as the kernel gathered them
    out  one FamilyMetadata a family; what is wrong, by number of the line among them

A scrape says the same every time, and takes as many bytes for it as for points: what was read is
remembered. Price: 2 µs a line the first time, then a hash of the text.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from tsdb.batch import FamilyMetadata
from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown
from tsdb.parse import line_numbers

__all__ = ["Notes", "read_notes"]

REMEMBERED_TEXTS, REMEMBERED_BYTES_MAX = 256, 64 << 10
KINDS = {
    "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown",
}  # fmt: skip
_NOTE = re.compile(
    rb'#[ \t]+(HELP|TYPE|UNIT)[ \t]+(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|"((?:[^"\\]|\\.)*)")'
    rb"(?:[ \t](.*))?",
    re.DOTALL,
)
_ESCAPE = re.compile(rb'\\([\\"n])')
_HELP_ESCAPE = re.compile(rb"\\([\\n])")
_UNESCAPED = {b"\\": b"\\", b'"': b'"', b"n": b"\n"}


@dataclass(frozen=True, slots=True)
class Notes:
    families: tuple[FamilyMetadata, ...] = ()
    wrong: tuple[tuple[int, str], ...] = ()  # number of the line, why


def read_notes(text: bytes, *, openmetrics: bool) -> Notes:
    """All lines of metadata of a body; the last one counts where a family has several."""
    if len(text) > REMEMBERED_BYTES_MAX:
        return _read(text, openmetrics)
    return _remembered(text, openmetrics)


def _read(text: bytes, openmetrics: bool) -> Notes:
    found: dict[str, list[str]] = {}  # family -> kind, help, unit
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(text.split(b"\n")[:-1]):
        try:
            _note(line.rstrip(b"\r"), found, openmetrics)
        except InvalidInput as error:
            wrong.append((number, str(error)))
    return Notes(tuple(FamilyMetadata(name, *said) for name, said in found.items()), tuple(wrong))


_remembered = functools.lru_cache(maxsize=REMEMBERED_TEXTS)(_read)


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
    if what == b"TYPE":
        kind = text.strip()
        kind = "unknown" if kind == "untyped" else kind
        if kind not in KINDS:
            raise InvalidInput(f"{shown(kind)} is no type of metric")
        found.setdefault(family, ["unknown", "", ""])[0] = kind
    elif what == b"HELP":
        escape = _ESCAPE if openmetrics else _HELP_ESCAPE
        told = escape.sub(lambda f: _UNESCAPED[f[1]], said or b"").decode()
        found.setdefault(family, ["unknown", "", ""])[1] = told
    else:
        unit = text.strip()
        if unit and not family.endswith("_" + unit):
            raise InvalidInput(f"unit {shown(unit)} is not the end of {shown(family)}")
        found.setdefault(family, ["unknown", "", ""])[2] = unit
