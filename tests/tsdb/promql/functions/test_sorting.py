"""Order of instant answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import Labels
from tsdb.promql import ordering
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]

STORED: dict[str, Values] = {"a": [3.0], "b": [math.nan], "c": [-math.inf], "d": [7.0], "e": [0.0]}


def test_sort_puts_nan_last(ask_once: Ask, table: Tabled) -> None:
    assert list(table(ask_once('sort({__name__=~".+"})', STORED))) == ["c", "e", "a", "d", "b"]
    assert list(table(ask_once('sort_desc({__name__=~".+"})', STORED))) == ["d", "a", "e", "c", "b"]


def test_a_range_has_no_order(ask: Ask, table: Tabled) -> None:
    stored = {name: [*values, 1.0] for name, values in STORED.items()}
    assert list(table(ask('sort_desc({__name__=~".+"})', stored))) == sorted(STORED)


@given(st.lists(st.sampled_from([0.0, 1.0, -1.0, math.inf, math.nan]), max_size=30), st.booleans())
def test_by_value(values: list[float], descending: bool) -> None:
    array = np.array(values)
    order = ordering.by_value(array, descending=descending)
    assert sorted(order.tolist()) == list(range(len(values)))
    found = array[order]
    known = found[~np.isnan(found)]
    assert np.isnan(found[known.size :]).all()
    assert known.tolist() == sorted(known.tolist(), reverse=descending)


def test_by_label_counts_digits_as_numbers() -> None:
    hosts = ["web-10", "web-2", "web-1b", "", "db", "web-1a", "99999999999999999999", "3"]
    labels = [Labels({"host": host, "i": str(i)}) for i, host in enumerate(hosts)]
    order = ordering.by_label(labels, ["host"], descending=False)
    assert [hosts[i] for i in order] == [
        "", "3", "99999999999999999999", "db", "web-1a", "web-1b", "web-2", "web-10",
    ]  # fmt: skip
    assert ordering.by_label(labels, ["host"], descending=True).tolist() == order.tolist()[::-1]


def test_by_label_then_by_all_labels() -> None:
    labels = [Labels({"a": "1", "b": "2"}), Labels({"a": "1"}), Labels({"a": "1", "b": "10"})]
    assert ordering.by_label(labels, ["a"], descending=False).tolist() == [1, 2, 0]
