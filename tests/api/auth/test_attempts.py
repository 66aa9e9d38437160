"""api.auth.attempts: buckets that refill, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.attempts import Attempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempts(per_minute: int = 6, addresses_max: int = 100) -> tuple[Attempts, Clock]:
    clock = Clock()
    return Attempts(per_minute=per_minute, addresses_max=addresses_max, clock=clock), clock


def test_after_the_last_one_it_says_how_long_to_wait() -> None:
    found, clock = attempts()
    assert [found.take("192.0.2.1") for _ in range(8)] == [0] * 6 + [10, 10]
    clock.now += 9.5
    assert found.take("192.0.2.1") == 1
    clock.now += 0.5
    assert found.take("192.0.2.1") == 0


def test_what_was_right_costs_nothing() -> None:
    found, _ = attempts()
    for _ in range(100):
        assert found.take("192.0.2.1") == 0
        found.give_back("192.0.2.1")
    assert len(found) == 0


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_who_shares_a_bucket(one: str, other: str, together: bool) -> None:
    found, _ = attempts(per_minute=1)
    assert found.take(one) == 0
    assert (found.take(other) > 0) is together


def test_memory_is_bounded() -> None:
    found, _ = attempts(addresses_max=10)
    for n in range(1000):
        found.take(f"10.0.{n >> 8}.{n & 255}")
    assert len(found) == 10


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60))
def test_never_more_wrong_ones_than_the_rate(steps: list[tuple[float, bool]]) -> None:
    found, clock = attempts()
    began, wrong = clock.now, 0
    for pause, right in steps:
        clock.now += pause
        if found.take("a.b") == 0:
            if right:
                found.give_back("a.b")
            else:
                wrong += 1
    assert wrong <= 6 + (clock.now - began) / 10 + 1e-6
