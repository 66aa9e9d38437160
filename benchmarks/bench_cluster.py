"""Question: what do three copies on a replicated log cost, against one node on its own disk?

Input    remote_write, TSBS labels, 10,000 series, one point a series, 2,500 a body; 64 connections
Compare  a single node and a cluster of three (16 shards, three copies of each), on this machine and
         its one disk, in turns
Measure  points/s, ack p50 and p99, CPU seconds a million points (of the cluster: all six processes,
         and a copy's share); p50 of dashboard queries on a node; then the longest time without an
         ack after the node that leads most logs is killed, and after one is stopped in order
Check    every node is asked how many points it has; answers of queries are compared
Ack      single node: fdatasync returned. Cluster: fsynced by two of three servers of every log

Run      python -m benchmarks.bench_cluster [--json] [--rounds N] [--connections N]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from api.cluster_dev import DevCluster, DevNode, settled
from api.cluster_folder import Plan
from benchmarks import serving
from benchmarks.bench_peers import LOADS, STEP_MS
from benchmarks.closed_loop import drive, request

TICKS = os.sysconf("SC_CLK_TCK")
REPEATS, ASKED = 3, 15
BASE_PORT = 19_301
QUERIES = {
    "rate": 'sum by (region) (rate({__name__=~"usage_user"}[5m]))',
    "average": "avg by (datacenter) (usage_system)",
    "single": 'usage_user{hostname="host_7"}',
}


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task")
    found = [pid]
    for task in children.iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_s(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def get(port: int, path: str, **headers: str) -> Any:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return json.load(answer)


def write(port: int, pids: list[int], work: tuple[list[bytes], int, int]) -> dict[str, float]:
    """Send all; what it took."""
    requests, points, connections = work

    def of(connection: int) -> Iterator[bytes]:
        return iter(requests[connection::connections])

    cpu, begun = cpu_s(pids), time.perf_counter()
    took = sorted(drive(port, connections, of, {200, 204}))
    wall = time.perf_counter() - begun
    return {
        "points_per_s": points / wall,
        "cpu_s_per_million": (cpu_s(pids) - cpu) / points * 1e6,
        "ack_p50_ms": took[len(took) // 2] * 1e3,
        "ack_p99_ms": took[int(len(took) * 0.99)] * 1e3,
    }


def query_p50_ms(port: int, end_s: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Of each query, its p50 and its answer."""
    took: dict[str, float] = {}
    answers: dict[str, Any] = {}
    for name, text in QUERIES.items():
        span = {"query": text, "start": end_s - 3600, "end": end_s, "step": 15}
        path = "/api/v1/query_range?" + urllib.parse.urlencode(span)
        times = []
        for _ in range(ASKED):
            begun = time.perf_counter()
            answers[name] = get(port, path)["data"]
            times.append((time.perf_counter() - begun) * 1e3)
        took[name] = statistics.median(times)
    return took, answers


class Pulse:
    """A writer of one point after another, to any node that answers; when each was acked."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._done = threading.Event()
        self._acks = [time.perf_counter()]
        self._thread = threading.Thread(target=self._run)

    def longest_s(self, during: Callable[[], None], then_s: float) -> float:
        """The longest time without an ack from before `during` until `then_s` after it."""
        self._thread.start()
        time.sleep(1)
        during()
        time.sleep(then_s)
        self._done.set()
        self._thread.join()
        acks = [*self._acks, time.perf_counter()]
        return max(b - a for a, b in itertools.pairwise(acks))

    def _run(self) -> None:
        turn = 0
        while not self._done.is_set():
            turn += 1
            body = "\n".join(f"pulse,n={n} v={turn}" for n in range(64)).encode()
            port = self._ports[turn % len(self._ports)]
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/write", body, method="POST")
            try:
                with urllib.request.urlopen(asked, timeout=30):
                    self._acks.append(time.perf_counter())
            except OSError:
                time.sleep(0.02)


def leader_of_most(cluster: DevCluster, port: int) -> DevNode:
    shards = get(port, "/api/v1/cluster")["data"]["shards"]
    leaders = [shard["leader"] for shard in shards]
    name = max(set(leaders), key=leaders.count)
    return next(node for node in cluster.nodes if node.settings.node == name)


def interruption_s(cluster: DevCluster, number: int) -> float:
    """The longest wait when a node that leads is ended by this signal; it is brought back."""
    ports = [node.settings.http.port for node in cluster.nodes]
    node = leader_of_most(cluster, ports[0])
    others = [port for port in ports if port != node.settings.http.port]
    waited = Pulse(others).longest_s(lambda: node.signal(signal.Signals(number)), 15)
    node.start()
    assert all(good for _, good in settled([node]))
    return waited


def pids_of(cluster: DevCluster) -> list[int]:
    found = []
    for node in cluster.nodes:
        pid = node.pid()
        assert pid is not None
        found += family(pid)
    return found


def clustered(folder: Path, works: list[tuple[list[bytes], int, int]]) -> dict[str, Any]:
    cluster = DevCluster(folder / "cluster", Plan(nodes=3, base_port=BASE_PORT))
    cluster.start()
    try:
        assert all(good for _, good in settled(cluster.nodes))
        port = cluster.nodes[0].settings.http.port
        rows = [write(port, pids_of(cluster), work) for work in works]
        points = sum(work[1] for work in works)
        for node in cluster.nodes:
            at = node.settings.http.port
            get(at, "/kv?limit=1", **{"X-Silverback-Read": "linearizable"})
            found = get(at, "/api/v1/status")["points"]
            assert found == points, f"{node.settings.node}: {found} of {points} points"
        took, answers = query_p50_ms(port, int(time.time()))
        return {
            "rows": rows,
            "queries": took,
            "answers": answers,
            "killed_s": interruption_s(cluster, signal.SIGKILL),
            "stopped_s": interruption_s(cluster, signal.SIGTERM),
        }
    finally:
        cluster.stop()


def alone(folder: Path, works: list[tuple[list[bytes], int, int]]) -> dict[str, Any]:
    server = serving.start(folder / "alone")
    try:
        rows = [write(server.port, [server.process.pid], work) for work in works]
        took, answers = query_p50_ms(server.port, int(time.time()))
        return {"rows": rows, "queries": took, "answers": answers}
    finally:
        server.stop()


def measure(rounds: int, connections: int) -> dict[str, Any]:
    load = LOADS["tsbs"]
    works = []
    for turn in range(REPEATS + 1):  # the first names the series, and is not counted
        start = int(time.time() * 1000) - (REPEATS + 1 - turn) * rounds * STEP_MS
        made = list(load.make(rounds, start))
        requests = [request("POST", load.path, body, load.headers) for _, body in made]
        works.append((requests, sum(count for count, _ in made), connections))
    with tempfile.TemporaryDirectory(prefix="silverback-bench-") as folder:
        one = alone(Path(folder), works)
        three = clustered(Path(folder), works)
    assert one["answers"] == three["answers"], "a cluster and a single node answer differently"
    figures: dict[str, Any] = {}
    for name, found in (("single node", one), ("cluster of three", three)):
        rows = found["rows"][1:]
        figures[name] = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        figures[name] |= {f"{query}_p50_ms": took for query, took in found["queries"].items()}
    both = figures["cluster of three"]
    both["cpu_s_per_million_a_copy"] = both["cpu_s_per_million"] / 3
    both["points_per_s_to_single"] = both["points_per_s"] / figures["single node"]["points_per_s"]
    both["longest_wait_killed_s"] = three["killed_s"]
    both["longest_wait_stopped_s"] = three["stopped_s"]
    return figures


def show(figures: dict[str, Any]) -> str:
    lines = []
    for name, row in figures.items():
        lines.append(name)
        lines += [f"  {key:28} {value:14,.3f}" for key, value in row.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    figures = measure(given.rounds, given.connections)
    text = json.dumps(figures) if given.json else show(figures)
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
