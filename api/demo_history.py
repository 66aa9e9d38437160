"""Three days in the life of three machines, from a seed.

    in   the last tick to cover, a seed
    out  runs of (labels, timestamps in ms, values), a few hundred thousand points each quarter

What an operator would recognise: office hours, a backup at night, a deploy that leaks memory
until the next one, disks that fill and are cleaned, a failure on the second day. Kinds of numbers
as real agents send them: counters of whole bytes, gauges in pages, whole per cents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from tsdb.batch import F64s, I64s

__all__ = ["DAYS", "STEP_S", "Run", "history"]

SEED = 7
DAYS, STEP_S = 3, 15
DAY_S, HOUR_S = 86_400, 3_600
PAGE_BYTES = 4096
HOSTS = {"web-1": 1.0, "web-2": 0.8, "db-1": 0.55}  # and how busy each is
MEMORY_BYTES, DISK_BYTES = 16 << 30, 200 << 30

Random = np.random.Generator
Seconds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    labels: dict[str, str]
    timestamps: I64s  # ms
    values: F64s


def history(end_ms: int, *, seed: int = SEED) -> Iterator[Run]:
    """Points every STEP_S seconds up to `end_ms`, host by host."""
    last_s = end_ms // 1000 // STEP_S * STEP_S
    clock = last_s - STEP_S * np.arange(DAYS * DAY_S // STEP_S, dtype=np.int64)[::-1]
    for i, (host, busy) in enumerate(HOSTS.items()):
        random = np.random.default_rng((seed, i))
        # An agent wakes at a moment of its own and answers a few ms late, now and then more.
        stamps = clock * 1000 + 137 * (i + 1)
        stamps += (random.random(clock.size) < 0.02) * random.integers(1, 4, clock.size)
        load = _load(random, clock, busy)
        series = _machine(random, clock, load)
        if host.startswith("web"):
            series = chain(series, _web_server(random, load))
        for name, labels, values in series:
            yield Run({"__name__": name, "host": host, **labels}, stamps, values)


def _load(random: Random, clock: Seconds, busy: float) -> F64s:
    """0 to 1: office hours, a lunch dip, the backup at three, noise, one bad afternoon."""
    hour = clock % DAY_S / HOUR_S
    office = np.exp(-(((hour - 10.5) / 2.6) ** 2)) + np.exp(-(((hour - 15.5) / 2.4) ** 2))
    backup = 0.5 * ((hour >= 3) & (hour < 3.4))
    second_day = (clock - clock[0]) // DAY_S == 1
    failure = 0.6 * (second_day & (hour >= 14.2) & (hour < 14.9))
    noise = _smooth(random.normal(0, 1, clock.size), 20) * 0.25
    load: F64s = np.clip(busy * (0.12 + 0.6 * office) + backup + failure + noise, 0.01, 0.99)
    return load


def _machine(
    random: Random, clock: Seconds, load: F64s
) -> Iterator[tuple[str, dict[str, str], F64s]]:
    n = clock.size
    for core in range(2):
        wobble = np.clip(load + random.normal(0, 0.04, n), 0, 1)
        yield "cpu_percent", {"cpu": str(core)}, np.round(100 * wobble)
    yield "load", {"minutes": "1"}, np.round(2.4 * _smooth(load, 4), 2)
    used = _memory(random, clock, load)
    yield "memory_bytes", {"state": "used"}, used
    yield "memory_bytes", {"state": "available"}, MEMORY_BYTES - used
    yield "disk_used_bytes", {"mount": "/"}, _disk(random, clock)
    for device, scale in (("sda", 2.0e6), ("sdb", 3.0e5)):
        for direction, share in (("read", 0.6), ("write", 1.0)):
            steps = PAGE_BYTES * random.poisson(scale * share * load / PAGE_BYTES * STEP_S)
            yield "disk_bytes_total", {"device": device, "direction": direction}, _total(steps)
    for direction, scale in (("received", 9e5), ("sent", 2.4e6)):
        steps = np.floor(scale * load * STEP_S * random.gamma(8, 1 / 8, n))
        yield "network_bytes_total", {"device": "eth0", "direction": direction}, _total(steps)
    yield "processes", {}, np.round(140 + 30 * _smooth(load, 40))
    yield "temperature_celsius", {"zone": "cpu"}, np.round(2 * (36 + 30 * _smooth(load, 30))) / 2
    yield "up", {}, np.ones(n)


def _web_server(random: Random, load: F64s) -> Iterator[tuple[str, dict[str, str], F64s]]:
    requests = random.poisson(40 * load * STEP_S)
    errors = random.poisson(np.where(load > 0.9, 6.0, 0.02))
    yield "http_requests_total", {"code": "200"}, _total(requests)
    yield "http_requests_total", {"code": "500"}, _total(errors)
    yield "http_in_flight", {}, random.poisson(12 * load).astype(np.float64)


def _memory(random: Random, clock: Seconds, load: F64s) -> F64s:
    """Grows with load and leaks between the deploys at nine each morning; whole pages."""
    since_deploy_s = (clock - 9 * HOUR_S) % DAY_S
    level = 3.2e9 + 2.5e9 * _smooth(load, 60) + 2.2e4 * since_deploy_s
    pages = np.floor((level + random.normal(0, 2e6, clock.size)) / PAGE_BYTES)
    used: F64s = np.clip(pages * PAGE_BYTES, 0, MEMORY_BYTES)
    return used


def _disk(random: Random, clock: Seconds) -> F64s:
    """Logs pile up; they are rotated away at midnight."""
    since_midnight_s = clock % DAY_S
    written = 60e9 + 4e5 * since_midnight_s + np.cumsum(random.poisson(20, clock.size)) * 512.0
    used: F64s = np.floor(written / PAGE_BYTES) * PAGE_BYTES
    return used


def _smooth(values: F64s, width: int) -> F64s:
    kernel = np.ones(width) / width
    return np.convolve(np.pad(values, (width - 1, 0), "edge"), kernel, "valid")


def _total(steps: npt.NDArray[np.number]) -> F64s:
    return np.cumsum(steps, dtype=np.float64)
