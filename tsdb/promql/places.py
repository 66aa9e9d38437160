"""Where the parts of a query begin, told from its tokens: the grammar's package does not say.

    in   the text, its tokens
    out  Places: line:column of calls, selectors and parentheses, kind by kind, in order

A tree is walked in the order of its text, so that whoever walks it takes one place after the
other. Words that are keywords elsewhere may be names, in places where only the grammar knows: then
the numbers of places and nodes differ, and no places are better than wrong ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Places", "Text", "Token", "places_of"]

_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS = _LISTS | {"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"}
_CLOSING = {")": "(", "]": "[", "}": "{"}
_CALL, _LIST, _GROUP = "call", "list", "group"  # what a parenthesis holds


class Token(NamedTuple):
    kind: str  # a group of the scanner's expression
    text: str
    start: int


class Text:
    """A query's text by lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
        self._plain = text.isascii()

    def place(self, position: int) -> str:
        """line:column, counted from 1; columns are bytes, as Prometheus counts them."""
        line = bisect_right(self._lines, position)
        start = self._lines[line - 1]
        column = position - start
        if not self._plain:
            column = len(self._text[start:position].encode())
        return f"{line}:{column + 1}"


@dataclass(slots=True)
class Places:
    calls: list[str] = field(default_factory=list)  # functions and aggregations
    selectors: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # parentheses around expressions
    signs: list[str] = field(default_factory=list)  # unary; the scanner knows them
    strings: list[str] = field(default_factory=list)


def places_of(text: Text, tokens: Sequence[Token], places: Places) -> None:
    """Fills in calls, selectors and groups."""
    brackets: list[str] = []
    coming = _GROUP  # what the next parenthesis will hold
    aggregation = False  # a list of labels stands before the parenthesis of an aggregation
    before = ""
    for at, token in enumerate(tokens):
        word = token.text.lower()
        inside = brackets[-1] if brackets else ""
        if token.text in _CLOSING:
            closed = brackets.pop() if brackets else ""
            coming = _CALL if closed == _LIST and aggregation else _GROUP
            aggregation = aggregation and closed != _LIST
        elif token.text == "(":
            brackets.append(coming)
            if coming == _GROUP:
                places.groups.append(text.place(token.start))
            coming = _GROUP
        elif token.text in {"{", "["}:
            brackets.append(token.text)
            if token.text == "{" and before != "selector":
                places.selectors.append(text.place(token.start))
        elif token.kind == "word" and inside not in {"{", "[", _LIST}:
            following = tokens[at + 1].text.lower() if at + 1 < len(tokens) else ""
            if before == "@" or word in _LISTS:
                coming = _LIST
                aggregation = before == "call"
            elif word in _KEYWORDS:
                pass
            elif following in {"(", "by", "without"}:
                places.calls.append(text.place(token.start))
                coming, word = _CALL, "call"
            else:
                places.selectors.append(text.place(token.start))
                word = "selector"
        before = word
