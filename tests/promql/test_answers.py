"""The judge sees what differs: labels, times, values, order, sentences, errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

import pytest
from promql.differential.answers import Outcome, Question, difference
from promql.differential.grammar import Grammar, subjects

RANGED = Question("x", 0, 30_000, 15_000)


def answer() -> Outcome:
    a, b = (("host", "a"),), (("host", "b"),)
    return Outcome(
        "matrix",
        [(a, [(0, "1"), (15_000, "NaN")]), (b, [(0, "3"), (15_000, "+Inf")])],
        ["a warning"],
        ["an info"],
    )


def test_equal_ones_do_not_differ() -> None:
    ours = answer()
    ours.series[0] = (ours.series[0][0], [(0, "1.0000000000001"), (15_000, "nan")])
    assert difference(RANGED, answer(), ours) is None


def set_point(place: int, point: tuple[int, str]) -> Callable[[Outcome], None]:
    def change(outcome: Outcome) -> None:
        outcome.series[0][1][place] = point

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_point(0, (0, "1.00000000001")),
        set_point(0, (0, "NaN")),
        set_point(0, (1, "1")),
        set_point(1, (15_000, "0")),
        lambda outcome: outcome.series[1][1].pop(),
        lambda outcome: outcome.series.pop(),
        lambda outcome: outcome.series.reverse(),
        lambda outcome: outcome.series.append(outcome.series[0]),
        lambda outcome: outcome.series.append(((), [(0, "1")])),
        lambda outcome: outcome.warnings.clear(),
        lambda outcome: outcome.infos.append("another"),
        lambda outcome: setattr(outcome, "kind", "vector"),
    ],
)
def test_every_difference_is_seen(change: Callable[[Outcome], None]) -> None:
    ours = copy.deepcopy(answer())
    change(ours)
    assert difference(RANGED, answer(), ours) is not None


def test_who_comes_first_of_equals_does_not_matter() -> None:
    theirs = Outcome("vector", [((("n", "1"),), [(0, "5")])])
    ours = Outcome("vector", [((("n", "2"),), [(0, "5")])])
    assert difference(Question("topk(1, x)", 0), theirs, ours) is None
    assert difference(Question("max(x)", 0), theirs, ours) is not None
    ours.series = [((("n", "2"),), [(0, "4")])]
    assert difference(Question("topk(1, x)", 0), theirs, ours) is not None


def test_the_grammar_asks_about_everything() -> None:
    grammar = Grammar(Random(9))
    asked = {about for _ in range(3000) for about in subjects(grammar.question().text)}
    assert asked >= {
        "rate", "irate", "increase", "quantile_over_time", "predict_linear", "absent", "timestamp",
        "histogram_quantile", "histogram_fraction", "label_replace", "label_join", "topk",
        "count_values", "offset", "@", "subquery", "bool", "atan2", "unless", "%", "^", "==",
        "sort_desc", "scalar", "vector", "clamp", "round", "days_in_month", "stdvar", "deriv",
    }  # fmt: skip
    first, again = Grammar(Random(9)), Grammar(Random(9))
    assert [first.question() for _ in range(50)] == [again.question() for _ in range(50)]
