"""Values of a series as unit tests of rules write them.

in   `1 2+3x4 _ stale 5x2`
out  a value a step, None where there is none

a       one value; NaN and Inf too
_       no value; `_xn` n of them
stale   a stale marker
axn     a, and n times more
a+bxn   a, a + b, ... a + n*b; a-bxn likewise
"""

from __future__ import annotations

import re

from api.rules.group import STALE
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded

__all__ = ["values_of"]

_NUMBER = r"[+-]?(?:\d++\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|[Ii]nf|[Nn]a[Nn])"
_ITEM = re.compile(rf"(?:(_|stale)|({_NUMBER})(?:([+-])({_NUMBER[5:]})(?=x))?)(?:x(\d+))?")


def values_of(text: str) -> list[float | None]:
    """All values in order. Raises InvalidInput naming what it cannot read."""
    found: list[float | None] = []
    for item in text.split():
        match = _ITEM.fullmatch(item)
        if match is None:
            raise InvalidInput(f"{item!r} is no value of a series")
        mark, first, sign, step, times = match.groups()
        count = int(times) if times else 0
        if len(found) + count > limits.QUERY_STEPS_MAX:
            raise LimitExceeded(
                "a series of a test has too many values",
                limit="QUERY_STEPS_MAX",
                value=limits.QUERY_STEPS_MAX,
            )
        if mark == "_":
            found += [None] * max(1, count)
        elif mark == "stale":
            found += [STALE] * (count + 1)
        else:
            each = float(f"{sign}{step}") if step else 0.0
            value = float(first)
            for i in range(count + 1):
                found.append(value)
                value = value + each if i < count else value
    return found
