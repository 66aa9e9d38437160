"""Correlation of many rows at once against the plain formula, pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import Labels
from tsdb.promql.correlation import correlate
from tsdb.promql.rows import Rows
from tsdb.promql.values import Vector

STEPS = 40


def vector(values: np.ndarray) -> Vector:
    rows = Rows([Labels({"row": str(i + 1)}) for i in range(len(values))])
    return Vector(rows, values, ~np.isnan(values))


def plain(x: np.ndarray, y: np.ndarray) -> float | None:
    """Of the steps that both have, centred first; None if one of them does not vary."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 8:
        return None
    x, y = x[both], y[both]
    x, y = x - math.fsum(x) / x.size, y - math.fsum(y) / y.size
    square = math.fsum(x * x) * math.fsum(y * y)
    return math.fsum(x * y) / math.sqrt(square) if square else None


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1.0, 1e12]), st.floats(-1e6, 1e6))
def test_as_the_plain_formula(seed: int, scale: float, shift: float) -> None:
    random = np.random.default_rng(seed)
    target = np.cumsum(random.normal(size=STEPS))
    rows = random.normal(size=(6, STEPS)).cumsum(axis=1) * scale + shift * scale
    rows[1] = -2 * target + 5
    rows[random.random(rows.shape) < 0.2] = np.nan
    target[random.random(STEPS) < 0.1] = np.nan
    found = correlate(vector(rows), target, ~np.isnan(target))

    wanted = [plain(row, target) for row in rows]
    by_row = dict(zip(found.rows.tolist(), found.correlations.tolist(), strict=True))
    assert set(by_row) == {i for i, value in enumerate(wanted) if value is not None}
    for i, value in by_row.items():
        assert value == pytest.approx(wanted[i], abs=1e-6)
    assert by_row[1] == pytest.approx(-1.0)
    assert list(found.correlations) == sorted(found.correlations, key=lambda r: -abs(r))
    both = np.isfinite(rows) & np.isfinite(target)
    assert found.overlaps.tolist() == both.sum(axis=1)[found.rows].tolist()


def test_what_has_no_correlation() -> None:
    target = np.arange(STEPS, dtype=np.float64)
    rows = np.stack(
        [
            np.full(STEPS, 7.3),  # constant
            np.where(np.arange(STEPS) < 5, target, np.nan),  # too short
            np.where(np.arange(STEPS) % 2 == 0, np.inf, 1.0),  # constant where finite
            np.full(STEPS, np.nan),
            target**2,
        ]
    )
    found = correlate(vector(rows), target, np.ones(STEPS, np.bool_))
    assert found.rows.tolist() == [4]
    assert found.skipped == 4


def test_a_constant_target_has_none() -> None:
    rows = np.arange(2.0 * STEPS).reshape(2, STEPS)
    found = correlate(vector(rows), np.full(STEPS, 3.0), np.ones(STEPS, np.bool_))
    assert found.rows.size == 0
    assert found.skipped == 2
