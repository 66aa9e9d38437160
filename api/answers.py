"""What a selector finds, wherever the points are: a directory or a running server.

    in   a place (--data DIR or --url URL), a selector, times as text
    out  Answer: label sets with their Columns, the same from both

A directory is opened read-only; one that a server has open is refused by the lock, and the line
says so. From a server the points come as JSON lines, whose decimal text is exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from api.exits import CommandFailed, Exit
from api.input_files import whole_lines
from api.parsed_files import series_of
from api.remote import Remote
from api.times import duration_ticks, parse_time
from api.whole import all_series
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.errors import Unavailable
from tsdb.index.labels import Labels, canonical
from tsdb.index.selector import parse_selector
from tsdb.parse import json_lines
from tsdb.parse.times import INT64_MAX, INT64_MIN
from tsdb.query import steps
from tsdb.query.selection import Series

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["Answer", "Extract", "Place", "Question", "ask", "extract", "open_directory"]

BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Exactly one of the two is used; `data` wins."""

    data: Path | None
    url: str


@dataclass(frozen=True, slots=True)
class Question:
    selector: str
    start: str = ""
    end: str = ""
    step: str = ""
    aggregate: str = "avg"


@dataclass(frozen=True, slots=True)
class Answer:
    """Run i of `columns` belongs to labels[i]."""

    labels: tuple[Labels, ...]
    columns: Columns
    resolution: Resolution
    warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Series]:
        for i, labels in enumerate(self.labels):
            low, high = self.columns.offsets[i], self.columns.offsets[i + 1]
            yield Series(labels, self.columns.timestamps[low:high], self.columns.values[low:high])


def ask(place: Place, question: Question) -> Answer:
    """The points, folded into steps if a step was given."""
    answer = _from_directory(place.data, question) if place.data else _from_server(place, question)
    if not question.step:
        return answer
    ticks_per_s = answer.resolution.ticks_per_s
    step = duration_ticks(question.step, ticks_per_s=ticks_per_s)
    start, _ = _range(question, answer.resolution)
    if start == INT64_MIN and answer.columns.points and step:
        first = int(answer.columns.timestamps.min())
        start = first // step * step
    return replace(answer, columns=steps.fold(answer.columns, start, step, question.aggregate))


@dataclass(frozen=True, slots=True)
class Extract:
    """Everything that matches, streamed; `lines` instead, where a server sends JSON lines."""

    series: Iterator[Series]
    resolution: Resolution
    lines: Iterator[bytes] | None = None


@contextmanager
def extract(
    place: Place, selectors: list[str], question: Question, on_warning: Callable[[str], None]
) -> Iterator[Extract]:
    """However much it is; `question` says from when to when."""
    if place.data is not None:
        with open_directory(place.data, read_only=True) as db:
            start, end = _range(question, db.resolution)
            matchers = [parse_selector(text, allow_empty=True) for text in selectors]
            found = all_series(db, matchers, start, end, on_warning=on_warning)
            yield Extract(found, db.resolution)
        return
    with Remote(place.url) as server:
        resolution = server_resolution(server)
        lines = server.stream("/api/v1/export", _parameters(selectors, question))
        yield Extract(_series_in(lines, resolution), resolution, lines)


def open_directory(path: Path, *, read_only: bool, resolution: str | None = None) -> Database:
    """The database at `path`; it must be there to be read, and is made to be written."""
    import tsdb

    if read_only and not path.exists():
        raise CommandFailed(f"{path}: no such directory", Exit.NO_INPUT)
    try:
        return tsdb.open(path, read_only=read_only, resolution=resolution)
    except Unavailable as error:
        if error.code == "locked":
            raise CommandFailed(
                f"{error}; ask that process instead: --url http://127.0.0.1:9292", Exit.LOCKED
            ) from error
        raise


def _from_directory(path: Path | None, question: Question) -> Answer:
    assert path is not None
    with open_directory(path, read_only=True) as db:
        start, end = _range(question, db.resolution)
        found = db.select(question.selector, start, end)
        return Answer(tuple(found.labels()), found.columns(), db.resolution, found.warnings)


def _range(question: Question, resolution: Resolution) -> tuple[int, int]:
    ticks_per_s = resolution.ticks_per_s
    now = time.time_ns() * ticks_per_s // 1_000_000_000
    start, end = INT64_MIN, INT64_MAX
    if question.start:
        start = parse_time(question.start, ticks_per_s=ticks_per_s, now_ticks=now)
    if question.end:
        end = parse_time(question.end, ticks_per_s=ticks_per_s, now_ticks=now)
    return start, end


# --- from a server ------------------------------------------------------------------------------


def _from_server(place: Place, question: Question) -> Answer:
    gathered: dict[Labels, list[Series]] = {}
    with Remote(place.url) as server:
        resolution = server_resolution(server)
        lines = server.stream("/api/v1/export", _parameters([question.selector], question))
        for piece in _series_in(lines, resolution):
            gathered.setdefault(piece.labels, []).append(piece)
    labels = sorted(gathered, key=canonical)
    sizes = [sum(map(len, gathered[one])) for one in labels]
    pieces = [piece for one in labels for piece in gathered[one]]
    columns = Columns(
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.concatenate([np.empty(0, np.int64), *(piece.timestamps for piece in pieces)]),
        np.concatenate([np.empty(0, np.float64), *(piece.values for piece in pieces)]),
    )
    return Answer(tuple(labels), columns, resolution)


def _parameters(selectors: list[str], question: Question) -> list[tuple[str, str]]:
    given = (("start", question.start), ("end", question.end))
    return [("match[]", text) for text in selectors] + [(k, v) for k, v in given if v]


def _series_in(lines: Iterator[bytes], resolution: Resolution) -> Iterator[Series]:
    """Series in the order of the lines; a long one comes in pieces."""
    for body in whole_lines(lines, BODY_BYTES):
        parsed = json_lines.parse(body, resolution)
        if parsed.skipped:
            raise CommandFailed(f"the server sent {parsed.skipped[0]}", Exit.UNAVAILABLE)
        yield from series_of(parsed, [])


def server_resolution(server: Remote) -> Resolution:
    """Ticks of the server's database."""
    return Resolution.parse(str(server.get_json("/api/v1/status")["resolution"]))
