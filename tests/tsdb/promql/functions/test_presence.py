"""absent: where nothing is, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]


def test_absent_is_one_where_no_series_has_a_value(ask: Ask, table: Tabled) -> None:
    stored = {'m{a="x"}': [1.0, None, None], 'm{a="y"}': [None, None, 2.0]}
    assert table(ask("absent(m)", stored)) == {"{}": [None, 1.0, None]}
    assert table(ask('absent(m{a="x"})', stored)) == {'{a="x"}': [None, 1.0, 1.0]}
    assert table(ask("absent(m > 1)", stored)) == {"{}": [1.0, 1.0, None]}
    assert table(ask("absent(m or vector(1))", stored)) == {}


@pytest.mark.parametrize(
    ("argument", "labels"),
    [
        ('n{a="x", b="y"}', '{a="x", b="y"}'), ('(n{a="x"})', '{a="x"}'),
        ('n{a="x", b=~"y", c!="z"}', '{a="x"}'), ('n{a="x", a="y", b="z"}', '{b="z"}'),
        ('n{a="x", a!="y"}', "{}"), ('n{a=""}', "{}"), ('sum(n{a="x"})', "{}"),
        ('n{a="x"} + 1', "{}"), ('{__name__="n", a="x"}', '{a="x"}'),
    ],
)  # fmt: skip
def test_labels_are_those_asked_for_by_equality(
    ask: Ask, table: Tabled, argument: str, labels: str
) -> None:
    assert table(ask(f"absent({argument})", {"m": [1.0]})) == {labels: [1.0]}
