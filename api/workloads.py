"""Series made from a seed: the same points on every machine and every run.

    in   a workload's name, how many series, how many points, a seed
    out  Workload: names of the series and their Columns

For the compression report, the benchmarks and the demo. What makes a float compress is its
kind (a constant, a counter, a rounded temperature, raw noise), so each kind is here alone, and
`scrape` and `paper` mix them in the shares that real senders show.

Needs numpy only; reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsdb.batch import Columns, I64s

__all__ = ["WORKLOADS", "Workload", "generate"]

SEED = 1
START_S = 1_760_000_000  # 2025-10-09T08:53:20Z: a fixed day, never "now"
Grid = npt.NDArray[np.float64]  # [series, points]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Workload:
    """`names[i]` is the series of run i; timestamps are ticks of `resolution`."""

    name: str
    about: str
    resolution: str
    names: tuple[str, ...]
    columns: Columns


@dataclass(frozen=True, slots=True)
class _Recipe:
    about: str
    values: Callable[[Random, int, int], Grid]
    resolution: str = "ms"
    step_s: int = 15
    jitter_ticks: float = 0.0
    late: float = 0.0  # share of points that come one tick late
    series: int = 100
    points: int = 5_760  # a day at 15 s


def generate(
    name: str, *, series: int | None = None, points: int | None = None, seed: int = SEED
) -> Workload:
    """The workload called `name`; `series` runs of `points` points each. KeyError if unknown."""
    recipe = WORKLOADS[name]
    rows, columns = series or recipe.series, points or recipe.points
    random = np.random.default_rng(seed)
    stamps = _timestamps(random, rows, columns, recipe)
    values = recipe.values(random, rows, columns)
    return Workload(
        name,
        recipe.about,
        recipe.resolution,
        tuple(f'{name}{{series="{i}"}}' for i in range(rows)),
        Columns(np.arange(rows + 1) * columns, stamps.reshape(-1), values.reshape(-1)),
    )


def _timestamps(random: Random, rows: int, columns: int, recipe: _Recipe) -> I64s:
    """A fixed grid a series, with an offset of its own, rounded jitter and late arrivals."""
    ticks = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[recipe.resolution]
    step = recipe.step_s * ticks
    grid = START_S * ticks + np.arange(columns, dtype=np.int64) * step
    stamps = grid + random.integers(0, step, (rows, 1))
    if recipe.jitter_ticks:
        stamps += np.rint(random.normal(0, recipe.jitter_ticks, stamps.shape)).astype(np.int64)
    if recipe.late:
        stamps += random.random(stamps.shape) < recipe.late
    return stamps


def _constant(random: Random, rows: int, columns: int) -> Grid:
    levels = random.choice([0.0, 1.0, 8.0, 16_777_216.0, 1.76e9], (rows, 1))
    return np.repeat(levels, columns, axis=1)


def _counter(random: Random, rows: int, columns: int) -> Grid:
    rate = random.lognormal(2, 2, (rows, 1))
    return np.floor(random.lognormal(9, 2, (rows, 1))) + _sums(
        random.poisson(rate, (rows, columns))
    )


def _byte_counter(random: Random, rows: int, columns: int) -> Grid:
    steps = np.floor(random.lognormal(11, 1, (rows, columns)))
    return np.floor(random.lognormal(20, 2, (rows, 1))) + _sums(steps)


def _cpu_seconds(random: Random, rows: int, columns: int) -> Grid:
    steps = random.gamma(2, 2, (rows, columns))
    return np.round(random.uniform(100, 1e6, (rows, 1)) + _sums(steps), 2)


def _gauge(random: Random, rows: int, columns: int) -> Grid:
    """Whole numbers that wander: goroutines, connections, bytes in pages."""
    unit = random.choice([1.0, 1.0, 4096.0], (rows, 1))
    walk = np.abs(_sums(np.rint(random.normal(0, 2, (rows, columns)))))
    level: Grid = (walk + random.integers(10, 100_000, (rows, 1))) * unit
    return level


def _buckets(random: Random, rows: int, columns: int) -> Grid:
    """Histogram buckets: most never move, some in bursts."""
    busy = random.random((rows, 1)) < 0.4
    rate = np.where(busy, random.lognormal(0, 1.5, (rows, 1)), 0.0)
    steps = random.poisson(rate, (rows, columns))
    return np.floor(random.lognormal(6, 3, (rows, 1))) + _sums(steps)


def _percent(random: Random, rows: int, columns: int) -> Grid:
    return np.floor(_clamped_walk(random, rows, columns))


def _decimal(random: Random, rows: int, columns: int) -> Grid:
    return np.round(_clamped_walk(random, rows, columns), 2)


def _temperature(random: Random, rows: int, columns: int) -> Grid:
    """A room: half degrees, changing every few minutes."""
    walk = 20 + _sums(random.normal(0, 0.03, (rows, columns)))
    halves: Grid = np.round(walk * 2) / 2
    return halves


def _scrape(random: Random, rows: int, columns: int) -> Grid:
    """What an exporter's page holds, by share of its series."""
    kinds: list[tuple[float, Callable[[Random, int, int], Grid]]] = [
        (0.45, _buckets),
        (0.20, _counter),
        (0.15, _constant),
        (0.12, _gauge),
        (0.05, _byte_counter),
        (0.03, _cpu_seconds),
    ]
    return _mixed(random, rows, columns, kinds)


def _paper(random: Random, rows: int, columns: int) -> Grid:
    """Half of the values repeat, most others stay within the last window of bits."""
    kinds: list[tuple[float, Callable[[Random, int, int], Grid]]] = [
        (0.22, _constant),
        (0.13, _temperature),
        (0.26, _percent),
        (0.17, _counter),
        (0.14, _gauge),
        (0.08, _decimal),
    ]
    return _mixed(random, rows, columns, kinds)


def _noise(random: Random, rows: int, columns: int) -> Grid:
    return random.random((rows, columns))


def _mixed(
    random: Random,
    rows: int,
    columns: int,
    kinds: list[tuple[float, Callable[[Random, int, int], Grid]]],
) -> Grid:
    edges = np.rint(np.cumsum([0.0, *(share for share, _ in kinds)]) * rows).astype(int)
    parts = [
        make(random, int(high - low), columns)
        for (_, make), low, high in zip(kinds, edges[:-1], edges[1:], strict=True)
        if high > low
    ]
    return np.concatenate(parts)[random.permutation(rows)]


def _clamped_walk(random: Random, rows: int, columns: int) -> Grid:
    """0 to 100 with steps of N(0, 1), as the TSBS cpu-only use case."""
    level = random.uniform(0, 100, rows)
    out = np.empty((columns, rows))
    for row in out:
        row[:] = level
        level = np.clip(level + random.normal(0, 1, rows), 0, 100)
    return np.ascontiguousarray(out.T)


def _sums(steps: npt.NDArray[np.number]) -> Grid:
    return np.cumsum(steps, axis=1, dtype=np.float64)


WORKLOADS: dict[str, _Recipe] = {
    "paper": _Recipe(
        "the mix the Gorilla paper describes: a point a minute, half of the values repeat",
        _paper,
        resolution="s",
        step_s=60,
        late=0.0135,
        points=1_440,
    ),
    "scrape": _Recipe(
        "an exporter's page every 15 s with 3 ms of jitter: buckets, counters, gauges",
        _scrape,
        jitter_ticks=3,
    ),
    "cpu": _Recipe("whole per cents that wander (TSBS cpu-only)", _percent, step_s=10),
    "counter": _Recipe("request counters", _counter),
    "bytes": _Recipe("byte counters with large steps", _byte_counter),
    "gauge": _Recipe("whole numbers that wander: connections, pages of memory", _gauge),
    "temperature": _Recipe("half degrees that change every few minutes", _temperature, step_s=60),
    "decimal": _Recipe("two decimals that wander: hard for XOR", _decimal, step_s=10),
    "constant": _Recipe("values that never change: the best case", _constant),
    "noise": _Recipe("random mantissas: the worst case, nobody compresses these", _noise),
}
