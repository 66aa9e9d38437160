"""Parts of rows on several threads: each row once, and nothing runs on after a failure."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb import parallel


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a machine with one processor."""
    monkeypatch.setattr(parallel, "_width", lambda: 3)


@given(rows=st.integers(0, 300), work=st.integers(0, 50 * parallel.WORK_MIN))
def test_each_row_is_done_once(rows: int, work: int) -> None:
    done = np.zeros(rows, np.int64)

    def count(first: int, last: int) -> None:
        done[first:last] += 1

    parallel.run(rows, work, count)
    assert (done == 1).all()


def test_what_is_small_stays_on_the_callers_thread() -> None:
    seen: list[threading.Thread] = []
    parallel.run(1000, parallel.WORK_MIN, lambda *_: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


def test_what_is_large_is_shared() -> None:
    met = threading.Barrier(3)  # opens only if three threads work at the same time
    seen: set[threading.Thread] = set()

    def meet(first: int, last: int) -> None:
        met.wait(30)
        seen.add(threading.current_thread())

    parallel.run(3, 3 * parallel.WORK_MIN, meet)
    assert len(seen) == 3


def test_a_part_that_fails_ends_the_work() -> None:
    done: list[int] = []

    def refuse(first: int, last: int) -> None:
        if first >= 5:
            raise ValueError(f"{first} to {last}")
        done.append(first)

    with pytest.raises(ValueError, match="to"):
        parallel.run(1000, 10**9, refuse)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_failure_on_another_thread_is_raised_here() -> None:
    met = threading.Barrier(3)

    def refuse(first: int, last: int) -> None:
        met.wait(30)
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("on a helper")

    with pytest.raises(ValueError, match="on a helper"):
        parallel.run(3, 10**9, refuse)


def test_a_check_that_raises_ends_the_work() -> None:
    done: list[int] = []

    def stop() -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        parallel.run(1000, 10**9, lambda first, last: done.append(first), stop)
    after = len(done)
    assert 0 < after < 1000
    assert len(done) == after


def test_nobody_waits_for_a_helper_that_is_busy_elsewhere() -> None:
    """All helpers are held by one piece of work; another one is done by its caller alone."""
    release = threading.Event()
    held = threading.Barrier(4)  # three workers of the first piece, and this thread

    def hold(first: int, last: int) -> None:
        held.wait(30)
        assert release.wait(30)

    pieces = [threading.Thread(target=parallel.run, args=(3, 3 * parallel.WORK_MIN, hold))]
    pieces[0].start()
    held.wait(30)
    held = threading.Barrier(2)  # the second caller and the last helper
    pieces.append(threading.Thread(target=parallel.run, args=(2, 3 * parallel.WORK_MIN, hold)))
    pieces[1].start()
    try:
        done: list[tuple[int, int]] = []
        parallel.run(9, 9 * parallel.WORK_MIN, lambda *part: done.append(part))
        assert sorted(done) == [(i, i + 1) for i in range(9)]
        parallel.run(9, 9 * parallel.WORK_MIN, lambda *part: done.append(part))
        assert len(done) == 18
    finally:
        release.set()
        for piece in pieces:
            piece.join(30)
    assert not any(piece.is_alive() for piece in pieces)
