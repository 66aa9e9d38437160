"""The promises of the whole database after a power cut, on every disk that one may leave."""

from __future__ import annotations

import pytest
from crash.database_life import Life, full_life, random_life
from crash.states import explore

import tsdb

IMAGES_IN_CI = 10_000


def test_a_life_without_a_crash_is_right() -> None:
    """Else the exploration below would prove nothing."""
    from crash.disk import SimulatedDisk

    life = Life(tsdb.open, full_life())
    disk = SimulatedDisk()
    life.script(disk)
    changes = [n for n, step in enumerate(life.steps) if step.changes]

    life.check(disk, changes, changes)


def test_no_power_cut_breaks_a_promise() -> None:
    """One life with every kind of step in it, then random ones, until there were enough images."""
    images, seed = 0, 0
    while images < IMAGES_IN_CI:
        steps = full_life() if seed == 0 else random_life(seed)
        life = Life(tsdb.open, steps)
        report = explore(life.script, life.check, seed=seed, images_max=IMAGES_IN_CI - images)
        assert not report.violations, f"random_life({seed}): {report}"
        images += report.images
        seed += 1
    assert images >= IMAGES_IN_CI


@pytest.mark.parametrize("seed", range(3))
def test_no_power_cut_during_recovery_breaks_a_promise(seed: int) -> None:
    """Power fails while a database recovers from a power cut: recovery changes nothing it needs."""
    from crash.disk import SimulatedDisk
    from crash.states import crash_states

    life = Life(tsdb.open, random_life(100 + seed))
    disk = SimulatedDisk()
    life.script(disk)
    states = list(crash_states(disk, seed=seed, per_point=2))
    for state in states[:: max(1, len(states) // 6)]:

        def reopen(image: SimulatedDisk) -> None:
            life.open(image).close()

        report = explore(
            reopen,
            life.check,
            seed=seed,
            per_point=6,
            images_max=60,
            disk=state.image,
            past=(state.acked, state.sent),
        )
        assert not report.violations, f"{state.name}: {report}"
