"""Traces of queries: what was computed, how often, how much was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tsdb
from tsdb.promql import ast, query
from tsdb.promql.query import Source
from tsdb.promql.trace import Step, Trace

MINUTE = 60_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(tmp_path / "db") as db:
        stamps = np.arange(0, 20 * MINUTE, 15_000)
        db.write_many(['x{a="1"}', 'x{a="2"}'], [stamps] * 2, [np.arange(80.0)] * 2)
        yield db


def traced(database: tsdb.Database, text: str) -> Step:
    trace = Trace()
    query.over_range(Source(database.select, trace=trace), text, 10 * MINUTE, 12 * MINUTE, MINUTE)
    assert trace.root is not None
    return trace.root


def shapes(step: Step) -> list[object]:
    """What the steps are, one list inside another."""
    return [type(step.what).__name__, *map(shapes, step.inside)]


def test_a_tree_of_steps(database: tsdb.Database) -> None:
    root = traced(database, "sum(rate(x[1m]))")
    assert shapes(root) == ["Aggregate", ["Call", ["tuple"]]]
    (call,) = root.inside
    (read,) = call.inside
    assert (root.steps, root.series, root.values) == (3, 1, 3)
    assert (call.steps, call.series, call.values) == (3, 2, 6)
    assert (read.series, read.values) == (2, 2 * 12)
    assert root.took_s >= call.took_s >= read.took_s > 0


def test_what_stands_twice_is_reused(database: tsdb.Database) -> None:
    first, second = traced(database, "sum(x) / sum(x)").inside
    assert (first.reused, second.reused) == (False, True)
    assert shapes(second) == ["Aggregate"]
    assert second.values == first.values == 3


def test_what_is_pinned_is_computed_for_one_step(database: tsdb.Database) -> None:
    root = traced(database, "sum(x @ 60) + sum(x)")
    pinned, moving = root.inside
    assert [step.steps for step in pinned.inside] == [1]
    assert moving.steps == 3


def test_a_query_that_fails_has_a_trace_too(database: tsdb.Database) -> None:
    trace = Trace()
    with pytest.raises(tsdb.InvalidInput):
        query.instant(Source(database.select, trace=trace), "x + on() x", 10 * MINUTE)
    assert trace.root is not None
    assert isinstance(trace.root.what, ast.Binary)
    assert trace.root.took_s > 0
