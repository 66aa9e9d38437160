"""Question: what does a block cost to write, to open, to read and to merge?

Input    10,000 series of two hours at 10 s (720 points), ms with 3 ms of jitter: counters, gauges
         with two decimals, constants, small whole numbers; generated, seed fixed
Compare  np.save and np.load of the same points as plain columns, 16 bytes a point, same run
Measure  thread CPU time, median and best of the passes; files are in the page cache; syncs count
         as the CPU they use, not as the wait
Check    every read against the columns that were written, bit for bit
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_block [--passes 7] [--series 10000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tsdb import overlay
from tsdb.batch import Columns
from tsdb.block.layout import BlockMeta
from tsdb.block.merge import merge
from tsdb.block.reader import Block
from tsdb.block.writer import FlushWriter, Origin
from tsdb.codec.resolution import Resolution
from tsdb.vfs import OsFiles

POINTS, STEP_MS, SEED = 720, 10_000, 1
HOUR_MS = 3_600_000
START = 1_700_035_200_000  # a border of windows of two hours
SERIES_PER_SLICE = 4_096
FLUSH_NS_MAX, HOUR_MS_MAX, OPEN_MS_MAX, DISJOINT_NS_MAX = 25.0, 40.0, 1.0, 3.0
FILES = OsFiles()
Figure = dict[str, float]  # median and best


def columns(series: int, start: int) -> Columns:
    rng = np.random.default_rng(SEED)
    shape = series, POINTS
    stamps = start + STEP_MS * np.arange(POINTS) + rng.integers(0, 4, shape)
    kind = (np.arange(series) % 4)[:, None]
    values = np.select(
        [kind == 0, kind == 1, kind == 2],
        [
            np.cumsum(rng.integers(0, 50, shape), axis=1).astype(float),
            np.round(50 + np.cumsum(rng.normal(0, 0.1, shape), axis=1), 2),
            np.ones(shape),
        ],
        rng.integers(0, 100, shape).astype(float),
    )
    offsets = np.arange(series + 1, dtype=np.int64) * POINTS
    return Columns(offsets, stamps.ravel(), values.ravel())


def same(a: Columns, b: Columns) -> None:
    np.testing.assert_array_equal(a.offsets, b.offsets)
    np.testing.assert_array_equal(a.timestamps, b.timestamps)
    np.testing.assert_array_equal(a.values.view(np.uint64), b.values.view(np.uint64))


def part(whole: Columns, lo: int, hi: int) -> Columns:
    first, last = whole.offsets[lo], whole.offsets[hi]
    return Columns(
        whole.offsets[lo : hi + 1] - first,
        whole.timestamps[first:last],
        whole.values[first:last],
    )


def flush(folder: Path, points: Columns, seq: int, *, check: bool = True) -> tuple[BlockMeta, ...]:
    origin = Origin(bytes(16), Resolution.MS, seq, seq)
    writer = FlushWriter(FILES, folder, origin, check=check)
    for lo in range(0, points.runs, SERIES_PER_SLICE):
        hi = min(lo + SERIES_PER_SLICE, points.runs)
        writer.add(np.arange(lo, hi, dtype=np.uint32), part(points, lo, hi))
    return writer.finish()


def cpu(passes: int, function: Callable[[], object], scale: float = 1e3) -> Figure:
    """Seconds x scale, median and best of the passes; the first warms up and does not count."""
    function()
    spent = []
    for _ in range(passes):
        start = time.thread_time()
        function()
        spent.append((time.thread_time() - start) * scale)
    return {"median": float(np.median(spent)), "best": min(spent)}


def writing(folder: Path, points: Columns, passes: int) -> dict[str, Figure]:
    per_point = 1e9 / points.points
    table = np.stack([points.timestamps, points.values.view(np.int64)])
    return {
        "flush, checked": cpu(passes, lambda: flush(folder, points, 1), per_point),
        "flush, unchecked": cpu(passes, lambda: flush(folder, points, 1, check=False), per_point),
        "np.save": cpu(passes, lambda: np.save(folder / "raw.npy", table), per_point),
    }


def reading(folder: Path, points: Columns, passes: int) -> dict[str, Figure]:
    (meta,) = flush(folder, points, 1)
    path = folder / meta.name
    block = Block.open(FILES, path)
    everyone = np.arange(points.runs, dtype=np.uint32)
    some = everyone[7 :: max(1, points.runs // 100)]
    last = START + 2 * HOUR_MS
    cases = {
        "all series, one of two hours": (everyone, START, START + HOUR_MS - 1),
        "all series, an hour across chunks": (everyone, START + HOUR_MS // 2, last - HOUR_MS // 2),
        "all series, both hours": (everyone, START, last),
        f"{some.size} series, both hours": (some, START, last),
        "1 series, both hours": (some[:1], START, last),
    }

    def load() -> np.ndarray:
        return np.load(folder / "raw.npy")

    def open_cold() -> None:
        block.forget()
        _ = block.table, block.stripe_checks

    figures = {"open": cpu(passes, lambda: Block.open(FILES, path))}
    figures["first use of the index"] = cpu(passes, open_cold)
    for name, (refs, start, end) in cases.items():
        expected = overlay.clip(taken(points, refs), start, end)
        same(block.read(refs, start, end), expected)
        figures[name] = cpu(passes, lambda c=(refs, start, end): block.read(*c))
    figures["np.load, both hours"] = cpu(passes, load)
    return figures


def taken(points: Columns, refs: np.ndarray) -> Columns:
    counts = np.diff(points.offsets)[refs]
    return overlay.gather(points, points.offsets[:-1][refs], counts)


def laying(points: Columns, passes: int) -> dict[str, Figure]:
    """ns a point of the answer."""
    later = Columns(points.offsets, points.timestamps + 2 * HOUR_MS, points.values)
    shifted = Columns(points.offsets, points.timestamps + HOUR_MS, points.values)
    figures = {}
    for name, sources in (
        ("one after the other", [points, later]),
        ("half overlapping", [points, shifted]),
    ):
        scale = 1e9 / overlay.overlay(sources).points
        figures[name] = cpu(passes, lambda s=sources: overlay.overlay(s), scale)

    def concatenate() -> None:
        np.concatenate([points.timestamps, later.timestamps])
        np.concatenate([points.values, later.values])

    figures["np.concatenate"] = cpu(passes, concatenate, 1e9 / (2 * points.points))
    return figures


def merging(folder: Path, series: int, passes: int) -> dict[str, Figure]:
    windows = [columns(series, START + i * 2 * HOUR_MS) for i in range(3)]
    metas = [flush(folder, w, i + 2)[0] for i, w in enumerate(windows)]
    blocks = [Block.open(FILES, folder / m.name) for m in metas]
    total = sum(w.points for w in windows)
    figure = cpu(max(1, passes // 3), lambda: merge(FILES, folder, blocks), 1e9 / total)
    (meta,) = merge(FILES, folder, blocks)
    refs = np.arange(series, dtype=np.uint32)
    merged = Block.open(FILES, folder / meta.name).read(refs, START, START + 6 * HOUR_MS)
    same(merged, overlay.overlay(windows))
    return {"three blocks become one": figure}


def verdicts(figures: dict[str, dict[str, Figure]]) -> list[str]:
    """The targets, each with what was measured."""
    targets = [
        ("flush, checked", "write ns a point", FLUSH_NS_MAX, "ns"),
        ("open", "read ms", OPEN_MS_MAX, "ms"),
        ("all series, one of two hours", "read ms", HOUR_MS_MAX, "ms"),
        ("one after the other", "overlay ns a point", DISJOINT_NS_MAX, "ns"),
    ]
    lines = []
    for name, group, most, unit in targets:
        found = figures[group][name]
        verdict = "met" if found["median"] <= most else "MISSED"
        measured = f"{found['median']:.2f} {unit} (best {found['best']:.2f})"
        lines.append(f"{name}: {measured}, target {most:.0f} {unit}: {verdict}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    points = columns(options.series, START)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "write ns a point": writing(folder, points, options.passes),
            "read ms": reading(folder, points, options.passes),
            "overlay ns a point": laying(points, options.passes),
            "merge ns a point": merging(folder, options.series, options.passes),
        }
    lines = [f"{points.runs:,} series x {POINTS} points, median of {options.passes} passes", ""]
    for group, found in figures.items():
        lines += [f"| {group} | median | best |", "|---|--:|--:|"]
        lines += [f"| {n} | {f['median']:.3g} | {f['best']:.3g} |" for n, f in found.items()]
        lines.append("")
    sys.stdout.write("\n".join([*lines, *verdicts(figures), ""]))
    if options.json:
        document = {
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "series": options.series,
            "points_per_series": POINTS,
            "seed": SEED,
            "passes": options.passes,
            "results": figures,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
