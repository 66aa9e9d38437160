"""Question: what does a line of Graphite or OpenTSDB cost, in the parser and through a socket?

Input    10,000 series, generated, seed fixed: names of about 60 bytes, values of two decimals
Compare  the obvious Python, as carbon does it: split the line, int() and float(); same bytes, same
         run, turn by turn
Measure  parser: thread CPU time, median and best of the passes. Server: a real `silverback serve`,
         two connections, every line fsynced before the server hangs up; lines a second by the
         clock, CPU seconds by the kernel's account of the server process
Check    columns against the input; the points that the server counts
Output   a table, and JSON with --json FILE

Run      python -m benchmarks.bench_lines [--passes 11] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving
from tsdb.codec.resolution import Resolution
from tsdb.parse import graphite, opentsdb_lines

SERIES, ROUNDS, CONNECTIONS, SEED = 10_000, 60, 2, 5
T = 1_700_000_000


def graphite_lines(values: np.ndarray, second: int, part: int) -> bytes:
    return b"".join(
        b"servers.web-%03d.cpu-%d.user;dc=fra;env=prod %.2f %d\n"
        % (i % 1000, i // 1000 + 100 * part, value, T + second)
        for i, value in enumerate(values)
    )


def put_lines(values: np.ndarray, second: int, part: int) -> bytes:
    return b"".join(
        b"put servers.cpu.user %d %.2f  host=web-%03d  cpu=%d dc=fra\r\n"
        % (T + second, value, i % 1000, i // 1000 + 100 * part)
        for i, value in enumerate(values)
    )


def split_graphite(body: bytes) -> list[tuple[bytes, int, float]]:
    rows = []
    for line in body.splitlines():
        name, value, moment = line.split()
        rows.append((name, int(moment), float(value)))
    return rows


def split_put(body: bytes) -> list[tuple[list[bytes], int, float]]:
    rows = []
    for line in body.splitlines():
        _, name, moment, value, *tags = line.split()
        rows.append(([name, *tags], int(moment), float(value)))
    return rows


KINDS: dict[str, tuple[Callable[..., bytes], Callable[[bytes], Any], Callable[[bytes], Any]]] = {
    "graphite": (
        graphite_lines,
        lambda body: graphite.parse(body, Resolution.S, 0)[0],
        split_graphite,
    ),
    "opentsdb": (
        put_lines,
        lambda body: opentsdb_lines.parse(body, Resolution.S).points,
        split_put,
    ),
}


def bench_parser(name: str, passes: int) -> dict[str, float]:
    make, ours, theirs = KINDS[name]
    values = np.round(np.random.default_rng(SEED).uniform(0, 100, SERIES), 2)
    body = b"".join(make(values, second, 0) for second in range(5))
    parsed, rows = ours(body), theirs(body)
    assert parsed.columns.timestamps.tolist() == [row[1] for row in rows]
    assert parsed.columns.values.tolist() == [row[2] for row in rows]
    assert not parsed.skipped
    taken: list[list[int]] = [[], []]
    for _ in range(passes):
        for call, into in zip((ours, theirs), taken, strict=True):
            start = time.thread_time_ns()
            call(body)
            into.append(time.thread_time_ns() - start)
    lines = len(rows)
    median, baseline = (statistics.median(t) / lines for t in taken)
    return {
        "ns_per_line": round(median, 1),
        "best_lines_per_s": round(lines / min(taken[0]) * 1e9),
        "times_python": round(baseline / median, 1),
    }


def send(port: int, data: bytes) -> None:
    """All of it, then wait for the server to hang up: then it is on disk."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


def bench_server(name: str, server: serving.Server, port: int) -> dict[str, float]:
    make = KINDS[name][0]
    rng = np.random.default_rng(SEED)
    each = SERIES // CONNECTIONS
    bodies = [
        b"".join(make(rng.uniform(0, 100, each), second * 10, part) for second in range(ROUNDS))
        for part in range(CONNECTIONS)
    ]
    for part in range(CONNECTIONS):  # the series are made before the clock starts
        send(port, make(rng.uniform(0, 100, each), -10, part))
    threads = [threading.Thread(target=send, args=(port, body)) for body in bodies]
    cpu_s, began = server.cpu_s(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s, cpu_s = time.monotonic() - began, server.cpu_s() - cpu_s
    lines = ROUNDS * SERIES
    metrics = server.get("/metrics").decode()
    counted = re.search(rf'silverback_listener_points_total\{{listener="{name}"\}} (\S+)', metrics)
    assert counted
    assert float(counted[1]) == lines + SERIES
    return {
        "lines_per_s": round(lines / took_s),
        "cpu_s_per_million": round(cpu_s / lines * 1e6, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=11)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ports = {name: serving.free_port() for name in KINDS}
    flags = tuple(text for name, port in ports.items() for text in (f"--{name}-port", str(port)))
    report: dict[str, dict[str, float]] = {}
    with serving.running(arguments=flags) as server:
        for name, port in ports.items():
            report[f"{name}, served"] = bench_server(name, server, port)
    for name in KINDS:
        report[f"{name}, parser"] = bench_parser(name, options.passes)
    for what, figures in sorted(report.items()):
        told = ", ".join(f"{key} {value:,}" for key, value in figures.items())
        print(f"{what:<20}{told}")
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"lines": report} | machine, indent=2))


if __name__ == "__main__":
    main()
