"""Question: what does the head cost, in time a point and in bytes a series?

    append   points/s of one core into 10,000 and 1,000,000 series, scrape order and any order
    memory   bytes a series beyond its encoded bytes after 20, 60 and 120 points
    read     10,000 series x 360 points (1 h @ 10 s), snapshot and decode

Input    a mix as exporters have it, generated, seed fixed: constants, idle buckets, counters,
         whole-number gauges, byte counters, seconds with two decimals; a target's series share
         a clock with 3 ms of jitter; targets come in another order each time
Compare  same run: the codec encoding the same points series by series (what the head has to do,
         without the walk through memory), and a numpy copy of the same columns
Measure  thread CPU time, medians of rounds; the machine may be shared: read the ratios first
Check    everything appended is read back and compared bit for bit

Run      python -m benchmarks.bench_head [--series 1000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.gorilla import encode_runs
from tsdb.codec.resolution import Resolution
from tsdb.head.head import INT64_MAX, INT64_MIN, Head

SEED, TARGET_SERIES, STEP_MS, START_MS = 1, 1_000, 10_000, 1_760_000_000_000
APPEND_MPS_MIN = {10_000: 50, 1_000_000: 40}
READ_MS_MAX, MEMORY_FACTOR_MAX, WARM_ROUNDS = 40, 1.3, 4
SHARES = (0.15, 0.27, 0.38, 0.12, 0.05, 0.03)  # in the order of `Input` above


class Fleet:
    """Values and times of all series, one scrape after another."""

    def __init__(self, series: int) -> None:
        self.series = series
        self._rng = np.random.default_rng(SEED)
        kind = self._rng.choice(len(SHARES), series, p=SHARES)
        self._of = [np.flatnonzero(kind == k) for k in range(len(SHARES))]
        self._level = np.floor(self._rng.lognormal(7, 3, series))
        self._rate = self._rng.lognormal(1, 1.5, series)
        self._offset = self._rng.integers(0, STEP_MS, -(-series // TARGET_SERIES))

    def scrape(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Timestamps and values of every series."""
        rng, level = self._rng, self._level
        _, _, counters, gauges, byte_counters, seconds = self._of
        level[counters] += rng.poisson(self._rate[counters])
        level[gauges] = np.abs(level[gauges] + np.rint(rng.normal(0, 2, gauges.size)))
        level[byte_counters] += np.floor(rng.lognormal(11, 1, byte_counters.size))
        level[seconds] = np.round(level[seconds] + rng.gamma(2, 1.9, seconds.size), 2)
        at = START_MS + step * STEP_MS + self._offset
        at = at + np.rint(rng.normal(0, 3, at.size)).astype(np.int64)
        return np.repeat(at, TARGET_SERIES)[: self.series], level.copy()


def batches(series: int, rounds: int, order: str) -> Iterator[Batch]:
    """One batch a scrape: a point a series, targets in any order; or all series in any order."""
    fleet, rng = Fleet(series), np.random.default_rng(SEED + 1)
    refs = np.arange(series, dtype=np.uint32)
    for step in range(rounds):
        stamps, values = fleet.scrape(step)
        if order == "scrape":
            targets = rng.permutation(series // TARGET_SERIES)
            turn = (targets[:, None] * TARGET_SERIES + np.arange(TARGET_SERIES)).ravel()
        else:
            turn = rng.permutation(series)
        columns = Columns(np.arange(series + 1), stamps[turn], values[turn])
        yield Batch(refs[turn], columns, SeriesDefinitions.none())


def columns_of(scrapes: list[Batch]) -> Columns:
    """The points of whole scrapes, series by series."""
    series, rounds = scrapes[0].refs.size, len(scrapes)
    stamps, values = np.empty((series, rounds), np.int64), np.empty((series, rounds))
    for i, batch in enumerate(scrapes):
        stamps[batch.refs, i] = batch.columns.timestamps
        values[batch.refs, i] = batch.columns.values
    return Columns(np.arange(series + 1) * rounds, stamps.ravel(), values.ravel())


def same(a: Columns, b: Columns) -> bool:
    return (
        np.array_equal(a.offsets, b.offsets)
        and np.array_equal(a.timestamps, b.timestamps)
        and np.array_equal(a.values.view(np.uint64), b.values.view(np.uint64))
    )


def timed(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return time.thread_time() - begun


def copied(columns: Columns) -> object:
    return columns.timestamps.copy(), columns.values.copy()


@dataclass
class Append:
    series: int
    order: str
    mps: float
    mps_best: float
    encode_mps: float
    copy_mps: float


def bench_append(series: int, order: str, rounds: int) -> Append:
    head = Head(Resolution.MS, arena_bytes=1 << 30, refs_hint=series)
    kept = list(batches(series, rounds, order))  # made before: making them cools the caches
    seconds, copies = [], []
    for batch in kept:
        copies.append(timed(lambda b=batch: copied(b.columns)))
        seconds.append(timed(lambda b=batch: head.append(b)))
    expected = columns_of(kept)
    encodes = [timed(lambda: encode_runs(expected, Resolution.MS)) for _ in range(3)]
    answer = head.view(np.arange(series, dtype=np.uint32)).read(INT64_MIN, INT64_MAX)
    assert same(answer, expected), "a fast wrong answer is not a result"
    steady = seconds[WARM_ROUNDS:]
    return Append(
        series,
        order,
        series / statistics.median(steady) / 1e6,
        series / min(steady) / 1e6,
        series * rounds / statistics.median(encodes) / 1e6,
        series / statistics.median(copies) / 1e6,
    )


@dataclass
class Memory:
    series: int
    points: int
    encoded_bytes_a_point: float
    held_bytes_a_series: float
    factor: float  # (held bytes - 64 a series) / encoded bytes


def bench_memory(series: int, steps: tuple[int, ...] = (20, 60, 120)) -> list[Memory]:
    head = Head(Resolution.MS, arena_bytes=1 << 30, refs_hint=series)
    results = []
    for step, batch in enumerate(batches(series, max(steps), "scrape"), 1):
        head.append(batch)
        if step in steps:
            stats = head.stats()
            factor = (stats.memory_bytes - 64 * series) / stats.encoded_bytes
            encoded, held = stats.encoded_bytes / stats.points, stats.memory_bytes / series
            results.append(Memory(series, step, encoded, held, factor))
    return results


@dataclass
class Read:
    series: int
    points: int
    view_ms: float
    read_ms: float
    read_best_ms: float
    half_ms: float
    late_ms: float  # with late points in one series of a hundred
    copy_ms: float


def bench_read(series: int = 10_000, points: int = 360, rounds: int = 11) -> Read:
    head = Head(Resolution.MS, arena_bytes=1 << 28, refs_hint=series)
    kept = []
    for batch in batches(series, points, "scrape"):
        head.append(batch)
        kept.append(batch)
    expected = columns_of(kept)
    refs = np.arange(series, dtype=np.uint32)
    middle = START_MS + points // 2 * STEP_MS

    def read(start: int = INT64_MIN) -> Columns:
        return head.view(refs).read(start, INT64_MAX)

    def measured(call: Callable[[], object]) -> list[float]:
        return [timed(call) * 1e3 for _ in range(rounds)]

    assert same(read(), expected)
    views = measured(lambda: head.view(refs))
    reads, halves = measured(read), measured(lambda: read(middle))
    copies = measured(lambda: copied(expected))
    late = np.arange(0, series, 100, dtype=np.uint32)
    columns = Columns(np.arange(late.size + 1), np.full(late.size, START_MS - 1), late * 1.0)
    head.append(Batch(late, columns, SeriesDefinitions.none()))
    assert read().points == expected.points + late.size
    median = statistics.median
    return Read(
        series,
        points,
        median(views),
        median(reads),
        min(reads),
        median(halves),
        median(measured(read)),
        median(copies),
    )


def show_append(series: int) -> list[Append]:
    print(
        "| series | order | append M/s, median (best) | goal | codec encode M/s | numpy copy M/s |"
    )
    print("|--:|---|--:|--:|--:|--:|")
    done = []
    for count, order, rounds in (
        (10_000, "scrape", 120),
        (10_000, "any", 120),
        (series, "scrape", 24),
        (series, "any", 24),
    ):
        r = bench_append(count, order, rounds)
        done.append(r)
        goal = APPEND_MPS_MIN.get(count, "") if order == "scrape" else ""
        print(
            f"| {count:,} | {order} | {r.mps:.1f} ({r.mps_best:.1f}) | {goal} "
            f"| {r.encode_mps:.0f} | {r.copy_mps:.0f} |",
            flush=True,
        )
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1_000_000, help="the large fleet")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    appends = show_append(options.series)
    print("\n| series | points each | B/point encoded | B/series held | (held - 64) / encoded |")
    print("|--:|--:|--:|--:|--:|")
    memory = bench_memory(options.series)
    for m in memory:
        print(
            f"| {m.series:,} | {m.points} | {m.encoded_bytes_a_point:.2f} "
            f"| {m.held_bytes_a_series:.0f} | {m.factor:.3f}, goal {MEMORY_FACTOR_MAX} |"
        )
    read = bench_read()
    print(
        f"\nread {read.series:,} x {read.points}: {read.read_ms:.1f} ms (best "
        f"{read.read_best_ms:.1f}; goal {READ_MS_MAX}), newer half {read.half_ms:.1f} ms, with "
        f"late points {read.late_ms:.1f} ms; the snapshot alone {read.view_ms:.2f} ms; numpy copy "
        f"{read.copy_ms:.1f} ms"
    )
    if options.json:
        found = {
            "append": [asdict(r) for r in appends],
            "memory": [asdict(m) for m in memory],
            "read": asdict(read),
        }
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
