"""Points for a query: all that its windows see, and not much more.

    in   matchers, the ends of the windows, their length (ms)
    out  rows, and their points in milliseconds

Where windows lie far apart, as on a month at an hour a step, what is between them is most of the
points: then time is read in slices, and of each only the windows are kept. So a query is as large
as what it looks at, however long its range is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsdb import overlay
from tsdb.batch import Columns, I64s
from tsdb.index.labels import Labels
from tsdb.index.matchers import Matcher
from tsdb.promql.known_rows import KnownRows
from tsdb.promql.rows import Rows
from tsdb.promql.values import Bools

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation
    from tsdb.query.selection import Selection

__all__ = ["far_apart", "kept", "read"]

SLICE_MS = 24 * 3_600_000  # a selection costs about 0.2 ms besides its points
SLICES_MAX = 64  # longer ones from there on: a century has no end of days
APART = 2  # steps of so many window lengths leave most points out


@dataclass(frozen=True, slots=True)
class Piece:
    """What one slice of time holds; run i is row i of `found`."""

    found: Selection
    columns: Columns


def read(
    evaluation: Evaluation, matchers: Sequence[Matcher], ends: I64s, range_ms: int
) -> tuple[Rows, Columns]:
    """At least the points of all windows (end - range_ms, end]."""
    if not far_apart(int(ends[0]), int(ends[:2][-1]), int(ends[-1]), range_ms):
        piece = _piece(evaluation, matchers, ends, range_ms)
        return _rows_of(piece.found), piece.columns
    pieces = list(_pieces(evaluation, matchers, ends, range_ms))
    return _joined([each for each in pieces if each.columns.points])


def kept(columns: Columns, keep: Bools) -> Columns:
    """The points that are flagged, in the same runs."""
    kept_before = np.concatenate(([0], np.cumsum(keep)))
    offsets = kept_before[columns.offsets].astype(np.int64)
    return Columns(offsets, columns.timestamps[keep], columns.values[keep])


def far_apart(first: int, second: int, last: int, range_ms: int) -> bool:
    """Whether time is read in slices, by the ends of windows of some length."""
    return last - first >= 2 * SLICE_MS and second - first >= APART * range_ms


def _piece(evaluation: Evaluation, matchers: Sequence[Matcher], ends: I64s, range_ms: int) -> Piece:
    # A range below a millisecond sees nothing, and is no mistake.
    start = int(ends[0]) - max(range_ms, 1) + 1
    found = evaluation.read(matchers, start, int(ends[-1]))
    return Piece(found, _in_milliseconds(found.columns(), found.resolution.ticks_per_s))


def _pieces(
    evaluation: Evaluation, matchers: Sequence[Matcher], ends: I64s, range_ms: int
) -> Iterator[Piece]:
    """Slice by slice, the points of windows only; others do not count as read either."""
    steps = max(SLICE_MS // (int(ends[1]) - int(ends[0])), -(-ends.size // SLICES_MAX))
    for at in range(0, ends.size, steps):
        evaluation.check()
        inside = ends[at : at + steps]
        piece = _piece(evaluation, matchers, inside, range_ms)
        columns = _in_windows(piece.columns, inside, range_ms)
        evaluation.points -= piece.columns.points - columns.points
        yield Piece(piece.found, columns)


def _in_windows(columns: Columns, ends: I64s, range_ms: int) -> Columns:
    """Of each run the points that some window sees; windows do not overlap."""
    from tsdb.promql.kernels import windows as kernel

    cells = columns.runs * ends.size
    firsts, counts = np.empty(cells, np.int64), np.empty(cells, np.int64)
    kernel.stretches(columns.offsets, columns.timestamps, ends, range_ms, firsts, counts)
    found = overlay.gather(columns, firsts, counts)
    offsets = np.ascontiguousarray(found.offsets[:: ends.size])
    return Columns(offsets, found.timestamps, found.values)


def _joined(pieces: Sequence[Piece]) -> tuple[Rows, Columns]:
    """Slices one after the other, by series."""
    if not pieces:
        return Rows([]), overlay.empty(0)
    rows, numbers = _numbered([each.found for each in pieces])
    sources = []
    for piece, places in zip(pieces, numbers, strict=True):
        order = np.argsort(places)
        counts = np.diff(piece.columns.offsets)[order]
        offsets = np.zeros(len(rows) + 1, np.int64)
        offsets[places[order] + 1] = counts
        moved = overlay.gather(piece.columns, piece.columns.offsets[:-1][order], counts)
        sources.append(Columns(np.cumsum(offsets), moved.timestamps, moved.values))
    return rows, overlay.overlay(sources)


def _numbered(found: Sequence[Selection]) -> tuple[Rows, list[I64s]]:
    """The rows of all selections together, and the place of each one's series among them."""
    index = found[0].named_by
    if index is not None and all(each.named_by is index for each in found):
        refs = np.unique(np.concatenate([each.refs for each in found]))
        places = [np.searchsorted(refs, each.refs).astype(np.int64) for each in found]
        return KnownRows(index, refs), places
    numbers: dict[Labels, int] = {}
    places = [
        np.array([numbers.setdefault(each, len(numbers)) for each in one.labels()], np.int64)
        for one in found
    ]
    return Rows(list(numbers)), places


def _rows_of(found: Selection) -> Rows:
    if found.named_by is None:
        return Rows(found.labels())
    return KnownRows(found.named_by, found.refs)


def _in_milliseconds(columns: Columns, ticks_per_s: int) -> Columns:
    """Timestamps in ms; of finer ticks the part below a millisecond is dropped."""
    if ticks_per_s == 1000:
        return columns
    stamps = columns.timestamps
    if ticks_per_s < 1000:
        return Columns(columns.offsets, stamps * (1000 // ticks_per_s), columns.values)
    return Columns(columns.offsets, stamps // (ticks_per_s // 1000), columns.values)
