"""api.scrape.loop: when a target's turn is, whatever the clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape.loop import _aligned, _later, _next_turn
from api.scrape.targets import Target

HOUR_MS = 3_600_000


def target_of(interval_ms: int, name: str = "h") -> Target:
    return Target("j", (("instance", name),), f"http://{name}/m", interval_ms, interval_ms, ())


intervals = st.integers(1, 2 * HOUR_MS)
moments = st.integers(0, 2**43)


@given(intervals, moments, st.text("abc", min_size=1, max_size=4))
def test_turns_lie_on_a_grid_of_the_clock(interval_ms: int, now_ms: int, name: str) -> None:
    target = target_of(interval_ms, name)
    turn = _next_turn(target, now_ms)
    assert 0 < turn - now_ms <= interval_ms
    assert turn % interval_ms == target.spread % interval_ms
    assert _next_turn(target, turn) == turn + interval_ms


@given(intervals, moments)
def test_a_turn_comes_once_even_when_its_timer_is_early(interval_ms: int, now_ms: int) -> None:
    target = target_of(interval_ms)
    turn = _next_turn(target, now_ms)
    early = max(now_ms, turn - 1)
    assert _next_turn(target, _later(turn, early, target)) == turn + interval_ms


@pytest.mark.parametrize("jump_ms", [-24 * HOUR_MS, -HOUR_MS, HOUR_MS])
def test_a_clock_that_is_set_is_believed(jump_ms: int) -> None:
    """Otherwise nothing would be scraped until it is as late again as it was."""
    target = target_of(15_000)
    turn = _next_turn(target, 1_700_000_000_000)
    now = turn + jump_ms
    following = _next_turn(target, _later(turn, now, target))
    assert 0 < following - now <= 15_000


@pytest.mark.parametrize(
    ("late_ms", "interval_ms", "stamped"),
    [(0, 15_000, 0), (10, 15_000, 0), (11, 15_000, 11), (5, 500, 0), (6, 500, 6), (-3, 15_000, -3),
     (1, 50, 0)],
)  # fmt: skip
def test_a_little_late_is_on_time(late_ms: int, interval_ms: int, stamped: int) -> None:
    assert _aligned(10_000, 10_000 + late_ms, interval_ms) == 10_000 + stamped
