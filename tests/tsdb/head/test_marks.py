"""Marks: a long stream is read from its middle on, and the answer is the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb import parallel
from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.resolution import Resolution
from tsdb.head import layout
from tsdb.head.head import INT64_MAX, INT64_MIN, Head
from tsdb.head.kernels import read as read_kernels

KINDS = ("constant", "counter", "decimals", "any bits", "irregular", "any times")
REFS = np.arange(4, dtype=np.uint32)
Points = tuple[np.ndarray, np.ndarray]


def stream(kind: str, points: int, seed: int) -> Points:
    """Ascending timestamps and value bits."""
    random = np.random.default_rng(seed)
    stamps = 1_700_000_000_000 + 15_000 * np.arange(points, dtype=np.int64)
    values = np.round(random.uniform(0, 100, points), 2)
    if kind == "constant":
        values[:] = 1.0
    elif kind == "counter":
        values = np.cumsum(random.integers(0, 50, points)).astype(np.float64)
    elif kind == "irregular":
        stamps += random.integers(-7_000, 7_000, points)
    elif kind == "any bits":
        values = random.integers(0, 2**64, points, np.uint64).view(np.float64)
    elif kind == "any times":
        stamps = np.unique(random.integers(INT64_MIN, INT64_MAX, points))
        values = values[: stamps.size]
    return stamps, values.view(np.uint64)


def append(head: Head, ref: int, stamps: np.ndarray, bits: np.ndarray) -> None:
    columns = Columns(np.array([0, stamps.size]), stamps, bits.view(np.float64))
    head.append(Batch(np.array([ref], np.uint32), columns, SeriesDefinitions.none()))


def in_bodies(head: Head, ref: int, points: Points, sizes: list[int]) -> None:
    """As it comes over the wire: `sizes` points at a time, over and over; none: all at once."""
    at = 0
    while at < points[0].size:
        for size in sizes or [points[0].size]:
            append(head, ref, points[0][at : at + size], points[1][at : at + size])
            at += size


def check(head: Head, model: list[Points], start: int, end: int) -> None:
    found = head.view(REFS).read(start, end)
    bits = found.values.view(np.uint64)
    for ref, (stamps, expected) in enumerate(model):
        low, high = found.offsets[ref], found.offsets[ref + 1]
        wanted = (stamps >= start) & (stamps <= end)
        np.testing.assert_array_equal(found.timestamps[low:high], stamps[wanted])
        np.testing.assert_array_equal(bits[low:high], expected[wanted])


def decoded(head: Head, start: int, end: int) -> int:
    """How many points a read of all series decodes."""
    view = head.view(REFS)
    room = np.empty(REFS.size + 1, np.int64)
    return int(
        read_kernels.measure_read(
            *(view._lines, view._marks, view._newest, np.zeros(REFS.size + 1, np.int64)),
            *(start, end, np.empty(REFS.size, np.uint32), room, np.empty(2, np.int64)),
        )
    )


@pytest.mark.parametrize("resolution", Resolution)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4),
    points=st.integers(1, 2000),
    sizes=st.lists(st.integers(1, 300), max_size=3),
    borders=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(-1, 1)), max_size=6),
    late=st.lists(st.integers(0, 1999), max_size=4),
    dropped=st.none() | st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_any_stretch_of_long_streams_reads_as_it_was_written(
    resolution: Resolution, kinds, points, sizes, borders, late, dropped, seed
) -> None:
    head = Head(resolution, arena_bytes=1 << 20)
    model = [stream(kind, points, seed + ref) for ref, kind in enumerate(kinds)]
    for ref, each in enumerate(model):
        in_bodies(head, ref, each, sizes)
        for at in late:
            if at < each[0].size:
                each[1][at] = seed + at
                append(head, ref, each[0][at : at + 1], each[1][at : at + 1])
    if dropped is not None:
        span = np.quantile(model[0][0].astype(np.float64), [dropped / 2, dropped])
        start, end = (int(min(max(x, -(2.0**62)), 2.0**62)) for x in span)
        head.drop(REFS, start, end)
        for ref, (stamps, bits) in enumerate(model):
            kept = (stamps < start) | (stamps > end)
            model[ref] = stamps[kept], bits[kept]
    check(head, model, INT64_MIN, INT64_MAX)
    for a, b, near in borders:
        stamps = model[0][0]
        if stamps.size:
            first, last = sorted((int(a * (stamps.size - 1)), int(b * (stamps.size - 1))))
            check(head, model, int(stamps[first]) + near, int(stamps[last]) - near)


def test_a_view_reads_what_was_there_whatever_comes_after() -> None:
    """Also where the newest mark is the newest point, and its last bits were still in the line."""
    head = Head(Resolution.MS, arena_bytes=1 << 20)
    model = [stream("decimals", 1500, ref) for ref in range(4)]
    views = []
    for at in range(1500):
        for ref in range(4):
            append(head, ref, model[ref][0][at : at + 1], model[ref][1][at : at + 1])
        if at % 128 in (0, 126, 127):
            views.append((at, head.view(REFS)))
    for at, view in views:
        start = int(model[0][0][max(at - 20, 0)])
        found = view.read(start, INT64_MAX)
        for ref in range(4):
            run = slice(found.offsets[ref], found.offsets[ref + 1])
            wanted = slice(max(at - 20, 0), at + 1)
            np.testing.assert_array_equal(found.timestamps[run], model[ref][0][wanted])
            np.testing.assert_array_equal(found.values[run].view(np.uint64), model[ref][1][wanted])


@pytest.mark.parametrize("kind", ["counter", "decimals", "any bits"])
def test_what_is_not_wanted_is_hardly_decoded(kind: str) -> None:
    head = Head(Resolution.MS, arena_bytes=1 << 20)
    model = [stream(kind, 4000, ref) for ref in range(4)]
    for ref, each in enumerate(model):
        in_bodies(head, ref, each, [])
    last = int(model[0][0][-1])
    assert 4 <= decoded(head, last, last) <= 4 * 4 * layout.MARK_POINTS
    assert decoded(head, INT64_MIN, INT64_MAX) == 16_000


def test_marks_take_little() -> None:
    """A ninth of the streams at the most; streams that hardly grow get hardly any."""
    for kind in KINDS[:5]:
        head = Head(Resolution.MS, arena_bytes=1 << 20)
        in_bodies(head, 0, stream(kind, 20_000, 1), [])
        marks = int(head._cursors[layout.MARKS_END])
        assert 0 < marks * layout.MARK_WORDS * 8 * 9 <= head.stats().encoded_bytes


def test_parts_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORK_MIN", 100)
    monkeypatch.setattr(parallel, "_width", lambda: 3)
    head = Head(Resolution.MS, arena_bytes=1 << 20)
    model = [stream(kind, 1000, 7) for kind in KINDS[:4]]
    for ref, each in enumerate(model):
        in_bodies(head, ref, each, [200])
    model[2][1][500] = 5
    append(head, 2, model[2][0][500:501], model[2][1][500:501])
    for first in range(0, 1000, 130):
        check(head, model, int(model[0][0][first]), int(model[0][0][min(first + 260, 999)]))
