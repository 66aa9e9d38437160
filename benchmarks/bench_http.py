"""Question: how many points a second does one server core take over HTTP, fsynced before the
answer, and how long does a small write wait?

    bulk     /api/v1/import, columnar JSON lines, 1 server core, clients on the other
    small    64 connections, one point a request (PUT /kv/...), closed loop

Baseline, same run: the disk's own 4 KiB append + fdatasync. An ack meant: in the log, fdatasync
returned, visible. Answers are checked: bulk by reading every series back bit for bit, small by
reading the last value of each connection. Run: python -m benchmarks.bench_http [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.closed_loop import drive, request
from benchmarks.serving import Server, running

SEED = 7
SERIES, POINTS_A_LINE, BODIES, CONNECTIONS = 500, 100, 60, 4
CLIENTS, SMALL_SECONDS = 64, 6.0
START_MS, STEP_MS = 1_700_000_000_000, 10_000


def disk_sync_ms(folder: str, count: int = 300) -> list[float]:
    """What the disk takes for one 4 KiB append and fdatasync."""
    block, took = os.urandom(4096), []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            begun = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1e3)
    return took


def column(series: int, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of one line: a whole-number walk or a two-decimal gauge with jittered stamps."""
    rng = np.random.default_rng((SEED, series, body))
    at = START_MS + STEP_MS * np.arange(body * POINTS_A_LINE, (body + 1) * POINTS_A_LINE)
    stamps = at + rng.integers(-3, 4, POINTS_A_LINE)
    if series % 2:
        return stamps, np.cumsum(rng.integers(0, 9, POINTS_A_LINE)).astype(np.float64)
    return stamps, np.round(50 + np.cumsum(rng.normal(0, 1, POINTS_A_LINE)), 2)


def body_of(body: int) -> bytes:
    lines = []
    for series in range(SERIES):
        stamps, values = column(series, body)
        metric = {"__name__": "cpu_usage", "host": f"host_{series}", "region": "eu-west-1"}
        line = {"metric": metric, "values": values.tolist(), "timestamps": stamps.tolist()}
        lines.append(json.dumps(line, separators=(",", ":")))
    return "\n".join(lines).encode()


def bulk(server: Server, bodies: list[bytes]) -> dict[str, float]:
    """Connection i sends every fourth body."""
    kind = "Content-Type: application/json\r\n"
    requests = [request("POST", "/api/v1/import", body, kind) for body in bodies]

    def of(connection: int) -> Iterator[bytes]:
        return iter(requests[connection::CONNECTIONS])

    cpu, begun = server.cpu_s(), time.perf_counter()
    latencies = drive(server.port, CONNECTIONS, of, {200})
    wall, cpu = time.perf_counter() - begun, server.cpu_s() - cpu
    points = SERIES * POINTS_A_LINE * len(bodies)
    return {
        "points": points,
        "points_per_s": points / wall,
        "points_per_server_cpu_s": points / cpu,
        "ack_p50_ms": statistics.median(latencies) * 1e3,
        "body_MB": sum(map(len, bodies)) / 1e6,
    }


def check_bulk(server: Server, bodies: int) -> None:
    """Every point sent is read back, bit for bit."""
    for series in range(0, SERIES, 50):
        match = f"cpu_usage%7Bhost%3D%22host_{series}%22%7D"
        lines = server.get(f"/api/v1/export?match[]={match}").splitlines()
        assert len(lines) == 1, lines
        found = json.loads(lines[0])
        sent = [column(series, body) for body in range(bodies)]
        stamps = np.concatenate([s for s, _ in sent])
        values = np.concatenate([v for _, v in sent])
        assert found["timestamps"] == stamps.tolist()
        got = np.array(found["values"], np.float64).view(np.uint64)
        assert (got == values.view(np.uint64)).all()


def small(server: Server) -> dict[str, float]:
    """64 writers of one point a request, each waiting for its answer before the next."""
    sent = [0] * CLIENTS
    stop = time.perf_counter() + SMALL_SECONDS

    def writes(client: int) -> Iterator[bytes]:
        while time.perf_counter() < stop:
            sent[client] += 1
            n = sent[client]
            body = f"[[{START_MS / 1000 + n},{client * 1000 + n}]]".encode()
            yield request("PUT", f"/kv/small/{client}", body, "Content-Type: application/json\r\n")

    cpu, begun = server.cpu_s(), time.perf_counter()
    took = sorted(drive(server.port, CLIENTS, writes, {200}))
    wall, cpu = time.perf_counter() - begun, server.cpu_s() - cpu
    for client in range(CLIENTS):
        points: list[Any] = json.loads(server.get(f"/kv/small/{client}?start=0"))["points"]
        assert len(points) == sent[client], (len(points), sent[client])
        assert points[-1][1] == client * 1000 + sent[client]
    return {
        "acks_per_s": len(took) / wall,
        "server_cpu_us_per_ack": cpu / len(took) * 1e6,
        "ack_p50_ms": took[len(took) // 2] * 1e3,
        "ack_p99_ms": took[int(len(took) * 0.99)] * 1e3,
    }


def measure() -> dict[str, Any]:
    bodies = [body_of(i) for i in range(BODIES)]
    os.sched_setaffinity(0, {0})
    with running(cpus={1} if (os.cpu_count() or 1) > 1 else None) as server:
        disk = disk_sync_ms(str(server.data))
        figures: dict[str, Any] = {"bulk": bulk(server, bodies)}
        check_bulk(server, BODIES)
        disk += disk_sync_ms(str(server.data))
        figures["small"] = small(server)
        disk += disk_sync_ms(str(server.data))
        disk.sort()
        figures["disk"] = {
            "fdatasync_p50_ms": disk[len(disk) // 2],
            "fdatasync_p99_ms": disk[int(len(disk) * 0.99)],
        }
        figures["small"]["p99_beyond_disk_ms"] = (
            figures["small"]["ack_p99_ms"] - figures["disk"]["fdatasync_p99_ms"]
        )
        figures["server_peak_rss_MB"] = server.peak_rss_bytes() / 1e6
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        rows = part.items() if isinstance(part, dict) else [("", part)]
        for key, value in rows:
            print(f"{name:20} {key:26} {value:14,.3f}")


if __name__ == "__main__":
    main()
