"""Aggregations against twins in plain Python, a group and a step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.selector import parse_series
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Table: TypeAlias = dict[str, list[float | None]]
Tabled: TypeAlias = Callable[[Answer], Table]

STEPS = 10  # more than the block of the quantiles' kernel
ALL = {"{}"}

numbers = st.sampled_from([
    0.0, -0.0, 1.0, 2.0, 3.0, 0.1, 1e16, -1e16, 1e100, 1.7e308, -1.7e308, 5e-324,
    math.inf, -math.inf, math.nan,
])  # fmt: skip
rows = st.lists(st.none() | numbers, min_size=STEPS, max_size=STEPS)
series = st.dictionaries(
    st.builds(
        lambda name, a, b: f'{name}{{a="{a}", b="{b}"}}',
        st.sampled_from(["m", "n"]),
        st.sampled_from("xy"),
        st.sampled_from("123"),
    ),
    rows,
    min_size=1,
    max_size=8,
)
clauses = st.sampled_from(
    ["", "by (a)", "by (b, nope)", "without (a)", "without ()", "by (__name__)"]
)


def grouped(stored: Mapping[str, Values], clause: str) -> dict[Labels, list[tuple[Labels, Values]]]:
    """Members of each group in the order of rows."""
    kind, _, rest = clause.partition(" ")
    names = {name.strip() for name in rest.strip("()").split(",")}
    groups: dict[Labels, list[tuple[Labels, Values]]] = {}
    for text, values in stored.items():
        labels = parse_series(text)
        key = Labels(
            {
                name: value
                for name, value in labels.items()
                if (name not in names | {METRIC_NAME} if kind == "without" else name in names)
            }
        )
        groups.setdefault(key, []).append((labels, values))
    return groups


def kahan(values: list[float]) -> tuple[float, float]:
    total = lost = 0.0
    for value in values:
        total, lost = added(value, total, lost)
    return total, lost


def added(value: float, total: float, lost: float) -> tuple[float, float]:
    grown = total + value
    if math.isinf(grown):
        return grown, 0.0
    if abs(total) >= abs(value):
        return grown, lost + ((total - grown) + value)
    return grown, lost + ((value - grown) + total)


def mean(values: list[float]) -> float:
    total, lost, running = values[0], 0.0, False
    for number, value in enumerate(values[1:], 2):
        if not running:
            grown, more = added(value, total, lost)
            if not math.isinf(grown):
                total, lost = grown, more
                continue
            running, total, lost = True, total / (number - 1), lost / (number - 1)
        share = (number - 1) / number
        total, lost = added(value / number, share * total, share * lost)
    return total + lost if running else total / len(values) + lost / len(values)


def variance(values: list[float]) -> float:
    if not math.isfinite(values[0]):
        return math.nan
    average, squares = values[0], 0.0
    for number, value in enumerate(values[1:], 2):
        delta = value - average
        average += delta / number
        squares += delta * (value - average)
    return squares / len(values)


def root(value: float) -> float:
    return math.nan if value < 0 else math.sqrt(value)


def largest(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return max(known) if known else math.nan


def smallest(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return min(known) if known else math.nan


def quantile(fraction: float, values: list[float]) -> float:
    if math.isnan(fraction):
        return math.nan
    if not 0 <= fraction <= 1:
        return math.copysign(math.inf, fraction)
    ordered = sorted(values, key=lambda value: (value == value, value))
    rank = fraction * (len(ordered) - 1)
    low = math.floor(rank)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[min(low + 1, len(ordered) - 1)] * weight


TWINS: dict[str, Callable[[list[float]], float]] = {
    "sum": lambda values: sum(kahan(values)),
    "avg": mean,
    "min": smallest,
    "max": largest,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
    "stdvar": variance,
    "stddev": lambda values: root(variance(values)),
}


def like(values: Values) -> list[str]:
    """Zeros of either sign are alike to `max`, all else counts to the bit."""
    return ["None" if value is None else repr(value + 0.0) for value in values]


def expected(
    stored: Mapping[str, Values], clause: str, twin: Callable[[list[float]], float]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for labels, members in grouped(stored, clause).items():
        columns = [
            [values[step] for _, values in members if values[step] is not None]
            for step in range(STEPS)
        ]
        if any(columns):
            found[str(labels)] = like([twin(column) if column else None for column in columns])  # type: ignore[arg-type]
    return found


@given(stored=series, clause=clauses, operator=st.sampled_from(sorted(TWINS)))
def test_reductions(
    ask: Ask, table: Tabled, stored: dict[str, list[float | None]], clause: str, operator: str
) -> None:
    found = table(ask(f'{operator} {clause} ({{a!=""}})', stored))
    assert {labels: like(values) for labels, values in found.items()} == expected(
        stored, clause, TWINS[operator]
    )


@given(
    stored=series,
    clause=clauses,
    fraction=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0, -0.1, 2.0, math.nan]),
)
def test_quantiles(
    ask: Ask, table: Tabled, stored: dict[str, list[float | None]], clause: str, fraction: float
) -> None:
    answer = ask(f'quantile {clause} ({fraction}, {{a!=""}})', stored)
    found = {labels: like(values) for labels, values in table(answer).items()}
    assert found == expected(stored, clause, lambda values: quantile(fraction, values))
    said = (
        [] if 0 <= fraction <= 1 else ["PromQL warning: quantile value should be between 0 and 1"]
    )
    assert [each.partition(", got")[0] for each in answer.warnings] == said


def test_a_sum_that_only_compensation_gets_right(ask: Ask, table: Tabled) -> None:
    stored = {'m{i="1"}': [1.0], 'm{i="2"}': [1e100], 'm{i="3"}': [1.0], 'm{i="4"}': [-1e100]}
    assert table(ask("sum(m)", stored)) == {"{}": [2.0]}
    assert table(ask("avg(m)", stored)) == {"{}": [0.5]}


def test_a_mean_whose_sum_overflows(ask: Ask, table: Tabled) -> None:
    stored = {'m{i="1"}': [1.5e308], 'm{i="2"}': [1.5e308], 'm{i="3"}': [0.9e308]}
    assert table(ask("sum(m)", stored)) == {"{}": [math.inf]}
    assert table(ask("avg(m)", stored))["{}"] == [pytest.approx(1.3e308, rel=1e-15)]


def test_no_series_make_no_group(ask: Ask, table: Tabled) -> None:
    for text in ("sum(m)", "count(m)", "quantile(0.5, m)", "topk(1, m)", 'count_values("v", m)'):
        assert table(ask(text, {"other": [1.0, 2.0]})) == {}


def test_a_mean_that_overflowed_before_an_infinity_came(ask: Ask, table: Tabled) -> None:
    stored = {'m{i="1"}': [1.7e308], 'm{i="2"}': [1.7e308], 'm{i="3"}': [-math.inf]}
    assert table(ask("avg(m)", stored)) == {"{}": [-math.inf]}
