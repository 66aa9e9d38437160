"""tsdb.promql.cost: what an evaluation is charged lies between the bounds."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

import tsdb
from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.promql import query
from tsdb.promql.cost import Cost

T = 1_700_000_000_000
MINUTE = 60_000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tsdb.Database]:
    """The odd points that answers are compared with Prometheus' on: blocks, memory, late ones."""
    databases: Any = importlib.import_module("promql.differential.databases")
    points: Any = importlib.import_module("promql.differential.dataset")
    with databases.stored(points.dataset(1), tmp_path_factory.mktemp("cost") / "db") as database:
        yield database


def source_of(database: tsdb.Database, **bounds: int) -> query.Source:
    return query.Source(
        database.select, ticks_per_s=1000, features=frozenset({"promql-experimental-functions"}),
        **bounds,
    )  # fmt: skip


def asked(database: tsdb.Database, question: Any, **bounds: int) -> None:
    source = source_of(database, **bounds)
    if question.step:
        query.over_range(source, question.text, question.start, question.end, question.step)
    else:
        query.instant(source, question.text, question.start)


def cost_of(database: tsdb.Database, text: str, start: int, end: int, step: int | None) -> Cost:
    source = source_of(database)
    return query.cost(source, database.weigh, text, start=start, end=end, step=step)


@pytest.mark.parametrize("seed", range(4))
def test_no_query_that_fits_is_refused_and_none_takes_more(drawn: tsdb.Database, seed: int) -> None:
    """Each question runs with exactly the room its upper bounds say, which is enough; and with
    one less than its lower bounds say, which never is."""
    grammar = importlib.import_module("promql.differential.grammar").Grammar(Random(seed))
    told = refused = 0
    for _ in range(120):
        question = grammar.question()
        try:
            asked(drawn, question)
            cost = cost_of(
                drawn, question.text, question.start, question.end, question.step or None
            )
        except InvalidInput:
            continue
        if not cost.unknown:
            asked(drawn, question, points_max=cost.points, cells_max=cost.cells)
            told += 1
        if cost.points_least:
            with pytest.raises(LimitExceeded):
                asked(drawn, question, points_max=cost.points_least - 1)
            refused += 1
        if cost.cells_least:
            with pytest.raises(LimitExceeded):
                asked(drawn, question, cells_max=cost.cells_least - 1)
    assert told > 60
    assert refused > 40


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tsdb.Database]:
    """100 series, an hour of 15 s in a block."""
    with tsdb.open(tmp_path_factory.mktemp("cost") / "db", background=False) as database:
        times = T + 15_000 * np.arange(241)
        names = [f'm{{i="{i}"}}' for i in range(100)]
        database.write_many(names, [times] * 100, [np.ones(241)] * 100)
        database.flush()
        yield database


@pytest.mark.parametrize(
    ("text", "points", "least", "cells_least"),
    [
        ("1 + 1", 0, 0, 0),
        ("m", 24_100, 24_100, 100 * 61),
        ('m{i="7"}', 241, 241, 61),
        ("rate(m[5m])", 24_100, 24_100, 100 * 61),
        ("m / m", 48_200, 24_100, 100 * 61),  # read once
        ("m / m offset 1m", 48_200, 24_100 + 100, 100 * 61),  # its block begins in the range
        ("m @ 1700000000", 24_100, 100, 100),
        ("missing", 0, 0, 0),
        ("max_over_time(m[10m:10s])", 24_100, 24_100, 100 * 420),
        ("info(m)", 24_100, 24_100, 100 * 61),
    ],
)
def test_costs_that_are_known(
    even: tsdb.Database, text: str, points: int, least: int, cells_least: int
) -> None:
    cost = cost_of(even, text, T, T + 60 * MINUTE, MINUTE)
    assert (cost.points, cost.points_least, cost.cells_least) == (points, least, cells_least)
    assert cost.cells >= cost.cells_least


def test_a_query_of_unknown_size_is_reserved_whole(even: tsdb.Database) -> None:
    cost = cost_of(even, 'count_values("v", m)', T, T, None)
    assert cost.unknown
    assert cost.held_bytes(1000, 100) == 16 * 1000 + 9 * 100


def test_long_chains_are_walked_without_going_down(even: tsdb.Database) -> None:
    text = " + ".join(["m"] * (limits.QUERY_OPERATORS_MAX - 1))
    cost = cost_of(even, text, T, T, None)
    assert cost.selectors == limits.QUERY_OPERATORS_MAX - 1
    assert cost.points_least == 100


def test_what_is_read_in_slices_is_not_certain(even: tsdb.Database) -> None:
    cost = cost_of(even, "m", T, T + 40 * 24 * 60 * MINUTE, 60 * MINUTE)
    assert (cost.points, cost.points_least) == (24_100, 0)
