"""Range functions against the same rules written for one window at a time, in plain Python."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb import parallel
from tsdb.batch import Columns
from tsdb.index.labels import Labels
from tsdb.index.matchers import Matcher
from tsdb.promql import ranges
from tsdb.promql.errors import QueryFailed
from tsdb.promql.evaluate import Evaluation
from tsdb.promql.kernels import over_time, rates, regression
from tsdb.promql.rows import Rows
from tsdb.promql.values import Grid, Windows
from tsdb.query.selection import Selection

Point: TypeAlias = tuple[int, float]


@dataclass(frozen=True)
class Window:
    """The points of a row in (start, end], never empty; `step` is its place in the grid."""

    points: Sequence[Point]
    start: int
    end: int
    step: int

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]

    @property
    def range_s(self) -> float:
        return (self.end - self.start) / 1000


Twin: TypeAlias = Callable[[Window], float | None]


def nothing(matchers: Sequence[Matcher], start: int, end: int, *, points_max: int) -> Selection:
    raise AssertionError("the windows are there already")


EVALUATION = Evaluation(nothing, Grid.instant(0))

usual = st.floats(-100, 100) | st.integers(-5, 5).map(float)
odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1.5e308, 1e16, 0.1])
values = st.one_of(usual, usual, usual, odd)
whole = st.integers(-1000, 1000).map(float)


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    rows = draw(st.integers(0, 4))
    kind = draw(st.sampled_from([values, usual, whole]))
    runs = []
    for _ in range(rows):
        gaps = draw(st.lists(st.sampled_from([1, 7, 15, 15, 15, 15, 60, 400]), max_size=30))
        runs.append([(int(at) * 1000, draw(kind)) for at in np.cumsum(gaps)])
    step = draw(st.sampled_from([0, 1000, 15_000, 61_000]))
    start = draw(st.integers(-5000, 500_000))
    return Windows(
        Rows([Labels({"row": str(row)}) for row in range(rows)]),
        columns_of(runs),
        start + step * np.arange(draw(st.integers(1, 30)), dtype=np.int64),
        draw(st.sampled_from([1000, 15_000, 60_000, 300_000])),
    )


def columns_of(runs: Sequence[Sequence[Point]]) -> Columns:
    return Columns(
        np.cumsum([0, *map(len, runs)]),
        np.array([at for run in runs for at, _ in run], np.int64),
        np.array([value for run in runs for _, value in run], np.float64),
    )


def slowly(found: Windows, twin: Twin) -> dict[tuple[str, int], float]:
    """By row and step what the twin makes of each window that is not empty."""
    answer = {}
    offsets = found.columns.offsets.tolist()
    points = list(
        zip(found.columns.timestamps.tolist(), found.columns.values.tolist(), strict=True)
    )
    for row, labels in enumerate(found.rows.labels()):
        for step, end in enumerate(found.ends.tolist()):
            start = end - found.range_ms
            run = points[offsets[row] : offsets[row + 1]]
            inside = [point for point in run if start < point[0] <= end]
            value = twin(Window(inside, start, end, step)) if inside else None
            if value is not None:
                answer[str(labels), step] = value
    return answer


def quickly(found: Windows, kernel: Any, *extra: Any, scratch: int = 0) -> dict[Any, float]:
    vector = ranges.computed(EVALUATION, found, kernel, *extra, scratch=scratch)
    labels = vector.rows.labels()
    return {
        (str(labels[row]), int(step)): float(vector.values[row, step])
        for row, step in np.argwhere(vector.present)
    }


def check_equal(fast: dict[Any, float], slow: dict[Any, float], *, within: float = 0.0) -> None:
    assert fast.keys() == slow.keys()
    for key, expected in slow.items():
        value = fast[key]
        if math.isnan(expected) or math.isnan(value):
            assert math.isnan(expected) == math.isnan(value), key
        elif not math.isfinite(expected):
            assert value == expected, key
        else:
            assert value == pytest.approx(expected, rel=within, abs=within), key


# --- rates ---------------------------------------------------------------------------------------


def rate_of(window: Window, *, counter: bool, rate: bool) -> float | None:
    points, values = window.points, window.values
    if len(points) < 2:
        return None
    change = values[-1] - values[0]
    if counter:
        for before, after in pairwise(values):
            change += before if after < before else 0.0
    first, last = points[0][0], points[-1][0]
    seen = (last - first) / 1000
    mean = seen / (len(points) - 1)

    def reach(gap: float) -> float:
        return gap if gap < mean * 1.1 else mean / 2

    left, right = reach((first - window.start) / 1000), reach((window.end - last) / 1000)
    if counter and change > 0 and values[0] >= 0:
        left = min(left, seen * (values[0] / change))
    factor = (seen + left + right) / seen
    return change * (factor / window.range_s if rate else factor)


@pytest.mark.parametrize(
    ("counter", "rate"), [(True, True), (True, False), (False, False)], ids=str
)
@given(found=windows())
@settings(max_examples=60)
def test_rate_increase_delta(found: Windows, counter: bool, rate: bool) -> None:
    fast = quickly(found, rates.extrapolated, counter, rate)
    check_equal(fast, slowly(found, lambda w: rate_of(w, counter=counter, rate=rate)))


@pytest.mark.parametrize("rate", [False, True])
@given(found=windows())
@settings(max_examples=40)
def test_irate_and_idelta(found: Windows, rate: bool) -> None:
    def twin(window: Window) -> float | None:
        if len(window.points) < 2:
            return None
        (t1, v1), (t2, v2) = window.points[-2:]
        change = v2 if rate and v2 < v1 else v2 - v1
        return change / ((t2 - t1) / 1000) if rate else change

    check_equal(quickly(found, rates.latest_change, rate), slowly(found, twin))


@pytest.mark.parametrize("falls", [False, True])
@given(found=windows())
@settings(max_examples=60)
def test_resets_and_changes(found: Windows, falls: bool) -> None:
    def twin(window: Window) -> float:
        pairs = pairwise(window.values)
        if falls:
            return float(sum(b < a for a, b in pairs))
        return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))

    check_equal(quickly(found, rates.events, falls), slowly(found, twin))


# --- over time -----------------------------------------------------------------------------------


def compensated(values: Sequence[float]) -> tuple[float, float]:
    total = carry = 0.0
    for value in values:
        new = total + value
        if math.isinf(new):
            carry = 0.0
        elif abs(total) >= abs(value):
            carry += (total - new) + value
        else:
            carry += (value - new) + total
        total = new
    return total, carry


def mean_of(window: Window) -> float:
    """By the sum as long as it is finite; exact in fractions beyond that."""
    values = window.values
    count = len(values)
    sums = [compensated(values[: i + 1])[0] for i in range(count)]
    if count == 1 or not any(math.isinf(total) for total in sums[1:]):
        total, carry = compensated(values)
        return total / count + carry / count
    if all(map(math.isfinite, values)):
        return float(sum(map(Fraction, values)) / count)
    return incremental_mean(values, next(i for i, t in enumerate(sums) if i and math.isinf(t)))


def incremental_mean(values: Sequence[float], start: int) -> float:
    total, carry = compensated(values[:start])
    mean, carry = total / start, carry / start
    for i in range(start, len(values)):
        keep = i / (i + 1)
        old, value = keep * mean, values[i] / (i + 1)
        carry *= keep
        mean = old + value
        if math.isinf(mean):
            carry = 0.0
        elif abs(old) >= abs(value):
            carry += (old - mean) + value
        else:
            carry += (value - mean) + old
    return mean + carry


def sum_of(window: Window) -> float:
    total, carry = compensated(window.values)
    return total if math.isinf(total) else total + carry


@given(found=windows())
@settings(max_examples=100)
def test_sums(found: Windows) -> None:
    check_equal(quickly(found, over_time.totals, over_time.SUM), slowly(found, sum_of))


@given(found=windows())
@settings(max_examples=100)
def test_means(found: Windows) -> None:
    check_equal(
        quickly(found, over_time.totals, over_time.MEAN), slowly(found, mean_of), within=1e-12
    )


@given(found=windows())
@settings(max_examples=30)
def test_counts(found: Windows) -> None:
    fast = quickly(found, over_time.totals, over_time.COUNT)
    check_equal(fast, slowly(found, lambda w: float(len(w.points))))
    fast = quickly(found, over_time.totals, over_time.PRESENT)
    check_equal(fast, slowly(found, lambda w: 1.0))


def extreme(window: Window, *, greatest: bool, latest: bool) -> Point:
    """Without the NaNs, if something is left; of equals the first or the latest."""
    known = [point for point in window.points if not math.isnan(point[1])]
    if not known:
        return window.points[-1]
    best = max(value for _, value in known) if greatest else min(value for _, value in known)
    equals = [point for point in known if point[1] == best]
    return equals[-1] if latest else equals[0]


CHOICES: list[tuple[int, Twin]] = [
    (over_time.FIRST, lambda w: w.values[0]),
    (over_time.LAST, lambda w: w.values[-1]),
    (over_time.MIN, lambda w: extreme(w, greatest=False, latest=False)[1]),
    (over_time.MAX, lambda w: extreme(w, greatest=True, latest=False)[1]),
    (over_time.TIME_FIRST, lambda w: w.points[0][0] / 1000),
    (over_time.TIME_LAST, lambda w: w.points[-1][0] / 1000),
    (over_time.TIME_MIN, lambda w: extreme(w, greatest=False, latest=True)[0] / 1000),
    (over_time.TIME_MAX, lambda w: extreme(w, greatest=True, latest=True)[0] / 1000),
]


@pytest.mark.parametrize(("what", "twin"), CHOICES, ids=lambda each: str(each))
@given(found=windows())
@settings(max_examples=30)
def test_chosen_points(found: Windows, what: int, twin: Twin) -> None:
    check_equal(quickly(found, over_time.chosen, what), slowly(found, twin))


@given(found=windows())
@settings(max_examples=60)
def test_variance(found: Windows) -> None:
    def twin(window: Window) -> float:
        values = window.values
        if not all(map(math.isfinite, values)) or max(map(abs, values)) > 1e15:
            return math.nan
        return float(statistics.pvariance(map(Fraction, values)))

    fast, slow = quickly(found, over_time.variance, False), slowly(found, twin)
    deviations = quickly(found, over_time.variance, True)
    assert fast.keys() == slow.keys()
    for key, expected in slow.items():
        if not math.isnan(expected):
            assert fast[key] == pytest.approx(expected, rel=1e-12, abs=1e-18)
        if not math.isnan(fast[key]):
            assert deviations[key] == math.sqrt(fast[key])


def quantile_of(values: Sequence[float], wanted: float) -> float:
    if math.isnan(wanted):
        return math.nan
    if not 0 <= wanted <= 1:
        return math.copysign(math.inf, wanted)
    ordered = sorted(values, key=lambda v: (not math.isnan(v), v))
    rank = wanted * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(len(ordered) - 1, low + 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight


def quantile_at(wanted: Mapping[int, float], window: Window) -> float:
    return quantile_of(window.values, wanted[window.step])


@given(found=windows(), data=st.data())
@settings(max_examples=80)
def test_quantiles(found: Windows, data: st.DataObject) -> None:
    some = st.floats(-0.1, 1.1) | st.sampled_from([0.0, 1.0, 0.5, math.nan, math.inf, -math.inf])
    wanted = data.draw(
        st.lists(some, min_size=found.ends.size, max_size=found.ends.size).map(np.array)
    )
    fast = quickly(found, over_time.quantiles, wanted, False, scratch=2)
    check_equal(fast, slowly(found, lambda w: quantile_of(w.values, float(wanted[w.step]))))


@pytest.mark.parametrize("points", [300, 3000])
def test_quantiles_of_large_windows(points: int) -> None:
    """Few steps or many points: nothing is kept in order then."""
    rng = np.random.default_rng(points)
    some = np.where(rng.random(points) < 0.01, np.nan, np.round(rng.normal(size=points), 1))
    columns = columns_of([list(zip(range(0, points * 1000, 1000), some.tolist(), strict=True))])
    for step in (10_000, 300_000):
        ends = np.arange(0, points * 1000, step, dtype=np.int64)
        found = Windows(Rows([Labels({"a": "1"})]), columns, ends, 2_000_000)
        wanted = np.linspace(0, 1, ends.size)
        fast = quickly(found, over_time.quantiles, wanted, False, scratch=2)

        by_step = dict(enumerate(wanted.tolist()))
        check_equal(fast, slowly(found, partial(quantile_at, by_step)))


@given(found=windows())
@settings(max_examples=60)
def test_median_deviations(found: Windows) -> None:
    def twin(window: Window) -> float:
        median = quantile_of(window.values, 0.5)
        return quantile_of([abs(value - median) for value in window.values], 0.5)

    halves = np.full(found.ends.size, 0.5)
    check_equal(quickly(found, over_time.quantiles, halves, True, scratch=2), slowly(found, twin))


# --- regression ----------------------------------------------------------------------------------


def line_of(window: Window, origin: int) -> tuple[float, float]:
    values = window.values
    if all(value == values[0] for value in values[1:]):
        return (math.nan, math.nan) if math.isinf(values[0]) else (0.0, values[0])
    xs = [Fraction(at - origin, 1000) for at, _ in window.points]
    ys = [Fraction(value) for value in values]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )
    return float(slope), float(mean_y - slope * mean_x)


def tame(window: Window) -> bool:
    """Whether fractions can tell, and no sum swallows what the answer depends on."""
    return len(window.points) > 1 and all(abs(value) <= 1e3 for value in window.values)


@given(found=windows())
@settings(max_examples=60)
def test_lines(found: Windows) -> None:
    steps = found.ends.size
    nows, ahead = found.ends + 30_000, np.full(steps, 60.0)
    slopes = quickly(found, regression.slopes)
    ahead_values = quickly(found, regression.predictions, nows, ahead)
    assert slopes.keys() == ahead_values.keys()

    def slope(window: Window) -> float | None:
        return line_of(window, window.points[0][0])[0] if tame(window) else None

    def prediction(window: Window) -> float | None:
        if not tame(window):
            return None
        slope, height = line_of(window, window.end + 30_000)
        return slope * 60 + height

    for fast, twin in ((slopes, slope), (ahead_values, prediction)):
        for key, expected in slowly(found, twin).items():
            assert fast[key] == pytest.approx(expected, rel=1e-8, abs=1e-8)


@given(found=windows())
@settings(max_examples=20)
def test_a_line_needs_two_points(found: Windows) -> None:
    expected = slowly(found, lambda w: 1.0 if len(w.points) > 1 else None)
    assert quickly(found, regression.slopes).keys() == expected.keys()


def test_a_constant_line_is_flat_and_an_infinite_one_unknown() -> None:
    columns = columns_of([[(1000, 0.1), (3000, 0.1), (4000, 0.1)], [(1, math.inf), (2, math.inf)]])
    found = Windows(
        Rows([Labels({"a": "1"}), Labels({"a": "2"})]), columns, np.array([5000]), 10_000
    )
    flat, unknown = quickly(found, regression.slopes).values()
    assert flat == 0.0
    assert math.isnan(unknown)
    now, ahead = np.array([9000]), np.array([1e6])
    assert next(iter(quickly(found, regression.predictions, now, ahead).values())) == 0.1


@given(found=windows(), level=st.floats(0.01, 0.99), trend=st.floats(0.01, 0.99))
@settings(max_examples=60)
def test_smoothing(found: Windows, level: float, trend: float) -> None:
    def twin(window: Window) -> float | None:
        if len(window.points) < 2:
            return None
        values = window.values
        smooth, slopes = [values[0]], [values[1] - values[0]]
        for i, value in enumerate(values[1:]):
            if i:
                slopes.append(trend * (smooth[-1] - smooth[-2]) + (1 - trend) * slopes[-1])
            smooth.append(level * value + (1 - level) * (smooth[-1] + slopes[-1]))
        return smooth[-1]

    steps = found.ends.size
    fast = quickly(found, regression.smoothed, np.full(steps, level), np.full(steps, trend))
    check_equal(fast, slowly(found, twin))


# --- rows ----------------------------------------------------------------------------------------


def test_rows_that_only_the_name_told_apart_are_refused() -> None:
    columns = columns_of([[(1000, 1.0)], [(2000, 2.0)]])
    rows = Rows([Labels({"__name__": "x", "a": "1"}), Labels({"__name__": "y", "a": "1"})])
    found = Windows(rows, columns, np.array([3000]), 5000)
    with pytest.raises(QueryFailed, match="same labelset"):
        ranges.computed(EVALUATION, found, over_time.totals, over_time.SUM)
    assert len(ranges.named(EVALUATION, found, over_time.chosen, over_time.LAST).rows) == 2
    # A row without any window of its own stands in nobody's way.
    late = Windows(rows, columns, np.array([3000]), 1500)
    assert len(ranges.computed(EVALUATION, late, over_time.totals, over_time.SUM).rows) == 1


def test_parts_cover_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORK_MIN", 1)
    rng = np.random.default_rng(1)
    stamps = np.arange(0, 600_000, 15_000)
    runs = [list(zip(stamps.tolist(), rng.normal(size=40).tolist(), strict=True))] * 23
    found = Windows(
        Rows([Labels({"a": str(i)}) for i in range(23)]),
        columns_of(runs),
        np.arange(0, 600_000, 30_000),
        120_000,
    )
    fast = quickly(found, over_time.totals, over_time.SUM)
    check_equal(fast, slowly(found, sum_of))


@given(found=windows(), points=st.integers(1, 50))
@settings(max_examples=60)
def test_rows_in_parts_give_the_same(found: Windows, points: int) -> None:
    """A row with much to do is done a few steps at a time, so that it can be stopped."""
    wanted = np.linspace(0, 1, found.ends.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "POINTS_A_PART", points)
        fast = quickly(found, over_time.quantiles, wanted, False, scratch=2)
        check_equal(fast, slowly(found, partial(quantile_at, dict(enumerate(wanted.tolist())))))
        fast = quickly(found, rates.extrapolated, True, True)
        check_equal(fast, slowly(found, lambda w: rate_of(w, counter=True, rate=True)))
        patch.setattr(parallel, "WORK_MIN", 1)
        check_equal(quickly(found, over_time.totals, over_time.SUM), slowly(found, sum_of))
