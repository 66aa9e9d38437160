"""Question: what does a point cost to encode and to decode, and does numba cost more than C?

Input    four kinds of series, generated, seed fixed: 6,000 runs of 120 points of each
Compare  benchmarks/c/gorilla.c, the same algorithm with gcc -O3 -march=native, same run, turn
         by turn, as the machine may be shared: read the ratio first
Measure  thread CPU time, median and best of the passes; columns of a call fit the cache
Check    both encoders byte for byte; both decoders against the input, bit for bit
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_codec [--passes 21] [--json FILE] [--resolution ms]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdb.batch import Columns
from tsdb.codec import gorilla, kernels
from tsdb.codec.accounting import account
from tsdb.codec.resolution import Resolution

RUNS, POINTS_PER_RUN, RUNS_PER_CALL, SEED = 6_000, 120, 60, 1
ENCODE_NS_MAX, DECODE_NS_MAX, C_RATIO_MAX = 8.0, 6.0, 1.3
SOURCE = Path(__file__).with_name("c") / "gorilla.c"
NO_COMPILER = "no C compiler (cc, gcc or clang) on PATH: the C columns are left out"


# --- input --------------------------------------------------------------------------------------


def stamps(rng: np.random.Generator, resolution: Resolution, jitter_s: float) -> np.ndarray:
    """A scrape every 15 s: a grid of its own a series, jitter, one scrape in 2,000 missed."""
    shape = RUNS, POINTS_PER_RUN
    at = 15.0 * np.arange(POINTS_PER_RUN) + rng.uniform(0, 15, RUNS)[:, None]
    if jitter_s:
        at = at + rng.normal(0, jitter_s, shape)
        at += 15.0 * np.cumsum(rng.random(shape) < 0.0005, axis=1)
    grid = np.round(at * resolution.ticks_per_s).astype(np.int64)
    return grid + 1_760_000_000 * resolution.ticks_per_s


def walk(rng: np.random.Generator) -> np.ndarray:
    """A load between 0 and 100 that takes normal steps."""
    at = rng.uniform(0, 100, RUNS)
    out = np.empty((RUNS, POINTS_PER_RUN))
    for i in range(POINTS_PER_RUN):
        out[:, i] = at
        at = np.clip(at + rng.normal(0, 1, RUNS), 0, 100)
    return out


def scrape_mix(rng: np.random.Generator) -> np.ndarray:
    """What an exporter's page holds: 45 % histogram buckets, most of them idle, 20 % counters,
    15 % constants, 12 % whole-number gauges, 5 % byte counters, 3 % seconds with two decimals."""
    kinds = rng.choice(6, RUNS, p=[0.45, 0.20, 0.15, 0.12, 0.05, 0.03])
    out = np.empty((RUNS, POINTS_PER_RUN))
    for row, kind in zip(out, kinds, strict=True):
        n = row.size
        if kind == 0:
            rate = 0 if rng.random() < 0.6 else rng.lognormal(0, 1.5)
            row[:] = np.floor(rng.lognormal(6, 3)) + np.cumsum(rng.poisson(rate, n))
        elif kind == 1:
            rate = rng.lognormal(2, 2)
            row[:] = np.floor(rng.lognormal(9, 2)) + np.cumsum(rng.poisson(rate, n))
        elif kind == 2:
            row[:] = rng.choice([0.0, 1.0, 8.0, 1.76e9, 16777216.0])
        elif kind == 3:
            step = rng.choice([1, 1, 4096])
            level = np.abs(np.cumsum(np.rint(rng.normal(0, 2, n))))
            row[:] = (level + rng.integers(10, 100_000)) * step
        elif kind == 4:
            row[:] = np.floor(rng.lognormal(20, 2)) + np.cumsum(np.floor(rng.lognormal(11, 1, n)))
        else:
            row[:] = np.round(rng.uniform(100, 1e6) + np.cumsum(rng.gamma(2, 15 / 8, n)), 2)
    return out


def inputs(resolution: Resolution) -> dict[str, Columns]:
    rng = np.random.default_rng(SEED)
    jittered = stamps(rng, resolution, 0.003)
    exact = stamps(rng, resolution, 0)
    steps = walk(rng)
    offsets = np.arange(RUNS + 1, dtype=np.int64) * POINTS_PER_RUN
    kinds = {
        "scrape mix, 3 ms jitter": (jittered, scrape_mix(rng)),
        "walk, whole numbers, exact grid": (exact, np.floor(steps)),
        "walk, two decimals, 3 ms jitter": (jittered, np.round(steps, 2)),
        "walk, full precision, 3 ms jitter": (jittered, steps),
    }
    return {k: Columns(offsets, t.ravel(), v.ravel()) for k, (t, v) in kinds.items()}


# --- the two implementations ------------------------------------------------------------------


@dataclass(frozen=True)
class Codec:
    """Kernels with one calling convention: arrays in, the kernel's own verdict out."""

    encode: Callable[..., int]
    decode: Callable[..., int]


def numba_codec() -> Codec:
    return Codec(kernels.encode_runs, kernels.decode_chunks)


def c_codec() -> Codec | None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "gorilla.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC", "-fwrapv"]
        subprocess.run([compiler, *flags, str(SOURCE), "-o", str(built)], check=True)
        library = ctypes.CDLL(str(built))
    library.encode_runs.restype = ctypes.c_uint64
    library.decode_chunks.restype = ctypes.c_int64

    def address(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def encode(offsets, timestamps, values, widths, out, ends):
        runs = ctypes.c_int64(offsets.size - 1)
        arrays = map(address, (timestamps, values))
        word = ctypes.c_uint64(int(widths))
        return library.encode_runs(
            address(offsets), runs, *arrays, word, address(out), address(ends)
        )

    def decode(data, starts, ends, counts, widths, timestamps, values):
        chunks = ctypes.c_int64(counts.size)
        arrays = map(address, (data, starts, ends, counts))
        word = ctypes.c_uint64(int(widths))
        return library.decode_chunks(*arrays, chunks, word, address(timestamps), address(values))

    return Codec(encode, decode)


# --- measuring --------------------------------------------------------------------------------


class Calls:
    """The work of one pass, cut into calls whose columns fit the cache."""

    def __init__(self, columns: Columns, resolution: Resolution) -> None:
        self.columns = columns
        self.widths = resolution.packed_widths
        self.data, self.ends = gorilla.encode_runs(columns, resolution)
        padding = np.zeros(gorilla.DECODE_SLACK_BYTES, np.uint8)
        self.padded = np.concatenate([self.data, padding])
        self.counts = np.diff(columns.offsets)
        self.out = np.empty(gorilla.encode_bound_bytes(columns.points, columns.runs), np.uint8)
        self.out_ends = np.empty(columns.runs + 1, np.int64)
        self.timestamps = np.empty(columns.points, np.uint64)
        self.values = np.empty(columns.points, np.uint64)

    def check(self, codec: Codec) -> None:
        """A fast wrong answer is not a result."""
        timestamps, values = (
            a.view(np.uint64) for a in (self.columns.timestamps, self.columns.values)
        )
        self.out[:], self.timestamps[:], self.values[:] = 0, 0, 0
        size = codec.encode(
            self.columns.offsets, timestamps, values, self.widths, self.out, self.out_ends
        )
        np.testing.assert_array_equal(self.out[:size], self.data)
        np.testing.assert_array_equal(self.out_ends, self.ends)
        verdict = codec.decode(
            self.padded, self.ends[:-1], self.ends[1:], self.counts, self.widths,
            self.timestamps, self.values,
        )  # fmt: skip
        assert verdict == kernels.SOUND
        np.testing.assert_array_equal(self.timestamps, timestamps)
        np.testing.assert_array_equal(self.values, values)

    def encode_calls(self) -> list[tuple]:
        offsets = self.columns.offsets[: RUNS_PER_CALL + 1]
        timestamps = self.columns.timestamps.view(np.uint64)
        values = self.columns.values.view(np.uint64)
        size = int(offsets[-1])
        return [
            (offsets, timestamps[a : a + size], values[a : a + size], self.widths, self.out,
             self.out_ends)
            for a in range(0, self.columns.points, size)
        ]  # fmt: skip

    def decode_calls(self) -> list[tuple]:
        counts = self.counts[:RUNS_PER_CALL]
        return [
            (self.padded, self.ends[a : a + RUNS_PER_CALL], self.ends[a + 1 :][:RUNS_PER_CALL],
             counts, self.widths, self.timestamps, self.values)
            for a in range(0, self.columns.runs, RUNS_PER_CALL)
        ]  # fmt: skip


def timed(function: Callable[..., int], calls: list[tuple]) -> float:
    start = time.thread_time_ns()
    for arguments in calls:
        function(*arguments)
    return time.thread_time_ns() - start


def measure(
    columns: Columns, resolution: Resolution, passes: int, codecs: dict[str, Codec]
) -> dict:
    """{"encode numba": {"median": ns a point, "best": ns a point}, ...}"""
    work = Calls(columns, resolution)
    for codec in codecs.values():
        work.check(codec)
    encodes, decodes = work.encode_calls(), work.decode_calls()
    spent: dict[str, list[float]] = {}
    for _ in range(passes):
        for name, codec in codecs.items():
            spent.setdefault(f"encode {name}", []).append(timed(codec.encode, encodes))
            spent.setdefault(f"decode {name}", []).append(timed(codec.decode, decodes))
    return {
        name: {"median": float(np.median(ns)) / columns.points, "best": min(ns) / columns.points}
        for name, ns in spent.items()
    }


# --- report -----------------------------------------------------------------------------------


def table(results: dict[str, dict], languages: list[str]) -> str:
    heads = [f"{what} {language}" for what in ("encode", "decode") for language in languages]
    lines = [
        "ns a point, median (best)",
        "",
        f"| series | bits: timestamp + value | {' | '.join(heads)} |"
        + (" ratios |" * (len(languages) > 1)),
        "|---|--:" + "|--:" * len(heads) + "|" + "--:|" * (len(languages) > 1),
    ]
    for name, row in results.items():
        cells = [f"{row[h]['median']:.2f} ({row[h]['best']:.2f})" for h in heads]
        bits = f"{row['bits_per_timestamp']:.2f} + {row['bits_per_value']:.2f}"
        line = f"| {name} | {bits} | {' | '.join(cells)} |"
        if len(languages) > 1:
            line += " " + ", ".join(f"{row[f'{w} ratio']:.2f}" for w in ("encode", "decode")) + " |"
        lines.append(line)
    return "\n".join(lines)


def verdicts(results: dict[str, dict]) -> list[str]:
    """The targets, each with what was measured."""
    lines = []
    for what, most in (("encode", ENCODE_NS_MAX), ("decode", DECODE_NS_MAX)):
        mixed = next(iter(results.values()))[f"{what} numba"]["median"]
        verdict = "met" if mixed <= most else "MISSED"
        lines.append(f"{what} of the mix: {mixed:.2f} ns, target {most:.0f} ns: {verdict}")
        ratios = [row[f"{what} ratio"] for row in results.values() if f"{what} ratio" in row]
        if ratios:
            verdict = "met" if max(ratios) <= C_RATIO_MAX else "MISSED"
            lines.append(
                f"{what} against C: {max(ratios):.2f}x at worst, target {C_RATIO_MAX}x: {verdict}"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=21)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--resolution", default="ms")
    options = parser.parse_args()
    resolution = Resolution.parse(options.resolution)
    codecs = {"numba": numba_codec()}
    in_c = c_codec()
    if in_c is None:
        sys.stdout.write(NO_COMPILER + "\n")
    else:
        codecs["C"] = in_c
    results = {}
    for name, columns in inputs(resolution).items():
        row = measure(columns, resolution, options.passes, codecs)
        if in_c is not None:
            for what in ("encode", "decode"):
                row[f"{what} ratio"] = row[f"{what} numba"]["median"] / row[f"{what} C"]["median"]
        bits = account(columns, resolution)
        row["bits_per_timestamp"], row["bits_per_value"] = (
            bits.bits_per_timestamp,
            bits.bits_per_value,
        )
        results[name] = row
    sys.stdout.write("\n".join([table(results, list(codecs)), "", *verdicts(results), ""]))
    if options.json:
        document = {
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "resolution": resolution.name_,
            "runs": RUNS,
            "points_per_run": POINTS_PER_RUN,
            "seed": SEED,
            "passes": options.passes,
            "results": results,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
