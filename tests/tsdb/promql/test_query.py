"""Queries through the door: steps, types, errors; what is read, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import tsdb
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.matchers import Matcher
from tsdb.promql import query
from tsdb.promql.ast import Type
from tsdb.promql.query import Answer, Source
from tsdb.promql.values import Scalar, Vector
from tsdb.query.selection import Selection

STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)
MINUTE = 60_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(tmp_path / "db") as db:
        stamps = np.arange(0, 20 * MINUTE, 15_000)
        db.write_many(
            ['x{host="a"}', 'x{host="b"}', 'y{host="a"}'],
            [stamps, stamps[:40], stamps],
            [np.arange(80.0), np.arange(40.0), np.full(80, 2.0)],
        )
        db.write("gone", [0, MINUTE, 2 * MINUTE], [1.0, 2.0, STALE[0]])
        yield db


class Reads:
    """A `select` that remembers what it was asked for."""

    def __init__(self, database: tsdb.Database) -> None:
        self.database = database
        self.spans: list[tuple[int, int]] = []

    def __call__(
        self, matchers: Sequence[Matcher], start: int, end: int, *, points_max: int
    ) -> Selection:
        self.spans.append((start, end))
        return self.database.select(matchers, start, end, points_max=points_max)


def rows(answer: Answer) -> dict[str, list[float | None]]:
    """Values by label set, None where there is none."""
    assert isinstance(answer.value, Vector)
    vector = answer.value
    return {
        str(labels): [
            float(value) if there else None for value, there in zip(values, present, strict=True)
        ]
        for labels, values, present in zip(
            vector.rows.labels(), vector.values, vector.present, strict=True
        )
    }


def test_latest_value_within_the_look_back(database: tsdb.Database) -> None:
    source = Source(database.select)

    assert rows(query.instant(source, "x", 31_000)) == {'x{host="a"}': [2], 'x{host="b"}': [2]}
    # b ends at 585 s: seen until less than five minutes later; the window is open on the left.
    found = rows(query.over_range(source, 'x{host="b"}', 884_000, 886_000, 1000))
    assert found == {'x{host="b"}': [39, None, None]}


def test_a_stale_marker_ends_a_series(database: tsdb.Database) -> None:
    found = query.over_range(Source(database.select), "gone", 0, 3 * MINUTE, MINUTE)
    assert rows(found) == {"gone": [1, 2, None, None]}


def test_times_of_steps(database: tsdb.Database) -> None:
    answer = query.over_range(Source(database.select), "1", 500, 2_400, 1000)
    assert answer.times.tolist() == [500, 1500]
    assert answer.type is Type.MATRIX
    assert rows(answer) == {"{}": [1, 1]}


def test_offset_and_at(database: tsdb.Database) -> None:
    source = Source(database.select)
    steps = (10 * MINUTE, 12 * MINUTE, MINUTE)

    assert rows(query.over_range(source, 'x{host="a"} offset 1m', *steps)) == {
        'x{host="a"}': [36, 40, 44]
    }
    assert rows(query.over_range(source, 'x{host="a"} offset -1m', *steps)) == {
        'x{host="a"}': [44, 48, 52]
    }
    assert rows(query.over_range(source, 'x{host="a"} @ 60', *steps)) == {'x{host="a"}': [4, 4, 4]}
    assert rows(query.over_range(source, 'x{host="a"} @ end() offset 1m', *steps)) == {
        'x{host="a"}': [44, 44, 44]
    }


def test_what_stands_twice_is_read_once(database: tsdb.Database) -> None:
    reads = Reads(database)
    query.over_range(Source(reads), "sum(x) + sum(x) * sum(x)", 0, 10 * MINUTE, 15_000)
    assert reads.spans == [(1 - limits.LOOKBACK_MS, 10 * MINUTE)]


def test_what_is_pinned_is_read_for_one_step(database: tsdb.Database) -> None:
    reads = Reads(database)
    found = query.over_range(Source(reads), "sum(x @ 60)", 0, 10 * MINUTE, MINUTE)
    assert reads.spans == [(MINUTE - limits.LOOKBACK_MS + 1, MINUTE)]
    assert rows(found) == {"{}": [8.0] * 11}


def test_points_of_a_range_selector(database: tsdb.Database) -> None:
    answer = query.instant(Source(database.select), "gone[2m] offset 1m", 3 * MINUTE)
    assert answer.type is Type.MATRIX
    assert isinstance(answer.value, tuple)
    names, columns = answer.value
    assert [str(labels) for labels in names.labels()] == ["gone"]
    assert columns.timestamps.tolist() == [MINUTE]


def test_points_of_a_subquery_are_on_multiples_of_its_step(database: tsdb.Database) -> None:
    answer = query.instant(Source(database.select), 'x{host="a"}[2m:30s]', 605_000)
    assert isinstance(answer.value, tuple)
    _, columns = answer.value
    assert columns.timestamps.tolist() == [510_000, 540_000, 570_000, 600_000]
    assert columns.values.tolist() == [34, 36, 38, 40]


def test_scalar_and_string(database: tsdb.Database) -> None:
    source = Source(database.select)
    scalar = query.instant(source, "1 + 1", 4000)
    assert scalar.type is Type.SCALAR
    assert isinstance(scalar.value, Scalar)
    assert scalar.value.values.tolist() == [2.0]
    assert query.instant(source, '"a"', 4000).type is Type.STRING


@pytest.mark.parametrize("resolution", ["s", "us", "ns"])
def test_any_resolution(tmp_path: Path, resolution: str) -> None:
    ticks = {"s": 1, "us": 1_000_000, "ns": 1_000_000_000}[resolution]
    with tsdb.open(tmp_path / "db", resolution=resolution) as db:
        db.write("x", np.arange(1, 11) * ticks, np.arange(1.0, 11.0))
        source = Source(db.select, ticks_per_s=ticks)
        assert rows(query.over_range(source, "x", 0, 3500, 500)) == {
            "x": [None, None, 1, 1, 2, 2, 3, 3]
        }


def test_refusals_name_the_culprit(database: tsdb.Database) -> None:
    source = Source(database.select)
    with pytest.raises(InvalidInput, match="before start"):
        query.over_range(source, "x", 2, 1, 1)
    with pytest.raises(InvalidInput, match="zero or negative"):
        query.over_range(source, "x", 1, 2, 0)
    with pytest.raises(LimitExceeded, match="QUERY_STEPS_MAX"):
        query.over_range(source, "x", 0, 11_001, 1)
    with pytest.raises(InvalidInput, match='"range vector" for range query'):
        query.over_range(source, "x[1m]", 0, 1, 1)
    with pytest.raises(LimitExceeded, match="POINTS_PER_SELECT_MAX"):
        query.instant(Source(database.select, points_max=30), "x", 10 * MINUTE)
    with pytest.raises(LimitExceeded, match="QUERY_CELLS_MAX"):
        query.instant(source, "x[10y:1ms]", 20 * MINUTE)


def test_a_query_can_be_stopped(database: tsdb.Database) -> None:
    def stop() -> None:
        raise InvalidInput("enough")

    with pytest.raises(InvalidInput, match="enough"):
        query.instant(Source(database.select, check=stop), "x", 0)


def test_long_chains_and_deep_trees_are_evaluated(database: tsdb.Database) -> None:
    source = Source(database.select)

    def once(text: str) -> dict[str, list[float | None]]:
        return rows(query.instant(source, text, 31_000))

    terms = limits.QUERY_OPERATORS_MAX
    assert once(" + ".join(['x{host="a"}'] * (terms + 1))) == {'{host="a"}': [2.0 * (terms + 1)]}
    assert once(" or ".join(f"absent_{n}" for n in range(terms)) + " or y") == {'y{host="a"}': [2]}
    deep = limits.QUERY_DEPTH_MAX - 2
    assert once("sum(" * deep + "y" + ")" * deep) == {"{}": [2]}
    half = "(" + " + ".join(["y"] * (terms // 2)) + ")"
    assert once(f"{half} + {half}") == {'{host="a"}': [2.0 * 2 * (terms // 2)]}
    pinned = " + ".join(["y @ 60"] * terms)
    found = query.over_range(source, f"{pinned} + time()", 0, 60_000, 60_000)
    assert rows(found) == {'{host="a"}': [2.0 * terms, 2.0 * terms + 60]}
