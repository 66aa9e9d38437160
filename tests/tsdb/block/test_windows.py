"""tsdb.block.windows: windows tile all of time, nest, and a flush never makes too many."""

from __future__ import annotations

import numpy as np
import pytest
from blocks.model import INT64_MAX, INT64_MIN, times
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.batch import Columns
from tsdb.block.windows import (
    Window,
    choose_level,
    common_window,
    width,
    window_of,
    windows_between,
)
from tsdb.codec.resolution import Resolution

resolutions = st.sampled_from(Resolution)
levels = st.integers(0, 45)


def one_run(stamps: list[int]) -> Columns:
    ascending = np.array(sorted(set(stamps)), np.int64)
    return Columns(np.array([0, ascending.size], np.int64), ascending, np.zeros(ascending.size))


@given(times, levels, resolutions)
@example(INT64_MIN, 0, Resolution.NS)
@example(INT64_MAX, 45, Resolution.S)
def test_a_tick_lies_in_its_window_and_borders_touch(
    ts: int, level: int, resolution: Resolution
) -> None:
    window = window_of(ts, level, resolution)

    assert INT64_MIN <= window.start <= ts <= window.end <= INT64_MAX
    assert window.start == INT64_MIN or window.start % width(level, resolution) == 0
    if window.end < INT64_MAX:
        assert window_of(window.end + 1, level, resolution).start == window.end + 1


@given(times, levels, resolutions)
def test_windows_nest(ts: int, level: int, resolution: Resolution) -> None:
    """So two blocks' windows are disjoint or one holds the other; merging relies on it."""
    assert window_of(ts, level + 1, resolution).holds(window_of(ts, level, resolution))


@given(times, times, levels, resolutions)
def test_the_common_window_is_the_smallest_of_all(
    a: int, b: int, level: int, resolution: Resolution
) -> None:
    first, last = min(a, b), max(a, b)

    window = common_window(first, last, level, resolution)

    if window is None:
        assert first < 0 <= last
    else:
        assert window.start <= first <= last <= window.end
        assert window.level == level or (window_of(first, window.level - 1, resolution).end < last)


def test_blocks_are_cut_at_even_hours() -> None:
    at_09_59_59 = 1_700_042_399_999

    window = window_of(at_09_59_59, 0, Resolution.MS)

    assert window == Window(1_700_035_200_000, 1_700_042_399_999, 0)  # 08:00 to 10:00
    assert window_of(-1, 0, Resolution.MS) == Window(-7_200_000, -1, 0)


@given(st.lists(st.lists(times, max_size=8), min_size=1, max_size=8), resolutions)
def test_a_flush_makes_few_blocks_at_the_smallest_level_that_can(
    runs: list[list[int]], resolution: Resolution
) -> None:
    stamps = [t for run in runs for t in run] or [0]

    level = choose_level(
        resolution, (min(stamps), max(stamps)), lambda: [one_run(run) for run in runs]
    )

    def touched(level: int) -> int:
        return len({window_of(t, level, resolution) for t in stamps})

    assert touched(level) <= limits.BLOCKS_PER_FLUSH_MAX
    assert level == 0 or touched(level - 1) > limits.BLOCKS_PER_FLUSH_MAX


def test_a_stray_point_does_not_widen_the_windows() -> None:
    """One clock stuck in 1970 must not put today's data into windows of 4.5 years."""
    stamps = [0, 1_700_000_000_000, 1_700_000_010_000]

    assert choose_level(Resolution.MS, (0, stamps[-1]), lambda: [one_run(stamps)]) == 0


@pytest.mark.parametrize("resolution", Resolution)
def test_points_all_over_time_fit_a_flush(resolution: Resolution) -> None:
    """More windows than are remembered while counting, and both ends of int64."""
    rng = np.random.default_rng(seed=1)
    stamps = np.unique(rng.integers(INT64_MIN, INT64_MAX, 100_000, np.int64, endpoint=True))
    stamps[0], stamps[-1] = INT64_MIN, INT64_MAX
    run = Columns(np.array([0, stamps.size], np.int64), stamps, np.zeros(stamps.size))

    level = choose_level(resolution, (INT64_MIN, INT64_MAX), lambda: [run])

    assert windows_between(INT64_MIN, INT64_MAX, level, resolution) <= limits.BLOCKS_PER_FLUSH_MAX
