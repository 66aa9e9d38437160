"""Range functions through a query: names, labels, messages; the kernels have their own test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tsdb.promql import spoken
from tsdb.promql.errors import QueryFailed

Ask = Callable[..., Any]
Table = Callable[..., Any]


def test_only_values_that_are_points_keep_the_name(ask: Ask, table: Table) -> None:
    series = {'x{a="1"}': [3.0, 1.0, 2.0]}
    assert table(ask("last_over_time(x[2m])", series)) == {'x{a="1"}': [3, 1, 2]}
    assert table(ask("max_over_time(x[2m])", series)) == {'{a="1"}': [3, 3, 2]}
    assert table(ask("count_over_time(x[2m])", series)) == {'{a="1"}': [1, 2, 2]}


def test_equal_label_sets_are_refused_even_at_different_steps(ask: Ask) -> None:
    series = {'x{a="1"}': [3.0, None, None], 'y{a="1"}': [None, None, 2.0]}
    with pytest.raises(QueryFailed, match="same labelset"):
        ask('sum_over_time({a="1"}[1m])', series)


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        ('x{a="1"}', '{a="1"}'),
        ('x{a="1", b=~"2"}', '{a="1"}'),
        ('x{a="1", a="2", b="3"}', '{b="3"}'),
        ('x{a="1", a!="2"}', "{}"),
        ('x{a=""}', "{}"),
        ('{__name__="x", c="d"}', '{c="d"}'),
    ],
)
def test_absent_series_are_called_as_asked_for(
    ask: Ask, table: Table, selector: str, labels: str
) -> None:
    series = {"y": [1.0, 2.0]}
    assert table(ask(f"absent_over_time({selector}[5m])", series)) == {labels: [1, 1]}
    assert table(ask(f"absent_over_time(({selector}[5m]))", series)) == {labels: [1, 1]}


def test_absent_where_no_series_has_a_point(ask: Ask, table: Table) -> None:
    series = {'x{a="1"}': [1.0, None, None, None], 'x{a="2"}': [None, None, None, 1.0]}
    assert table(ask("absent_over_time(x[1m])", series)) == {"{}": [None, 1, 1, None]}
    assert table(ask("absent_over_time(x[5m])", series)) == {}
    assert table(ask("absent_over_time(z[5m:1m])", series)) == {"{}": [1, 1, 1, 1]}


def test_rates_of_what_is_not_called_a_counter(ask: Ask) -> None:
    series = {"x": [1.0, 2.0, 3.0], "y_total": [1.0, 2.0, 3.0], "z_bucket": [1.0, 2.0, 3.0]}
    assert ask("rate(x[2m])", series).infos == [
        "PromQL info: metric might not be a counter, name does not end in "
        '_total/_sum/_count/_bucket: "x" (1:6)'
    ]
    for quiet in ("rate(y_total[2m])", "increase(z_bucket[2m])", "delta(x[2m])", "rate(x[1m])"):
        assert ask(quiet, series).infos == []


def test_quantiles_that_are_no_fractions(ask: Ask, table: Table) -> None:
    series = {"x": [1.0, 2.0]}
    answer = ask("quantile_over_time(1.5, x[2m])", series)
    assert table(answer) == {"{}": [math.inf, math.inf]}
    assert answer.warnings == [
        "PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:20)"
    ]
    assert ask("quantile_over_time(1.5, z[2m])", series).warnings == []


def test_a_prediction_starts_at_the_step(ask: Ask, table: Table) -> None:
    series = {"x": [0.0, 60.0, 120.0, 180.0]}
    found = table(ask("predict_linear(x[3m] @ 120, 60)", series))
    assert found == {"{}": pytest.approx([60, 120, 180, 240])}
    assert table(ask("deriv(x[3m] @ 120)", series)) == {"{}": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (-100000.0, "-100000"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e300, "1e+300"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert spoken.number(value) == text
