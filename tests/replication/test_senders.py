"""Refs of senders mean what they were defined to mean, also after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.senders import Sender, Senders
from tsdb.errors import CorruptionError

REFS = st.dictionaries(st.integers(0, 300), st.integers(0, 2**32 - 2), max_size=20)


def known(defined: dict[int, dict[int, int]]) -> Senders:
    senders = Senders()
    for number, refs in defined.items():
        senders.of(number).define(
            np.array([*refs], np.uint32), np.array([*refs.values()], np.uint32)
        )
    return senders


@given(st.dictionaries(st.integers(0, 2**64 - 1), REFS, max_size=4))
def test_refs_come_back(defined):
    again = Senders.restored(known(defined).state())
    assert len(again) == len(defined)
    for number, refs in defined.items():
        theirs = np.array([*refs], np.uint32)
        assert again.of(number).ours(theirs).tolist() == [*refs.values()]


@given(REFS, st.integers(0, 700))
def test_a_ref_that_was_never_defined_is_told(refs, other):
    sender = known({1: refs}).of(1)
    asked = np.array([*refs, other], np.uint32)
    if other in refs:
        assert sender.ours(asked)[-1] == refs[other]
    else:
        with pytest.raises(CorruptionError, match="unknown series"):
            sender.ours(asked)


def test_only_those_who_are_named_are_kept():
    senders = known({1: {0: 5}, 2: {0: 6}})
    senders.retain({2, 3})
    assert [sender.number for sender in senders] == [2]
    assert senders.of(2).ours(np.array([0], np.uint32)).tolist() == [6]


def test_a_sender_knows_nothing_at_first():
    assert Sender(4).ours(np.empty(0, np.uint32)).size == 0


@given(st.binary(max_size=200))
def test_other_bytes_are_told(data):
    try:
        senders = Senders.restored(data)
    except CorruptionError:
        return
    state = senders.state()
    assert Senders.restored(state).state() == state


def test_a_cut_state_is_told():
    state = known({1: {0: 5, 9: 3}, 2: {0: 6}}).state()
    for size in range(len(state)):
        with pytest.raises(CorruptionError):
            Senders.restored(state[:size])
