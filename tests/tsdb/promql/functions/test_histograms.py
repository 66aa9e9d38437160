"""histogram_quantile and histogram_fraction against twins in plain Python."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]
Buckets: TypeAlias = list[tuple[float, float]]

STEPS = 10  # more than the kernel's block
BOUNDS = ["-1", "-0.5", "0", "1", "1.0", "2.5", "1e1", "+Inf", "inf"]

fractions = st.sampled_from([0.0, 0.1, 0.5, 0.99, 1.0, -0.5, 1.5, math.nan])
places = st.sampled_from(
    [-math.inf, -2.0, -1.0, 0.0, 0.3, 1.0, 2.0, 7.0, 100.0, math.inf, math.nan]
)
counts = st.sampled_from([0.0, 1.0, 2.0, 5.0, 5.000000000000001, 9.0, 20.0])
histograms = st.dictionaries(
    st.sampled_from(BOUNDS),
    st.lists(st.none() | counts, min_size=STEPS, max_size=STEPS),
    min_size=1,
)


def stored_as(found: Mapping[str, Values]) -> dict[str, Values]:
    return {f'h{{h="1", le="{bound}"}}': values for bound, values in found.items()}


def at(found: Mapping[str, Values], step: int) -> Buckets:
    joined: dict[float, float] = {}
    for text, values in found.items():
        value = values[step]
        if value is not None:
            joined[float(text)] = joined.get(float(text), 0.0) + value
    return sorted(joined.items())


def alike(one: float, other: float) -> bool:
    if one == 0 or other == 0:
        return False
    return abs(one - other) / (abs(one) + abs(other)) < 1e-12


def quantile(fraction: float, buckets: Buckets) -> float:
    if math.isnan(fraction):
        return math.nan
    if not 0 <= fraction <= 1:
        return math.copysign(math.inf, fraction)
    bounds = [bound for bound, _ in buckets]
    if bounds[-1] != math.inf or len(bounds) < 2:
        return math.nan
    ascending = [buckets[0][1]]
    for _, count in buckets[1:]:
        before = ascending[-1]
        ascending.append(before if count < before or alike(before, count) else count)
    if ascending[-1] == 0:
        return math.nan
    rank = fraction * ascending[-1]
    found = min(bisect_left(ascending, rank), len(bounds) - 1)
    if found == len(bounds) - 1:
        return bounds[-2]
    if found == 0:
        if ascending[0] == 0 < bounds[0]:
            return math.nan  # 0 of 0
        return bounds[0] if bounds[0] <= 0 else bounds[0] * (rank / ascending[0])
    low, high = ascending[found - 1], ascending[found]
    share = (rank - low) / (high - low)
    return bounds[found - 1] + (bounds[found] - bounds[found - 1]) * share


def share(lower: float, upper: float, buckets: Buckets) -> float:
    total = buckets[-1][1]
    if buckets[-1][0] != math.inf or total == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0

    def below(place: float) -> float:
        before, count_before = -math.inf, 0.0
        for bound, count in buckets:
            if before >= place:
                return min(count_before, total)
            if bound > place:
                inside = (count - count_before) * (place - before) / (bound - before)
                found = count_before + inside
                return total if found > total else found
            before, count_before = bound, count
        return total

    return (below(upper) - below(lower)) / total


def like(values: Values) -> list[str]:
    return ["None" if value is None else f"{value + 0.0:.12g}" for value in values]


@given(found=histograms, fraction=fractions)
def test_quantiles(
    ask: Ask, table: Tabled, found: dict[str, list[float | None]], fraction: float
) -> None:
    expected = [quantile(fraction, b) if (b := at(found, step)) else None for step in range(STEPS)]
    answer = table(ask(f"histogram_quantile({fraction}, h)", stored_as(found)))
    assert {k: like(v) for k, v in answer.items()} == (
        {'{h="1"}': like(expected)} if any(e is not None for e in expected) else {}
    )


@given(found=histograms, lower=places, upper=places)
def test_fractions(
    ask: Ask, table: Tabled, found: dict[str, list[float | None]], lower: float, upper: float
) -> None:
    expected = [share(lower, upper, b) if (b := at(found, step)) else None for step in range(STEPS)]
    answer = table(ask(f"histogram_fraction({lower}, {upper}, h)", stored_as(found)))
    assert {k: like(v) for k, v in answer.items()} == (
        {'{h="1"}': like(expected)} if any(e is not None for e in expected) else {}
    )


def test_many_histograms_of_different_buckets(ask: Ask, table: Tabled) -> None:
    stored: dict[str, Values] = {
        'h{le="1", p="a"}': [1.0, 1.0],
        'h{le="+Inf", p="b"}': [4.0, None],
        'h{le="2", p="b"}': [2.0, 2.0],
        'h{le="+Inf", p="a"}': [2.0, 2.0],
    }
    answer = table(ask("histogram_quantile(0.25, h)", stored))
    assert like(answer['{p="a"}']) == like([0.5, 0.5])
    assert like(answer['{p="b"}']) == like([1.0, math.nan])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1_0", True), ("0x1p-1", True), ("Infinity", True), (".5", True), ("5.", True),
        ("bad", False), (" 1", False), ("1e999", False), ("_1", False), ("١", False), ("", False),
    ],
)  # fmt: skip
def test_bounds_are_read_as_go_reads_them(ask: Ask, text: str, read: bool) -> None:
    answer = ask("histogram_quantile(0.5, h)", {f'h{{le="{text}", p="a"}}': [1.0]})
    said = f'bucket label "le" is missing or has a malformed value of "{text}" for metric name "h"'
    assert answer.warnings == ([] if read else [f"PromQL warning: {said} (1:25)"])


def test_counts_that_shrink_are_told_of(ask: Ask, ask_once: Ask) -> None:
    stored: dict[str, Values] = {
        'h{le="1"}': [1.0, 5.0],
        'h{le="2"}': [3.0, 3.0],
        'h{le="+Inf"}': [4.0, 6.0],
    }
    (said,) = ask("histogram_quantile(0.5, h)", stored).infos
    assert said.startswith("PromQL info: input to histogram_quantile needed to be fixed")
    assert said.endswith('for metric name "" (1:25)')
    first = {labels: values[1:] for labels, values in stored.items()}
    assert ask_once("histogram_quantile(0.5, h)", first).infos == [said.replace('""', '"h"')]
    rounding = stored | {'h{le="1"}': [1.0, 3.0000000000000004]}
    assert ask("histogram_quantile(0.5, h)", rounding).infos == []


def test_histograms_of_two_names_are_refused(ask: Ask) -> None:
    stored = {f'{name}{{le="+Inf"}}': [1.0] for name in ("g", "h")}
    with pytest.raises(QueryFailed, match="same labelset"):
        ask('histogram_quantile(0.5, {le!=""})', stored)


def test_functions_of_native_histograms_find_none(ask: Ask, table: Tabled) -> None:
    for name in ("avg", "count", "stddev", "stdvar", "sum"):
        assert table(ask(f"histogram_{name}(h)", {'h{le="1"}': [1.0]})) == {}
