"""What a selector finds, wherever the points are: a directory or a running server.

    in   a place (--data DIR or --url URL), a selector, times as text
    out  Answer: label sets with their Columns, the same from both

A directory is opened read-only; one that a server has open is refused by the lock, and the line
says so. From a server the points come as JSON lines, whose decimal text is exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from api.exits import CommandFailed, Exit
from api.input_files import whole_lines
from api.remote import Remote
from api.times import duration_ticks, parse_time
from tsdb.batch import Columns, F64s, I64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import Unavailable
from tsdb.index.labels import Labels
from tsdb.index.labels import parse as parse_key
from tsdb.parse import json_lines
from tsdb.parse.times import INT64_MAX, INT64_MIN
from tsdb.query import steps
from tsdb.query.selection import Series

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["Answer", "Place", "Question", "ask", "open_directory"]

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
    parameters = [("match[]", question.selector)]
    parameters += [(k, v) for k, v in (("start", question.start), ("end", question.end)) if v]
    gathered: dict[bytes, list[tuple[I64s, F64s]]] = {}
    with Remote(place.url) as server:
        resolution = server_resolution(server)
        for lines in whole_lines(server.stream("/api/v1/export", parameters), BODY_BYTES):
            _gather(lines, resolution, gathered)
    keys = sorted(gathered)
    sizes = [sum(stamps.size for stamps, _ in gathered[key]) for key in keys]
    columns = Columns(
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.concatenate([np.empty(0, np.int64), *(t for key in keys for t, _ in gathered[key])]),
        np.concatenate([np.empty(0, np.float64), *(v for key in keys for _, v in gathered[key])]),
    )
    return Answer(tuple(parse_key(key) for key in keys), columns, resolution)


def server_resolution(server: Remote) -> Resolution:
    """Ticks of the server's database."""
    return Resolution.parse(str(server.get_json("/api/v1/status")["resolution"]))


def _gather(
    lines: bytes, resolution: Resolution, into: dict[bytes, list[tuple[I64s, F64s]]]
) -> None:
    parsed = json_lines.parse(lines, resolution)
    if parsed.skipped:
        raise CommandFailed(f"the server sent {parsed.skipped[0]}", Exit.UNAVAILABLE)
    columns, text = parsed.columns, parsed.key_bytes
    for run in range(columns.runs):
        raw = text[parsed.key_starts[run] : parsed.key_ends[run]].tobytes()
        low, high = columns.offsets[run], columns.offsets[run + 1]
        points = columns.timestamps[low:high], columns.values[low:high]
        into.setdefault(parsed.canonical(raw), []).append(points)
