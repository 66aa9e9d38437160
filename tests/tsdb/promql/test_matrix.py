"""Database.query gives PromQL's answers as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsdb
from tsdb.errors import InvalidInput
from tsdb.promql.errors import QueryFailed

T = 1_700_000_000


@pytest.fixture(params=["s", "ms", "us"])
def database(request: Any, tmp_path: Path) -> Iterator[tsdb.Database]:
    """A counter of two hosts, one of which ends early."""
    with tsdb.open(tmp_path / "db", resolution=request.param, background=False) as database:
        per_s = database.resolution.ticks_per_s
        for host, points in (("a", 41), ("b", 5)):
            stamps = (T + 15 * np.arange(points)) * per_s
            labels = {"__name__": "hits_total", "host": host}
            database.write(labels, stamps, np.arange(points) * 30.0)
        yield database


def test_a_range(database: tsdb.Database) -> None:
    per_s = database.resolution.ticks_per_s
    steps = [T + 60, T + 120, T + 180]

    found = database.query("rate(hits_total[1m])", steps[0] * per_s, steps[-1] * per_s, 60 * per_s)

    assert isinstance(found, tsdb.Matrix)
    assert [dict(labels) for labels in found.labels] == [{"host": "a"}, {"host": "b"}]
    assert found.timestamps.tolist() == [at * per_s for at in steps]
    np.testing.assert_allclose(found.values[0], [2.0, 2.0, 2.0])
    assert found.present.tolist() == [[True] * 3, [True, False, False]]
    assert found.values[1, 0] == pytest.approx(2.0)
    assert np.isnan(found.values[1, 1:]).all()
    assert len(found) == 2
    assert repr(found) == "<Matrix of 2 series, 3 steps>"


def test_one_moment(database: tsdb.Database) -> None:
    per_s = database.resolution.ticks_per_s

    found = database.query("sum(hits_total)", (T + 30) * per_s)

    assert found.values.tolist() == [[120.0]]
    assert found.timestamps.tolist() == [(T + 30) * per_s]
    assert database.query("1 + 1").values.tolist() == [[2.0]]
    assert database.query("hits_total").values.shape == (0, 1)  # now is long after


def test_what_is_no_matrix_is_refused(database: tsdb.Database) -> None:
    per_s = database.resolution.ticks_per_s

    for text in ('"text"', "hits_total[5m]"):
        with pytest.raises(InvalidInput, match="not a number a step"):
            database.query(text, T * per_s)
    for wrong in ({"end": T * per_s}, {"start": 0, "step": per_s}, {"end": 1, "step": 1}):
        with pytest.raises(InvalidInput, match="a range needs start, end and step"):
            database.query("1", **wrong)
    with pytest.raises(InvalidInput, match="parse error"):
        database.query("sum(")
    with pytest.raises(QueryFailed, match="many"):
        database.query("hits_total + on() hits_total", (T + 30) * per_s)


def test_a_frame(database: tsdb.Database) -> None:
    per_s = database.resolution.ticks_per_s

    frame = database.query("hits_total", T * per_s, (T + 15) * per_s, 15 * per_s).to_pandas()

    assert list(frame.columns) == ['hits_total{host="a"}', 'hits_total{host="b"}']
    assert [at.timestamp() for at in frame.index] == [T, T + 15]
    assert str(frame.index.tz) == "UTC"
    assert frame.to_numpy().tolist() == [[0.0, 0.0], [30.0, 30.0]]
