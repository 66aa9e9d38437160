"""Vectors: rows that became equal are one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tsdb.index.labels import Labels
from tsdb.promql.errors import QueryFailed
from tsdb.promql.rows import Rows
from tsdb.promql.values import Clash, Vector

STEPS = 4
presences = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.booleans(), min_size=STEPS, max_size=STEPS)),
    max_size=7,
)


def vector(rows: list[tuple[int, list[bool]]]) -> Vector:
    """Row i belongs to group g and has the value 100 i + s at step s, with a NaN's own bits."""
    values = 100.0 * np.arange(len(rows)).reshape(-1, 1) + np.arange(STEPS)
    present = np.array([there for _, there in rows], np.bool_).reshape(-1, STEPS)
    names = Rows([Labels({"g": str(group)}) for group, _ in rows])
    return Vector(names, np.where(present, values, np.nan), present)


@given(presences)
def test_merged_rows_hold_the_values_of_all(rows: list[tuple[int, list[bool]]]) -> None:
    found = vector(rows)
    expected: dict[str, dict[int, float]] = {}
    twice = False
    for row, (group, there) in enumerate(rows):
        values = expected.setdefault(str(group), {})
        for step in np.flatnonzero(there).tolist():
            twice |= step in values
            values[step] = 100.0 * row + step
    if twice:
        with pytest.raises(QueryFailed, match="same labelset"):
            found.merged()
        return

    merged = found.merged()

    assert [labels["g"] for labels in merged.rows.labels()] == list(expected)
    for row, values in enumerate(expected.values()):
        assert np.flatnonzero(merged.present[row]).tolist() == sorted(values)
        assert {s: merged.values[row, s] for s in values} == values


@given(presences)
def test_a_clash_is_the_earliest(rows: list[tuple[int, list[bool]]]) -> None:
    groups = np.array([group for group, _ in rows], np.int64)
    named = Rows([Labels({"n": str(n)}) for n in range(4)])
    clashes = [
        Clash(step=step, row=row)
        for step in range(STEPS)
        for row, (group, there) in enumerate(rows)
        if there[step] and any(g == group and t[step] for g, t in rows[:row])
    ]
    _, found = vector(rows).joined(groups, named)
    assert found == (clashes[0] if clashes else None)


@given(arrays.arrays(np.uint64, (2, STEPS)))
def test_bits_of_values_survive(bits: np.ndarray) -> None:
    half = np.array([[True, False] * 2, [False, True] * 2])
    names = Rows([Labels({"g": "1"})] * 2)
    merged = Vector(names, bits.view(np.float64), half).merged()
    assert merged.values.view(np.uint64).tolist() == [
        [bits[step % 2, step] for step in range(STEPS)]
    ]


def test_pruned_rows_have_a_value_somewhere() -> None:
    found = vector([(0, [False] * 4), (1, [False, True, False, False]), (2, [False] * 4)])
    assert [labels["g"] for labels in found.pruned().rows.labels()] == ["1"]
    assert found.until(1).pruned().values.shape == (0, 1)
