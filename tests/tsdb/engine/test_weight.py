"""tsdb.engine.weight bounds what a selection returns from both sides; select is the slow twin."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tsdb
from tsdb.engine.weight import Weight
from tsdb.index.selector import parse_selector

RUNS = st.lists(st.integers(0, 300), min_size=1, max_size=8)
WRITES = st.tuples(st.sampled_from("abcd"), RUNS)
DELETES = st.tuples(st.sampled_from(["a", "b", "a|b"]), st.integers(0, 300))
STEPS = st.lists(WRITES | DELETES | st.none(), min_size=1, max_size=10)


@given(STEPS, st.integers(-10, 310), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_what_is_selected_lies_between_the_bounds(
    steps: list[tuple[str, list[int] | int] | None], start: int, length: int
) -> None:
    """Over blocks, heads, late points, points written twice and deletes."""
    matchers, end = parse_selector("m"), start + length
    with (
        tempfile.TemporaryDirectory() as folder,
        tsdb.open(Path(folder) / "db", background=False) as database,
    ):
        for step in steps:
            if step is None:
                database.flush()
            elif isinstance(step[1], int):
                database.delete(f'm{{s=~"{step[0]}"}}', step[1], step[1] + 50)
            else:
                labels = {"__name__": "m", "s": step[0]}
                database.write(labels, step[1], np.ones(len(step[1])))
        found = database.select(matchers, start, end)
        weight = database.weigh(matchers, start, end)

        assert weight.points_least <= found.points <= weight.points
        assert weight.series_least <= len(found) <= weight.series


def test_bounds_meet_where_everything_is_asked_for(tmp_path: Path) -> None:
    """Two blocks and a head, apart in time: all points are certain."""
    hour = 3_600_000
    with tsdb.open(tmp_path / "db", background=False) as database:
        for at in (0, 10 * hour):
            for host in ("a", "b"):
                database.write(f'm{{s="{host}"}}', range(at, at + 700_000, 1_000), np.ones(700))
            database.flush()
        database.write('m{s="a"}', [20 * hour], [1.0])
        blocks = database.parts.engine.version.blocks
        size = sum(int(block.table.starts[-1]) for block in blocks)
        matchers = parse_selector("m")

        assert database.weigh(matchers, 0, 99 * hour) == Weight(2, 2, 2801, 2801, 2, size)
        assert database.weigh(matchers, 20 * hour, 99 * hour) == Weight(1, 1, 1, 1, 0, 0)
        assert database.weigh(matchers, 15 * hour, 16 * hour) == Weight()
        assert database.weigh(parse_selector("nothing"), 0, 99 * hour) == Weight()


def test_what_a_delete_may_have_hit_is_not_certain(tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db", background=False) as database:
        database.write('m{s="a"}', range(100), np.ones(100))
        database.flush()
        database.delete("m", 0, 49)
        weight = database.weigh(parse_selector("m"), 0, 99)

        assert (weight.points, weight.points_least) == (100, 0)
        # Nothing was deleted from 50 on, and the chunk's end is a point there.
        assert database.weigh(parse_selector("m"), 50, 99).points_least == 1


def test_a_series_that_comes_between_weighing_and_reading_is_read(tmp_path: Path) -> None:
    """What a thread found last is remembered, until any series is new."""
    matchers = tuple(parse_selector("m"))
    with tsdb.open(tmp_path / "db", background=False) as database:
        for i in range(5):
            database.write(f'm{{s="{i}"}}', [1], [1.0])
            assert database.weigh(matchers, 0, 9).series == i + 1
            assert len(database.select(matchers, 0, 9)) == i + 1
            database.write(f'other{{s="{i}"}}', [1], [1.0])
            assert len(database.select(matchers, 0, 9)) == i + 1
