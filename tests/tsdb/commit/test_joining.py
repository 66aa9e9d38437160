"""Joining: what was in the parts is in the whole, in their order."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.commit.joining import joined


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    counts = draw(st.lists(st.integers(0, 3), max_size=4))
    keys = draw(st.lists(st.binary(min_size=1, max_size=5), max_size=3))
    stamps = draw(st.lists(st.integers(-9, 9), min_size=sum(counts), max_size=sum(counts)))
    return Batch(
        np.arange(len(counts), dtype=np.uint32),
        Columns(
            np.cumsum([0, *counts]).astype(np.int64),
            np.array(stamps, np.int64),
            np.array(stamps, np.float64) / 2,
        ),
        SeriesDefinitions(
            np.arange(len(keys), dtype=np.uint32),
            np.cumsum([0, *map(len, keys)]).astype(np.int64),
            b"".join(keys),
        ),
    )


def runs(batch: Batch) -> list[tuple[int, list[int], list[float]]]:
    columns, bounds = batch.columns, itertools.pairwise(batch.columns.offsets.tolist())
    return [
        (int(ref), columns.timestamps[a:b].tolist(), columns.values[a:b].tolist())
        for ref, (a, b) in zip(batch.refs, bounds, strict=True)
    ]


def defined(batch: Batch) -> list[tuple[int, bytes]]:
    found = batch.definitions
    pairs = zip(found.refs.tolist(), itertools.pairwise(found.offsets.tolist()), strict=True)
    return [(ref, found.keys[a:b]) for ref, (a, b) in pairs]


@given(st.lists(batches(), min_size=1, max_size=4))
def test_the_whole_is_its_parts_in_order(parts: list[Batch]) -> None:
    whole = joined(parts)

    assert runs(whole) == [run for part in parts for run in runs(part)]
    assert defined(whole) == [pair for part in parts for pair in defined(part)]
