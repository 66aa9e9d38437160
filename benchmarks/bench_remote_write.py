"""Question: what does a point cost between a remote_write body and a ref, and against what?

Input    TSBS' labels (ten a series) and a scrape mix, seed fixed; 2,000 series of one point a body,
         or 500 of ten; remote_write 1.0 and 2.0; every series was seen before
Compare  the protobuf library (upb) making its message of the same bytes, decoded already: same
         run, turn by turn, as the machine may be shared: read the ratio first
Measure  thread CPU time of each step (snappy, kernel and what Python adds a body, lookup of the
         names), best and median of the passes; new series: canonical keys of all
Check    points and keys against what was sent
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_remote_write [--passes 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cramjam
import numpy as np

from benchmarks.remote_write_bodies import Labels, scrape_mix, tsbs
from benchmarks.remote_write_messages import V1, V2, request_1, request_2
from tsdb import limits
from tsdb.batch import Parsed, U8s
from tsdb.codec.resolution import Resolution
from tsdb.index import labels
from tsdb.index.aliases import Aliases
from tsdb.parse import compression, remote_write
from tsdb.parse.remote_names import KnownNames

SERIES, START_MS, STEP_MS, SEED = 20_000, 1_700_000_000_000, 10_000, 7
POINTS_PER_S_MIN = {1: 4e6, 10: 15e6}  # by points a series, with snappy and lookup


@dataclass(frozen=True)
class Case:
    name: str
    version: int
    series: list[Labels]
    a_body: int  # series
    points: int  # a series

    @property
    def total(self) -> int:
        return len(self.series) * self.points


def bodies(case: Case) -> list[bytes]:
    """Uncompressed messages."""
    rng = np.random.default_rng(SEED)
    values = np.round(rng.normal(50, 10, (len(case.series), case.points)), 2).tolist()
    make = request_1 if case.version == 1 else request_2
    stamps = [START_MS + STEP_MS * k for k in range(case.points)]
    series = [
        (dict(sorted(one.items())), list(zip(stamps, row, strict=True)))
        for one, row in zip(case.series, values, strict=True)
    ]
    return [
        make(*series[at : at + case.a_body]).SerializeToString()
        for at in range(0, len(series), case.a_body)
    ]


def timed(calls: list[Callable[[], Any]], passes: int) -> list[list[int]]:
    """Nanoseconds of each, taken in turn."""
    taken: list[list[int]] = [[] for _ in calls]
    for _ in range(passes):
        for call, into in zip(calls, taken, strict=True):
            start = time.thread_time_ns()
            call()
            into.append(time.thread_time_ns() - start)
    return taken


def measure(case: Case, passes: int) -> dict[str, Any]:
    plain = bodies(case)
    packed = [bytes(cramjam.snappy.compress_raw(body)) for body in plain]
    known, aliases = KnownNames(), Aliases()
    read = remote_write.parse_1 if case.version == 1 else remote_write.parse_2
    message = V1.WriteRequest if case.version == 1 else V2.Request

    def decoded(body: bytes) -> U8s:
        return compression.decode_padded(body, "snappy", bytes_max=limits.BODY_BYTES_MAX)

    def parsed(data: U8s) -> Parsed:
        return read(data, Resolution.MS, known)

    def decode_all() -> None:
        for body in packed:
            data = compression.decode_padded(
                body, "snappy", bytes_max=limits.BODY_BYTES_MAX, buffers=known.buffers
            )
            known.buffers.give(data)

    datas = [decoded(body) for body in packed]
    found = [parsed(data) for data in datas]
    check(case, found)
    for one in found:
        raws = [
            one.key_bytes[s:e].tobytes() for s, e in zip(one.key_starts, one.key_ends, strict=True)
        ]
        aliases.add_many(one.form, raws, np.arange(len(raws), dtype=np.uint32))

    def resolve() -> None:
        for one in found:
            aliases.lookup(one.form, one.key_bytes, one.key_starts, one.key_ends)

    def canonical() -> None:
        for one in found:
            assert one.canonical_many is not None
            one.canonical_many(np.arange(one.columns.runs))

    steps = {
        "snappy": decode_all,
        "parse": lambda: [parsed(data) for data in datas],
        "lookup": resolve,
        "upb": lambda: [message.FromString(body) for body in plain],
        "canonical": canonical,
    }
    taken = dict(zip(steps, timed(list(steps.values()), passes), strict=True))
    best = {name: min(ns) / case.total for name, ns in taken.items()}
    median = {name: statistics.median(ns) / case.total for name, ns in taken.items()}
    ours = [sum(found[step] for step in ("snappy", "parse", "lookup")) for found in (best, median)]
    return {
        "case": case.name, "version": case.version, "series_a_body": case.a_body,
        "points_a_series": case.points, "bytes_a_point": sum(map(len, plain)) / case.total,
        "best_ns": best, "median_ns": median,
        "points_per_s": 1e9 / ours[0], "points_per_s_median": 1e9 / ours[1],
        "upb_over_parse": median["upb"] / median["parse"],
        "canonical_ns_a_series": best["canonical"] * case.points,
        "is_met": 1e9 / ours[0] >= POINTS_PER_S_MIN[case.points],
    }  # fmt: skip


def check(case: Case, found: list[Parsed]) -> None:
    """A fast wrong answer is not a result."""
    assert sum(one.columns.points for one in found) == case.total
    last = found[-1]
    assert last.canonical_many is not None
    keys, offsets = last.canonical_many(np.arange(last.columns.runs))
    expected = [labels.canonical(one) for one in case.series[-last.columns.runs :]]
    assert keys.tobytes() == b"".join(expected)
    assert offsets[-1] == sum(map(len, expected))


def cases() -> list[Case]:
    wide, mix = tsbs(SERIES), scrape_mix(SERIES)
    return [
        case
        for version in (1, 2)
        for case in (
            Case("tsbs", version, wide, 2_000, 1),
            Case("scrape mix", version, mix, 2_000, 1),
            Case("tsbs", version, wide, 500, 10),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measure(case, arguments.passes) for case in cases()]
    head = f"{'':<22}{'B/pt':>7}{'snappy':>8}{'parse':>8}{'lookup':>8}{'M pts/s':>9}{'median':>8}"
    print(f"{head}{'upb/parse':>11}{'new series ns':>15}")
    for row in rows:
        ns = row["best_ns"]
        name = f"{row['version']}.0 {row['case']} x{row['points_a_series']}"
        print(
            f"{name:<22}{row['bytes_a_point']:>7.0f}{ns['snappy']:>8.1f}{ns['parse']:>8.1f}"
            f"{ns['lookup']:>8.1f}{row['points_per_s'] / 1e6:>9.1f}"
            f"{row['points_per_s_median'] / 1e6:>8.1f}{row['upb_over_parse']:>10.1f}x"
            f"{row['canonical_ns_a_series']:>15.0f}"
        )
    if arguments.json:
        figures = {"machine": platform.processor(), "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
