"""What reads say they decoded, against tables of chunks read by hand."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsdb
from tsdb import parallel
from tsdb.batch import Decoded
from tsdb.block.layout import CHUNKS
from tsdb.engine.engine import Engine
from tsdb.index.selector import parse_selector

HOUR = 3_600_000
DAYS = 3


def expected(engine: Engine, selector: str, start: int, end: int) -> Decoded:
    """The slow twin: chunk by chunk."""
    wanted = set(engine.registry.select(parse_selector(selector)).tolist())
    found = Decoded()
    for block in engine.version.blocks:
        table, chunks = block.table, 0
        for i, ref in enumerate(table.refs.tolist()):
            for chunk in range(int(table.firsts[i]), int(table.firsts[i + 1])):
                inside = table.min_ts[chunk] <= end and table.max_ts[chunk] >= start
                if ref in wanted and inside:
                    chunks += 1
                    found.points += int(table.counts[chunk])
                    found.bytes += int(table.starts[chunk + 1] - table.starts[chunk])
        found.chunks += chunks
        found.blocks_opened += chunks > 0
        found.blocks_skipped += chunks == 0
    return found


def filled(path: Path) -> tsdb.Database:
    """Three days in blocks, a flush each: `x` all the time, `y` on the first day only."""
    database = tsdb.open(path, background=False)
    for day in range(DAYS):
        stamps = day * 24 * HOUR + np.arange(0, 24 * HOUR, 10_000)
        names = ['x{a="1"}', 'x{a="2"}', *(["y"] if day == 0 else [])]
        database.write_many(names, [stamps] * len(names), [np.sin(stamps)] * len(names))
        database.flush()
    return database


@pytest.fixture(scope="module")
def database() -> Iterator[tsdb.Database]:
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder) / "db") as db:
        yield db


@given(
    st.sampled_from(["x", "y", 'x{a="2"}', "absent", '{__name__=~".+"}']),
    st.integers(-HOUR, DAYS * 24 * HOUR),
    st.integers(0, DAYS * 24 * HOUR),
)
@settings(max_examples=60, deadline=None)
def test_each_chunk_of_each_block_is_counted(
    database: tsdb.Database, selector: str, start: int, length: int
) -> None:
    engine = database.parts.engine
    assert len(engine.version.blocks) > 2
    before = engine.counters.points_decoded
    found = engine.select(parse_selector(selector), start, start + length)
    assert found.did == expected(engine, selector, start, start + length)
    assert engine.counters.points_decoded - before == found.did.points


def test_figures_of_a_known_database(database: tsdb.Database) -> None:
    """By hand: 10 s apart, 512 points a chunk at most, blocks of two hours and their multiples."""
    engine = database.parts.engine
    blocks = len(engine.version.blocks)
    one = engine.select(parse_selector('x{a="1"}'), 0, 0).did
    assert one is not None
    assert (one.blocks_opened, one.blocks_skipped, one.chunks) == (1, blocks - 1, 1)
    assert 0 < one.points <= tsdb.limits.CHUNK_POINTS_MAX
    assert one.memory_points == 0

    whole = engine.select(parse_selector("x"), 0, DAYS * 24 * HOUR).did
    assert whole is not None
    assert (whole.blocks_opened, whole.points) == (blocks, 2 * DAYS * 24 * 360)
    everything = engine.select(parse_selector('{__name__=~".+"}'), 0, DAYS * 24 * HOUR).did
    assert everything is not None
    assert everything.bytes == sum(block.table.starts[-1] for block in engine.version.blocks)

    nothing = engine.select(parse_selector("x"), -HOUR, -1).did
    assert nothing == Decoded(blocks_skipped=blocks)


def test_points_in_memory_are_told_apart(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as database:
        database.write("x", [DAYS * 24 * HOUR + i for i in range(7)], [1.0] * 7)
        engine = database.parts.engine
        did = engine.select(parse_selector("x"), DAYS * 24 * HOUR, DAYS * 25 * HOUR).did
        assert did == Decoded(blocks_skipped=len(engine.version.blocks), memory_points=7)


def test_threads_lose_no_count(database: tsdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are shared among threads, and reads run side by side."""
    monkeypatch.setattr(parallel, "WORK_MIN", 1000)
    engine = database.parts.engine
    span = (HOUR, DAYS * 24 * HOUR - HOUR)
    right = expected(engine, "x", *span)
    before = engine.counters.points_decoded
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(engine.select, parse_selector("x"), *span) for _ in range(40)]
    assert all(job.result().did == right for job in jobs)
    assert engine.counters.points_decoded - before == 40 * right.points


def test_damaged_chunks_were_not_decoded(tmp_path: Path) -> None:
    with filled(tmp_path / "db"):
        pass
    with tsdb.open(tmp_path / "db", background=False) as database:
        engine = database.parts.engine
        right = expected(engine, "x", 0, HOUR)
        block = next(b for b in engine.version.blocks if b.meta.min_ts == 0)
        with (block.path / CHUNKS).open("r+b") as file:
            file.seek(int(block.table.starts[0]) + 20)
            file.write(b"\xff" * 8)
        found = engine.select(parse_selector("x"), 0, HOUR)
        assert found.warnings
        assert found.did is not None
        assert found.did.blocks_opened == right.blocks_opened
        assert found.did.chunks < right.chunks
        assert found.did.points < right.points
        assert found.did.bytes < right.bytes


def test_a_refused_read_counts_what_it_decoded(database: tsdb.Database) -> None:
    engine = database.parts.engine
    before = engine.counters.points_decoded
    with pytest.raises(tsdb.LimitExceeded):
        engine.select(parse_selector("x"), 0, DAYS * 24 * HOUR, points_max=10)
    first = min(engine.version.blocks, key=lambda block: block.meta.min_ts)
    least = expected(engine, "x", first.meta.min_ts, first.meta.min_ts)
    assert least.points <= engine.counters.points_decoded - before < 2 * DAYS * 24 * 360


def test_fields_are_those_that_explain_shows() -> None:
    from api.routes.promql_explain import shown
    from tsdb.promql.trace import Step

    counts = itertools.count(1)
    did = Decoded(*(next(counts) for _ in asdict(Decoded())))
    step = shown(Step(parse_selector("x"), 0, did=did))
    assert [step[key] for key in list(step)[4:]] == list(range(1, 7))
