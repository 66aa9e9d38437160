"""api.sinks: requests of a bounded size, sentences with the file's own line numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.sinks import halved, renumbered
from tsdb import limits
from tsdb.batch import Columns, Parsed


def parsed(sizes: list[int]) -> Parsed:
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    points = int(offsets[-1])
    starts = np.arange(len(sizes), dtype=np.int64)
    columns = Columns(offsets, np.arange(points), np.arange(points, dtype=np.float64))
    return Parsed(
        "x", np.zeros(len(sizes) + 1, np.uint8), starts, starts + 1, columns, bytes, ("w",)
    )


@given(st.lists(st.integers(0, limits.POINTS_PER_REQUEST_MAX // 3), min_size=1, max_size=12))
def test_halves_hold_every_point_once_and_fit(sizes: list[int]) -> None:
    whole = parsed(sizes)

    parts = list(halved(whole))

    assert all(p.columns.points <= limits.POINTS_PER_REQUEST_MAX for p in parts)
    assert np.array_equal(
        np.concatenate([p.columns.timestamps for p in parts]), whole.columns.timestamps
    )
    assert np.concatenate([p.key_starts for p in parts]).tolist() == whole.key_starts.tolist()
    assert [size for p in parts for size in np.diff(p.columns.offsets)] == sizes
    assert sum(len(p.skipped) for p in parts) == 1


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_a_line_of_a_block_is_a_line_of_the_file(before: int, line: int) -> None:
    (told,) = renumbered([f"line {line}: line 7 is odd"], before)

    assert told == f"line {line + before}: line 7 is odd"


def test_what_names_no_line_stays_as_it_is() -> None:
    assert renumbered(["and 12 more were refused"], 100) == ["and 12 more were refused"]
