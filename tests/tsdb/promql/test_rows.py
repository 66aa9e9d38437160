"""Rows of label sets: groups, equal rows, names dropped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import Rows

names = st.sampled_from([METRIC_NAME, "a", "b", "é"])
label_sets = st.dictionaries(names, st.sampled_from("xy"), max_size=4).map(Labels)
all_rows = st.lists(label_sets, max_size=8)


@given(all_rows, st.lists(names, max_size=3), st.booleans())
def test_groups_hold_rows_that_agree(rows: list[Labels], chosen: list[str], without: bool) -> None:
    def key(labels: Labels) -> Labels:
        gone = {*chosen, METRIC_NAME}
        return Labels(
            {n: v for n, v in labels.items() if (n not in gone if without else n in chosen)}
        )

    groups, found = Rows(rows).grouped(chosen, without=without)

    labels = list(found.labels())
    assert [labels[group] for group in groups] == [key(each) for each in rows]
    assert labels == list(dict.fromkeys(map(key, rows)))


@given(all_rows)
def test_twins_are_equal_rows(rows: list[Labels]) -> None:
    found = Rows(rows).twins()
    if len(set(rows)) == len(rows):
        assert found is None
        assert list(Rows(rows).distinct().labels()) == rows
        return
    assert found is not None
    groups, firsts = found
    assert firsts.tolist() == [rows.index(each) for each in dict.fromkeys(rows)]
    assert [rows[firsts[group]] for group in groups] == rows
    with pytest.raises(QueryFailed, match="same labelset"):
        Rows(rows).distinct()


@given(all_rows, st.data())
def test_rows_in_another_order(rows: list[Labels], data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9)) if rows else []
    taken = Rows(rows).taken(np.array(order, np.int64))
    assert list(taken.labels()) == [rows[row] for row in order]
    assert list(taken.followed_by(Rows(rows)).labels()) == [rows[row] for row in order] + rows
    assert [dict(each) for each in Rows(rows).without_name().labels()] == [
        {n: v for n, v in each.items() if n != METRIC_NAME} for each in rows
    ]
