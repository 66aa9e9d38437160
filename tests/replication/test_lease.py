"""One at a time: leases under crashes, pauses and clocks that run at nearly the same pace."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from cluster.memory_keys import MemoryKeys
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.lease import HELD_S, KEY_S, RENEW_S, Lease, clock_s
from tsdb.errors import Unavailable

NODES = 3
steps = st.lists(
    st.tuples(
        st.integers(0, NODES - 1),
        st.sampled_from(["ask", "ask", "ask", "give back", "die", "cut off"]),
        st.sampled_from([0.0, 0.1, RENEW_S, 3.0, 7.0, 20.0]),
    ),
    max_size=60,
)


class Cut:
    """Keys that cannot be reached."""

    async def fail(self, *args: Any, **named: Any) -> Any:
        raise Unavailable("no majority", code="unknown")

    get = create = update = delete = fail


@given(steps)
@settings(max_examples=300, deadline=None)
def test_never_two_at_once(lives):
    now = 0.0

    def clock() -> float:
        return now

    keys = MemoryKeys(now=clock)
    leases = [Lease("d", f"n{i}", clock) for i in range(NODES)]

    async def live() -> None:
        nonlocal now
        for node, action, pause in lives:
            if action == "die":
                leases[node] = Lease("d", f"n{node}", clock)
            elif action == "give back":
                await leases[node].give_back(keys)
            elif action == "cut off":
                with contextlib.suppress(Unavailable):
                    await leases[node].ask(Cut())
            else:
                await leases[node].ask(keys)
            held = [lease for lease in leases if lease.is_held()]
            assert len(held) <= 1
            if action == "ask" and not held:
                assert leases[node].holder  # one that died, or was cut off, until its end
            now += pause
            assert sum(lease.is_held() for lease in leases) <= 1

    asyncio.run(live())


def test_time_goes_on_while_the_machine_sleeps():
    """Or a node that wakes up would think that it is still its turn."""
    assert Lease("d", "one")._clock is clock_s
    assert abs(clock_s() - float(Path("/proc/uptime").read_text().split()[0])) < 60


def test_who_dies_is_followed_when_its_time_is_over_who_stops_at_once():
    now = 0.0
    keys = MemoryKeys(now=lambda: now)
    one, two = (Lease("d", name, lambda: now) for name in ("one", "two"))

    async def live() -> None:
        nonlocal now
        await one.ask(keys)
        await two.ask(keys)
        assert one.is_held()
        assert two.holder == "one"
        now += HELD_S
        assert not one.is_held()  # it died; or thinks that it may have been forgotten
        await two.ask(keys)
        assert not two.is_held()
        now += KEY_S - HELD_S
        await two.ask(keys)
        assert two.is_held()
        await one.ask(keys)
        assert one.holder == "two"
        await two.give_back(keys)
        await one.ask(keys)
        assert one.is_held()

    asyncio.run(live())
