"""clean_tombstones rewrites what holds deleted points, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tsdb
from tsdb.block.layout import CHUNKS
from tsdb.index.selector import parse_selector

HOUR = 3_600_000
STEP = 60_000
EVERY = '{__name__=~".+"}'


def names(database: tsdb.Database) -> dict[str, bytes]:
    """Chunks of each block, by its name."""
    blocks = database.parts.engine.version.blocks
    return {block.meta.name: (block.path / CHUNKS).read_bytes() for block in blocks}


def filled(path: Path, days: int = 3) -> tsdb.Database:
    """A flush a day; `x` and `y` with a point a minute."""
    database = tsdb.open(path, background=False)
    for day in range(days):
        stamps = day * 24 * HOUR + np.arange(0, 24 * HOUR, STEP)
        database.write_many(["x", "y"], [stamps] * 2, [stamps * 1.0] * 2)
        database.flush()
    return database


def points(database: tsdb.Database) -> dict[str, list[int]]:
    found = database.select(EVERY)
    return {str(one.labels): one.timestamps.tolist() for one in found}


def stored(database: tsdb.Database, selector: str) -> int:
    """Points on disk, deleted or not."""
    refs = database.parts.engine.registry.select(parse_selector(selector))
    blocks = database.parts.engine.version.blocks
    return sum(block.read(refs, 0, 100 * HOUR).points for block in blocks)


def test_only_blocks_that_are_touched_are_rewritten(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as database:
        before, day = names(database), 24 * HOUR
        database.delete("x", day + HOUR, day + 2 * HOUR)
        visible = points(database)
        assert stored(database, "x") == 3 * 24 * 60
        touched = {
            block.meta.name
            for block in database.parts.engine.version.blocks
            if block.meta.overlaps(day + HOUR, day + 2 * HOUR)
        }
        assert 0 < len(touched) < len(before)

        assert database.clean_tombstones() == len(touched)

        after = names(database)
        assert {name for name in before if name not in after} == touched
        assert all(after[name] == before[name] for name in before.keys() - touched)
        assert points(database) == visible
        assert stored(database, "x") == 3 * 24 * 60 - 61
        assert database.stats().tombstones == 0
        assert database.clean_tombstones() == 0
    with tsdb.open(tmp_path / "db") as again:
        assert points(again) == visible
        assert set(names(again)) == set(after)


def test_a_series_that_is_not_there_touches_nothing(tmp_path: Path) -> None:
    """Its times are those of a block, its points are not in it."""
    with filled(tmp_path / "db") as database:
        database.write("z", [5 * 24 * HOUR], [1.0])
        database.flush()
        before = names(database)
        database.delete("z", 0, 4 * 24 * HOUR)
        database.delete('{__name__="absent"}')
        assert database.clean_tombstones() == 0
        assert names(database) == before


def test_a_block_that_loses_all_is_gone(tmp_path: Path) -> None:
    with filled(tmp_path / "db", days=2) as database:
        blocks = len(names(database))
        database.delete(EVERY, 0, 24 * HOUR - 1)
        assert database.clean_tombstones() > 0
        assert len(names(database)) < blocks
        assert min(points(database)["x"]) == 24 * HOUR
        assert stored(database, EVERY) == 2 * 24 * 60


@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "y", EVERY]), st.integers(-2, 50), st.integers(0, 30)),
        max_size=4,
    )
)
@settings(max_examples=15)
def test_afterwards_the_disk_holds_what_is_visible(deletes: list[tuple[str, int, int]]) -> None:

    with tempfile.TemporaryDirectory() as folder, filled(Path(folder) / "db", 2) as database:
        for selector, first, hours in deletes:
            database.delete(selector, first * HOUR, (first + hours) * HOUR)
        visible = points(database)
        database.clean_tombstones()
        assert points(database) == visible
        assert stored(database, EVERY) == sum(map(len, visible.values()))
