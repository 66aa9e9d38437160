"""What answers say about themselves."""

from __future__ import annotations

import numpy as np

from tsdb.promql.annotations import SENTENCES_MAX, Annotations


def test_each_sentence_is_said_once_in_order() -> None:
    said = Annotations()
    for sentence in ("b", "a", "b"):
        said.warn(sentence)
        said.tell(sentence)
    said.damage("block 7 is damaged")
    assert said.warnings == ["PromQL warning: b", "PromQL warning: a", "block 7 is damaged"]
    assert said.infos == ["PromQL info: b", "PromQL info: a"]


def test_more_than_a_few_are_counted() -> None:
    said = Annotations()
    for i in range(SENTENCES_MAX + 3):
        said.warn(str(i))
    assert len(said.warnings) == SENTENCES_MAX + 1
    assert said.warnings[-1] == "3 more warning annotations omitted"


def test_quantiles_that_are_no_fractions() -> None:
    said = Annotations()
    said.warn_of_quantiles(np.array([0.5, 2.0, np.nan, 2.0, -1.0, 0.0, 1.0]))
    assert [each.rpartition(" ")[2] for each in said.warnings] == ["2", "NaN", "-1"]

    extremes = Annotations()
    extremes.warn_of_extreme_quantiles(np.array([0.5, 2.0, 3.0, -2.0, -1.0]))
    assert [each.rpartition(" ")[2] for each in extremes.warnings] == ["3", "-2"]
    extremes.warn_of_extreme_quantiles(np.array([0.5, 1.0, 0.0]))
    assert len(extremes.warnings) == 2
    extremes.warn_of_extreme_quantiles(np.array([7.0, -7.0, np.nan]))
    assert [each.rpartition(" ")[2] for each in extremes.warnings] == ["3", "-2", "NaN"]
