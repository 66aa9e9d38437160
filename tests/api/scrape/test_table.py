"""api.scrape.table: a range is made canonical once, and found ever after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape.table import DROPPED, SeriesTable
from tsdb.batch import I64s, U8s
from tsdb.errors import InvalidInput, LimitExceeded


def ranges(raws: list[bytes]) -> tuple[U8s, I64s, I64s]:
    offsets = np.cumsum([0, *map(len, raws)]).astype(np.int64)
    return np.frombuffer(b"".join(raws), np.uint8), offsets[:-1], offsets[1:]


@given(st.lists(st.lists(st.binary(min_size=1, max_size=6), max_size=12), max_size=6))
def test_a_table_is_a_dictionary(scrapes: list[list[bytes]]) -> None:
    """Two raws may mean one key; some are dropped; each is asked about once."""
    asked: list[bytes] = []

    def key_of(raw: bytes) -> bytes | None:
        asked.append(raw)
        return None if raw[0] == 7 else b"key of " + raw[:2]

    table = SeriesTable(key_of)
    for raws in scrapes:
        ids = table.ids(*ranges(raws))
        kept = ids[ids != DROPPED]
        assert [raw[0] == 7 for raw in raws] == (ids == DROPPED).tolist()
        assert table.keys(kept) == [b"key of " + raw[:2] for raw in raws if raw[0] != 7]
        assert table.keys(table.ids_of_keys(table.keys(kept))) == table.keys(kept)
    assert len(asked) == len(set(asked)) == table.entries


def test_what_fails_is_asked_again_and_the_rest_is_not() -> None:
    asked: list[bytes] = []

    def key_of(raw: bytes) -> bytes:
        asked.append(raw)
        if raw == b"bad":
            raise InvalidInput("bad")
        return raw

    table = SeriesTable(key_of)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="bad"):
            table.ids(*ranges([b"good", b"bad"]))
    assert asked == [b"good", b"bad", b"bad"]


def test_a_series_past_a_bound_of_the_database_costs_only_itself() -> None:
    def key_of(raw: bytes) -> bytes:
        if raw == b"long":
            raise LimitExceeded("too long", limit="X", value=1)
        return raw

    table = SeriesTable(key_of)
    assert table.ids(*ranges([b"long", b"a"])).tolist() == [DROPPED, 0]
    assert table.refused == ["too long (limit X = 1)"]
