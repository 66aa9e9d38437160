"""Columns laid over columns: newer points hide older ones; ranges cut out; edges trimmed.

    in   Columns of the same runs, each run ascending strictly in time
    out  Columns of the same runs, ascending strictly

    overlay(sources)                   oldest source first; where timestamps meet the later wins
    clip(columns, start, end)          the points from start to end
    closed_up(parts, ...)              runs written by several threads, without gaps
    without(columns, hit, start, end)  all points but those from start to end in runs with hit[i]
    mask(refs, hidden)                 the `hit` of `without`: which of refs are among hidden
    extent(columns)                    first and last timestamp, None without points

Ranges are inclusive. Blocks, heads and merges all need this, so it lies below them. Answers may
share memory with what came in: nobody mutates columns.

`overlay` groups sources whose time ranges touch; inside a group it merges pairwise, neighbours
in age first (laying over is associative, so a balanced tree gives the same answer with fewer
copies); groups follow one another in time, so they are placed by plain copies. Twelve blocks of
a day and a head that touches only the last of them cost one copy a point, not twelve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tsdb import parallel
from tsdb.batch import Columns, I64s, U32s
from tsdb.overlay import kernels

__all__ = ["clip", "closed_up", "empty", "extent", "gather", "mask", "overlay", "without"]

Bools: TypeAlias = npt.NDArray[np.bool_]
_U64 = np.dtype(np.uint64)


def empty(runs: int) -> Columns:
    """`runs` runs without points."""
    return Columns(np.zeros(runs + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


def extent(columns: Columns) -> tuple[int, int] | None:
    """First and last timestamp over all runs. Reads the ends of runs only."""
    if not columns.points:
        return None
    ends = np.empty(2, np.int64)
    kernels.extent(columns.offsets, columns.timestamps, ends)
    return int(ends[0]), int(ends[1])


def overlay(sources: Sequence[Columns]) -> Columns:
    """Run i of the answer holds run i of every source; the later source wins at equal times."""
    assert sources, "the number of runs is unknown"
    runs = sources[0].runs
    assert all(s.runs == runs for s in sources), "sources must have the same runs"
    groups = [_fold(group) for group in _groups_in_time(sources)]
    if not groups:
        return empty(runs)
    return groups[0] if len(groups) == 1 else _concatenate(groups)


def _groups_in_time(sources: Sequence[Columns]) -> list[list[Columns]]:
    """Sources whose ranges touch, oldest first inside a group; groups ascend in time."""
    spans = [(span, age) for age, s in enumerate(sources) if (span := extent(s)) is not None]
    groups: list[list[int]] = []
    reach = 0
    for (first, last), age in sorted(spans):
        if groups and first <= reach:
            groups[-1].append(age)
            reach = max(reach, last)
        else:
            groups.append([age])
            reach = last
    return [[sources[age] for age in sorted(group)] for group in groups]


def _fold(sources: list[Columns]) -> Columns:
    while len(sources) > 1:
        pairs = [_pair(a, b) for a, b in zip(sources[::2], sources[1::2], strict=False)]
        sources = pairs + sources[len(pairs) * 2 :]
    return sources[0]


def _pair(old: Columns, new: Columns) -> Columns:
    offsets, timestamps, bits = _room(old.runs, old.points + new.points)
    points = kernels.overlay_pair(
        old.offsets,
        old.timestamps,
        old.values.view(_U64),
        new.offsets,
        new.timestamps,
        new.values.view(_U64),
        offsets,
        timestamps,
        bits,
    )
    return Columns(offsets, timestamps[:points], bits[:points].view(np.float64))


def _concatenate(groups: list[Columns]) -> Columns:
    offsets, timestamps, bits = _room(groups[0].runs, sum(g.points for g in groups))
    np.sum([g.offsets for g in groups], axis=0, out=offsets)
    at = offsets[:-1].copy()
    for group in groups:
        kernels.place(
            group.offsets, group.timestamps, group.values.view(_U64), at, timestamps, bits
        )
    assert (at == offsets[1:]).all()
    return Columns(offsets, timestamps, bits.view(np.float64))


def clip(columns: Columns, start: int, end: int) -> Columns:
    """The points with start <= timestamp <= end."""
    span = extent(columns)
    if span is None or (start <= span[0] and span[1] <= end):
        return columns
    if start > span[1] or end < span[0]:
        return empty(columns.runs)
    firsts, counts = np.empty(columns.runs, np.int64), np.empty(columns.runs, np.int64)
    kernels.bounds(columns.offsets, columns.timestamps, start, end, firsts, counts)
    return gather(columns, firsts, counts)


def gather(columns: Columns, firsts: I64s, counts: I64s) -> Columns:
    """Run i of the answer is counts[i] points of `columns` from point firsts[i] on."""
    offsets, timestamps, bits = _room(firsts.size, int(counts.sum()))
    offsets[0] = 0
    np.cumsum(counts, out=offsets[1:])
    values = columns.values.view(_U64)

    def of_part(first: int, last: int) -> None:
        part = slice(first, last)
        kernels.gather(
            *(firsts[part], counts[part], columns.timestamps, values),
            *(offsets[part], timestamps, bits),
        )

    parallel.run(firsts.size, timestamps.size // 2, of_part)
    return Columns(offsets, timestamps, bits.view(np.float64))


def closed_up(
    parts: Iterable[tuple[int, int]],
    rooms: I64s,
    counts: I64s,
    timestamps: I64s,
    bits: npt.NDArray[np.uint64],
) -> Columns:
    """Runs that were written part by part, without the gaps between parts.

    A part is runs first:last, one close behind the other from rooms[first] on; run i has
    counts[i] points.
    """
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    for first, last in sorted(parts):
        room, to = int(rooms[first]), int(offsets[first])
        if room != to:
            kernels.move_down(timestamps, bits, room, room + int(offsets[last]) - to, to)
    points = int(offsets[-1])
    return Columns(offsets, timestamps[:points], bits[:points].view(np.float64))


def without(columns: Columns, hit: Bools, start: int, end: int) -> Columns:
    """All points but those of runs with hit[i] and start <= timestamp <= end."""
    assert hit.size == columns.runs
    span = extent(columns)
    if span is None or start > span[1] or end < span[0] or not hit.any():
        return columns
    offsets, timestamps, bits = _room(columns.runs, columns.points)
    points = kernels.without(
        columns.offsets,
        columns.timestamps,
        columns.values.view(_U64),
        hit,
        start,
        end,
        offsets,
        timestamps,
        bits,
    )
    return Columns(offsets, timestamps[:points], bits[:points].view(np.float64))


def mask(refs: U32s, hidden: U32s) -> Bools:
    """hit[i]: refs[i] is one of `hidden`. Both ascend."""
    at = np.searchsorted(hidden, refs)
    hit = np.zeros(refs.size, np.bool_)
    inside = at < hidden.size
    hit[inside] = hidden[at[inside]] == refs[inside]
    return hit


def _room(runs: int, points: int) -> tuple[I64s, I64s, npt.NDArray[np.uint64]]:
    return np.empty(runs + 1, np.int64), np.empty(points, np.int64), np.empty(points, np.uint64)
