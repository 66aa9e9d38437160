"""tsdb.query.steps: every bucket equals the same fold in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.batch import Columns
from tsdb.errors import InvalidInput
from tsdb.query import steps


def columns_of(runs: list[dict[int, float]]) -> Columns:
    offsets = np.cumsum([0, *[len(run) for run in runs]]).astype(np.int64)
    stamps = np.array([t for run in runs for t in sorted(run)], np.int64)
    values = np.array([run[t] for run in runs for t in sorted(run)], np.float64)
    return Columns(offsets, stamps, values)


def plainly(points: list[float], aggregate: str) -> float:
    real = [p for p in points if not math.isnan(p)] or [math.nan]
    return {
        "avg": sum(points) / len(points),
        "count": float(len(points)),
        "first": points[0],
        "last": points[-1],
        "max": max(real),
        "min": min(real),
        "sum": float(sum(points)),
    }[aggregate]


values = st.one_of(st.integers(-1000, 1000).map(float), st.just(math.nan))
runs = st.lists(st.dictionaries(st.integers(0, 200), values, max_size=20), min_size=1, max_size=4)


@given(runs, st.integers(1, 50), st.integers(-100, 0), st.sampled_from(steps.AGGREGATES))
def test_every_bucket_is_folded_alone(
    runs: list[dict[int, float]], step: int, start: int, aggregate: str
) -> None:
    folded = steps.fold(columns_of(runs), start, step, aggregate)

    for i, run in enumerate(runs):
        lo, hi = folded.offsets[i], folded.offsets[i + 1]
        buckets: dict[int, list[float]] = {}
        for t in sorted(run):
            buckets.setdefault(start + (t - start) // step * step, []).append(run[t])
        assert folded.timestamps[lo:hi].tolist() == sorted(buckets)
        expected = [plainly(buckets[t], aggregate) for t in sorted(buckets)]
        np.testing.assert_allclose(folded.values[lo:hi], expected, rtol=1e-12, equal_nan=True)


def test_extreme_ranges_do_not_overflow() -> None:
    ends = columns_of([{-(2**63): 1.0, 2**63 - 1: 2.0}])

    folded = steps.fold(ends, -(2**63), 2**62, "count")

    assert folded.timestamps.tolist() == [-(2**63), 2**62]
    assert folded.values.tolist() == [1.0, 1.0]


def test_unknown_aggregates_are_named() -> None:
    with pytest.raises(InvalidInput, match="median"):
        steps.fold(columns_of([{1: 1.0}]), 0, 10, "median")
    with pytest.raises(InvalidInput, match="step"):
        steps.fold(columns_of([{1: 1.0}]), 0, 0, "avg")
