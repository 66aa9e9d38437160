"""Lives of a whole cluster from seeds, and bugs planted in production that they find.

What is held against which promise is said in tests/cluster/simulation.py. A bug that is no longer
found means that the simulation has gone blind there.
"""

from __future__ import annotations

import pytest
from cluster.simulation import run

SEEDS = 60
"""In each of BUNCHES tests, so that they share the cores."""
BUNCHES = 5


@pytest.mark.parametrize("bunch", range(BUNCHES))
def test_promises_are_kept(bunch: int) -> None:
    counts = sum((run(bunch * SEEDS + n) for n in range(SEEDS)), start=run(10_000 + bunch))

    for what in ("acked", "unknown", "audits", "crashed", "power_cut", "trim", "flush", "rebuilt"):
        assert counts[what] > 0, f"no {what} in {SEEDS} lives: {counts}"
    assert counts["acked"] > 3 * SEEDS
    assert counts["points checked"] > 50 * SEEDS
