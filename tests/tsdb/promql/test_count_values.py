"""count_values: values become labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]

STORED: dict[str, Values] = {
    'm{a="x", b="1"}': [1.0, 2.5],
    'm{a="x", b="2"}': [1.0, None],
    'm{a="y", b="1", v="old"}': [1.0, math.inf],
}


def test_a_row_for_each_value(ask: Ask, table: Tabled) -> None:
    assert table(ask('count_values("v", m)', STORED)) == {
        '{v="+Inf"}': [None, 1.0],
        '{v="1"}': [3.0, None],
        '{v="2.5"}': [None, 1.0],
    }
    assert table(ask('count_values by (a) ("v", m)', STORED)) == {
        '{a="x", v="1"}': [2.0, None],
        '{a="x", v="2.5"}': [None, 1.0],
        '{a="y", v="+Inf"}': [None, 1.0],
        '{a="y", v="1"}': [1.0, None],
    }


def test_the_values_label_replaces_one_of_that_name(ask: Ask, table: Tabled) -> None:
    assert table(ask('count_values by (v) ("v", m)', STORED)) == table(
        ask('count_values("v", m)', STORED)
    )
    assert table(ask('count_values without (b, a) ("v", m)', STORED)) == table(
        ask('count_values("v", m)', STORED)
    )
    assert table(ask('count_values without (v, b) ("v", m)', STORED)) == {
        '{a="x"}': [2.0, 1.0],
        '{a="y"}': [1.0, 1.0],
    }


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (-0.0, "-0"), (0.1, "0.1"), (5e-324, None),
        (math.nan, "NaN"), (-math.inf, "-Inf"), (1 / 3, "0.3333333333333333"),
    ],
)  # fmt: skip
def test_values_are_spelled_without_exponent(
    ask: Ask, table: Tabled, value: float, spelled: str | None
) -> None:
    spelled = spelled or "0." + "0" * 323 + "5"
    assert table(ask('count_values("v", m)', {"m": [value]})) == {f'{{v="{spelled}"}}': [1.0]}


def test_a_label_needs_a_name(ask: Ask) -> None:
    with pytest.raises(QueryFailed, match=r"invalid label name"):
        ask('count_values("", m)', STORED)
