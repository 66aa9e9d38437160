"""Matchers: one condition on one label, with the meaning Prometheus gives it.

    in   label name, operator, value or pattern
    out  Matcher; whether a label value fulfils it

A missing label has the empty value, so `{dc=""}` finds series without `dc` and `{dc!="x"}` finds
them too. Regexes match whole values (tsdb.index.pattern).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.pattern import Pattern
from tsdb.index.quoting import is_label_name, quote, shown

__all__ = ["Matcher", "Op", "all_match_empty"]


class Op(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"

    @property
    def negative(self) -> bool:
        return self in (Op.NOT_EQUAL, Op.NOT_MATCH)

    @property
    def regex(self) -> bool:
        return self in (Op.MATCH, Op.NOT_MATCH)


@dataclass(frozen=True, slots=True)
class Matcher:
    """`name op value`; a regex that RE2 refuses is refused here."""

    name: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInput("a matcher needs a label name")
        for text in (self.name, self.value):
            if not _is_utf8(text):
                raise InvalidInput(f"matcher text {shown(text)} cannot be written as UTF-8")
        if len(self.value.encode()) > limits.SELECTOR_BYTES_MAX:
            raise LimitExceeded(
                f"value of matcher on {shown(self.name)} is too long",
                limit="SELECTOR_BYTES_MAX",
                value=limits.SELECTOR_BYTES_MAX,
            )
        if self.op.regex:
            Pattern.of(self.value)

    @property
    def pattern(self) -> Pattern:
        assert self.op.regex
        return Pattern.of(self.value)

    @property
    def matches_empty(self) -> bool:
        """A series without the label fulfils it."""
        return self.matches("")

    def matches(self, value: str) -> bool:
        """A series whose label has this value fulfils it; the empty value means no label."""
        found = self.pattern.match(value.encode()) if self.op.regex else value == self.value
        return found != self.op.negative

    def __str__(self) -> str:
        name = self.name if is_label_name(self.name) else quote(self.name)
        return f"{name}{self.op}{quote(self.value)}"


def all_match_empty(matchers: Iterable[Matcher]) -> bool:
    """No matcher demands a label: the selector means "everything, or nearly".

    Prometheus refuses such selectors unless a metric name stands before the braces.
    """
    return all(matcher.matches_empty for matcher in matchers)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character < "\ue000" for character in text)
