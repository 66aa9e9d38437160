"""The ruler on a running loop: groups on time, files that change, an end without loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tsdb
from api.rules.config import Group
from api.rules.ruler import Plan, Ruler, moment_before
from tsdb.errors import InvalidInput

FAST = "groups: [{name: g, interval: 20ms, rules: [%s]}]"
ONE, TWO = "{record: one, expr: vector(1)}", "{record: two, expr: vector(2)}"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(tmp_path / "db") as db:
        yield db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(FAST % ONE)
    return path


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


def count(database: tsdb.Database, name: str) -> int:
    return database.select(name).points


def test_groups_are_evaluated_at_multiples_of_their_interval(
    database: tsdb.Database, file: Path
) -> None:
    async def live() -> None:
        ruler = Ruler(Plan((str(file),)))
        ruler.start(database)
        await until(lambda: count(database, "one") >= 3)
        await ruler.stop()
        (state,) = ruler.states()
        assert state.evaluations == count(database, "one")

    asyncio.run(live())
    (series,) = database.select("one")
    steps = set((series.timestamps[1:] - series.timestamps[:-1]) % 20)
    assert steps == {0}


def test_a_reload_begins_ends_and_keeps(database: tsdb.Database, file: Path) -> None:
    async def live() -> None:
        ruler = Ruler(Plan((str(file),)))
        ruler.start(database)
        await until(lambda: count(database, "one") >= 2)
        file.write_text(FAST % TWO)
        await ruler.reload()
        await until(lambda: count(database, "two") >= 2)
        file.write_text("groups: [{name: g, rules: [{record: a}]}]")
        with pytest.raises(InvalidInput, match="'a' has no expr"):
            await ruler.reload()
        before = count(database, "two")
        await until(lambda: count(database, "two") > before)
        file.write_text("groups: []")
        await ruler.reload()
        assert ruler.states() == []
        await ruler.stop()

    asyncio.run(live())
    for name in ("one", "two"):  # both ended with a stale marker
        (series,) = database.select(name)
        assert series.values[-1] != series.values[-1]


def test_wrong_files_are_heard_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        Ruler(Plan((str(tmp_path / "none.yml"),)))


def test_moments_are_the_same_after_a_restart() -> None:
    group = Group("r.yml", "g", 60_000)
    first = moment_before(group, 1_700_000_000_000)
    assert 0 <= 1_700_000_000_000 - first < 60_000
    assert moment_before(group, first) == first
    assert moment_before(group, first + 59_999) == first
    assert moment_before(group, first - 1) == first - 60_000
    other = Group("r.yml", "h", 60_000)
    assert moment_before(other, 1_700_000_000_000) != first
