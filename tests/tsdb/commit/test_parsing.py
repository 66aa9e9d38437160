"""tsdb.commit.parsing: each body is parsed once, by whoever comes first, and used in its order."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.commit import parsing
from tsdb.commit.parsing import PARSED_AHEAD, Parsing
from tsdb.commit.request import Request
from tsdb.errors import InvalidInput

WAIT_S = 30


def request(parse: Any) -> Request:
    return Request(done=lambda _: None, parse=parse)


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 3), st.data())
def test_outcomes_come_in_order_each_parsed_once(
    good: list[bool], helpers: int, data: st.DataObject
) -> None:
    calls = [0] * len(good)

    def parse(i: int) -> Any:
        def call() -> Any:
            calls[i] += 1
            if not good[i]:
                raise InvalidInput(f"body {i}")
            return i

        return call

    pool = Parsing(helpers)
    requests = [request(parse(i)) for i in range(len(good))]
    offered = 0
    for i, one in enumerate(requests):
        while offered <= i or (offered < len(good) and data.draw(st.booleans())):
            pool.offer(requests[offered], soon=data.draw(st.booleans()))
            offered += 1
        found = pool.outcome(one)
        assert str(found) == (str(i) if good[i] else f"body {i}")
    pool.close()
    assert calls == [1] * len(good)


def test_a_helper_parses_while_the_gate_is_busy() -> None:
    pool, began, go = Parsing(1), threading.Event(), threading.Event()

    def slow() -> Any:
        began.set()
        assert go.wait(WAIT_S)
        return "slow"

    first, second = request(lambda: "quick"), request(slow)
    pool.offer(first, soon=True)
    pool.offer(second, soon=False)
    assert pool.outcome(first) == "quick"
    assert began.wait(WAIT_S), "no helper took it"
    go.set()
    assert pool.outcome(second) == "slow"
    pool.close()


def test_what_is_parsed_and_not_used_is_bounded() -> None:
    pool, done = Parsing(2), threading.Semaphore(0)

    def parse() -> Any:
        done.release()
        return "parsed"

    requests = [request(parse) for _ in range(3 * PARSED_AHEAD)]
    for one in requests:
        pool.offer(one, soon=False)
    for _ in range(PARSED_AHEAD):
        assert done.acquire(timeout=WAIT_S)
    assert not done.acquire(timeout=0.1), "more than PARSED_AHEAD"
    assert [pool.outcome(one) for one in requests] == ["parsed"] * len(requests)
    pool.close()


def test_without_a_spare_core_there_is_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing.os, "cpu_count", lambda: 1)
    before = threading.active_count()
    pool = Parsing()

    assert threading.active_count() == before
    one = request(lambda: "parsed")
    pool.offer(one, soon=False)
    assert pool.outcome(one) == "parsed"
    pool.close()
