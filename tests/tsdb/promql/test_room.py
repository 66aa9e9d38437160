"""What a query holds at once is bounded."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pytest

from tsdb import limits
from tsdb.errors import LimitExceeded
from tsdb.promql.query import Answer
from tsdb.promql.room import Room

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]

STORED: dict[str, Values] = {f'm{{i="{i}"}}': [1.0] * 10 for i in range(10)}  # 100 cells


def test_a_matrix_counts_until_it_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUERY_CELLS_MAX", 250)
    room = Room()
    one, other = np.zeros((10, 10)), np.zeros((10, 10))
    room.hold(one)
    room.hold(one)
    room.hold(other)
    assert room.cells == 200
    with pytest.raises(LimitExceeded, match=r"holds 300 values at once.*QUERY_CELLS_MAX = 250"):
        room.check(100)
    del one
    room.check(100)
    assert room.cells == 100


def test_a_long_chain_holds_only_what_is_alive(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUERY_CELLS_MAX", 450)
    text = "m + " * 30 + "m"
    assert ask(text, STORED).value.values[0, 0] == 31.0  # type: ignore[union-attr]
    assert ask("abs(" * 30 + "m" + ")" * 30, STORED).infos == []
    with pytest.raises(LimitExceeded, match="QUERY_CELLS_MAX"):
        ask("(m + 1) * ((m + 2) * ((m + 3) * ((m + 4) * (m + 5))))", STORED)
    with pytest.raises(LimitExceeded, match="QUERY_CELLS_MAX"):
        ask("m @ 0", {f'm{{i="{i}"}}': [1.0] * 10 for i in range(50)})


def test_nothing_outlives_an_answer(ask: Ask) -> None:
    answer = ask("m + m", STORED)
    values = weakref.ref(answer.value.values)  # type: ignore[union-attr]
    del answer
    gc.collect()
    assert values() is None
