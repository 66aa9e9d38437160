"""Rows of the index answer as rows of label sets do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb.index.labels import Labels, canonical
from tsdb.index.registry import Registry
from tsdb.promql.errors import QueryFailed
from tsdb.promql.known_rows import KnownRows, PairRows
from tsdb.promql.rows import Rows

NAMES = ["__name__", "A", "a", "job", "le", "z"]
label_sets = st.dictionaries(
    st.sampled_from(NAMES),
    st.sampled_from(["1", "10", "9", "é", "x" * 20, "x" * 19 + "a", "up", "up_total"]),
    min_size=1,
).map(lambda labels: Labels(labels))


@st.composite
def both(draw: st.DrawFn) -> tuple[Rows, Rows]:
    """The same rows of the index and of label sets, in any order, maybe without names."""
    sets = draw(st.lists(label_sets, max_size=12, unique=True))
    registry = Registry()
    refs = registry.assign([canonical(labels) for labels in sets]).refs if sets else []
    known: Rows = KnownRows(registry.reader(), np.array(refs, np.uint32))
    plain = Rows(sets)
    if sets and draw(st.booleans()):
        some = np.array(draw(st.lists(st.integers(0, len(sets) - 1), unique=True)), np.int64)
        known, plain = known.taken(some), plain.taken(some)
    if draw(st.booleans()):
        known, plain = known.without_name(), plain.without_name()
    return known, plain


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Rows, Rows]:
    """What groups of such rows are called: some of the labels."""
    known, plain = draw(both())
    names = draw(st.lists(st.sampled_from([*NAMES, "unknown"]), min_size=1))
    without = draw(st.booleans())
    known, plain = (rows.grouped(names, without=without)[1] for rows in (known, plain))
    assert isinstance(known, PairRows)
    if len(plain) and draw(st.booleans()):
        some = np.array(draw(st.lists(st.integers(0, len(plain) - 1))), np.int64)
        known, plain = known.taken(some), plain.taken(some)
    if draw(st.booleans()):
        known, plain = known.without_name(), plain.without_name()
    return known, plain


either = both() | grouped()


def check_same(known: Rows, plain: Rows) -> None:
    assert isinstance(known, KnownRows | PairRows)
    assert len(known) == len(plain)
    assert [dict(labels) for labels in known.labels()] == [dict(each) for each in plain.labels()]
    assert [list(labels) for labels in known.labels()] == [list(each) for each in plain.labels()]


@given(rows=either)
@settings(max_examples=200)
def test_labels_and_order(rows: tuple[Rows, Rows]) -> None:
    known, plain = rows
    check_same(known, plain)
    assert known.order().tolist() == plain.order().tolist()
    check_same(known.taken(known.order()), plain.taken(plain.order()))


@given(rows=either, head=st.binary(max_size=3), tail=st.binary(max_size=3))
@settings(max_examples=100)
def test_rows_in_writing(rows: tuple[Rows, Rows], head: bytes, tail: bytes) -> None:
    def write(name: str, value: str) -> bytes:
        return f"{name}={value}".encode()

    expected = [
        head + b",".join(write(*pair) for pair in labels.items()) + tail
        for labels in rows[1].labels()
    ]
    for each in rows:
        text, begins = each.written(write, head, tail)
        borders = begins.tolist()
        assert [text[a:b].tobytes() for a, b in pairwise(borders)] == expected
        assert text.size == borders[-1]


@given(rows=either, names=st.lists(st.sampled_from([*NAMES, "unknown"])), without=st.booleans())
@settings(max_examples=200)
def test_groups(rows: tuple[Rows, Rows], names: list[str], without: bool) -> None:
    known, plain = rows
    groups, labels = known.grouped(names, without=without)
    expected, expected_labels = plain.grouped(names, without=without)
    assert groups.tolist() == expected.tolist()
    assert list(labels.labels()) == list(expected_labels.labels())


@given(data=st.data(), names=st.lists(st.sampled_from(NAMES), min_size=1), without=st.booleans())
@settings(max_examples=200)
def test_rows_of_two_vectors_are_told_apart(
    data: st.DataObject, names: list[str], without: bool
) -> None:
    """Of one index by numbers; of two, or where text was changed, by their labels."""
    known, plain = data.draw(both())
    other_known, other_plain = data.draw(both())
    some = np.arange(len(known))[data.draw(st.integers(0, 3)) :: 2]
    for other, expected in (
        (known.taken(some), plain.taken(some)),
        (other_known, other_plain),
        (plain.taken(some), plain.taken(some)),
    ):
        places, rows = known.grouped(names, without=without)[1].joined(
            other.grouped(names, without=without)[1]
        )
        expected_places, expected_rows = plain.grouped(names, without=without)[1].joined(
            expected.grouped(names, without=without)[1]
        )
        assert places.tolist() == expected_places.tolist()
        assert list(rows.labels()) == list(expected_rows.labels())


@given(rows=either)
@settings(max_examples=200)
def test_twins(rows: tuple[Rows, Rows]) -> None:
    known, plain = rows
    found, expected = known.twins(), plain.twins()
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert [each.tolist() for each in found] == [each.tolist() for each in expected]
        with pytest.raises(QueryFailed, match="same labelset"):
            known.distinct()


def test_a_label_that_no_series_has_tells_none_apart() -> None:
    registry = Registry()
    refs = registry.assign([canonical({"a": "1"}), canonical({"a": "2"})]).refs
    rows = KnownRows(registry.reader(), refs)
    groups, labels = rows.grouped(["never"], without=False)
    assert groups.tolist() == [0, 0]
    assert labels.labels() == [Labels()]
    assert rows.grouped(["never"], without=True)[0].tolist() == [0, 1]
    assert rows.without_name().twins() is None
