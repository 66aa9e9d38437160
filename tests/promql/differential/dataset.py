"""The points that both databases get: small, seeded, and odd in every way that PromQL minds.

    in   a seed
    out  series: labels, times in ms, values; the moments worth asking about

Gauges, counters with resets, gaps, stale markers, NaN and infinities, huge and tiny values,
irregular times, late starters, early ends, classic histograms sound and unsound, label sets for
matching one to one and many to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["END", "MINUTE", "START", "Series", "dataset"]

START = 1_700_000_000_000  # 2023-11-14; not a multiple of a minute
MINUTE = 60_000
LENGTH = 60 * MINUTE
END = START + LENGTH
SCRAPE = 15_000
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]

Floats: TypeAlias = npt.NDArray[np.float64]
Stamps: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series:
    labels: dict[str, str]
    timestamps: Stamps
    values: Floats


def dataset(seed: int) -> list[Series]:
    rng = np.random.default_rng(seed)
    makers: list[Callable[[np.random.Generator], Iterator[Series]]] = [
        _gauges, _counters, _irregular, _special, _ending, _histograms, _matching,
    ]  # fmt: skip
    found = [series for make in makers for series in make(rng)]
    # Prometheus meets series in the order they came in; ours by labels. Now both are one, so
    # that ties in topk and sort fall alike.
    return sorted(found, key=lambda series: sorted(series.labels.items()))


def _times(step: int = SCRAPE, start: int = START, end: int = END) -> Stamps:
    return np.arange(start, end + 1, step, dtype=np.int64)


def _gauges(rng: np.random.Generator) -> Iterator[Series]:
    for dc in ("east", "west"):
        for host in ("a", "b", "c"):
            times = _times()
            values = np.round(20 + np.cumsum(rng.normal(0, 1, times.size)), 3)
            keep = np.ones(times.size, np.bool_)
            if host == "b":
                keep[80:130] = False  # longer than the look-back
                keep[rng.integers(0, times.size, 20)] = False
            yield Series(
                {"__name__": "temperature", "dc": dc, "host": host}, times[keep], values[keep]
            )


def _counters(rng: np.random.Generator) -> Iterator[Series]:
    for job in ("api", "web"):
        for code in ("200", "404", "500"):
            for instance in ("0", "1"):
                times = _times() + (int(instance) * 3_700)
                values = np.cumsum(rng.integers(0, 12, times.size)).astype(np.float64)
                if instance == "1":
                    reset = int(rng.integers(50, 190))
                    values[reset:] -= values[reset]
                labels = {"job": job, "code": code, "instance": instance}
                yield Series({"__name__": "requests_total", **labels}, times, values)
    times = _times()
    zigzag = np.abs(rng.normal(100, 80, times.size))  # a reset at every other point
    yield Series({"__name__": "restless_total", "job": "api"}, times, zigzag)
    yield Series({"__name__": "constant_total", "job": "api"}, times, np.full(times.size, 7.0))


def _irregular(rng: np.random.Generator) -> Iterator[Series]:
    for n in range(3):
        gaps = rng.integers(1, 90_000, 130)
        times = START + np.cumsum(gaps)
        times = times[times <= END]
        yield Series({"__name__": "irregular", "n": str(n)}, times, rng.normal(0, 1e3, times.size))
    times = START + np.array([0, 1, 2, 3, 60_000, 60_001, 300_000, 300_001, 599_999, 600_000])
    yield Series({"__name__": "irregular", "n": "few"}, times, np.arange(10.0) ** 2)
    yield Series(
        {"__name__": "irregular", "n": "one"}, np.array([START + 20 * MINUTE]), np.array([4.5])
    )


def _special(rng: np.random.Generator) -> Iterator[Series]:
    times = _times(30_000)
    oddities = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 1e300, -1e300, 5e-324])
    for n in range(3):
        values = oddities[rng.integers(0, oddities.size, times.size)]
        yield Series({"__name__": "odd", "n": str(n)}, times, values)
    yield Series({"__name__": "odd", "n": "nan"}, times, np.full(times.size, np.nan))
    yield Series({"__name__": "odd", "n": "inf"}, times, np.full(times.size, np.inf))
    yield Series({"__name__": "huge", "n": "0"}, times, rng.uniform(1e307, 1.7e308, times.size))
    yield Series({"__name__": "huge", "n": "1"}, times, rng.uniform(-1.7e308, 1e306, times.size))
    yield Series({"__name__": "tiny", "n": "0"}, times, rng.uniform(-5e-320, 5e-320, times.size))
    # The sum of these shows whether it is compensated.
    cancelling = np.tile([1e100, 1.0, -1e100, 1.0], times.size)[: times.size]
    yield Series({"__name__": "cancelling", "n": "0"}, times, cancelling)
    yield Series({"__name__": "cancelling", "n": "1"}, times, np.roll(cancelling, 1) * 3)
    offset = 1e9 + rng.normal(0, 1e-3, times.size)  # variance far below the mean
    yield Series({"__name__": "offset_gauge", "n": "0"}, times, offset)
    epoch = (START / 1000) + rng.integers(-(10**9), 10**9, times.size)
    yield Series({"__name__": "moment_seconds", "n": "0"}, times, epoch.astype(np.float64))
    yield Series({"__name__": "disk.free", "host name": "a", "host": "a"}, times, times / 1e6)


def _ending(rng: np.random.Generator) -> Iterator[Series]:
    times = _times()
    marked = rng.normal(5, 1, times.size)
    marked[[40, 41, 100, 200]] = STALE
    yield Series({"__name__": "flaky", "n": "marked"}, times, marked)
    ended = np.append(rng.normal(5, 1, 79), STALE)
    yield Series({"__name__": "flaky", "n": "ended"}, times[:80], ended)
    yield Series({"__name__": "flaky", "n": "silent"}, times[:90], rng.normal(5, 1, 90))
    yield Series({"__name__": "flaky", "n": "late"}, times[150:], rng.normal(5, 1, 91))
    blinking = np.where(np.arange(times.size) % 3 == 0, STALE, np.arange(times.size))
    yield Series({"__name__": "flaky", "n": "blinking"}, times, blinking.astype(np.float64))


def _histograms(rng: np.random.Generator) -> Iterator[Series]:
    times = _times()
    bounds = ("0.1", "0.5", "1", "2.5", "+Inf")
    for job in ("api", "web", "idle"):
        high = 0 if job == "idle" else 6
        totals = np.cumsum(rng.integers(0, high + 1, (len(bounds), times.size)), axis=1)
        buckets = np.cumsum(totals, axis=0).astype(np.float64)
        for bound, values in zip(bounds, buckets, strict=True):
            yield Series({"__name__": "latency_bucket", "job": job, "le": bound}, times, values)
        yield Series({"__name__": "latency_count", "job": job}, times, buckets[-1])
        yield Series({"__name__": "latency_sum", "job": job}, times, buckets[-1] * 0.7)
    unsound: dict[str, dict[str, float]] = {
        "no_inf": {"1": 3, "2": 7},
        "only_inf": {"+Inf": 5},
        "not_monotonic": {"1": 5, "2": 4, "3": 9, "+Inf": 9},
        "slightly": {"1": 5, "2": 5 - 1e-13, "+Inf": 9},
        "negative": {"-2": 1, "-1": 4, "0": 6, "3": 7, "+Inf": 8},
        "all_negative": {"-2": 1, "-1": 4, "+Inf": 4},
        "twice": {"1": 2, "1.0": 3, "+Inf": 6},
        "nan": {"1": np.nan, "2": 4, "+Inf": 6},
        "not_a_number": {"1": 2, "high": 3, "+Inf": 6},
        "zero": {"1": 0, "2": 0, "+Inf": 0},
    }
    for kind, counts in unsound.items():
        for bound, count in counts.items():
            labels = {"__name__": "odd_bucket", "kind": kind, "le": bound}
            yield Series(labels, times, count * np.arange(1.0, times.size + 1))
    yield Series({"__name__": "odd_bucket", "kind": "no_le"}, times, np.ones(times.size))


def _matching(rng: np.random.Generator) -> Iterator[Series]:
    times = _times(MINUTE)
    for host in ("a", "b", "c", "d"):
        for version in ("1", "2")[: 2 if host == "c" else 1]:
            labels = {"__name__": "build_info", "host": host, "version": version}
            yield Series(labels, times, np.ones(times.size))
        values = np.round(rng.uniform(15, 25, times.size), 1)
        yield Series({"__name__": "limit", "host": host}, times, values)
        for dc in ("east", "west"):
            labels = {"__name__": "threshold", "dc": dc, "host": host}
            yield Series(labels, times, np.round(rng.uniform(15, 25, times.size)))
    for n, value in enumerate((1.0, 1.0, 2.0, 2.0, -0.0, 0.0)):
        yield Series({"__name__": "level", "n": str(n)}, times, np.full(times.size, value))
    # The same label sets but for the name.
    for name in ("twin_a", "twin_b"):
        yield Series({"__name__": name, "x": "1"}, times, rng.normal(0, 1, times.size))
    half = times.size // 2
    yield Series({"__name__": "relay_a", "x": "1"}, times[:half], np.ones(half))
    yield Series(
        {"__name__": "relay_b", "x": "1"}, times[half + 8 :], np.ones(times.size - half - 8)
    )
