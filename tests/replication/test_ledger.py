"""A ledger says how far it is, and how far it was at any entry since the last checkpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import ledger as ledgers
from replication.ledger import Ledger, Step
from tsdb.errors import CorruptionError

SHARDS = 3
EXPIRY = ledgers.EXPIRY_RECORDS


@st.composite
def histories(draw):
    """Steps of records of one to three parts, in the order of each log."""
    steps: list[Step] = []
    seqs, time_ns = [0] * SHARDS, 0
    counts: dict[tuple[int, int], int] = {}
    for _ in range(draw(st.integers(0, 12))):
        shard, sender = draw(st.integers(0, SHARDS - 1)), draw(st.integers(1, 3))
        seqs[shard] += draw(st.sampled_from([1, 2, EXPIRY // 2, 2 * EXPIRY]))
        time_ns += draw(st.integers(-1, 5))
        counts[sender, shard] = counts.get((sender, shard), 0) + 1
        parts = draw(st.integers(1, 3))
        for number in range(1, parts + 1):
            steps.append(
                Step(
                    len(steps) + 1,
                    shard,
                    seqs[shard],
                    time_ns,
                    sender,
                    counts[sender, shard],
                    len(steps) + 100,
                    number % parts,
                )
            )
    return steps


def after(steps: list[Step]) -> Ledger:
    ledger = Ledger(SHARDS)
    for step in steps:
        ledger.take(step)
    return ledger


@given(histories(), st.lists(st.integers(0, 40), max_size=4))
def test_a_checkpoint_is_what_a_ledger_was_at_its_entry(steps, entries):
    ledger = after(steps)
    for entry in sorted(entries):
        then = after([step for step in steps if step.entry_seq <= entry])
        then.forget()
        found = Ledger.restored(ledger.state(entry))
        assert found.places == then.places
        assert dict(found.high) == dict(then.high)


@given(histories(), st.integers(0, 40))
def test_a_restored_ledger_goes_on_to_the_same_place(steps, entry):
    ledger = after(steps)
    again = Ledger.restored(after(steps).state(entry))
    for step in steps:
        if step.entry_seq > entry:
            again.take(step)
    assert again.places == ledger.places
    assert again.kept == ledger.kept
    seqs = [place.seq for place in ledger.places]
    for sender in (1, 2, 3):
        for shard in range(SHARDS):
            for seq in range(14):
                asked = (sender, shard, seq, seqs[shard] + 1)
                assert again.is_done(*asked) == ledger.is_done(*asked)


@given(histories())
def test_what_forgetting_drops_nobody_can_tell(steps):
    ledger, other = after(steps), after(steps)
    other.forget()
    for sender in (1, 2, 3):
        for shard in range(SHARDS):
            seq = ledger.places[shard].seq + 1
            assert ledger.is_new(sender, shard, seq) == other.is_new(sender, shard, seq)


@given(histories())
def test_looking_ahead_moves_nothing(steps):
    ledger = after(steps)
    before = ([*map(repr, ledger.places)], dict(ledger.high), list(ledger.kept))
    ahead = ledger.ahead()
    ahead.move(Step(0, 1, 99, 5, 9, 1, 7, 0))
    ahead.pass_over(0, 100, 9)
    assert before == ([*map(repr, ledger.places)], dict(ledger.high), list(ledger.kept))
    assert ahead.is_done(9, 1, 1, 99)
    assert not ledger.is_done(9, 1, 1, 99)


def test_one_log_forgets_nobody_in_another():
    ledger = after([Step(1, 0, 1, 0, 7, 1, 1, 0), Step(2, 1, 3 * EXPIRY, 0, 8, 1, 1, 0)])
    ledger.forget()
    assert not ledger.is_new(7, 0, 2)
    assert not ledger.is_new(7, 0, 1 + EXPIRY)
    assert ledger.is_new(7, 0, 2 + EXPIRY)
    assert ledger.senders() == {7, 8}


def test_what_was_passed_over_is_not_kept():
    ledger = after([Step(1, 0, 4, 0, 7, 1, 1, 0)])
    ledger.pass_over(0, 9, 0)
    assert ledger.places[0].seq == 9
    assert ledger.kept[0] == 4
    assert Ledger.restored(ledger.state(1)).places[0].seq == 4


@given(st.binary(max_size=300))
def test_other_bytes_are_told(data):
    try:
        ledger = Ledger.restored(data)
    except CorruptionError:
        return
    state = ledger.state(0)
    assert Ledger.restored(state).state(0) == state


def test_a_cut_state_is_told():
    state = after([Step(1, 0, 4, 0, 7, 1, 1, 0)]).state(1)
    for size in range(len(state)):
        with pytest.raises(CorruptionError):
            Ledger.restored(state[:size])
