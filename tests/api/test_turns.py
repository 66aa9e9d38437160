"""api.turns: clients take turns, and bytes are granted in the order in which they were wanted."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from api.turns import Memory, Turns, asker_of

ANYBODY = lambda client: True  # noqa: E731
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("next"), st.frozensets(st.sampled_from("abc")), st.none()),
        st.tuples(st.just("drop"), st.integers(0, 20), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_turns_are_what_a_slow_twin_says(steps: list[tuple[str, object, object]]) -> None:
    """The twin keeps one list of clients and two deques for each."""
    turns: Turns[int] = Turns()
    order: list[str] = []
    lines: dict[str, tuple[deque[int], deque[int]]] = {c: (deque(), deque()) for c in "abc"}
    owner: dict[int, str] = {}
    for number, (what, which, soon) in enumerate(steps):
        if what == "put":
            assert isinstance(which, str)
            turns.put(which, number, soon=bool(soon))
            owner[number] = which
            lines[which][0 if soon else 1].append(number)
            if which not in order:
                order.append(which)
        elif what == "next":
            assert isinstance(which, frozenset)
            allowed = [client for client in order if client in which]
            found = turns.peek(lambda client, may=which: client in may)  # type: ignore[misc]
            if not allowed:
                assert found is None
                continue
            client = allowed[0]
            part = lines[client][0] or lines[client][1]
            job = part.popleft()
            assert found == (client, job)
            turns.done(client, job)
            order.remove(client)
            if any(lines[client]):
                order.append(client)
        else:
            assert isinstance(which, int)
            client = owner.get(which, "a")
            holding = [part for part in lines[client] if which in part]
            assert turns.drop(client, which) == bool(holding)
            for part in holding:
                part.remove(which)
            if client in order and not any(lines[client]):
                order.remove(client)
        assert len(turns) == sum(len(part) for line in lines.values() for part in line)
    assert sorted(turns.drain()) == sorted(j for line in lines.values() for p in line for j in p)
    assert turns.peek(ANYBODY) is None


def test_a_client_with_much_work_does_not_keep_others_waiting() -> None:
    turns: Turns[str] = Turns()
    for i in range(9):
        turns.put("busy", f"busy {i}")
    turns.put("other", "other")
    turns.put("third", "third")
    taken = []
    while (found := turns.peek(ANYBODY)) is not None:
        turns.done(*found)
        taken.append(found[1])
    assert taken[:4] == ["busy 0", "other", "third", "busy 1"]


def test_pieces_of_an_answer_come_before_new_work_of_the_same_client() -> None:
    turns: Turns[str] = Turns()
    turns.put("a", "new")
    turns.put("a", "piece", soon=True)
    assert turns.peek(ANYBODY) == ("a", "piece")


def test_bytes_are_granted_in_the_order_in_which_they_were_wanted() -> None:
    memory = Memory(640)
    assert memory.take(600)
    assert not memory.take(100)  # waits from now on
    assert memory.take(10)  # so few that it does not matter
    memory.give(600)
    assert not memory.take(300), "before the one that waits"
    assert memory.take(100, waited=True)
    assert memory.take(300, waited=True)
    assert memory.taken == 410


def test_who_leaves_lets_others_pass() -> None:
    memory = Memory(640)
    assert memory.take(600)
    assert not memory.take(100)
    assert not memory.take(20)
    memory.leave()
    memory.leave()
    assert memory.take(20)


def test_one_alone_gets_whatever_it_wants() -> None:
    memory = Memory(640)
    assert memory.take(1000)
    assert not memory.take(1)
    memory.give(1000)
    assert memory.take(1, waited=True)


def test_an_account_is_one_client_wherever_it_asks_from() -> None:
    assert asker_of({"client": ("10.0.0.1", 1), "account": "ann"}) == "ann"
    assert asker_of({"client": ("10.0.0.1", 1)}) == asker_of({"client": ("10.0.0.1", 2)})
    assert asker_of({"client": None}) == ""
