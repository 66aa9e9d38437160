"""Where an import goes: a directory opened in this process, or a running server.

    in   blocks of JSON lines, or points that are parsed already
    out  Kept: how many points are on disk, and what was left out, in one sentence each

Both keep a few requests under way, so that reading the file, fsync and applying overlap; `finish`
waits for the last of them. A point is counted only once it is durable.
"""

from __future__ import annotations

import functools
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from api.encode import json_lines as json_text
from api.parsed_files import series_of
from api.remote import Refused, Remote
from tsdb import limits
from tsdb.batch import Columns, Parsed
from tsdb.codec.resolution import Resolution
from tsdb.errors import TSDBError
from tsdb.parse import json_lines
from tsdb.query.selection import Series

if TYPE_CHECKING:
    from tsdb.commit.request import Written
    from tsdb.database.database import Database

__all__ = ["DirectorySink", "Kept", "ServerSink", "Sink", "halved"]

UNDER_WAY_MAX = 4
BODY_BYTES = 4 << 20
_LINE = re.compile(r"^line (\d+)")
POINT_BYTES = 16


@dataclass(slots=True)
class Kept:
    points: int = 0
    refused_count: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, points: int, refused: Sequence[str], refused_count: int) -> None:
        self.points += points
        self.refused_count += refused_count
        self.refused += refused[: limits.SENTENCES_MAX - len(self.refused)]


class Sink(Protocol):
    resolution: Resolution
    kept: Kept

    def lines(self, body: bytes, lines_before: int = 0) -> None:
        """JSON lines, as api/v1/import takes them; `lines_before` came in earlier blocks."""

    def parsed(self, points: Parsed) -> None:
        """Points that are parsed already, with ticks of `resolution`."""

    def finish(self) -> Kept:
        """Wait for what is under way."""


class DirectorySink:
    """Straight into a database of this process; no HTTP, no server."""

    def __init__(self, database: Database) -> None:
        self.resolution = database.resolution
        self.kept = Kept()
        self._database = database
        self._under_way: deque[_Outcome] = deque()

    def lines(self, body: bytes, lines_before: int = 0) -> None:
        parse = functools.partial(json_lines.parse, body, self.resolution)
        self._submit(parse, len(body), lines_before)

    def parsed(self, points: Parsed) -> None:
        for part in halved(points):
            size = part.key_bytes.size + POINT_BYTES * part.columns.points
            self._submit(functools.partial(_given, part), size, 0)

    def _submit(self, parse: Callable[[], Parsed], size_bytes: int, lines_before: int) -> None:
        while len(self._under_way) >= UNDER_WAY_MAX:
            self._take_one()
        outcome = _Outcome(lines_before)
        self._under_way.append(outcome)
        self._database.submit(parse, size_bytes=size_bytes, done=outcome.arrive)

    def finish(self) -> Kept:
        while self._under_way:
            self._take_one()
        return self.kept

    def _take_one(self) -> None:
        waited = self._under_way.popleft()
        outcome = waited.wait()
        if isinstance(outcome, TSDBError):
            raise outcome
        refused = renumbered(outcome.refused, waited.lines_before)
        self.kept.add(outcome.points, refused, outcome.refused_count)


class _Outcome:
    """The answer to one request, from the commit thread to ours."""

    def __init__(self, lines_before: int) -> None:
        self.lines_before = lines_before
        self._arrived = threading.Event()
        self._outcome: Written | TSDBError | None = None

    def arrive(self, outcome: Written | TSDBError) -> None:
        self._outcome = outcome
        self._arrived.set()

    def wait(self) -> Written | TSDBError:
        self._arrived.wait()
        assert self._outcome is not None
        return self._outcome


class ServerSink:
    """Through POST /api/v1/import of a running server."""

    def __init__(self, server: Remote, resolution: Resolution) -> None:
        self.resolution = resolution
        self.kept = Kept()
        self._server = server

    def lines(self, body: bytes, lines_before: int = 0) -> None:
        try:
            answer = self._server.send("POST", "/api/v1/import", body)
        except Refused as error:
            if "points" not in error.document:
                raise
            answer = error.document  # some lines were wrong, the others are kept
        self._count(answer or {}, lines_before)

    def parsed(self, points: Parsed) -> None:
        refused = list(points.skipped)
        self.series(series_of(points, refused))
        self.kept.add(0, refused, len(refused))

    def series(self, runs: Iterable[Series]) -> None:
        """Points with ticks of `resolution`."""
        waiting: list[bytes] = []
        size = 0
        for piece in json_text.stream(runs, self.resolution):
            waiting.append(piece)
            size += len(piece)
            if size >= BODY_BYTES and piece.endswith(b"\n"):
                self.lines(b"".join(waiting))
                waiting, size = [], 0
        if waiting:
            self.lines(b"".join(waiting))

    def finish(self) -> Kept:
        return self.kept

    def _count(self, answer: dict[str, Any], lines_before: int) -> None:
        refused = renumbered([str(why) for why in answer.get("refused", ())], lines_before)
        self.kept.add(
            int(answer.get("points", 0)),
            refused,
            int(answer.get("refused_count", len(refused))),
        )


def renumbered(sentences: Sequence[str], lines_before: int) -> list[str]:
    """`line 3: ...` of a block as a line of the file."""
    if not lines_before:
        return list(sentences)
    return [
        _LINE.sub(lambda found: f"line {int(found[1]) + lines_before}", sentence, count=1)
        for sentence in sentences
    ]


def halved(points: Parsed) -> Iterator[Parsed]:
    """The same points in requests of at most POINTS_PER_REQUEST_MAX, if runs are not longer."""
    runs = points.columns.runs
    if points.columns.points <= limits.POINTS_PER_REQUEST_MAX or runs < 2:
        yield points
        return
    middle = runs // 2
    yield from halved(_runs(points, 0, middle, points.skipped))
    yield from halved(_runs(points, middle, runs, ()))


def _runs(points: Parsed, low: int, high: int, skipped: tuple[str, ...]) -> Parsed:
    offsets = points.columns.offsets
    first, last = offsets[low], offsets[high]
    columns = Columns(
        offsets[low : high + 1] - first,
        points.columns.timestamps[first:last],
        points.columns.values[first:last],
    )
    return replace(
        points,
        key_starts=points.key_starts[low:high],
        key_ends=points.key_ends[low:high],
        columns=columns,
        skipped=skipped,
    )


def _given(points: Parsed) -> Parsed:
    return points
