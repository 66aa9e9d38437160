"""tsdb.overlay: laying columns over columns agrees with dictionaries, for any input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb import overlay
from tsdb.batch import Columns

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
STALE = 0x7FF0000000000002
# A narrow range makes sources meet, the extremes make comparisons wrap if they can.
times = st.one_of(st.integers(0, 20), st.sampled_from([INT64_MIN, INT64_MIN + 1, INT64_MAX]))
bits = st.one_of(st.integers(0, 3), st.just(STALE), st.integers(0, 2**64 - 1))
run = st.dictionaries(times, bits, max_size=8)
RUNS = 3
source = st.lists(run, min_size=RUNS, max_size=RUNS)
Model = list[dict[int, int]]


def columns_of(model: Model, writable: bool = True) -> Columns:
    offsets = np.cumsum([0, *(len(r) for r in model)], dtype=np.int64)
    timestamps = np.array([t for r in model for t in sorted(r)], np.int64)
    values = np.array([r[t] for r in model for t in sorted(r)], np.uint64).view(np.float64)
    timestamps.setflags(write=writable)
    values.setflags(write=writable)
    return Columns(offsets, timestamps, values)


def model_of(columns: Columns) -> Model:
    answer: Model = []
    for i in range(columns.runs):
        lo, hi = columns.offsets[i], columns.offsets[i + 1]
        t = columns.timestamps[lo:hi].tolist()
        assert t == sorted(set(t)), "a run must ascend strictly"
        answer.append(dict(zip(t, columns.values[lo:hi].view(np.uint64).tolist(), strict=True)))
    return answer


@given(st.lists(source, min_size=1, max_size=6))
@example([[{0: 1}, {}, {5: 5}], [{1: 2}, {}, {5: 6}], [{0: 3}, {9: 9}, {}]])
def test_the_newest_source_wins(sources: list[Model]) -> None:
    expected: Model = [{} for _ in range(RUNS)]
    for model in sources:
        for i, points in enumerate(model):
            expected[i].update(points)

    assert model_of(overlay.overlay([columns_of(m) for m in sources])) == expected


@given(st.lists(run, min_size=1, max_size=8), st.data())
def test_closing_up_leaves_no_gap(model: Model, data: st.DataObject) -> None:
    """Parts stand where their rooms begin, and their rooms may be larger than they need."""
    columns = columns_of(model)
    counts = np.diff(columns.offsets)
    spare = data.draw(st.lists(st.integers(0, 3), min_size=len(model), max_size=len(model)))
    rooms = np.concatenate(([0], np.cumsum(counts + np.array(spare, np.int64))))
    edges = data.draw(st.sets(st.integers(1, len(model) - 1))) if len(model) > 1 else set()
    parts = list(pairwise([0, *sorted(edges), len(model)]))
    stamps, words = np.zeros(rooms[-1], np.int64), np.zeros(rooms[-1], np.uint64)
    for first, last in parts:
        a, b = columns.offsets[first], columns.offsets[last]
        stamps[rooms[first] :][: b - a] = columns.timestamps[a:b]
        words[rooms[first] :][: b - a] = columns.values[a:b].view(np.uint64)

    assert model_of(overlay.closed_up(parts[::-1], rooms, counts, stamps, words)) == model


@given(source, times, times)
def test_clip_keeps_exactly_the_range(model: Model, start: int, end: int) -> None:
    expected = [{t: v for t, v in r.items() if start <= t <= end} for r in model]

    assert model_of(overlay.clip(columns_of(model), start, end)) == expected


@given(source, times, times, st.lists(st.booleans(), min_size=RUNS, max_size=RUNS))
def test_without_drops_exactly_the_range(
    model: Model, start: int, end: int, hit: list[bool]
) -> None:
    expected = [
        {t: v for t, v in r.items() if not (hidden and start <= t <= end)}
        for r, hidden in zip(model, hit, strict=True)
    ]

    answer = overlay.without(columns_of(model), np.array(hit), start, end)

    assert model_of(answer) == expected


@given(source)
def test_extent_is_that_of_all_points(model: Model) -> None:
    everything = [t for r in model for t in r]
    expected = (min(everything), max(everything)) if everything else None

    assert overlay.extent(columns_of(model)) == expected


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_mask_is_membership(refs: set[int], hidden: set[int]) -> None:
    answer = overlay.mask(np.array(sorted(refs), np.uint32), np.array(sorted(hidden), np.uint32))

    assert answer.tolist() == [r in hidden for r in sorted(refs)]


def test_read_only_columns_are_taken() -> None:
    """Answers are handed out read-only; they must be usable as sources again."""
    old, new = columns_of([{1: 1, 2: 2}], writable=False), columns_of([{2: 3}], writable=False)

    assert model_of(overlay.overlay([old, new])) == [{1: 1, 2: 3}]
    assert model_of(overlay.clip(old, 2, 2)) == [{2: 2}]
    assert model_of(overlay.without(old, np.array([True]), 2, 2)) == [{1: 1}]


def test_one_source_with_points_is_passed_on_uncopied() -> None:
    one = columns_of([{1: 1}])

    assert overlay.overlay([overlay.empty(1), one, overlay.empty(1)]) is one


def test_sources_must_have_the_same_runs() -> None:
    with pytest.raises(AssertionError, match="same runs"):
        overlay.overlay([overlay.empty(1), overlay.empty(2)])
