"""Question: how large is a points entry of the log, and what do making and reading it cost?

    rows     a scrape, one point a series: 10,000 and 65,000 series          (goals <= 8 B a point,
             targets in order, and series in any order                        >= 30 M points/s)
    runs     100 series x 500 points                                         (goal <= 3 B a point)

Input    the exporter mix of benchmarks/bench_head.py, seed fixed
Compare  same run: the plain columns (ref u32, timestamp, value) as bytes and back, 20 B a point
Measure  thread CPU time, medians of rounds; the machine may be shared: read the ratios first
Check    what is decoded is what was encoded, bit for bit

Run      python -m benchmarks.bench_points [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.bench_head import batches, columns_of, same, timed
from tsdb.batch import Batch, SeriesDefinitions
from tsdb.codec.resolution import Resolution
from tsdb.log.points import decode_points, encode_points

ROUNDS, STEP = 21, 30  # the scrape that is measured: counters have moved by then


@dataclass
class Entry:
    name: str
    points: int
    bytes_a_point: float
    encode_mps: float
    decode_mps: float
    plain_mps: float


def plain(batch: Batch) -> tuple[np.ndarray, ...]:
    """To bytes and back without any coding."""
    parts = (batch.refs, batch.columns.timestamps, batch.columns.values)
    data = b"".join(part.tobytes() for part in parts)
    cut = np.cumsum([0, *[part.nbytes for part in parts]])
    views = zip(parts, cut, strict=False)
    return tuple(np.frombuffer(data, p.dtype, p.size, at).copy() for p, at in views)


def measured(name: str, batch: Batch) -> Entry:
    payload = encode_points(batch, Resolution.MS)
    back = decode_points(payload)
    assert same(back.columns, batch.columns)
    assert np.array_equal(back.refs, batch.refs)

    def mps(call: Callable[[], object]) -> float:
        return batch.points / statistics.median(timed(call) for _ in range(ROUNDS)) / 1e6

    return Entry(
        name,
        batch.points,
        len(payload) / batch.points,
        mps(lambda: encode_points(batch, Resolution.MS)),
        mps(lambda: decode_points(payload)),
        mps(lambda: plain(batch)),
    )


def inputs() -> dict[str, Batch]:
    found = {}
    for series in (10_000, 65_000):
        for order in ("scrape", "any"):
            *_, found[f"rows, {series:,} series, {order} order"] = batches(series, STEP, order)
    kept = list(batches(1_000, 500, "scrape"))
    columns = columns_of(kept)
    refs = np.arange(1_000, dtype=np.uint32)
    found["runs, 1,000 series x 500"] = Batch(refs, columns, SeriesDefinitions.none())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("| entry | B/point | encode M/s | decode M/s | plain columns, both ways M/s |")
    print("|---|--:|--:|--:|--:|")
    entries = [measured(name, batch) for name, batch in inputs().items()]
    for e in entries:
        print(
            f"| {e.name} | {e.bytes_a_point:.2f} | {e.encode_mps:.1f} | {e.decode_mps:.1f} "
            f"| {e.plain_mps:.0f} |"
        )
    if options.json:
        options.json.write_text(json.dumps({e.name: asdict(e) for e in entries}, indent=2))


if __name__ == "__main__":
    main()
