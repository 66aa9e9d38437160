"""Bodies of InfluxDB line protocol as TSBS' cpu-only load makes them: for benchmarks only.

in   hosts, rounds
out  (values, body): lines of ten tags and ten whole-number fields, nanosecond times
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.remote_write_bodies import tsbs

__all__ = ["FIELDS", "line_bodies"]

FIELDS = "user system idle nice iowait irq softirq steal guest guest_nice".split()  # noqa: SIM905
TAGS = (
    "hostname", "region", "datacenter", "rack", "os", "arch", "team", "service",
    "service_version", "service_environment",
)  # fmt: skip


def line_bodies(
    hosts: int, rounds: int, *, start_ms: int, step_ms: int, a_body: int, seed: int = 7
) -> Iterator[tuple[int, bytes]]:
    """All hosts once a round, `a_body` lines a body."""
    heads = [
        "cpu," + ",".join(f"{tag}={labels[tag]}" for tag in TAGS)
        for labels in tsbs(hosts * 10)[::10]
    ]
    rng = np.random.default_rng(seed)
    for r in range(rounds):
        stamp = (start_ms + r * step_ms) * 1_000_000
        values = rng.integers(0, 101, (hosts, len(FIELDS))).tolist()
        for at in range(0, hosts, a_body):
            lines = [
                f"{head} {','.join(f'usage_{f}={v}i' for f, v in zip(FIELDS, row, strict=True))} "
                f"{stamp}"
                for head, row in zip(heads[at : at + a_body], values[at : at + a_body], strict=True)
            ]
            yield len(lines) * len(FIELDS), "\n".join(lines).encode()
