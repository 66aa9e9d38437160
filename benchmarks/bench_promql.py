"""Question: what do PromQL queries cost in one process, from text to matrix of values?

    10 families of 1,000 series, 90 minutes @ 15 s (3.6 M points); an hour asked for at 15 s
    rate        sum by (region)(rate(requests_total[5m]))
    avg         avg by (job)(load)
    topk        topk(5, avg_over_time(load[1h])), at one moment
    filter      load > 60
    hourly      avg by (host)(avg_over_time(load[1h])), a step an hour: a mean per hour and host
    last        the last point of all 10,000 series, with their label sets
    count       count by (__name__)({...}) over all 10,000 series
    single      load{host="host_7"}

Baseline, same run: reading the points that the query looks at (`Database.select`). Every answer is
checked against plain Python at some of its steps. CPU of all threads, medians of rounds; from the
head, then from blocks. Without HTTP and JSON. Run: python -m benchmarks.bench_promql [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import tsdb
from tsdb.promql import query
from tsdb.promql.query import Answer, Source
from tsdb.promql.values import Vector

SERIES, STEP_MS, HOUR_MS = 1_000, 15_000, 3_600_000
START_MS = 1_700_000_000_000 // 7_200_000 * 7_200_000
STAMPS = START_MS + np.arange(0, 3 * HOUR_MS // 2, STEP_MS)
END_MS = int(STAMPS[-1])
FAMILIES = ("requests_total", "load", *(f"other_{i}" for i in range(8)))
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-south-1", "sa-east-1")
ROUNDS = 9

Labels = dict[str, str]
Expected = dict[tuple[tuple[str, str], ...], float]


@dataclass(frozen=True)
class Question:
    """A query over the last hour, or at its end; the selector whose points it reads; its answer.

    `expected(at)` is what plain Python makes of step `at` (ms).
    """

    name: str
    text: str
    step_ms: int  # 0: at the end only
    selector: str
    before_ms: int  # how far before a step it looks
    expected: Callable[[int], Expected]

    def ask(self, source: Source) -> Answer:
        if not self.step_ms:
            return query.instant(source, self.text, END_MS)
        return query.over_range(source, self.text, END_MS - HOUR_MS, END_MS, self.step_ms)

    @property
    def start(self) -> int:
        return END_MS - (HOUR_MS if self.step_ms else 0) - self.before_ms + 1


def labels_of(family: int, i: int) -> Labels:
    return {
        "__name__": FAMILIES[family],
        "env": "prod",
        "host": f"host_{i}",
        "job": f"job_{i % 10}",
        "region": REGIONS[i % 5],
    }


def values_of(family: int, i: int) -> np.ndarray:
    """Counters that restart now and then; gauges of two decimals; small whole numbers."""
    rng = np.random.default_rng((family, i))
    if family == 0:
        counter = np.cumsum(rng.integers(0, 50, STAMPS.size)).astype(np.float64)
        restart = int(rng.integers(0, 2 * STAMPS.size))
        counter[restart:] -= counter[restart] if restart < STAMPS.size else 0.0
        return counter
    if family == 1:
        return np.round(rng.normal(50, 10, STAMPS.size), 2)
    return rng.integers(0, 100, STAMPS.size).astype(np.float64)


# --- plain Python --------------------------------------------------------------------------------


def window(values: list[float], at: int, range_ms: int) -> list[tuple[int, float]]:
    return [
        (stamp, value)
        for stamp, value in zip(STAMPS.tolist(), values, strict=True)
        if at - range_ms < stamp <= at
    ]


def rate(points: list[tuple[int, float]], at: int, range_ms: int) -> float:
    change = points[-1][1] - points[0][1]
    change += sum(a for (_, a), (_, b) in pairwise(points) if b < a)
    first, last = points[0][0], points[-1][0]
    seen = (last - first) / 1000
    mean = seen / (len(points) - 1)
    left, right = (first - at + range_ms) / 1000, (at - last) / 1000
    left = left if left < mean * 1.1 else mean / 2
    right = right if right < mean * 1.1 else mean / 2
    if change > 0:
        left = min(left, seen * (points[0][1] / change))
    return change * ((seen + left + right) / seen / (range_ms / 1000))


class Twin:
    """The same points as lists, and what each question comes to."""

    def __init__(self) -> None:
        self.values = [
            [values_of(family, i).tolist() for i in range(SERIES)] for family in range(2)
        ]

    def rates(self, at: int) -> Expected:
        sums: defaultdict[str, list[float]] = defaultdict(list)
        for i, values in enumerate(self.values[0]):
            sums[REGIONS[i % 5]].append(rate(window(values, at, 300_000), at, 300_000))
        return {(("region", region),): math.fsum(each) for region, each in sums.items()}

    def means(self, at: int) -> Expected:
        groups: defaultdict[str, list[float]] = defaultdict(list)
        for i, values in enumerate(self.values[1]):
            groups[f"job_{i % 10}"].append(window(values, at, 300_000)[-1][1])
        return {(("job", job),): math.fsum(each) / len(each) for job, each in groups.items()}

    def top(self, at: int) -> Expected:
        means = {}
        for i, values in enumerate(self.values[1]):
            inside = [value for _, value in window(values, at, HOUR_MS)]
            means[key({**labels_of(1, i), "__name__": ""})] = math.fsum(inside) / len(inside)
        return dict(sorted(means.items(), key=lambda item: -item[1])[:5])

    def above(self, at: int) -> Expected:
        latest = {
            key(labels_of(1, i)): window(values, at, 300_000)[-1][1]
            for i, values in enumerate(self.values[1])
        }
        return {labels: value for labels, value in latest.items() if value > 60}

    def hourly(self, at: int) -> Expected:
        found = {}
        for i, values in enumerate(self.values[1]):
            inside = [value for _, value in window(values, at, HOUR_MS)]
            found[(("host", f"host_{i}"),)] = math.fsum(inside) / len(inside)
        return found

    def single(self, at: int) -> Expected:
        return {key(labels_of(1, 7)): window(self.values[1][7], at, 300_000)[-1][1]}


def last(at: int) -> Expected:
    return {
        key(labels_of(family, i)): float(values_of(family, i)[-1])
        for family in range(len(FAMILIES))
        for i in range(SERIES)
    }


def count(at: int) -> Expected:
    return {(("__name__", family),): float(SERIES) for family in FAMILIES}


def key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def questions() -> list[Question]:
    twin, everything, load = Twin(), '{env="prod"}', "load"
    back = 300_000
    return [
        Question("rate", "sum by (region)(rate(requests_total[5m]))", STEP_MS, "requests_total",
                 back, twin.rates),
        Question("avg", "avg by (job)(load)", STEP_MS, load, back, twin.means),
        Question("topk", "topk(5, avg_over_time(load[1h]))", 0, load, HOUR_MS, twin.top),
        Question("filter", "load > 60", STEP_MS, load, back, twin.above),
        Question("hourly", "avg by (host)(avg_over_time(load[1h]))", HOUR_MS, load, HOUR_MS,
                 twin.hourly),
        Question("last", everything, 0, everything, back, last),
        Question("count", f"count by (__name__)({everything})", 0, everything, back, count),
        Question("single", 'load{host="host_7"}', STEP_MS, 'load{host="host_7"}', back,
                 twin.single),
    ]  # fmt: skip


# --- measuring -----------------------------------------------------------------------------------


def check(question: Question, answer: Answer) -> None:
    """First, middle and last step."""
    vector = answer.value
    assert isinstance(vector, Vector)
    names = [key(dict(labels.items())) for labels in vector.rows.labels()]
    for step in {0, answer.times.size // 2, answer.times.size - 1}:
        expected = question.expected(int(answer.times[step]))
        rows = np.flatnonzero(vector.present[:, step]).tolist()
        found = {names[row]: float(vector.values[row, step]) for row in rows}
        assert found.keys() == expected.keys(), question.name
        for labels, value in expected.items():
            assert math.isclose(found[labels], value, rel_tol=1e-9, abs_tol=1e-9), question.name


def median_ms(step: Callable[[], Any]) -> tuple[float, float]:
    """CPU of all threads, and wall."""
    cpu, wall = [], []
    for _ in range(ROUNDS):
        begun_cpu, begun = time.process_time(), time.perf_counter()
        step()
        wall.append((time.perf_counter() - begun) * 1e3)
        cpu.append((time.process_time() - begun_cpu) * 1e3)
    return statistics.median(cpu), statistics.median(wall)


def fill(db: tsdb.Database) -> None:
    for family in range(len(FAMILIES)):
        db.write_many(
            [labels_of(family, i) for i in range(SERIES)],
            [STAMPS] * SERIES,
            [values_of(family, i) for i in range(SERIES)],
        )


def measure_all(db: tsdb.Database, asked: list[Question]) -> dict[str, Any]:
    source = Source(db.select)
    figures = {}
    for question in asked:
        check(question, question.ask(source))
        # An answer has names: whoever shows it needs them.
        cpu, wall = median_ms(lambda q=question: q.ask(source).value.rows.labels())  # type: ignore[misc]
        select, _ = median_ms(lambda q=question: db.select(q.selector, q.start, END_MS))  # type: ignore[misc]
        figures[question.name] = {
            "cpu_ms": cpu, "wall_ms": wall, "select_ms": select, "ratio": cpu / select,
        }  # fmt: skip
    return figures


def measure(folder: Path) -> dict[str, Any]:
    asked = questions()
    with tsdb.open(folder / "db", background=False) as db:
        fill(db)
        figures = {"head": measure_all(db, asked)}
        db.flush()
        figures["blocks"] = measure_all(db, asked)
    return figures


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
    print(f"{'from':8} {'query':8} {'CPU ms':>8} {'wall ms':>8} {'select ms':>10} {'ratio':>6}")
    for place, part in figures.items():
        for name, each in part.items():
            print(
                f"{place:8} {name:8} {each['cpu_ms']:8.2f} {each['wall_ms']:8.2f} "
                f"{each['select_ms']:10.2f} {each['ratio']:6.2f}"
            )


if __name__ == "__main__":
    main()
