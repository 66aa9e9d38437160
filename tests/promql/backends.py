"""Who can carry out a transcript: our database, or a live Prometheus.

in   an empty folder; the program's path
out  a Backend that starts afresh at every `clear`
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from promql.differential.answers import Outcome, Question, asked_of_prometheus, asked_of_us
from promql.differential.dataset import Series
from promql.differential.live import Prometheus, prometheus

import tsdb
from tsdb.index.labels import Labels

__all__ = ["Live", "Ours"]


class Ours(contextlib.ExitStack):
    """One folder a `clear`."""

    def __init__(self, folder: Path, features: Sequence[str] = ()) -> None:
        super().__init__()
        self._folder = folder
        self._features = features
        self._number = 0
        self._database: tsdb.Database | None = None

    def clear(self) -> None:
        self.close()
        self._number += 1
        self._database = self.enter_context(tsdb.open(self._folder / str(self._number)))

    @property
    def database(self) -> tsdb.Database:
        if self._database is None:
            self.clear()
        assert self._database is not None
        return self._database

    def load(self, series: Sequence[Series]) -> None:
        some = [each for each in series if each.timestamps.size]
        self.database.write_many(
            [str(Labels(each.labels)) for each in some],
            [each.timestamps for each in some],
            [each.values for each in some],
        )

    def ask(self, question: Question) -> Outcome:
        return asked_of_us(self.database, question, features=self._features)


class Live(contextlib.ExitStack):
    """One process a `clear`."""

    def __init__(self, program: Path, folder: Path, features: Sequence[str] = ()) -> None:
        super().__init__()
        self._features = features
        self._program = program
        self._folder = folder
        self._number = 0
        self._server: Prometheus | None = None

    def clear(self) -> None:
        self.close()
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        self._server = self.enter_context(
            prometheus(self._program, folder, features=self._features)
        )

    @property
    def server(self) -> Prometheus:
        if self._server is None:
            self.clear()
        assert self._server is not None
        return self._server

    def load(self, series: Sequence[Series]) -> None:
        self.server.write([each for each in series if each.timestamps.size])

    def ask(self, question: Question) -> Outcome:
        return asked_of_prometheus(self.server, question)
