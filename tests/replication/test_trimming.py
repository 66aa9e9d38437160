"""A log loses what all have on disk, and waits for nobody beyond its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replication.arrivals import PASSED_MAX
from replication.stream import LogState
from replication.trimming import BUDGET_BYTES, KEEP_BYTES, trim_to

NODES = ("one", "two", "three")


def state(first, last, size):
    return LogState(first, last, last - first + 1, size, "one", (), False)


def test_a_small_log_is_left_alone():
    assert (
        trim_to(state(1, 10_000, KEEP_BYTES - 1), dict.fromkeys(NODES, 10_000), set(NODES)) is None
    )


def test_all_have_it_so_it_goes_but_for_the_margin():
    through = trim_to(state(1, 10_000, KEEP_BYTES), dict.fromkeys(NODES, 10_000), set(NODES))
    assert through == 10_000 - 5_000 - PASSED_MAX


def test_a_node_that_is_away_is_waited_for_until_the_budget():
    durable = {"one": 9_000, "two": 9_000, "three": 100}
    here = {"one", "two"}
    assert trim_to(state(50, 10_000, BUDGET_BYTES - 1), durable, here) == 100
    assert trim_to(state(50, 10_000, BUDGET_BYTES), durable, here) > 5_000


def test_a_node_that_never_said_anything_is_waited_for():
    durable = {"one": 9_000, "two": 9_000, "three": None}
    assert trim_to(state(1, 10_000, KEEP_BYTES), durable, {"one", "two"}) is None


@given(
    st.integers(1, 1000),
    st.integers(0, 100_000),
    st.integers(0, 4 << 30),
    st.lists(st.none() | st.integers(0, 100_000), min_size=3, max_size=3),
    st.sets(st.sampled_from(NODES)),
)
def test_nothing_goes_that_a_counted_node_lacks(first, messages, size, positions, heard):
    durable = dict(zip(NODES, positions, strict=True))
    found = state(first, first + messages, size)
    through = trim_to(found, durable, heard)
    if through is None:
        return
    assert first <= through <= found.last_seq - PASSED_MAX
    counted = [s for n, s in durable.items() if n in heard or size < BUDGET_BYTES]
    assert len(counted) >= 2
    assert all(seq is not None and seq >= through for seq in counted)
