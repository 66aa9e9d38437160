"""Bodies of Prometheus remote_write, as senders make them: for benchmarks only.

    in   label sets, values by time
    out  snappy-compressed WriteRequests

Labels are encoded once a series, a point costs a few microseconds: 2 M points in some seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cramjam
import numpy as np

__all__ = ["bodies", "scrape_mix", "tsbs"]

Labels = dict[str, str]


def tsbs(series: int) -> list[Labels]:
    """Ten metrics of each host, ten labels each, as the TSBS devops load."""
    fields = "user system idle nice iowait irq softirq steal guest guest_nice".split()  # noqa: SIM905
    return [
        {
            "__name__": f"cpu_usage_{fields[i % 10]}",
            "arch": ("x86", "x64")[i // 10 % 2],
            "datacenter": f"eu-central-1{'abc'[i // 10 % 3]}",
            "hostname": f"host_{i // 10}",
            "os": ("Ubuntu16.10", "Ubuntu15.10", "Ubuntu16.04LTS")[i // 10 % 3],
            "rack": str(i // 10 % 100),
            "region": "eu-central-1",
            "service": str(i // 10 % 20),
            "service_environment": ("production", "staging", "test")[i // 10 % 3],
            "service_version": str(i // 10 % 2),
            "team": ("SF", "NYC", "LON", "CHI")[i // 10 % 4],
        }
        for i in range(series)
    ]


def scrape_mix(series: int) -> list[Labels]:
    """What node exporters give: names and label counts of many kinds."""
    kinds: list[Labels] = [
        {"__name__": "node_cpu_seconds_total", "cpu": "3", "mode": "iowait"},
        {"__name__": "node_filesystem_avail_bytes", "device": "/dev/sda1", "fstype": "ext4",
         "mountpoint": "/"},
        {"__name__": "node_network_receive_bytes_total", "device": "eth0"},
        {"__name__": "node_memory_MemAvailable_bytes"},
        {"__name__": "node_load1"},
        {"__name__": "http_request_duration_seconds_bucket", "code": "200", "handler": "/api/v1",
         "le": "0.25", "method": "get"},
        {"__name__": "process_cpu_seconds_total"},
        {"__name__": "go_gc_duration_seconds", "quantile": "0.75"},
    ]  # fmt: skip
    found = []
    for i in range(series):
        labels = {
            **kinds[i % len(kinds)],
            "instance": f"10.0.{i // 80 % 250}.7:9100",
            "job": "node",
        }
        if "cpu" in labels:
            labels["cpu"] = str(i // 8 % 64)
        if i // 80 >= 250:
            labels["cluster"] = f"c{i // 80 // 250}"
        labels["shard"] = str(i % 80 // 8)
        found.append(dict(sorted(labels.items())))
    return found


def bodies(
    series: list[Labels], rounds: int, *, start_ms: int, step_ms: int, a_body: int, seed: int = 7
) -> Iterator[tuple[int, bytes]]:
    """(points, body): all series once a round, `a_body` series a body, one point each."""
    heads = [_labels(labels) for labels in series]
    rng = np.random.default_rng(seed)
    whole = np.cumsum(rng.integers(0, 50, (rounds, len(series))), axis=0).astype(np.float64)
    gauge = np.round(rng.normal(50, 10, (rounds, len(series))), 2)
    values = np.where(np.arange(len(series)) % 2, whole, gauge)
    for r in range(rounds):
        stamp = b"\x10" + _varint(start_ms + r * step_ms)
        row = values[r].tolist()
        for at in range(0, len(series), a_body):
            parts = []
            for head, value in zip(heads[at : at + a_body], row[at : at + a_body], strict=True):
                point = (b"\x09" + struct.pack("<d", value) if value else b"") + stamp
                text = head + b"\x12" + _varint(len(point)) + point
                parts.append(b"\x0a" + _varint(len(text)) + text)
            body = cramjam.snappy.compress_raw(b"".join(parts))
            yield len(parts), bytes(body)


def _labels(labels: Labels) -> bytes:
    parts = []
    for name, value in sorted(labels.items()):
        pair = b"".join(
            tag + _varint(len(text.encode())) + text.encode()
            for tag, text in ((b"\x0a", name), (b"\x12", value))
        )
        parts.append(b"\x0a" + _varint(len(pair)) + pair)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
