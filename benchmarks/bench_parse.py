"""Question: what does a point cost between bytes and columns, in and out, and against what?

Input    generated, seed fixed: JSON lines and CSV of 13-digit times and values of two decimals,
         17 digits, or whole numbers
Compare  orjson, which makes and takes Python objects, and Python's csv module with float(): same
         bytes, same run, turn by turn, as the machine may be shared: read the ratio first
Measure  thread CPU time, median and best of the passes
Check    columns in against the input, text out against the input read back, bit for bit
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_parse [--passes 11] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from api.encode import json_lines as lines_out
from api.encode import points_json as points_out
from tsdb.batch import Columns
from tsdb.codec.resolution import Resolution
from tsdb.index.labels import Labels, canonical
from tsdb.parse import csv_lines, json_lines, points_json
from tsdb.query.selection import Selection

SERIES, POINTS_PER_SERIES, SEED = 5_000, 20, 1
POINTS = SERIES * POINTS_PER_SERIES
LINES_POINTS_PER_S_MIN = 10e6
CSV_POINTS_PER_S_MIN = 1e6
KEY = canonical({"__name__": "x"})


@dataclass(frozen=True)
class Figures:
    """One row of the table. Without `baseline_ns` there is nothing to compare with."""

    what: str
    text_bytes: int
    ns: list[float]
    baseline_ns: list[float]

    @property
    def point_ns(self) -> float:
        return statistics.median(self.ns) / POINTS

    @property
    def ratio(self) -> float:
        return statistics.median(self.baseline_ns) / statistics.median(self.ns)

    def row(self) -> str:
        best = min(self.ns)
        return (
            f"{self.what:<34}{self.point_ns:>10.1f}{1e3 / self.point_ns:>10.1f}"
            f"{POINTS / best * 1e3:>10.1f}{self.text_bytes / best * 1e3:>10.0f}{self.ratio:>12.1f}x"
        )


HEADER = f"{'':<34}{'ns/point':>10}{'M pts/s':>10}{'best':>10}{'MB/s':>10}{'baseline':>13}\n"


def measured(ours: Callable[[], Any], theirs: Callable[[], Any], passes: int) -> list[list[float]]:
    """Nanoseconds of both, taken in turn."""
    taken: list[list[float]] = [[], []]
    for _ in range(passes):
        for call, into in zip((ours, theirs), taken, strict=True):
            start = time.thread_time_ns()
            call()
            into.append(time.thread_time_ns() - start)
    return taken


def values_of(rng: np.random.Generator, kind: str) -> np.ndarray:
    if kind == "two decimals":
        return np.round(rng.uniform(0, 100, POINTS), 2)
    if kind == "17 digits":
        return rng.uniform(0, 1, POINTS)
    return rng.integers(0, 1_000_000, POINTS).astype(np.float64)


def selection_of(rng: np.random.Generator, values: np.ndarray) -> Selection:
    starts = 1_700_000_000_000 + rng.integers(0, 15_000, SERIES)
    stamps = (starts[:, None] + 15_000 * np.arange(POINTS_PER_SERIES)).ravel()
    labels = [
        Labels({"__name__": "node_cpu_seconds_total", "instance": f"host-{i}:9100", "mode": "idle"})
        for i in range(SERIES)
    ]
    offsets = np.arange(0, POINTS + 1, POINTS_PER_SERIES)
    return Selection(
        np.arange(SERIES, dtype=np.uint32),
        Columns(offsets, stamps.astype(np.int64), values),
        labels_of=lambda ref: labels[ref],
        resolution=Resolution.MS,
    )


def check(columns: Columns, expected: Columns) -> None:
    """A fast wrong answer is not a result."""
    assert columns.timestamps.tolist() == expected.timestamps.tolist()
    assert columns.values.view(np.uint64).tolist() == expected.values.view(np.uint64).tolist()


def bench_lines(selection: Selection, kind: str, passes: int) -> list[Figures]:
    """JSON lines in and out; the baseline is a dict a line."""
    body = b"".join(lines_out.stream(selection, Resolution.MS))
    lines = body.splitlines()
    check(json_lines.parse(body, Resolution.MS).columns, selection.columns())
    documents = [orjson.loads(line) for line in lines]

    def objects_out() -> None:
        for document, one in zip(documents, selection, strict=True):
            document["values"] = one.values.tolist()
            document["timestamps"] = one.timestamps.tolist()
            orjson.dumps(document)

    parsed = measured(
        lambda: json_lines.parse(body, Resolution.MS),
        lambda: [orjson.loads(line) for line in lines],
        passes,
    )
    written = measured(
        lambda: sum(map(len, lines_out.stream(selection, Resolution.MS))), objects_out, passes
    )
    return [
        Figures(f"JSON lines in, {kind}", len(body), *parsed),
        Figures(f"JSON lines out, {kind}", len(body), *written),
    ]


def bench_pairs(selection: Selection, passes: int) -> list[Figures]:
    """[[seconds, value], ...] in and out; the baseline is a list a point."""
    columns = selection.columns()
    answer = points_out.encode("x", columns.timestamps, columns.values, Resolution.MS)
    body = answer[answer.index(b"[") : -1]
    check(points_json.parse(body, KEY, Resolution.MS, 0).columns, columns)

    def objects_out() -> None:
        seconds = (columns.timestamps / 1000).tolist()
        orjson.dumps(list(zip(seconds, columns.values.tolist(), strict=True)))

    parsed = measured(
        lambda: points_json.parse(body, KEY, Resolution.MS, 0), lambda: orjson.loads(body), passes
    )
    written = measured(
        lambda: points_out.encode("x", columns.timestamps, columns.values, Resolution.MS),
        objects_out,
        passes,
    )
    return [
        Figures("pairs in, two decimals", len(body), *parsed),
        Figures("pairs out, two decimals", len(body), *written),
    ]


def bench_csv(selection: Selection, passes: int) -> list[Figures]:
    """Rows of one value, numbers and dates; the baseline is csv and float()."""
    columns = selection.columns()
    figures = []
    for what in ("CSV in, seconds", "CSV in, dates"):
        text = io.StringIO()
        text.write("series,timestamp,value\n")
        for i, (t, v) in enumerate(zip(columns.timestamps, columns.values.tolist(), strict=True)):
            stamp = f"{t // 1000}.{t % 1000:03d}"
            if what.endswith("dates"):
                stamp = str(np.datetime64(int(t), "ms"))
            text.write(f"cpu_{i // POINTS_PER_SERIES},{stamp},{v!r}\n")
        body = text.getvalue().encode()
        (parsed,) = csv_whole(body)
        check(parsed, columns)

        def with_csv(text: str = text.getvalue()) -> list[Any]:
            rows = csv.reader(io.StringIO(text))
            next(rows)
            return [(name, stamp, float(value)) for name, stamp, value in rows]

        taken = measured(lambda body=body: csv_whole(body), with_csv, passes)
        figures.append(Figures(what, len(body), *taken))
    return figures


def csv_whole(body: bytes) -> list[Columns]:
    parts = [part.columns for part in csv_lines.parse([body], Resolution.MS)]
    stamps = np.concatenate([part.timestamps for part in parts])
    values = np.concatenate([part.values for part in parts])
    return [Columns(np.array([0, stamps.size]), stamps, values)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=11)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    figures: list[Figures] = []
    for kind in ("two decimals", "17 digits", "whole numbers"):
        selection = selection_of(rng, values_of(rng, kind))
        figures += bench_lines(selection, kind, options.passes)
        if kind == "two decimals":
            figures += bench_pairs(selection, options.passes)
            figures += bench_csv(selection, options.passes)
    print(HEADER + "\n".join(one.row() for one in figures))
    print("\nbaseline: orjson with Python objects; for CSV Python's csv with float()")
    bounds = {
        "JSON lines in, two decimals": LINES_POINTS_PER_S_MIN,
        "CSV in, seconds": CSV_POINTS_PER_S_MIN,
    }
    for one in figures:
        reached = POINTS / min(one.ns) * 1e9
        if reached < bounds.get(one.what, 0):
            print(
                f"{one.what}: {reached / 1e6:.1f} M points/s, below {bounds[one.what] / 1e6:.0f} M"
            )
    if options.json:
        report = {
            one.what: {
                "ns_per_point": round(one.point_ns, 2),
                "best_points_per_s": round(POINTS / min(one.ns) * 1e9),
                "times_baseline": round(one.ratio, 2),
            }
            for one in figures
        }
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"parse": report} | machine, indent=2))


if __name__ == "__main__":
    main()
