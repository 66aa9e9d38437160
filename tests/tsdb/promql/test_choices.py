"""topk, bottomk and limits: which rows stay, and in which order."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import Labels
from tsdb.index.selector import parse_series
from tsdb.promql import choices
from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]

numbers = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, math.inf, -math.inf, math.nan])
series = st.lists(
    st.tuples(st.sampled_from("xy"), st.lists(st.none() | numbers, min_size=3, max_size=3)),
    min_size=1,
    max_size=9,
).map(lambda rows: {f'm{{g="{g}", i="{i}"}}': values for i, (g, values) in enumerate(rows)})


@given(
    stored=series, k=st.integers(0, 6), largest=st.booleans(), by=st.sampled_from(["", "by (g)"])
)
def test_the_best_values_stay(
    ask: Ask,
    table: Tabled,
    stored: dict[str, list[float | None]],
    k: int,
    largest: bool,
    by: str,
) -> None:
    found = table(ask(f"{'topk' if largest else 'bottomk'} {by} ({k}, m)", stored))
    assert set(found) <= set(stored)

    def rank(value: float) -> float:
        return -math.inf if math.isnan(value) else (value if largest else -value)

    for group in "xy" if by else [""]:
        members = [text for text in stored if not by or f'g="{group}"' in text]
        for step in range(3):
            there = [value for text in members if (value := stored[text][step]) is not None]
            kept = [v for text in members if (v := found.get(text, [None] * 3)[step]) is not None]
            assert all(
                repr(found[text][step]) in {repr(stored[text][step]), "None"}
                for text in members
                if text in found
            )
            best = heapq.nlargest(k, there, key=rank)
            assert sorted(map(rank, kept)) == sorted(map(rank, best))
            assert sum(map(math.isnan, kept)) == max(
                0, min(k, len(there)) - len([v for v in there if v == v])
            )


def test_one_step_is_in_the_order_of_values(ask_once: Ask, table: Tabled) -> None:
    stored = {
        'm{i="1"}': [2.0],
        'm{i="2"}': [math.nan],
        'm{i="3"}': [7.0],
        'm{i="4"}': [-math.inf],
        'm{i="5"}': [7.0],
    }

    def order(text: str) -> str:
        return "".join(parse_series(labels)["i"] for labels in table(ask_once(text, stored)))

    # The order of equal values is that of Go's heap and insertion sort.
    assert order("topk(5, m)")[2:] == "142"
    assert set(order("topk(2, m)")) == {"3", "5"}
    assert order("bottomk(5, m)")[:2] == "41"
    assert order("bottomk(5, m)")[-1] == "2"
    assert order("topk(1, m)") == "3"


def test_k_may_change_from_step_to_step(ask: Ask, table: Tabled) -> None:
    stored = {'m{i="1"}': [1.0, 1.0, 1.0], 'm{i="2"}': [2.0, 2.0, 2.0], "k": [1.0, 2.0, 0.5]}
    found = table(ask("topk(scalar(k), m)", stored))
    assert found == {'m{i="1"}': [None, 1.0, None], 'm{i="2"}': [2.0, 2.0, None]}


@pytest.mark.parametrize("k", ["NaN", "1e30", "9223372036854775808", "Inf"])
def test_k_must_be_a_whole_number(ask: Ask, k: str) -> None:
    with pytest.raises(QueryFailed, match=r"^Scalar value \S+ overflows int64$"):
        ask(f"topk({k}, m)", {"m": [1.0]})


def test_a_huge_k_keeps_all(ask: Ask, table: Tabled) -> None:
    stored = {'m{i="1"}': [1.0], 'm{i="2"}': [2.0]}
    assert table(ask("topk(1e15, m)", stored)) == stored
    assert table(ask("topk(-1e15, m)", stored)) == {}


def test_the_place_of_a_label_set_is_prometheus() -> None:
    # Prometheus 3.5 keeps this series from a ratio of 0.327 on.
    assert choices.place(Labels({"__name__": "m", "i": "1"})) == pytest.approx(0.3263117, abs=1e-7)
    assert 0 <= choices.place(Labels({"long": "x" * 300})) < 1


def test_a_limit_takes_the_first_of_each_group(experimental: Ask, table: Tabled) -> None:
    stored = {
        'm{g="x", i="1"}': [None, 1.0],
        'm{g="x", i="2"}': [2.0, 2.0],
        'm{g="y", i="3"}': [3.0, None],
    }
    assert table(experimental("limitk(1, m)", stored)) == {
        'm{g="x", i="1"}': [None, 1.0],
        'm{g="x", i="2"}': [2.0, None],
    }
    assert table(experimental("limitk by (g) (2, m)", stored)) == stored
    assert table(experimental("limitk(0, m)", stored)) == {}


@given(ratio=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]))
def test_a_ratio_and_its_complement_share_the_series(
    experimental: Ask, table: Tabled, ratio: float
) -> None:
    stored = {f'm{{i="{i}"}}': [float(i)] for i in range(50)}
    some = table(experimental(f"limit_ratio({ratio}, m)", stored))
    others = table(experimental(f"limit_ratio({ratio - 1}, m)", stored))
    assert not set(some) & set(others)
    assert some | others == stored


def test_a_ratio_beyond_one_is_capped(experimental: Ask, table: Tabled) -> None:
    answer = experimental("limit_ratio(3, m)", {"m": [1.0]})
    assert table(answer) == {"m": [1.0]}
    (said,) = answer.warnings
    assert said.startswith("PromQL warning: ratio value should be between -1 and 1, got 3, capping")
    with pytest.raises(QueryFailed, match=r"^Ratio value NaN is NaN$"):
        experimental("limit_ratio(NaN, m)", {"m": [1.0]})
