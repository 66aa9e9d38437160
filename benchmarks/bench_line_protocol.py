"""Question: what does a value cost between a line of InfluxDB's protocol and a ref?

Input    TSBS' cpu lines, ten tags and ten fields, of 4,000 hosts (40,000 series), whole numbers or
         two decimals; the same with one field; one host's lines, as an agent sends them; 1,000
         lines a body, seed fixed; every series was seen before
Compare  the obvious Python: split the line at spaces, commas, equals signs, float(); same bytes,
         same run, turn by turn, as the machine may be shared: read the ratio first
Measure  thread CPU time of the parser, and of finding the refs; best and median of the passes; new
         series: canonical keys of all
Check    values and times against what was sent, refs against canonical keys
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_line_protocol [--passes 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsdb import limits
from tsdb.batch import Parsed, U32s
from tsdb.codec.resolution import Resolution
from tsdb.commit.naming import Naming as Names
from tsdb.commit.request import Refusals
from tsdb.index.registry import NO_REF, Registry
from tsdb.parse import line_protocol
from tsdb.parse.line_protocol import Naming

HOSTS, LINES_A_BODY, T, SEED = 4_000, 1_000, 1_700_000_000_000_000_000, 3
VALUES_PER_S_MIN = 8e6
FIELDS = (
    "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq",
    "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
)  # fmt: skip
REGIONS = ("eu-central-1", "us-west-2", "ap-southeast-1", "sa-east-1")


@dataclass(frozen=True)
class Case:
    name: str
    fields: int
    decimals: bool
    hosts: int

    @property
    def total(self) -> int:
        return HOSTS * self.fields


def head(i: int, hosts: int) -> str:
    i %= hosts
    region = REGIONS[i % 4]
    return (
        f"cpu,hostname=host_{i},region={region},datacenter={region}{'abc'[i % 3]},rack={i % 100},"
        f"os=Ubuntu16.04LTS,arch=x{'86' if i % 2 else '64'},team={'NYC' if i % 5 else 'SF'},"
        f"service={i % 20},service_version={i % 2},service_environment=production"
    )


def bodies(case: Case, values: np.ndarray) -> list[bytes]:
    suffix = "" if case.decimals else "i"
    lines = [
        f"{head(i, case.hosts)} "
        + ",".join(f"{f}={v}{suffix}" for f, v in zip(FIELDS, row, strict=False))
        + f" {T + i * 10**6}\n"
        for i, row in enumerate(values.tolist())
    ]
    return ["".join(lines[at : at + LINES_A_BODY]).encode() for at in range(0, HOSTS, LINES_A_BODY)]


def split(body: bytes) -> list[tuple[dict[bytes, bytes], bytes, int, float]]:
    rows = []
    for line in body.splitlines():
        name, fields, stamp = line.split(b" ")
        _, *tags = name.split(b",")
        labels = dict(tag.split(b"=") for tag in tags)
        moment = int(stamp) // 1_000_000
        for field in fields.split(b","):
            key, value = field.split(b"=")
            rows.append((labels, key, moment, float(value.rstrip(b"i"))))
    return rows


def parse(body: bytes) -> Parsed:
    found = line_protocol.parse(
        body, Resolution.MS, precision="ns", now_ticks=0, naming=Naming("benchmark")
    )
    return found.points


def measure(case: Case, passes: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    values = rng.integers(0, 101, (HOSTS, case.fields))
    if case.decimals:
        values = np.round(rng.uniform(0, 100, (HOSTS, case.fields)), 2)
    texts = bodies(case, values)
    found = [parse(body) for body in texts]
    registry = Registry()
    names = Names(registry, series_max=limits.SERIES_MAX)
    refs = [names.resolve(one, Refusals())[0] for one in found]
    check(found, refs, values, registry)

    def canonical() -> None:
        for one in found:
            assert one.canonical_many is not None
            one.canonical_many(np.arange(one.columns.runs))

    steps = {
        "parse": lambda: [parse(body) for body in texts],
        "resolve": lambda: [names.resolve(one, Refusals()) for one in found],
        "python": lambda: [split(body) for body in texts],
        "canonical": canonical,
    }
    taken: dict[str, list[int]] = {name: [] for name in steps}
    for _ in range(passes):
        for name, step in steps.items():
            start = time.thread_time_ns()
            step()
            taken[name].append(time.thread_time_ns() - start)
    best = {name: min(ns) / case.total for name, ns in taken.items()}
    median = {name: statistics.median(ns) / case.total for name, ns in taken.items()}
    ours, usual = (ns["parse"] + ns["resolve"] for ns in (best, median))
    return {
        "case": case.name,
        "bytes_a_value": sum(map(len, texts)) / case.total,
        "best_ns": best,
        "median_ns": median,
        "values_per_s": 1e9 / ours,
        "values_per_s_median": 1e9 / usual,
        "mb_per_s_parse": sum(map(len, texts)) / min(taken["parse"]) * 1e3,
        "python_over_parse": median["python"] / median["parse"],
    }


def check(found: list[Parsed], refs: list[U32s], values: np.ndarray, registry: Registry) -> None:
    """A fast wrong answer is not a result."""
    sent = values.astype(np.float64).ravel()
    assert np.concatenate([one.columns.values for one in found]).tolist() == sent.tolist()
    stamps = np.concatenate([one.columns.timestamps for one in found])
    assert stamps.tolist() == np.repeat(T // 10**6 + np.arange(HOSTS), values.shape[1]).tolist()
    for one, numbers in zip(found, refs, strict=True):
        assert not one.skipped
        assert not (numbers == NO_REF).any()
        assert one.canonical_many is not None
        keys, offsets = one.canonical_many(np.arange(one.columns.runs))
        for run in range(0, one.columns.runs, 997):
            key = keys[offsets[run] : offsets[run + 1]].tobytes()
            assert registry.key(int(numbers[run])) == key


CASES = (
    Case("TSBS cpu, 10 whole numbers", 10, decimals=False, hosts=HOSTS),
    Case("TSBS cpu, 10 decimals", 10, decimals=True, hosts=HOSTS),
    Case("TSBS tags, 1 decimal", 1, decimals=True, hosts=HOSTS),
    Case("one host, 10 whole numbers", 10, decimals=False, hosts=1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measure(case, arguments.passes) for case in CASES]
    words = f"{'':<28}{'B/value':>8}{'parse':>8}{'resolve':>8}{'M/s':>8}{'median':>8}{'MB/s':>8}"
    print(f"{words}{'python/parse':>14}{'new series ns':>15}")
    for row in rows:
        ns = row["best_ns"]
        print(
            f"{row['case']:<28}{row['bytes_a_value']:>8.0f}{ns['parse']:>8.1f}"
            f"{ns['resolve']:>8.1f}{row['values_per_s'] / 1e6:>8.1f}"
            f"{row['values_per_s_median'] / 1e6:>8.1f}{row['mb_per_s_parse']:>8.0f}"
            f"{row['python_over_parse']:>13.1f}x{ns['canonical']:>15.0f}"
        )
    print("\nparse and resolve: ns a value, best pass; MB/s of text in the parser")
    reached = rows[0]["values_per_s"]
    if reached < VALUES_PER_S_MIN:
        print(f"{rows[0]['case']}: {reached / 1e6:.1f} M values/s, below 8 M")
    if arguments.json:
        figures = {"machine": platform.processor(), "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
