"""tsdb.database.upkeep: flush by age and size, retention, forgotten series; by a clock of ours."""

from __future__ import annotations

import numpy as np
import pytest
from crash.disk import SimulatedDisk

import tsdb
from tsdb import limits

START_S = 1_700_000_000


class Clock:
    """Seconds that pass when we say so."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> int:
        return self.now_s * 1_000_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(disk: SimulatedDisk, clock: Clock, **options: object) -> tsdb.Database:
    return tsdb.open("/db", files=disk, background=False, clock_ns=clock, **options)


def test_a_quiet_head_is_flushed_by_age(clock: Clock) -> None:
    with opened(SimulatedDisk(), clock) as db:
        db.write("quiet", [START_S * 1000], [1.0])
        db.tick()
        assert db.stats().blocks == 0

        clock.now_s += limits.HEAD_AGE_S_MAX
        db.tick()

        assert db.stats().blocks == 1
        assert db.stats().head_points == 0
        assert db.select("quiet")[0].values.tolist() == [1.0]


def test_retention_refuses_hides_and_removes(clock: Clock) -> None:
    """Refused at the gate, hidden for readers at once, removed from disk with their blocks."""
    with opened(SimulatedDisk(), clock, retention_s=86_400) as db:
        db.write("old", [START_S * 1000], [1.0])
        db.flush()
        clock.now_s += 2 * 86_400
        db.write("new", [clock.now_s * 1000], [2.0])

        db.tick()

        assert [str(s) for s in db.series("{}", 0, 2**62)] == ["new"]
        assert db.stats().blocks == 0
        with pytest.raises(tsdb.InvalidInput, match="older than retention"):
            db.write("old", [START_S * 1000], [1.0])


def test_series_without_points_are_forgotten_and_may_come_back(clock: Clock) -> None:
    disk = SimulatedDisk()
    with opened(disk, clock, retention_s=86_400, series_max=30) as db:
        for i in range(20):
            db.write(f"gone/{i}", [START_S * 1000], [1.0])
        db.flush()
        clock.now_s += 2 * 86_400
        db.write("stays", [clock.now_s * 1000], [2.0])

        db.tick()

        assert db.stats().series == 1
        for i in range(25):  # the budget of 30 is free again; a name may be used again
            db.write(f"gone/{i}", [clock.now_s * 1000 + i], [float(i)])
        assert db.select("gone/7")[0].values.tolist() == [7.0]
    with opened(disk, clock) as db:
        assert len(db.select("{}")) == 26
        assert db.select("gone/7")[0].values.tolist() == [7.0]


def test_many_index_files_become_one(clock: Clock) -> None:
    disk = SimulatedDisk()
    with opened(disk, clock) as db:
        for i in range(limits.INDEX_FILES_MAX + 3):
            db.write(f"series/{i}", [START_S * 1000 + i], [float(i)])
            db.flush()
        names = db.parts.store.manifest.index_files
        assert len(names) <= 4
    with opened(disk, clock) as db:
        values = [s.values[0] for s in db.select("{}")]
        assert sorted(values) == [float(i) for i in range(limits.INDEX_FILES_MAX + 3)]


def test_merging_keeps_the_answer(clock: Clock) -> None:
    hours = np.arange(24, dtype=np.int64) * 3_600_000 + START_S * 1000
    with opened(SimulatedDisk(), clock) as db:
        for hour in hours:
            db.write("load", hour + np.arange(60) * 60_000, np.arange(60) + float(hour))
            db.flush()
        before, blocks = db.select("load")[0], db.stats().blocks

        merges = db.compact()

        after = db.select("load")[0]
        assert merges > 0
        assert db.stats().blocks < blocks
        assert (after.timestamps == before.timestamps).all()
        assert (after.values == before.values).all()
