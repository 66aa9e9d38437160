"""Which part of a query a sentence is about, that refuses it for what its parts mean.

    in   a sentence of the parser, the query's parts
    out  the character at which the part begins, and the sentence as Prometheus words it

Prometheus checks parts from the inside out and from left to right; of several that fit a sentence
the first in that order is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tsdb.promql.diagnosis import COMPARING, RANGE, SCALAR, STRING, VECTOR, Part

__all__ = ["blamed"]

# Functions whose first argument is a number; with all others a number is a later one.
NUMBER_FIRST = frozenset({
    "histogram_fraction", "histogram_quantile", "quantile_over_time", "vector",
})  # fmt: skip
NO_VALUES = {STRING, RANGE}
Search = Callable[[Part, "re.Match[str]"], int | None]


def blamed(sentence: str, whole: Part) -> tuple[int | None, str]:
    """None as the place where the sentence is about nothing we know."""
    for pattern, search in _SEARCHES:
        match = pattern.search(sentence)
        if match is None:
            continue
        for part in _inside_out(whole):
            at = search(part, match)
            if at is not None:
                return at, sentence
    return None, sentence


def _inside_out(part: Part) -> Iterator[Part]:
    """Without recursion: chains of operators are long."""
    found, waiting = [], [part]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].inner
    return reversed(found)


def _called(part: Part, match: re.Match[str]) -> int | None:
    return part.start if part.name.lower() == match[1].lower() and part.inner is not None else None


def _counted(part: Part, match: re.Match[str]) -> int | None:
    fits = part.kind == "call" and part.name == match[1] and len(part.inner) == int(match[2])
    return part.start if fits else None


def _argument(part: Part, match: re.Match[str]) -> int | None:
    if part.kind != "call" or part.name != match[2]:
        return None
    first = 1 if match[1] == SCALAR and part.name not in NUMBER_FIRST else 0
    return next((each.start for each in part.inner[first:] if each.type == match[3]), None)


def _arguments_of_aggregation(part: Part, match: re.Match[str]) -> int | None:
    count = int(match[1] or 0)
    return part.start if part.kind == "aggregate" and len(part.inner) == count else None


def _aggregated(part: Part, match: re.Match[str]) -> int | None:
    if part.kind != "aggregate" or not part.inner:
        return None
    about = part.inner[-1] if match[1] == VECTOR else part.inner[0]
    return about.start if about.type == match[2] else None


def _no_value(part: Part, match: re.Match[str]) -> int | None:
    if part.kind != "binary":
        return None
    return next((each.start for each in part.inner if each.type in NO_VALUES), None)


def _sides(part: Part) -> set[str]:
    return {each.type for each in part.inner} if part.kind == "binary" else set()


def _number_in_set(part: Part, match: re.Match[str]) -> int | None:
    return part.start if part.name == match[1] and SCALAR in _sides(part) else None


def _matched_number(part: Part, match: re.Match[str]) -> int | None:
    matched = part.words & {"on", "ignoring"}
    return part.start if matched and SCALAR in _sides(part) else None


def _grouped(part: Part, match: re.Match[str]) -> int | None:
    grouped = part.words & {"group_left", "group_right"}
    return part.start if grouped and part.name == match[1] else None


def _compared(part: Part, match: re.Match[str]) -> int | None:
    fits = part.name in COMPARING and _sides(part) == {SCALAR} and "bool" not in part.words
    return part.at if fits else None


def _not_compared(part: Part, match: re.Match[str]) -> int | None:
    return part.at if "bool" in part.words and part.name not in COMPARING else None


def _shared(part: Part, match: re.Match[str]) -> int | None:
    return part.at if match[1] in part.shared else None


def _at_a_moment(part: Part, match: re.Match[str]) -> int | None:
    return part.start if "@" in part.words else None


def _signed(part: Part, match: re.Match[str]) -> int | None:
    return part.start if part.kind == "unary" and part.type in NO_VALUES else None


def _of_no_vector(part: Part, match: re.Match[str]) -> int | None:
    if part.kind != "subquery" or part.inner[0].type == VECTOR:
        return None
    return part.start


def _unnamed(part: Part, match: re.Match[str]) -> int | None:
    return part.start if part.kind == "selector" and not part.name else None


def _named_twice(part: Part, match: re.Match[str]) -> int | None:
    return part.start if part.kind == "selector" and part.name == match[1] else None


def _empty_label(part: Part, match: re.Match[str]) -> int | None:
    return part.empty


def _second_argument(part: Part, match: re.Match[str]) -> int | None:
    return part.inner[1].start if part.name == "info" and len(part.inner) > 1 else None


_SEARCHES: tuple[tuple[re.Pattern[str], Search], ...] = tuple(
    (re.compile(pattern), search)
    for pattern, search in (
        (r'argument\(s\) in call to "(\w+)", got (\d+)', _counted),
        (r'expected type ([a-z ]+) in call to function "(\w+)", got ([a-z ]+)', _argument),
        (r'unknown function with name "(\w+)"', _called),
        (r'function "(\w+)" is not enabled', _called),
        (r"^(\w+)\(\) is experimental", _called),
        (r"no arguments for aggregate expression()", _arguments_of_aggregation),
        (r"arguments for aggregate expression .*got (\d+)", _arguments_of_aggregation),
        (r"expected type ([a-z ]+) in aggregation \w+, got ([a-z ]+)", _aggregated),
        (r"binary expression must contain only", _no_value),
        (r'set operator "(\w+)" not allowed', _number_in_set),
        (r"vector matching only allowed between", _matched_number),
        (r'no grouping allowed for "(\w+)" operation', _grouped),
        (r"comparisons between scalars must use BOOL", _compared),
        (r"bool modifier can only be used on", _not_compared),
        (r'label "(\w+)" must not occur in ON and GROUP', _shared),
        (r"unary expression only allowed on", _signed),
        (r"timestamp out of bounds for @", _at_a_moment),
        (r"subquery is only allowed on", _of_no_vector),
        (r"must contain at least one non-empty matcher", _unnamed),
        (r'metric name must not be set twice: "([^"]*)"', _named_twice),
        (r"invalid label name for grouping", _empty_label),
        (r"expected label selectors only", _second_argument),
    )
)
