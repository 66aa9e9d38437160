"""Question: how fast does the database take series it has never seen, and what does one cost?

    new      remote_write bodies of 2,500 series, 11 labels each, one point a series, none seen
             before; fsynced                                  (target >= 200 k series/s, <= 1 KB)
    known    the same bodies again, ten seconds later: the baseline of the same run
    replay   the log of both, reopened

In one process, without HTTP: CPU of the process while the bodies go through, memory by what the
process holds more than before. Answers are checked: every series is there, with two points.
Run: python -m benchmarks.bench_churn [--json] [--series N]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

import tsdb
from benchmarks.remote_write_bodies import bodies, tsbs
from tsdb.parse import compression, remote_write
from tsdb.parse.remote_names import KnownNames

SERIES, A_BODY, UNDER_WAY = 1_000_000, 2_500, 16


def send(db: tsdb.Database, known: KnownNames, made: list[bytes]) -> tuple[float, float]:
    """(wall, CPU) seconds until all are on disk; UNDER_WAY bodies wait at a time."""
    room, left = threading.Semaphore(UNDER_WAY), threading.Semaphore(0)
    failed: list[BaseException] = []

    def done(outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            failed.append(outcome)
        room.release()
        left.release()

    def parse_of(body: bytes) -> Any:
        def parse() -> Any:
            plain = compression.decode_padded(body, "snappy", bytes_max=1 << 30)
            return remote_write.parse_1(plain, db.resolution, known)

        return parse

    begun, cpu = time.perf_counter(), time.process_time()
    for body in made:
        room.acquire()
        db.submit(parse_of(body), size_bytes=8 * len(body), done=done)
    for _ in made:
        left.acquire()
    if failed:
        raise failed[0]
    return time.perf_counter() - begun, time.process_time() - cpu


def rounds(series: int) -> Iterator[list[bytes]]:
    labels = tsbs(series)
    start = int(time.time() * 1000) - 20_000
    for step in range(2):
        yield [
            body
            for _, body in bodies(
                labels, 1, start_ms=start + step * 10_000, step_ms=1, a_body=A_BODY, seed=step
            )
        ]


def measure(series: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="silverback-churn-"))
    new, again = rounds(series)
    process, known = psutil.Process(), KnownNames()
    figures: dict[str, Any] = {"series": series}
    try:
        with tsdb.open(folder / "db", background=False) as db:
            held = process.memory_info().rss
            for name, made in (("new", new), ("known", again)):
                wall, cpu = send(db, known, made)
                figures[f"{name}_per_s"] = series / wall
                figures[f"{name}_per_cpu_s"] = series / cpu
                if name == "new":
                    figures["bytes_a_series"] = (process.memory_info().rss - held) / series
            assert db.stats().series == series
            assert db.stats().points == 2 * series
        cpu = time.process_time()
        with tsdb.open(folder / "db", background=False) as db:
            figures["replay_per_cpu_s"] = 2 * series / (time.process_time() - cpu)
            assert db.stats().series == series
            found = db.select('cpu_usage_user{hostname="host_7"}', 0, 2**62)
            assert [len(one) for one in found] == [2]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--series", type=int, default=SERIES)
    arguments = parser.parse_args()
    figures = measure(arguments.series)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:20} {value:14,.0f}")


if __name__ == "__main__":
    main()
