"""The order of an instant answer: by value, by label.

    in   values, or label sets
    out  the rows in order

Only an instant query shows an order; a range query's answer is ordered by label sets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cmp_to_key
from itertools import zip_longest
from math import isnan

import numpy as np

from tsdb.batch import F64s, I64s
from tsdb.index.labels import Labels

__all__ = ["by_label", "by_value"]

INSERTED_MAX = 12  # so many Go's sort inserts one by one; of more, equal ones may stand otherwise
_CHUNK = re.compile(r"[0-9]+|[^0-9]+")


def by_value(values: F64s, *, descending: bool) -> I64s:
    """Smallest or largest first, NaN last."""
    if values.size > INSERTED_MAX:
        return np.argsort(-values if descending else values, kind="stable")
    return np.array(_inserted(values.tolist(), descending=descending), np.int64)


def _inserted(values: list[float], *, descending: bool) -> list[int]:
    """The order in which Go's insertion sort leaves them: equal values as they were, NaNs not."""

    def behind(one: float, other: float) -> bool:
        return isnan(one) or (one < other if descending else one > other)

    order = list(range(len(values)))
    for end in range(1, len(order)):
        at = end
        while at > 0 and behind(values[order[at - 1]], values[order[at]]):
            order[at - 1], order[at] = order[at], order[at - 1]
            at -= 1
    return order


def by_label(labels: Sequence[Labels], names: Sequence[str], *, descending: bool) -> I64s:
    """By the values of some labels, runs of digits as numbers; then by all labels."""
    sign = -1 if descending else 1

    def compared(one: int, other: int) -> int:
        for name in names:
            left, right = labels[one].get(name, ""), labels[other].get(name, "")
            if left != right:
                return -sign if _naturally_before(left, right) else sign
        left_all, right_all = list(labels[one].items()), list(labels[other].items())
        return sign * ((left_all > right_all) - (left_all < right_all))

    return np.array(sorted(range(len(labels)), key=cmp_to_key(compared)), np.int64)


def _naturally_before(left: str, right: str) -> bool:
    for one, other in zip_longest(_CHUNK.findall(left), _CHUNK.findall(right)):
        if one is None or other is None:
            return one is None
        a, b = _whole(one), _whole(other)
        if a is not None and b is not None:
            if a != b:
                return a < b
        elif one != other:
            return bool(one < other)
    return True


def _whole(chunk: str) -> int | None:
    number = int(chunk) if chunk.isdigit() and len(chunk) < 4000 else None
    return number if number is not None and number < 2**63 else None
