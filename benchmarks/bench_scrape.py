"""Question: how many targets and series can one core scrape?

Input    answers of 200, 1,000 and 10,000 series as a node exporter's, in Prometheus' text, a tenth
         of the values changing; then a real server that scrapes real sockets, 20 targets of 2,500
         series a second, gzip and plain
Compare  the parser alone on the same body; metric_relabel_configs that drop a fifth; a target's
         first scrape, where every series is new; our client and httpx2 on an answer of 150 KB
Measure  thread CPU ns a series: parse, label, stale markers; for the server CPU of its process
Check    the points that come out are those that went in; the server has every target up at every
         turn, and all of its series
Output   a table, or JSON with --json

Run      python -m benchmarks.bench_scrape [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvloop

from api.scrape.config import Group, Job
from api.scrape.fetch import Fetcher
from api.scrape.harvest import Memory, Moment
from api.scrape.relabel import Action, Rule
from api.scrape.targets import Target, discovered_labels, target_of
from benchmarks import serving
from tsdb.batch import Parsed
from tsdb.codec.resolution import Resolution
from tsdb.parse import exposition

PASSES, REQUESTS = 15, 50
TARGETS, SERIES, SECONDS = 20, 2_500, 8  # 2,500 series are 150 KB
TARGET = Target("node", (("instance", "10.0.0.1:9100"), ("job", "node")), "http://a", 1, 1, ())
DROP = (Rule(Action.DROP, ("mode",), regex="idle|iowait"),)
MODES = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user", "guest", "none")


def body_of(series: int, turn: int) -> bytes:
    """Counters of a machine with many cores."""
    lines = ["# HELP node_cpu_seconds_total Seconds.", "# TYPE node_cpu_seconds_total counter"]
    for i in range(series):
        value = i * 3.25 + (turn * 0.1 if i % 10 == turn % 10 else 0)
        lines.append(
            f'node_cpu_seconds_total{{cpu="{i // 10}",mode="{MODES[i % 10]}"}} {value:.2f}'
        )
    return "\n".join([*lines, ""]).encode()


def median_ns(work: Callable[[int], Any], series: int) -> float:
    times = []
    for turn in range(PASSES):
        began = time.thread_time()
        work(turn)
        times.append((time.thread_time() - began) / series * 1e9)
    return statistics.median(times[1:])


def parsed(body: bytes, ticks: int) -> Parsed:
    return exposition.parse(body, Resolution.MS, now_ticks=ticks, strict=True)


def of_one_target(series: int) -> dict[str, float]:
    bodies = [body_of(series, turn) for turn in range(PASSES)]

    def scrape(memory: Memory, turn: int) -> Parsed:
        ticks = 1_700_000_000_000 + turn * 15_000
        harvest = memory.succeeded(
            lambda: parsed(bodies[turn], ticks), Moment(ticks, lambda: 0.1, len(bodies[turn]))
        )
        assert harvest.error == "", harvest.error
        assert harvest.scraped == series
        memory.commit(harvest)
        return harvest.parsed

    found = {"parse alone": median_ns(lambda turn: parsed(bodies[turn], turn), series)}
    for name, rules in (("scrape", ()), ("scrape, a fifth dropped", DROP)):
        memory = Memory(Job("node", series_rules=rules), TARGET)
        began = time.thread_time()
        first = scrape(memory, 0)
        found[f"{name}, first"] = (time.thread_time() - began) / series * 1e9
        kept = series if not rules else series - series // 5
        assert first.columns.points == kept + 5
        expected = parsed(bodies[0], 0).columns.values
        if not rules:
            assert np.array_equal(first.columns.values[:series], expected)
        found[name] = median_ns(lambda turn, memory=memory: scrape(memory, turn), series)
    return found


def serve_targets(port: Any, packed: bool) -> None:
    """Targets in a process of their own: whatever is asked, the next body."""
    bodies = []
    for turn in range(10):
        body = gzip.compress(body_of(SERIES, turn), 1) if packed else body_of(SERIES, turn)
        coding = b"Content-Encoding: gzip\r\n" if packed else b""
        bodies.append(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n%bContent-Length: %d"
            b"\r\n\r\n%b" % (coding, len(body), body)
        )

    def answer(wire: socket.socket) -> None:
        turn = 0
        while wire.recv(1 << 16):
            wire.sendall(bodies[turn % 10])
            turn += 1

    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    port.send(listener.getsockname()[1])
    while True:
        wire, _ = listener.accept()
        threading.Thread(target=answer, args=(wire,), daemon=True).start()


class Room:
    """As much as anybody wants."""

    def claim(self, size: int) -> None:
        pass

    def release(self, size: int) -> None:
        pass


async def cpu_us(get: Callable[[], Awaitable[bytes]]) -> float:
    times = []
    for _ in range(PASSES):
        began = time.process_time()
        for _ in range(REQUESTS):
            assert (await get()).startswith(b"# HELP")
        times.append((time.process_time() - began) / REQUESTS * 1e6)
    return statistics.median(times)


async def of_clients(port: int) -> dict[str, float]:
    address = f"127.0.0.1:{port}"
    job = Job("node")
    target = target_of(job, discovered_labels(job, Group("bench", ()), address))
    assert target is not None
    fetcher = Fetcher(job, target, body_bytes_max=1 << 25, room=Room())

    async def ours() -> bytes:
        async with asyncio.timeout(10):
            return (await fetcher.fetch()).body

    async with httpx2.AsyncClient(timeout=10) as client:

        async def theirs() -> bytes:
            return (await client.get(target.url)).content

        found = {"ours, us a request": await cpu_us(ours)}
        found["httpx2, us a request"] = await cpu_us(theirs)
    fetcher.close()
    return found


def with_targets(work: Callable[[int], dict[str, float]], packed: bool) -> dict[str, float]:
    """`work` gets the port of targets in a process of their own."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    targets = multiprocessing.get_context("spawn").Process(
        target=serve_targets, args=(there, packed), daemon=True
    )
    targets.start()
    try:
        return work(here.recv())
    finally:
        targets.kill()
        targets.join()


def of_a_server(port: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "scrape.yml"
        paths = "".join(
            f"  - targets: ['127.0.0.1:{port}']\n"
            f"    labels: {{__metrics_path__: /{i}, rack: r{i}}}\n"
            for i in range(TARGETS)
        )
        config.write_text(
            "scrape_configs:\n- job_name: node\n  scrape_interval: 1s\n  static_configs:\n" + paths
        )
        server = serving.start(Path(folder) / "db", arguments=("--scrape-config", str(config)))
        try:
            _wait_until_all_are_up(server)
            began, cpu = time.perf_counter(), server.cpu_s()
            time.sleep(SECONDS)
            cpu, took = server.cpu_s() - cpu, time.perf_counter() - began
            _check(server)
        finally:
            server.stop()
    points = TARGETS * SERIES * took
    return {
        "series a second": points / took,
        "server CPU s a million points": cpu / points * 1e6,
        "series a second and core": points / cpu,
    }


def _wait_until_all_are_up(server: serving.Server) -> None:
    for _ in range(300):
        told = json.loads(server.get("/api/v1/targets"))["data"]["activeTargets"]
        if len(told) == TARGETS and all(one["health"] == "up" for one in told):
            return
        time.sleep(0.1)
    raise AssertionError(told)


def _check(server: serving.Server) -> None:
    ups = [json.loads(line) for line in server.get("/api/v1/export?match[]=up").splitlines()]
    assert len(ups) == TARGETS
    assert all(set(one["values"]) == {1} for one in ups)
    assert all(len(one["values"]) >= SECONDS for one in ups)
    state = json.loads(server.get("/api/v1/status"))
    assert state["series"] == TARGETS * (SERIES + 5)


def measure() -> dict[str, dict[str, float]]:
    found = {f"{n:,} series": of_one_target(n) for n in (200, 1_000, 10_000)}
    found["client"] = with_targets(lambda port: uvloop.run(of_clients(port)), False)
    for name in ("plain", "gzip"):
        found[f"server, {name}"] = with_targets(of_a_server, name == "gzip")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for what, value in part.items():
            print(f"{name:16} {what:32} {value:14,.1f}")


if __name__ == "__main__":
    main()
