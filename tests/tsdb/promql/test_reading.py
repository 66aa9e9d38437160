"""Windows far apart: the same answers, of fewer points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import tsdb
from tsdb.batch import Columns
from tsdb.errors import LimitExceeded
from tsdb.index.matchers import Matcher
from tsdb.promql import query, reading
from tsdb.promql.query import Answer, Source
from tsdb.promql.values import Vector
from tsdb.query.selection import Selection

MINUTE, HOUR = 60_000, 3_600_000
DAYS = 4
QUERIES = ["x", "rate(x[5m])", "count_over_time(x[10m] offset 7m)", "timestamp(x)", "sum(x) by (a)"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tsdb.Database]:
    """Series that begin, end and pause at different times; half of them in blocks."""
    rng = np.random.default_rng(4)
    with tsdb.open(tmp_path_factory.mktemp("reading") / "db", background=False) as db:
        for half in range(2):
            names, stamps = [], []
            for i in range(6):
                whole = np.arange(i * 7 * HOUR, (DAYS * 24 - i) * HOUR, MINUTE) + i * 1000
                there = (whole >= half * DAYS * 12 * HOUR) & (whole < (half + 1) * DAYS * 12 * HOUR)
                whole = whole[there & (rng.random(whole.size) > 0.1)]
                if i == 3:
                    whole = whole[whole % (20 * HOUR) < 5 * HOUR]
                names.append(f'x{{a="{i % 2}", i="{10 - i}"}}')
                stamps.append(whole)
            db.write_many(names, stamps, [np.cumsum(rng.random(each.size)) for each in stamps])
            db.flush() if half == 0 else None
        yield db


def ask(select: query.Select, text: str, step: int, **limits: int) -> Answer:
    return query.over_range(Source(select, **limits), text, HOUR, DAYS * 24 * HOUR, step)


def points(answer: Answer) -> dict[str, list[tuple[int, float]]]:
    vector = answer.value
    assert isinstance(vector, Vector)
    return {
        str(labels): [(int(step), float(vector.values[row, step])) for step in np.flatnonzero(at)]
        for row, (labels, at) in enumerate(zip(vector.rows.labels(), vector.present, strict=True))
    }


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("step", [20 * MINUTE, HOUR, 7 * HOUR, 30 * HOUR])
def test_the_same_answers(
    database: tsdb.Database, monkeypatch: pytest.MonkeyPatch, text: str, step: int
) -> None:
    sliced = points(ask(database.select, text, step))
    monkeypatch.setattr(reading, "SLICE_MS", 10**12)
    assert list(sliced.items()) == list(points(ask(database.select, text, step)).items())
    assert sum(map(len, sliced.values())) > 3


def test_rows_that_no_index_names(database: tsdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed(
        matchers: Sequence[Matcher], start: int, end: int, /, *, points_max: int
    ) -> Selection:
        found = database.select(matchers, start, end, points_max=points_max)
        names = dict(zip(found.refs.tolist(), found.labels(), strict=True))
        return Selection(
            found.refs, found.columns(), labels_of=names.__getitem__, resolution=found.resolution
        )

    sliced = points(ask(unnamed, "x", HOUR))
    monkeypatch.setattr(reading, "SLICE_MS", 10**12)
    assert sliced == points(ask(database.select, "x", HOUR))


def test_a_long_time_is_not_many_reads(database: tsdb.Database) -> None:
    reads = 0

    def counted(
        matchers: Sequence[Matcher], start: int, end: int, /, *, points_max: int
    ) -> Selection:
        nonlocal reads
        reads += 1
        return database.select(matchers, start, end, points_max=points_max)

    answer = query.instant(Source(counted), "count_over_time(x[100y:1d])", 36_500 * 24 * HOUR)
    vector = answer.value
    assert isinstance(vector, Vector)
    assert reads <= reading.SLICES_MAX
    days = query.over_range(Source(database.select), "x", 24 * HOUR, DAYS * 24 * HOUR, 24 * HOUR)
    assert vector.values.sum() == sum(map(len, points(days).values()))


def test_only_points_in_windows_count(
    database: tsdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six series, four days at a step of six hours: 14 windows each of five minutes."""
    seen = sum(map(len, points(ask(database.select, "count_over_time(x[5m])", 6 * HOUR)).values()))
    answer = ask(database.select, "x", 6 * HOUR, points_max=9000)
    assert sum(map(len, points(answer).values())) == seen
    monkeypatch.setattr(reading, "SLICE_MS", 10**12)
    with pytest.raises(LimitExceeded, match="POINTS_PER_SELECT_MAX"):
        ask(database.select, "x", 6 * HOUR, points_max=9000)


def test_kept_points_stay_in_their_runs() -> None:
    columns = Columns(np.array([0, 2, 2, 5]), np.arange(5), np.arange(5.0))
    found = reading.kept(columns, np.array([True, False, False, True, True]))
    assert found.offsets.tolist() == [0, 1, 1, 3]
    assert found.timestamps.tolist() == [0, 3, 4]
