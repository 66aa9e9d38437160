"""tsdb.engine.presence tells the series of a range without decoding; select is the slow twin."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tsdb
from tsdb.index.selector import parse_selector

runs = st.lists(st.integers(0, 300), min_size=1, max_size=8)
steps_of = st.lists(st.tuples(st.sampled_from("abcd"), runs) | st.none(), min_size=1, max_size=8)


@given(steps_of, st.integers(-10, 310), st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_no_series_with_points_is_missed(
    steps: list[tuple[str, list[int]] | None], start: int, length: int
) -> None:
    matchers = parse_selector("m")
    with (
        tempfile.TemporaryDirectory() as folder,
        tsdb.open(Path(folder) / "db", background=False) as database,
    ):
        points: dict[str, list[int]] = {}
        for step in steps:
            if step is None:
                database.flush()
                continue
            name, times = step
            points.setdefault(name, []).extend(times)
            database.write({"__name__": "m", "s": name}, times, np.ones(len(times)))

        engine = database.parts.engine
        index, refs = engine.present(matchers, start, start + length)
        found = {index.labels(int(ref))["s"] for ref in refs}
        exact = {one.labels["s"] for one in engine.select(matchers, start, start + length)}
        assert exact <= found
        for name in found - exact:  # a gap in a run, never beside all of it
            assert min(points[name]) < start
            assert max(points[name]) > start + length
