"""What answers say about themselves."""

from __future__ import annotations

import numpy as np

from tsdb.promql.annotations import SENTENCES_MAX, Annotations
from tsdb.promql.ast import Call, Number
from tsdb.promql.parse import parse

ABOUT = Number(1.0)


def test_each_sentence_is_said_once_in_order() -> None:
    said = Annotations()
    for sentence in ("b", "a", "b"):
        said.warn(sentence, ABOUT)
        said.tell(sentence, ABOUT)
    said.damage("block 7 is damaged")
    assert said.warnings == ["PromQL warning: b", "PromQL warning: a", "block 7 is damaged"]
    assert said.infos == ["PromQL info: b", "PromQL info: a"]


def test_more_than_a_few_are_counted() -> None:
    said = Annotations()
    for i in range(SENTENCES_MAX + 3):
        said.warn(str(i), ABOUT)
    assert len(said.warnings) == SENTENCES_MAX + 1
    assert said.warnings[-1] == "3 more warning annotations omitted"


def test_quantiles_that_are_no_fractions() -> None:
    said = Annotations()
    said.warn_of_quantiles(np.array([0.5, 2.0, np.nan, 2.0, -1.0, 0.0, 1.0]), ABOUT)
    assert [each.rpartition(" ")[2] for each in said.warnings] == ["2", "NaN", "-1"]

    extremes = Annotations()
    extremes.warn_of_extreme_quantiles(np.array([0.5, 2.0, 3.0, -2.0, -1.0]), ABOUT)
    assert [each.rpartition(" ")[2] for each in extremes.warnings] == ["3", "-2"]
    extremes.warn_of_extreme_quantiles(np.array([0.5, 1.0, 0.0]), ABOUT)
    assert len(extremes.warnings) == 2
    extremes.warn_of_extreme_quantiles(np.array([7.0, -7.0, np.nan]), ABOUT)
    assert [each.rpartition(" ")[2] for each in extremes.warnings] == ["3", "-2", "NaN"]


def test_the_last_place_is_told() -> None:
    said = Annotations()
    said.warn("a", Number(1.0, place="1:5"))
    said.warn("b", Number(1.0, place="1:6"))
    said.warn("a", Number(1.0, place="2:7"))
    assert said.warnings == ["PromQL warning: a (2:7)", "PromQL warning: b (1:6)"]


def test_what_is_said_of_a_node_holds_for_its_equal() -> None:
    first, second = parse("abs(x)"), parse("  abs( x)")
    assert isinstance(first, Call)
    said = Annotations()
    said.tell("a", first.arguments[0])
    said.again(0, 1, first, second)
    assert said.infos == ["PromQL info: a (1:8)"]


def test_a_subquery_stands_nowhere() -> None:
    call = parse("abs(rate(x[5m:1m]))")
    assert isinstance(call, Call)
    rate = call.arguments[0]
    assert isinstance(rate, Call)
    said = Annotations()
    said.tell("a", rate.arguments[0])
    assert said.infos == ["PromQL info: a (1:1)"]
