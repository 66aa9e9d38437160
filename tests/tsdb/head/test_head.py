"""tsdb.head: a head reads as a dictionary would, and its streams are the codec's."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.gorilla import encode_runs
from tsdb.codec.resolution import Resolution
from tsdb.head import layout
from tsdb.head.head import INT64_MAX, INT64_MIN, Head
from tsdb.head.kernels import read as read_kernels

REFS = 6
Model = dict[int, dict[int, int]]  # ref -> timestamp -> value bits


def batch_of(runs: list[tuple[int, list[tuple[int, int]]]]) -> Batch:
    offsets = np.cumsum([0, *[len(points) for _, points in runs]]).astype(np.int64)
    flat = [p for _, points in runs for p in points]
    columns = Columns(
        offsets,
        np.array([t for t, _ in flat], np.int64),
        np.array([b for _, b in flat], np.uint64).view(np.float64),
    )
    return Batch(np.array([r for r, _ in runs], np.uint32), columns, SeriesDefinitions.none())


def held_by(columns: Columns) -> Model:
    found: Model = {}
    bits = columns.values.view(np.uint64)
    for ref in range(columns.runs):
        lo, hi = columns.offsets[ref], columns.offsets[ref + 1]
        stamps = columns.timestamps[lo:hi]
        assert (stamps[1:] > stamps[:-1]).all(), "ascending and unique"
        if lo < hi:
            pairs = zip(columns.timestamps[lo:hi].tolist(), bits[lo:hi].tolist(), strict=True)
            found[ref] = dict(pairs)
    return found


def within(model: Model, start: int, end: int) -> Model:
    cut = {r: {t: b for t, b in p.items() if start <= t <= end} for r, p in model.items()}
    return {r: p for r, p in cut.items() if p}


near = st.integers(0, 40)
ticks = st.one_of(near, near, st.integers(INT64_MIN, INT64_MAX))
bits = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1), st.just(0x7FF0000000000002))
runs = st.tuples(st.integers(0, REFS - 1), st.lists(st.tuples(ticks, bits), max_size=12))
step = st.one_of(
    st.tuples(st.just("append"), st.lists(runs, min_size=1, max_size=5)),
    st.tuples(st.just("drop"), st.sets(st.integers(0, REFS - 1)), ticks, ticks),
    st.tuples(st.just("view"), ticks, ticks),
)
ALL = np.arange(REFS, dtype=np.uint32)


@pytest.mark.parametrize("resolution", Resolution)
@given(steps=st.lists(step, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_head_reads_as_a_dictionary(resolution: Resolution, steps: list[tuple]) -> None:
    """Also views taken on the way and read at the end: they answer as of when they were taken."""
    head = Head(resolution, arena_bytes=1 << 16)
    model: Model = {}
    views = []
    for what, *arguments in steps:
        if what == "append":
            head.append(batch_of(arguments[0]))
            for ref, points in arguments[0]:
                model.setdefault(ref, {}).update(points)
        elif what == "drop":
            refs, a, b = arguments
            start, end = min(a, b), max(a, b)
            head.drop(np.array(sorted(refs), np.uint32), start, end)
            for ref in refs & model.keys():
                kept = {t: v for t, v in model[ref].items() if not start <= t <= end}
                model[ref] = kept
        else:
            start, end = min(arguments), max(arguments)
            views.append((head.view(ALL), start, end, within(model, start, end)))
    for view, start, end, expected in views:
        assert held_by(view.read(start, end)) == expected
    assert held_by(head.view(ALL).read(INT64_MIN, INT64_MAX)) == within(model, INT64_MIN, INT64_MAX)
    assert head.refs().tolist() == sorted(within(model, INT64_MIN, INT64_MAX))
    for points in within(model, INT64_MIN, INT64_MAX).values():
        assert head.min_ts <= min(points) <= max(points) <= head.max_ts


@pytest.mark.parametrize("resolution", Resolution)
@given(
    points=st.lists(st.tuples(ticks, bits), min_size=1, max_size=120),
    cuts=st.lists(st.integers(1, 119), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_streams_are_the_chunks_of_the_codec(
    resolution: Resolution, points: list[tuple[int, int]], cuts: list[int]
) -> None:
    """However appends cut a series up, page borders included, the bytes are those of one chunk."""
    ascending = sorted(dict(points).items())
    edges = sorted({0, len(ascending), *[c for c in cuts if c < len(ascending)]})
    head = Head(resolution, arena_bytes=1 << 16)
    for lo, hi in itertools.pairwise(edges):
        head.append(batch_of([(0, ascending[lo:hi])]))
    chunk, _ = encode_runs(batch_of([(0, ascending)]).columns, resolution)

    size = np.empty(1, np.int64)
    read_kernels.measure_streams(head._lines[: layout.LINE_WORDS], size)
    data, lane = np.zeros(size[0] + 8, np.uint8), np.empty(layout.LANE_WORDS, np.uint64)
    assert read_kernels.copy_stream(head._lines, head._arena, lane, data) == size[0]

    assert data[: size[0]].tobytes() == chunk.tobytes()


def test_what_becomes_of_each_point_is_told() -> None:
    head = Head(Resolution.MS, arena_bytes=1 << 16)

    first = head.append(batch_of([(3, [(10, 1), (20, 2)])]))
    second = head.append(batch_of([(3, [(20, 2), (20, 7), (5, 1), (30, 1)])]))

    assert (first.points, first.unchanged, first.out_of_order) == (2, 0, 0)
    assert (second.points, second.unchanged, second.out_of_order) == (1, 1, 2)
    assert held_by(head.view(ALL).read(INT64_MIN, INT64_MAX)) == {3: {5: 1, 10: 1, 20: 7, 30: 1}}


def test_a_retried_overwrite_changes_nothing() -> None:
    """A client that repeats its last request must not fill the side; going back must count."""
    head = Head(Resolution.MS, arena_bytes=1 << 16)
    head.append(batch_of([(0, [(20, 2)])]))

    assert head.append(batch_of([(0, [(20, 7)])])).out_of_order == 1
    assert head.append(batch_of([(0, [(20, 7)])])).unchanged == 1
    assert head.append(batch_of([(0, [(20, 2)])])).out_of_order == 1
    assert held_by(head.view(ALL).read(INT64_MIN, INT64_MAX)) == {0: {20: 2}}
    assert head.append(batch_of([(0, [(30, 1)]), (0, [(30, 1)])])).unchanged == 1


def ramp(series: int, points: int) -> Batch:
    """Constant series: a fifth of a byte a point, so points by far outnumber bytes."""
    columns = Columns(
        np.arange(series + 1) * points,
        np.tile(np.arange(points) * 10, series),
        np.repeat(np.arange(series) * 1.0, points),
    )
    return Batch(np.arange(series, dtype=np.uint32), columns, SeriesDefinitions.none())


def test_a_delete_is_not_bounded_by_the_worst_case_of_an_append() -> None:
    """Millions of points in few bytes: an append of as many would not be let in."""
    head = Head(Resolution.MS, arena_bytes=1 << 16)
    head._arena = head._arena[: 1 << 20]
    batch = ramp(4, 5_000)
    for part in range(4):
        at = batch.columns.timestamps + part * 50_000
        columns = Columns(batch.columns.offsets, at, batch.columns.values)
        head.append(Batch(batch.refs, columns, batch.definitions))
    view = head.view(batch.refs)

    gone = head.drop(batch.refs, 55, 64)

    assert gone == 4
    assert head.view(batch.refs).read(INT64_MIN, INT64_MAX).points == 4 * 20_000 - 4
    assert view.read(INT64_MIN, INT64_MAX).points == 4 * 20_000
    assert head.drop(batch.refs, 0, 10**9) == 4 * 20_000 - 4
    assert head.points == 0
    assert not head.refs().size


def test_a_delete_decodes_a_bounded_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsdb.head.head.DROP_POINTS", 250)
    head = Head(Resolution.MS, arena_bytes=1 << 16)
    batch = ramp(30, 100)
    head.append(batch)

    gone = head.drop(np.arange(1, 30, 2, dtype=np.uint32), 500, 599)

    left = head.view(batch.refs).read(INT64_MIN, INT64_MAX)
    assert gone == 15 * 10
    assert np.diff(left.offsets).tolist() == [100, 90] * 15
    assert (left.values == np.repeat(np.arange(30), np.diff(left.offsets))).all()


def test_page_sizes_add_up() -> None:
    """Readers find a stream's length from the ordinal of its open page alone."""
    sizes = np.array([layout.page_bytes(n) for n in range(2_000)])
    sums = [layout.pages_before_bytes(n) for n in range(2_000)]

    assert sums == [0, *np.cumsum(sizes)[:-1].tolist()]
    assert (sizes % layout.UNIT == 0).all()


def test_a_long_series_is_read_back() -> None:
    """Hundreds of thousands of random points in one series, over pages of growing size."""
    rng = np.random.default_rng(6)
    head = Head(Resolution.NS, arena_bytes=1 << 24)
    stamps = np.cumsum(rng.integers(1, 2**44, 300_000))
    words = rng.integers(0, 2**64, stamps.size, dtype=np.uint64)
    for lo in range(0, stamps.size, 7_001):
        t, v = stamps[lo : lo + 7_001], words[lo : lo + 7_001].view(np.float64)
        columns = Columns(np.array([0, t.size]), t, v)
        head.append(Batch(np.zeros(1, np.uint32), columns, SeriesDefinitions.none()))

    columns = head.view(np.zeros(1, np.uint32)).read(int(stamps[1_000]), int(stamps[-2]))

    assert np.array_equal(columns.timestamps, stamps[1_000:-1])
    assert np.array_equal(columns.values.view(np.uint64), words[1_000:-1])


def test_a_head_says_when_it_is_full_and_takes_all_it_promised() -> None:
    """`fits` is a promise: the worst values at the worst times never run out of arena."""
    rng = np.random.default_rng(3)
    head = Head(Resolution.NS, arena_bytes=1 << 16)
    head._arena = head._arena[: 1 << 18]
    appended = 0
    at = 0
    while True:
        stamps = at + np.cumsum(rng.integers(1, 2**40, 500))
        at = int(stamps[-1])
        columns = Columns(np.arange(501), stamps, rng.integers(0, 2**63, 500).view(np.float64))
        batch = Batch(rng.integers(0, 50, 500).astype(np.uint32), columns, SeriesDefinitions.none())
        if not head.fits(batch):
            break
        head.append(batch)
        appended += 500
    assert head.arena_used_bytes <= 1 << 18
    assert appended >= 1000
    assert head.view(np.arange(50, dtype=np.uint32)).read(INT64_MIN, INT64_MAX).points == appended


def test_a_batch_beyond_all_bounds_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fits` says no, so an engine freezes; should it not, the head grows, and views stay true."""
    monkeypatch.setattr("tsdb.head.head.SIDE_POINTS_MAX", 100)
    monkeypatch.setattr("tsdb.head.head.REQUEST_ROOM_BYTES", 2_000)
    head = Head(Resolution.MS, arena_bytes=64)
    head.append(batch_of([(0, [(1_000, 1)])]))
    view = head.view(ALL)
    rng = np.random.default_rng(8)
    stamps, values = rng.integers(0, 900, 5_000), rng.random(5_000)
    late = Batch(
        np.zeros(1, np.uint32),
        Columns(np.array([0, 5_000]), stamps, values),
        SeriesDefinitions.none(),
    )

    assert not head.fits(late)
    assert head.append(late).out_of_order == 5_000
    in_order = Columns(np.array([0, 5_000]), 2_000 + np.arange(5_000), values)
    assert not head.fits(Batch(late.refs, in_order, late.definitions))
    head.append(Batch(late.refs, in_order, late.definitions))

    last = dict(zip(stamps.tolist(), values.view(np.uint64).tolist(), strict=True))
    read = held_by(head.view(ALL).read(0, 999))
    assert read == {0: last}
    assert head.view(ALL).read(2_000, INT64_MAX).points == 5_000
    assert held_by(view.read(INT64_MIN, INT64_MAX)) == {0: {1_000: 1}}


def test_short_series_waste_little() -> None:
    """64 bytes a series and 1.3 times its encoded bytes, on a mix as scrapes have it."""
    rng = np.random.default_rng(4)
    series, steps = 3_000, 60
    head = Head(Resolution.MS, arena_bytes=1 << 24)
    kind = rng.integers(0, 4, series)
    level = np.floor(rng.lognormal(8, 2, series))
    for at in range(steps):
        level += np.where(kind == 1, rng.poisson(4, series), 0)
        level = np.where(kind == 2, np.round(rng.normal(50, 3, series), 2), level)
        stamps = 1_700_000_000_000 + at * 15_000 + rng.integers(-3, 4, series)
        columns = Columns(np.arange(series + 1), stamps, level.copy())
        head.append(Batch(np.arange(series, dtype=np.uint32), columns, SeriesDefinitions.none()))
    stats = head.stats()

    assert stats.points == series * steps
    assert stats.memory_bytes <= series * 64 + 1.3 * stats.encoded_bytes


def test_readers_are_not_disturbed_by_writers() -> None:
    """Views are read on one thread while another appends to the same pages and lines grow."""
    head = Head(Resolution.MS, arena_bytes=1 << 22)
    refs = np.arange(64, dtype=np.uint32)
    lock, finished = threading.Lock(), threading.Event()
    found: list[bool] = []

    def write() -> None:
        for at in range(5_000):
            stamps, values = np.full(65, at * 10, np.int64), np.append(refs * 1e6 + at, 0.0)
            others = np.append(refs, np.uint32(64 + at)).astype(np.uint32)
            batch = Batch(others, Columns(np.arange(66), stamps, values), SeriesDefinitions.none())
            with lock:
                head.append(batch)
                if at % 7 == 3:
                    stamps = np.full(64, (at - 1) * 10 + 5, np.int64)
                    late = Columns(np.arange(65), stamps, refs * 1e6 - at)
                    head.append(Batch(refs, late, SeriesDefinitions.none()))
            if finished.is_set():
                break

    def read() -> None:
        for _ in range(150):
            with lock:
                view = head.view(refs)
            columns = view.read(INT64_MIN, INT64_MAX)
            run = np.repeat(refs, np.diff(columns.offsets)) * 1e6
            at, late = np.divmod(columns.timestamps, 10)
            expected = np.where(late == 0, run + at, run - at - 1)
            whole = np.unique(np.diff(columns.offsets)).size == 1
            found.append(whole and bool((columns.values == expected).all()))
        finished.set()

    threads = [threading.Thread(target=f) for f in (write, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 150
    assert all(found)
