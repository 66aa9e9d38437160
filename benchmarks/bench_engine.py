"""Question: what do reads, restart and memory cost in one process?

    select    10,000 series x 1 h @ 10 s, from the head and from blocks     (target <= 40 ms)
    replay    10 M points in the log, scrape order, reopened                 (target >= 10 M/s)
    start     a fresh process that opens an empty directory, kernels cached  (target <= 4 s CPU)
    append    points/s of one caller, fsynced, batches of a scrape

Baseline, same run: reading the same columns back from .npy files. Answers are checked bit for bit.
Thread CPU time, medians of rounds. Run: python -m benchmarks.bench_engine [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tsdb
from tsdb.batch import Columns, Parsed
from tsdb.commit.naming import CANONICAL
from tsdb.index.labels import canonical

SERIES, POINTS, STEP_MS = 10_000, 720, 10_000
START_MS = 1_700_000_000_000 // 7_200_000 * 7_200_000
ROUNDS = 7


def fleet(series: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canonical keys of `series` series as one buffer with starts and ends."""
    keys = [
        canonical({"__name__": "cpu_usage", "host": f"host_{i}", "region": "eu-west-1"})
        for i in range(series)
    ]
    ends = np.cumsum([len(key) for key in keys])
    return np.frombuffer(b"".join(keys), np.uint8), ends - [len(k) for k in keys], ends


def values_at(step: int, series: int) -> np.ndarray:
    """A mix as scrapes have it: constants, counters, whole-number walks, two-decimal gauges."""
    rng = np.random.default_rng((5, step))
    kind = np.arange(series) % 4
    noise = rng.integers(0, 7, series)
    gauge = np.round(50 + rng.normal(0, 3, series), 2)
    return np.select(
        [kind == 0, kind == 1, kind == 2],
        [np.full(series, 8.0), step * 5.0 + noise, noise * 1.0],
        gauge,
    )


def scrape(keys: tuple[np.ndarray, np.ndarray, np.ndarray], step: int) -> Parsed:
    series = keys[1].size
    stamps = np.full(series, START_MS + step * STEP_MS, np.int64)
    columns = Columns(np.arange(series + 1), stamps, values_at(step, series))
    return Parsed(CANONICAL, *keys, columns, canonical=bytes)


def fill(db: tsdb.Database, keys: tuple[np.ndarray, ...], steps: range) -> float:
    """Write the scrapes of `steps` through the pipeline; wall seconds until all are acked."""
    import threading

    left = threading.Semaphore(0)
    errors: list[object] = []

    def done(outcome: object) -> None:
        if isinstance(outcome, Exception):
            errors.append(outcome)
        left.release()

    begun = time.perf_counter()
    for step in steps:
        parsed = scrape(keys, step)  # type: ignore[arg-type]
        while True:
            try:
                db.submit(lambda p=parsed: p, size_bytes=20 * parsed.columns.points, done=done)
                break
            except tsdb.Unavailable:
                time.sleep(0.001)
    for _ in steps:
        left.acquire()
    assert not errors, errors[:1]
    return time.perf_counter() - begun


def median_ms(step: Callable[[], Any]) -> float:
    took = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        step()
        took.append((time.thread_time() - begun) * 1e3)
    return statistics.median(took)


def check(selection: tsdb.Selection, steps: range) -> None:
    expected = np.stack([values_at(step, SERIES) for step in steps], axis=1)
    names = [int(labels["host"].removeprefix("host_")) for labels in selection.labels()]
    got = selection.columns().values.reshape(SERIES, len(steps))
    assert (got.view(np.uint64) == expected[names].view(np.uint64)).all()


def npy_baseline_ms(folder: Path, selection: tsdb.Selection) -> float:
    columns = selection.columns()
    np.save(folder / "t.npy", columns.timestamps)
    np.save(folder / "v.npy", columns.values)
    return median_ms(lambda: (np.load(folder / "t.npy"), np.load(folder / "v.npy")))


def measure(folder: Path) -> dict[str, Any]:
    keys = fleet(SERIES)
    hour = (START_MS + 180 * STEP_MS, START_MS + 540 * STEP_MS - 1)
    steps = range(180, 540)
    figures: dict[str, Any] = {}
    with tsdb.open(folder / "db", background=False) as db:
        took = fill(db, keys, range(POINTS))
        figures["append"] = {"points_per_s": SERIES * POINTS / took}
        head = db.select("cpu_usage", *hour)
        check(head, steps)
        figures["select"] = {"head_ms": median_ms(lambda: db.select("cpu_usage", *hour))}
        figures["select"]["npy_ms"] = npy_baseline_ms(folder, head)
        stats = db.stats()
        figures["head"] = {
            "bytes_per_point": stats.head_encoded_bytes / stats.head_points,
            "memory_per_point": stats.head_memory_bytes / stats.head_points,
        }
        begun = time.thread_time()
        db.flush()
        figures["flush"] = {"ns_per_point": (time.thread_time() - begun) * 1e9 / head_points(stats)}
        check(db.select("cpu_usage", *hour), steps)
        figures["select"]["blocks_ms"] = median_ms(lambda: db.select("cpu_usage", *hour))
    figures["replay"] = measure_replay(folder / "replay")
    figures["start"] = measure_start(folder / "start")
    return figures


def head_points(stats: Any) -> int:
    points: int = stats.head_points
    return points


def measure_replay(folder: Path) -> dict[str, float]:
    keys = fleet(SERIES)
    steps = range(1_000)
    with tsdb.open(folder, background=False) as db:
        fill(db, keys, steps)
        log_bytes = db.stats().log_bytes
    begun_cpu, begun = time.process_time(), time.perf_counter()
    with tsdb.open(folder, background=False) as db:
        wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
        points = db.stats().head_points
        assert points == SERIES * len(steps), points
        last = db.select('cpu_usage{host="host_5"}', START_MS + 999 * STEP_MS)
        assert last[0].values[0] == values_at(999, SERIES)[5]
    return {"points_per_s": points / wall, "cpu_s": cpu, "log_bytes_per_point": log_bytes / points}


def measure_start(folder: Path) -> dict[str, float]:
    code = (
        "import time, tsdb, sys\n"
        "db = tsdb.open(sys.argv[1]); db.write('x', [1700000000000], [1.0]); db.close()\n"
        "print(time.process_time())\n"
    )
    took = [
        float(subprocess.check_output([sys.executable, "-c", code, str(folder)])) for _ in range(3)
    ]
    return {"library_cpu_s": statistics.median(took)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="silverback-bench-"))
    try:
        figures = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items():
            print(f"{name:10} {key:24} {value:16,.3f}")


if __name__ == "__main__":
    main()
