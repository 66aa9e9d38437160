"""Question: what does the head take to append, to keep and to read points?

    append   a scrape at a time, 10,000 and 1,000,000 series         (targets >= 50, >= 40 M/s)
    memory   1,000,000 series with 20, 60 points       (target <= 64 B + 1.3x encoded bytes)
    read     10,000 series x 360 points                                     (target <= 40 ms)

Baseline, same run: the codec encoding the same runs in one go, and a plain copy of the columns.
Input: a scrape mix of seeded counters, gauges and constants; targets of 100 series share a clock
with 3 ms jitter. Answers are checked bit for bit. Thread CPU time, medians.
Run: python -m benchmarks.bench_head [--json] [--small]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tsdb.batch import Batch, Columns, SeriesDefinitions
from tsdb.codec.gorilla import encode_runs
from tsdb.codec.resolution import Resolution
from tsdb.head.head import INT64_MAX, INT64_MIN, Head

START_MS, STEP_MS = 1_700_000_000_000, 10_000


def scrapes(series: int, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Timestamps and values of all series, a step at a time."""
    rng = np.random.default_rng(1)
    kind = rng.choice(6, series, p=[0.45, 0.20, 0.15, 0.12, 0.05, 0.03])
    rate = np.where(
        kind == 0, np.where(rng.random(series) < 0.6, 0, rng.lognormal(0, 1.5, series)), 7
    )
    level = np.floor(rng.lognormal(8, 2, series))
    for step in range(steps):
        walk = np.rint(rng.normal(0, 2, series))
        grown = rng.poisson(rate)
        level = level + np.select(
            [kind <= 1, kind == 2, kind == 3, kind == 4],
            [grown, 0, walk, np.floor(rng.lognormal(11, 1, series))],
            np.round(rng.gamma(2, 2, series), 2),
        )
        values = np.where(kind == 5, np.round(level, 2), level)
        jitter = np.repeat(rng.integers(-3, 4, series // 100), 100)
        yield START_MS + step * STEP_MS + jitter, values


def filled(series: int, steps: int) -> tuple[Head, list[float], list[np.ndarray]]:
    """A head with `steps` scrapes, ns a point of each append, the values of each."""
    head = Head(Resolution.MS, arena_bytes=1 << 29, refs_hint=series)
    refs, offsets = np.arange(series, dtype=np.uint32), np.arange(series + 1)
    took, kept = [], []
    for stamps, values in scrapes(series, steps):
        batch = Batch(refs, Columns(offsets, stamps, values), SeriesDefinitions.none())
        begun = time.thread_time()
        head.append(batch)
        took.append((time.thread_time() - begun) * 1e9 / series)
        kept.append(values)
    return head, took, kept


def checked_read_ms(head: Head, values: list[np.ndarray]) -> float:
    series, steps = values[0].size, len(values)
    refs = np.arange(series, dtype=np.uint32)
    took = []
    for _ in range(5):
        begun = time.thread_time()
        columns = head.view(refs).read(INT64_MIN, INT64_MAX)
        took.append((time.thread_time() - begun) * 1e3)
    expected = np.stack(values, axis=1)
    got = columns.values.reshape(series, steps)
    assert (got.view(np.uint64) == expected.view(np.uint64)).all()
    return statistics.median(took)


def codec_ns(head: Head, series: int) -> float:
    """The same streams, encoded run by run."""
    columns = head.view(np.arange(series, dtype=np.uint32)).read(INT64_MIN, INT64_MAX)
    took = []
    for _ in range(3):
        begun = time.thread_time()
        data, _ = encode_runs(columns, Resolution.MS)
        took.append((time.thread_time() - begun) * 1e9 / columns.points)
    assert data.size == head.stats().encoded_bytes
    return statistics.median(took)


def copy_ns(points: int) -> float:
    source = np.ones(points)
    took = []
    for _ in range(5):
        begun = time.thread_time()
        (source.copy(), source.copy())
        took.append((time.thread_time() - begun) * 1e9 / points)
    return statistics.median(took)


def memory(head: Head) -> dict[str, float]:
    stats = head.stats()
    bound = stats.series * 64 + 1.3 * stats.encoded_bytes
    return {
        "bytes_per_series": stats.memory_bytes / stats.series,
        "encoded_bytes_per_series": stats.encoded_bytes / stats.series,
        "share_of_bound": stats.memory_bytes / bound,
    }


def measure(*, small: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    head, took, values = filled(10_000, 360)
    figures["10k series"] = {
        "append_M_per_s": 1e3 / statistics.median(took[2:]),
        "codec_ns": codec_ns(head, 10_000),
        "append_ns": statistics.median(took[2:]),
        "copy_ns": copy_ns(10_000),
        "read_3.6M_ms": checked_read_ms(head, values),
        **memory(head),
    }
    series = 100_000 if small else 1_000_000
    for steps in (20, 60):
        head, took, values = filled(series, steps)
        figures[f"{series:,} series x {steps}"] = {
            "append_M_per_s": 1e3 / statistics.median(took[2:]),
            **memory(head),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true", help="100,000 series instead of a million")
    arguments = parser.parse_args()
    figures = measure(small=arguments.small)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items():
            print(f"{name:24} {key:26} {value:12,.3f}")


if __name__ == "__main__":
    main()
