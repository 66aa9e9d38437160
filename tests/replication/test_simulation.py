"""Lives of a whole cluster from seeds, and bugs planted in production that they find.

What is held against which promise is said in tests/cluster/simulation.py. A bug that is no longer
found means that the simulation has gone blind there.
"""

from __future__ import annotations

import pytest
from cluster.planted import BUGS, SEEDS_MAX, seeds_to_find
from cluster.simulation import run

SEEDS = 60
"""In each of BUNCHES tests, so that they share the cores."""
BUNCHES = 5
QUICKLY_FOUND = (
    "an append whose outcome is unknown counts as acked",
    "the position moves with the first part of a record",
    "refs of senders are not in a checkpoint",
    "what is applied is called durable",
    "a delete is not limited to its shard",
)


@pytest.mark.parametrize("bunch", range(BUNCHES))
def test_promises_are_kept(bunch: int) -> None:
    counts = sum((run(bunch * SEEDS + n) for n in range(SEEDS)), start=run(10_000 + bunch))

    for what in ("acked", "unknown", "audits", "crashed", "power_cut", "trim", "flush", "rebuilt"):
        assert counts[what] > 0, f"no {what} in {SEEDS} lives: {counts}"
    assert counts["acked"] > 3 * SEEDS
    assert counts["points checked"] > 50 * SEEDS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_promises_are_kept_in_many_lives() -> None:
    counts = sum((run(20_000 + n) for n in range(2_000)), start=run(0))

    assert counts["acked"] > 6_000


def test_a_seed_is_the_same_life_every_time() -> None:
    assert run(7) == run(7)


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=() if bug in QUICKLY_FOUND else pytest.mark.slow, id=bug)
        for bug in BUGS
    ],
)
def test_a_planted_bug_is_found(bug: str) -> None:
    seeds, why = seeds_to_find(bug)

    assert seeds, f"not found in {SEEDS_MAX} lives: {bug}"
    assert why
