"""Question: what does a line of Prometheus' text cost, and how does it depend on its labels?

Input    10,000 lines with 0, 2 and 10 labels, with and without times, generated, seed fixed; a
         node exporter's shape, in which two of five lines are TYPE and HELP; OpenMetrics with an
         exemplar on every tenth line; 5,000 rows of CSV of two metrics
Compare  prometheus_client's parser on the same bytes, turn by turn (its OpenMetrics one for that;
         for CSV Python's csv module with int() and float())
Measure  thread CPU time, median of the passes; what a series costs that was never seen before
Check    columns against the baseline's samples
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_exposition [--passes 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.parse import csv_format, exposition

LINES, SEED = 10_000, 7
T = 1_700_000_000_000
FORM = csv_format.CsvFormat.parse("1:label:ticker,2:metric:ask,3:metric:bid,4:time:unix_s")


def values(count: int) -> list[str]:
    return [f"{v:.2f}" for v in np.random.default_rng(SEED).uniform(0, 1e5, count)]


def series_lines(labels: int, stamp: str = "") -> bytes:
    lines = []
    for i, value in enumerate(values(LINES)):
        pairs = [f'label_{n}="value-{i if n == 0 else i % (n + 5)}"' for n in range(labels)]
        name = "http_requests_total" if labels else f"metric_{i}"
        inside = "{" + ",".join(pairs) + "}" if pairs else ""
        lines.append(f"{name}{inside} {value}{stamp}\n")
    return "".join(lines).encode()


def exporter_lines() -> bytes:
    """Three lines a family."""
    lines = []
    for i, value in enumerate(values(LINES)):
        if i % 3 == 0:
            lines.append(f"# HELP node_metric_{i} A text of a few words about it.\n")
            lines.append(f"# TYPE node_metric_{i} gauge\n")
        lines.append(f'node_metric_{i - i % 3}{{device="sd{i % 3}"}} {value}\n')
    return "".join(lines).encode()


def openmetrics_lines() -> bytes:
    lines = ["# TYPE http_requests counter\n"]
    for i, value in enumerate(values(LINES)):
        exemplar = f' # {{trace_id="{i:032x}"}} 1 {T // 1000}.125' if i % 10 == 0 else ""
        stamp = f"{T // 1000}.250"
        lines.append(f'http_requests_total{{path="/{i}",code="200"}} {value} {stamp}{exemplar}\n')
    return "".join([*lines, "# EOF\n"]).encode()


def csv_rows() -> bytes:
    found = values(LINES)
    rows = zip(found[::2], found[1::2], strict=True)
    return "".join(f"T{i % 50},{a},{b},{T // 1000 + i}\n" for i, (a, b) in enumerate(rows)).encode()


def ours(body: bytes) -> Parsed:
    return exposition.parse(body, Resolution.MS, now_ticks=T)


def ours_openmetrics(body: bytes) -> Parsed:
    return exposition.parse(body, Resolution.MS, now_ticks=T, openmetrics=True)


def ours_csv(body: bytes) -> Parsed:
    return csv_format.parse(body, FORM, Resolution.MS, now_ticks=T)


def theirs(body: bytes) -> list[float]:
    return [s.value for f in prometheus_text(body.decode()) for s in f.samples]


def theirs_openmetrics(body: bytes) -> list[float]:
    families = openmetrics(body.decode())  # type: ignore[no-untyped-call]
    return [float(s.value) for f in families for s in f.samples]


def theirs_csv(body: bytes) -> list[float]:
    found = []
    for _, ask, bid, moment in csv.reader(body.decode().splitlines()):
        assert int(moment) > 0
        found += [float(ask), float(bid)]
    return found


Read = Callable[[bytes], Any]
KINDS: dict[str, tuple[bytes, Read, Read]] = {
    "no labels": (series_lines(0), ours, theirs),
    "2 labels": (series_lines(2), ours, theirs),
    "2 labels, times": (series_lines(2, f" {T}"), ours, theirs),
    "10 labels": (series_lines(10), ours, theirs),
    "exporter": (exporter_lines(), ours, theirs),
    "openmetrics": (openmetrics_lines(), ours_openmetrics, theirs_openmetrics),
    "csv, per value": (csv_rows(), ours_csv, theirs_csv),
}


def bench(name: str, passes: int) -> dict[str, float]:
    body, read, baseline = KINDS[name]
    parsed = read(body)
    assert not parsed.skipped
    assert parsed.columns.values.tolist() == baseline(body)
    taken: list[list[int]] = [[], []]
    for _ in range(passes):
        for call, times, into in zip((read, baseline), (5, 1), taken, strict=True):
            start = time.thread_time_ns()
            for _ in range(times):
                call(body)
            into.append((time.thread_time_ns() - start) // times)
    points = parsed.columns.points
    ns, slow = (statistics.median(t) / points for t in taken)
    return {
        "ns_per_point": round(ns, 1),
        "points_per_s": round(1e9 / ns),
        "MB_per_s": round(len(body) / points / ns * 1e3),
        "times_python": round(slow / ns, 1),
    }


def bench_new_series(passes: int) -> dict[str, float]:
    """Canonical labels of a series never seen before."""
    parsed = ours(series_lines(10))
    text = parsed.key_bytes.tobytes()
    raws = [text[s:e] for s, e in zip(parsed.key_starts, parsed.key_ends, strict=True)]
    assert parsed.canonical_many is not None
    runs = np.arange(LINES, dtype=np.int64)
    taken: list[list[int]] = [[], []]
    for _ in range(passes):
        start = time.thread_time_ns()
        out, _ = parsed.canonical_many(runs)
        taken[0].append(time.thread_time_ns() - start)
        start = time.thread_time_ns()
        keys = [parsed.canonical(raw) for raw in raws]
        taken[1].append(time.thread_time_ns() - start)
        assert out.tobytes() == b"".join(keys)
    ns, slow = (statistics.median(t) / LINES for t in taken)
    return {"ns_per_series": round(ns), "times_python": round(slow / ns, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = {name: bench(name, options.passes) for name in KINDS}
    report["new series, 10 labels"] = bench_new_series(options.passes)
    for what, figures in report.items():
        told = ", ".join(f"{key} {value:,}" for key, value in figures.items())
        print(f"{what:<24}{told}")
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"exposition": report} | machine, indent=2))


if __name__ == "__main__":
    main()
