"""User regexes: google-re2, fully anchored, `.` matches newlines too, as in Prometheus 3.

    in   pattern text
    out  Pattern: literals or affixes where no engine is needed, else RE2, value by value or at once

Most patterns of dashboards are not regexes at all: `a|b|c` from a multi-value variable, `api.*`,
`.+`. Those are recognised here and never reach the engine. Python's own engine never sees a
user's pattern: 27 characters can keep it busy for seconds (docs/decisions/0004-postings.md).

Values are UTF-8 bytes. Price: 1.4 µs a value through RE2's wrapper one by one; 0.06 to 1.2 µs
when values are joined by newlines and scanned at once. Compiled patterns are kept (64 of them).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import re2

from tsdb import limits
from tsdb.batch import I64s
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown

__all__ = ["Affixes", "Pattern"]

Bools: TypeAlias = npt.NDArray[np.bool_]

PATTERNS_KEPT = 64
ENGINE_BYTES_MAX = 4 << 20  # of one compiled pattern; past it RE2 gets slower, never wrong
SCAN_BYTES = 1 << 18  # of joined values scanned in one go: other threads get their turn between

_SPECIAL = frozenset("\\.+*?()|[]{}^$")
# What would mean something else inside `(?m:^(?:...)$)` over joined lines.
_UNJOINABLE = re2.compile(r"\\[AzCQ]|\(\?[A-Za-z]*-")


@dataclass(frozen=True, slots=True)
class Affixes:
    """Values made of `prefix`, something, `infix`, something, `suffix`."""

    prefix: bytes
    infix: bytes
    suffix: bytes
    size_min: int  # of the whole value; more than the parts together where `.+` stood

    def match(self, value: bytes) -> bool:
        return (
            len(value) >= self.size_min
            and value.startswith(self.prefix)
            and value.endswith(self.suffix)
            and value.find(self.infix, len(self.prefix), len(value) - len(self.suffix)) >= 0
        )


class Pattern:
    """A compiled pattern. Get one by `Pattern.of`, which remembers it."""

    __slots__ = ("_engine", "_scanner", "affixes", "literals", "matches_empty", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = _tokens(_unwrapped(text))
        self.literals = _literals(tokens) if tokens is not None else None
        self.affixes = _affixes(tokens) if tokens is not None else None
        self._engine: Any = None
        self._scanner: Any = None
        if self.literals is None and self.affixes is None:
            if len(text) > limits.REGEX_BYTES_MAX or len(_encoded(text)) > limits.REGEX_BYTES_MAX:
                raise LimitExceeded(
                    f"regex {shown(text)} is too long",
                    limit="REGEX_BYTES_MAX",
                    value=limits.REGEX_BYTES_MAX,
                )
            self._engine = _compiled(text, dot_nl=True)
            if not _UNJOINABLE.search(text):
                self._scanner = _compiled(f"(?m:^(?:{text})$)", never_nl=True)
        self.matches_empty = self.match(b"")

    @classmethod
    @functools.lru_cache(maxsize=PATTERNS_KEPT)
    def of(cls, text: str) -> Pattern:
        """The pattern, new or remembered; InvalidInput if RE2 refuses it."""
        return cls(text)

    def match(self, value: bytes) -> bool:
        """The whole value matches."""
        if self.literals is not None:
            return value in self.literals
        if self.affixes is not None:
            return self.affixes.match(value)
        return self._engine.fullmatch(value) is not None

    def judge(self, text: bytes, offsets: I64s) -> Bools:
        """`match` of many values; value i is `text[offsets[i] : offsets[i + 1] - 1]`.

        After each value stands a newline. One scan for all where that is possible: no value
        holds a newline or is empty, and the pattern means the same on a line of many.
        """
        count = offsets.size - 1
        if self._scanner is None or text.count(b"\n") != count or np.any(np.diff(offsets) == 1):
            values = (text[offsets[i] : offsets[i + 1] - 1] for i in range(count))
            return np.fromiter((self.match(value) for value in values), np.bool_, count)
        verdicts = np.zeros(count, np.bool_)
        low = 0
        while low < count:
            high = max(low + 1, int(np.searchsorted(offsets, offsets[low] + SCAN_BYTES)) - 1)
            lines = text[offsets[low] : offsets[high] - 1]
            starts = [match.start() for match in self._scanner.finditer(lines)]
            found = np.searchsorted(offsets[low:high], np.asarray(starts, np.int64) + offsets[low])
            verdicts[low + found] = True
            low = high
        return verdicts


def _compiled(text: str, **settings: bool) -> Any:
    options = re2.Options()
    options.log_errors = False  # else RE2 writes the user's pattern to stderr
    options.never_capture = True
    options.max_mem = ENGINE_BYTES_MAX
    for name, value in settings.items():
        setattr(options, name, value)
    try:
        return re2.compile(text, options)
    except re2.error as error:
        why = error.args[0]
        why = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise InvalidInput(f"regex {shown(text)} is not valid RE2: {why}") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"regex {shown(text)} cannot be written as UTF-8") from None


def _unwrapped(text: str) -> str:
    """Without what full anchoring makes redundant: `^`, `$` and a group around it all."""
    text = text.removeprefix("^")
    if text.endswith("$") and not _last_is_escaped(text):
        text = text[:-1]
    for opening in ("(?:", "("):
        if text.startswith(opening) and text.endswith(")") and not _last_is_escaped(text):
            return text[len(opening) : -1]
    return text


def _last_is_escaped(text: str) -> bool:
    before = text[:-1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _tokens(text: str) -> list[str] | None:
    """Literal characters as themselves, and `|`, `.*`, `.+` as two characters `||`, `.*`, `.+`.

    None when the text holds anything else: then RE2 has to read it.
    """
    tokens = []
    position = 0
    while position < len(text):
        character, following = text[position], text[position + 1 : position + 2]
        position += 1
        if character == "\\":
            # RE2: escaped ASCII that is no word character stands for itself.
            if not following.isascii() or following.isalnum() or following in ("", "_"):
                return None
            tokens.append(following)
            position += 1
        elif character == "." and following in ("*", "+"):
            tokens.append(character + following)
            position += 1
        elif character == "|":
            tokens.append("||")
        elif character in _SPECIAL or "\ud800" <= character < "\ue000":
            return None
        else:
            tokens.append(character)
    return tokens


def _literals(tokens: list[str]) -> frozenset[bytes] | None:
    if ".*" in tokens or ".+" in tokens:
        return None
    alternatives = [""]
    for token in tokens:
        if token == "||":
            alternatives.append("")
        else:
            alternatives[-1] += token
    return frozenset(text.encode() for text in alternatives)


def _affixes(tokens: list[str]) -> Affixes | None:
    wild = [token for token in tokens if token in (".*", ".+")]
    if "||" in tokens or not wild or len(wild) > 2:
        return None
    parts = [""]
    for token in tokens:
        if token in (".*", ".+"):
            parts.append("")
        else:
            parts[-1] += token
    prefix, *infix, suffix = (part.encode() for part in parts)
    if infix and (".+" in wild or not infix[0]):
        return None  # how many characters stand between needs more than a size
    # One character more is one byte more at least: affixes end where characters end.
    size_min = len(prefix) + sum(map(len, infix)) + len(suffix) + (".+" in wild)
    return Affixes(prefix, infix[0] if infix else b"", suffix, size_min)
