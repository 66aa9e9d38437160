"""Queries over series that are given as lists: a value a minute, None where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pytest

from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.index.matchers import Matcher
from tsdb.index.selector import parse_series
from tsdb.promql import query
from tsdb.promql.ast import Type
from tsdb.promql.evaluate import Evaluation
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse
from tsdb.promql.query import Answer, Source
from tsdb.promql.values import Grid, Vector
from tsdb.query.selection import Selection

MINUTE = 60_000

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Table: TypeAlias = dict[str, list[float | None]]


class Stored:
    """A `select` over series in memory, in the order given."""

    def __init__(self, series: Mapping[str, Values]) -> None:
        self.labels = [parse_series(text) for text in series]
        self.values = list(series.values())

    def __call__(
        self, matchers: Sequence[Matcher], start: int, end: int, *, points_max: int
    ) -> Selection:
        taken = [
            row
            for row, labels in enumerate(self.labels)
            if all(each.matches(labels.get(each.name, "")) for each in matchers)
        ]
        runs = [
            [
                (step * MINUTE, value)
                for step, value in enumerate(self.values[row])
                if value is not None
            ]
            for row in taken
        ]
        runs = [[point for point in run if start <= point[0] <= end] for run in runs]
        columns = Columns(
            np.cumsum([0, *map(len, runs)]),
            np.array([stamp for run in runs for stamp, _ in run], np.int64),
            np.array([value for run in runs for _, value in run], np.float64),
        )
        return Selection(
            np.array(taken, np.uint32),
            columns,
            labels_of=lambda ref: self.labels[ref],
            resolution=Resolution.MS,
        )


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Answer of a query at every minute of the series; the look-back is one minute."""

    def asked(text: str, series: Mapping[str, Values]) -> Answer:
        steps = max(map(len, series.values()), default=1)
        source = Source(Stored(series), lookback_ms=MINUTE)
        return query.over_range(source, text, 0, (steps - 1) * MINUTE, MINUTE)

    return asked


@pytest.fixture(scope="session")
def ask_once() -> Ask:
    """Answer of a query at the first minute."""

    def asked(text: str, series: Mapping[str, Values]) -> Answer:
        return query.instant(Source(Stored(series), lookback_ms=MINUTE), text, 0)

    return asked


@pytest.fixture(scope="session")
def experimental() -> Ask:
    """As `ask`, with the experimental functions."""

    def asked(text: str, series: Mapping[str, Values]) -> Answer:
        steps = max(map(len, series.values()), default=1)
        grid = Grid(0, MINUTE, steps)
        evaluation = Evaluation(Stored(series), grid, lookback_ms=MINUTE)
        value = evaluation.run(parse(text, {EXPERIMENTAL_FUNCTIONS}))
        assert isinstance(value, Vector)
        said = evaluation.annotations
        return Answer(Type.MATRIX, grid.times(), value.pruned(), said.warnings, said.infos)

    return asked


@pytest.fixture(scope="session")
def table() -> Callable[[Answer], Table]:
    """Values by label set, None where there is none; in the order of the answer."""

    def of(answer: Answer) -> Table:
        vector = answer.value
        assert isinstance(vector, Vector)
        return {
            str(labels): [
                float(value) if there else None
                for value, there in zip(values, present, strict=True)
            ]
            for labels, values, present in zip(
                vector.rows.labels(), vector.values, vector.present, strict=True
            )
        }

    return of
