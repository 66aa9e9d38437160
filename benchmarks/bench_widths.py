"""Question: which widths cost the fewest bits a timestamp at µs and ns ticks?

Input    clocks of several kinds, generated, seed fixed: see MODELS
Search   every w1 < w2 < w3 <= 39, last bucket 64; cost is exact (the prefix code is a function of
         the size of a delta of deltas, so one histogram of sizes a model is enough)
Choose   per model the cost relative to the best widths it could have had alone; of the choices
         within 0.5 % of the smallest mean of that, the one with the fewest bits on average (bits
         alone would let the noisiest clocks decide, which no widths can help)
Compare  the paper's and Prometheus' widths with the last bucket widened to 64
Output   a table; docs/decisions/0002-gorilla-widths.md holds it

Run      python -m benchmarks.bench_widths
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np

from tsdb.codec.resolution import Resolution

POINTS, SEED, WIDTH_MAX = 20_000, 2015, 39
I64s = np.ndarray
Clock = Callable[[np.random.Generator], np.ndarray]


def grid(period_s: float, sd_s: float, *, step_s: float = 0.0, gap: float = 0.0005) -> Clock:
    """A timer: a grid, normal jitter about it, a missed tick now and then, a clock of `step_s`."""

    def stamps(rng: np.random.Generator) -> np.ndarray:
        ticks = np.arange(POINTS) + np.cumsum(rng.random(POINTS) < gap)
        at = period_s * ticks + rng.normal(0, sd_s, POINTS)
        return np.round(at / step_s) * step_s if step_s else at

    return stamps


def late(period_s: float, median_s: float, sigma: float) -> Clock:
    """A sleeping thread: woken after its tick, by a lognormal delay with a long tail."""

    def stamps(rng: np.random.Generator) -> np.ndarray:
        return period_s * np.arange(POINTS) + rng.lognormal(np.log(median_s), sigma, POINTS)

    return stamps


def events(mean_s: float) -> Clock:
    """Nothing regular: independent arrivals."""
    return lambda rng: np.cumsum(rng.exponential(mean_s, POINTS))


MODELS: dict[str, Clock] = {
    "timer 10 s, exact, ms clock": grid(10, 0, step_s=1e-3),
    "timer 15 s, sd 1 ms, ms clock": grid(15, 1e-3, step_s=1e-3),
    "timer 15 s, sd 1 ms": grid(15, 1e-3),
    "timer 15 s, sd 3 ms": grid(15, 3e-3),
    "timer 15 s, sd 20 ms": grid(15, 20e-3),
    "thread 1 s, late 60 µs, tail": late(1, 60e-6, 0.7),
    "thread 10 s, late 1 ms, tail": late(10, 1e-3, 1.0),
    "sensor 1 kHz, sd 5 µs": grid(1e-3, 5e-6),
    "sensor 100 Hz, sd 200 ns": grid(1e-2, 200e-9),
    "events, mean 1 ms": events(1e-3),
    "events, mean 100 ms": events(0.1),
    "events, mean 10 s": events(10),
    "device 60 s, sd 0.5 s, gaps": grid(60, 0.5, gap=0.01),
}


def sizes(clock: Clock, resolution: Resolution) -> np.ndarray:
    """How many deltas of deltas need each width: index 0 for zero, else the paper's range."""
    stamps = np.round(clock(np.random.default_rng(SEED)) * resolution.ticks_per_s).astype(np.int64)
    dods = np.diff(stamps, n=2)
    less = dods - 1
    magnitudes = np.where(less < 0, ~less, less)  # width w holds -2^(w-1) <= less < 2^(w-1)
    needed = np.where(dods == 0, 0, 1 + np.ceil(np.log2(magnitudes + 1.0)).astype(np.int64))
    return np.bincount(needed, minlength=65)[:65] / dods.size


def code_bits(widths: tuple[int, ...]) -> np.ndarray:
    """Bits of the code that a delta of deltas of each size takes."""
    bits = np.full(65, 4 + widths[-1])
    for i, width in reversed(list(enumerate(widths[:-1]))):
        bits[: width + 1] = min(i + 2, 4) + width
    bits[0] = 1
    return bits


def search(histograms: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """The chosen widths, and the cost of each model with widths of its own."""
    choices = [(*w, 64) for w in itertools.combinations(range(2, WIDTH_MAX + 1), 3)]
    costs = np.array([code_bits(w) for w in choices]) @ histograms.T  # [choice, model]
    alone = costs.min(axis=0)
    ratio = (costs / alone).mean(axis=1)
    near = np.flatnonzero(ratio <= ratio.min() * 1.005)
    return choices[near[costs[near].mean(axis=1).argmin()]], alone


def report(resolution: Resolution) -> None:
    histograms = np.array([sizes(clock, resolution) for clock in MODELS.values()])
    best, alone = search(histograms)
    columns = {
        "7 9 12 64": (7, 9, 12, 64),
        "14 17 20 64": (14, 17, 20, 64),
        "ours, " + " ".join(map(str, resolution.widths)): resolution.widths,
    }
    costs = np.array([histograms @ code_bits(w) for w in columns.values()] + [alone]).T
    write = sys.stdout.write
    write(f"\n{resolution.name_}: the search chooses {best}, the format has {resolution.widths}\n")
    write(f"\n| {resolution.name_}, bits a timestamp | {' | '.join(columns)} | best alone |\n")
    write("|---" + "|--:" * (len(columns) + 1) + "|\n")
    for name, row in [*zip(MODELS, costs, strict=True), ("mean", costs.mean(axis=0))]:
        write(f"| {name} | {' | '.join(f'{bits:.2f}' for bits in row)} |\n")


if __name__ == "__main__":
    report(Resolution.US)
    report(Resolution.NS)
