"""Selector text: which series are meant.

    in   `cpu{host="a", dc=~"x|y"}`, `{"my.metric", "label name"="v"}`, `sensors/kitchen/temp`
    out  matchers (`parse_selector`) or one label set (`parse_series`)

PromQL's selector grammar, and plain keys besides: text without braces is a metric name as it
stands, slashes and dots included. Errors name the character. Iterative, one pass: neither
nesting nor length can exhaust anything (SELECTOR_BYTES_MAX, MATCHERS_PER_SELECTOR_MAX).
"""

from __future__ import annotations

import re
from typing import NoReturn

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import METRIC_NAME, Labels, canonical
from tsdb.index.matchers import Matcher, Op, all_match_empty
from tsdb.index.quoting import shown, unquote

__all__ = ["parse_selector", "parse_series"]

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r"""[^\s\x00-\x20{}"'`,=~!()\[\]\\]+""")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OP = re.compile(r"=~|!~|!=|=")


def parse_selector(text: str, *, allow_empty: bool = False) -> tuple[Matcher, ...]:
    """Matchers of a selector; all of them must hold.

    `{}` and other selectors that demand no label are refused unless `allow_empty`.
    """
    matchers = _Selector(text).parse()
    if not allow_empty and all_match_empty(matchers):
        raise InvalidInput(
            f"selector {shown(text)} demands no label, so it means every series: "
            "give at least one matcher that does not match an empty value"
        )
    return matchers


def parse_series(text: str) -> Labels:
    """The one series that `text` names; only `=` may be used."""
    labels: dict[str, str] = {}
    for matcher in _Selector(text).parse():
        if matcher.op is not Op.EQUAL:
            raise InvalidInput(f"a series is named by = only, not by {matcher}")
        if matcher.name in labels:
            raise InvalidInput(f"label {shown(matcher.name)} is given twice in {shown(text)}")
        labels[matcher.name] = matcher.value
    canonical(labels)  # refuses what no series may be called
    return Labels(labels)


class _Selector:
    """One text and how far it has been read."""

    def __init__(self, text: str) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"character {error.start + 1} of the selector cannot be written as UTF-8"
            ) from None
        if size > limits.SELECTOR_BYTES_MAX:
            raise LimitExceeded(
                f"selector takes {size:,} bytes",
                limit="SELECTOR_BYTES_MAX",
                value=limits.SELECTOR_BYTES_MAX,
            )
        self._text = text
        self._position = 0
        self._matchers: list[Matcher] = []
        self._metric = ""  # named before the braces, or by a lone string inside

    def parse(self) -> tuple[Matcher, ...]:
        self._skip_space()
        plain = self._take(_PLAIN)
        if plain:
            self._name_metric(plain)
        self._skip_space()
        if self._next() == "{":
            self._position += 1
            self._parse_braces()
            self._skip_space()
        elif not plain:
            self._fail("a metric name or {")
        if self._next():
            self._fail("the end" if self._text[self._position - 1] == "}" else "{ or the end")
        if plain and any(m.name == METRIC_NAME for m in self._matchers[1:]):
            raise InvalidInput(
                f"the metric name is set twice in {shown(self._text)}: "
                f"before the braces and by {METRIC_NAME} inside"
            )
        return tuple(self._matchers)

    def _parse_braces(self) -> None:
        while True:
            self._skip_space()
            if self._next() == "}":
                break
            self._parse_item()
            self._skip_space()
            if self._next() == ",":
                self._position += 1
            elif self._next() != "}":
                self._fail(", or }")
        self._position += 1

    def _parse_item(self) -> None:
        quoted = self._next() in ('"', "'", "`")
        name = self._take_string() if quoted else self._take(_LABEL)
        if not name and not quoted:
            self._fail("a label name (quote it if it is not [a-zA-Z_][a-zA-Z0-9_]*) or }")
        self._skip_space()
        if quoted and self._next() in (",", "}"):
            if not name:
                raise InvalidInput(f"the metric name in {shown(self._text)} is empty")
            self._name_metric(name)
            return
        op = self._take(_OP)
        if not op:
            self._fail("one of = != =~ !~")
        self._skip_space()
        if self._next() not in ('"', "'", "`"):
            self._fail("a quoted value")
        self._add(Matcher(name, Op(op), self._take_string()))

    def _name_metric(self, metric: str) -> None:
        if self._metric:
            raise InvalidInput(
                f"the metric name is set twice in {shown(self._text)}: "
                f"{shown(self._metric)} and {shown(metric)}"
            )
        self._metric = metric
        self._add(Matcher(METRIC_NAME, Op.EQUAL, metric))

    def _add(self, matcher: Matcher) -> None:
        if len(self._matchers) == limits.MATCHERS_PER_SELECTOR_MAX:
            raise LimitExceeded(
                f"selector {shown(self._text)} has too many matchers",
                limit="MATCHERS_PER_SELECTOR_MAX",
                value=limits.MATCHERS_PER_SELECTOR_MAX,
            )
        self._matchers.append(matcher)

    def _next(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self, wanted: re.Pattern[str]) -> str:
        match = wanted.match(self._text, self._position)
        if match is None:
            return ""
        self._position = match.end()
        return match[0]

    def _take_string(self) -> str:
        string, self._position = unquote(self._text, self._position)
        return string

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _fail(self, expected: str) -> NoReturn:
        found = shown(self._next()) if self._next() else "the end"
        raise InvalidInput(
            f"selector {shown(self._text)}, character {self._position + 1}: "
            f"found {found}, expected {expected}"
        )
