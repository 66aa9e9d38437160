"""Question: how many points a second does a whole server take, beside its rivals?

    tsbs, scrape   remote_write, 10,000 series, one point a series, 2,500 a body: TSBS labels and
                   the mix that node exporters give
    lines          line protocol, 1,000 hosts with ten tags and ten fields, 250 lines a body
    otlp           OpenTelemetry's gauges in protobuf, uncompressed: series as in tsbs, ten metrics
                   of 250 data points a body

Four connections; every server in the same run, on the same cores, rounds alternating. Said of each:
points/s, server CPU seconds a million points, ack p50 and p99, peak memory.

An ack meant: ours, fdatasync returned and visible; Prometheus, written to its log, which is not
synced; VictoriaMetrics, taken into memory, on disk within seconds; InfluxDB 1, its log synced.
Answers are checked: every server is asked afterwards how many points it has. Rivals are looked for
on the PATH and below $SILVERBACK_PEERS; one that is absent is left out, and said so.

Run: python -m benchmarks.bench_peers [--json] [--rounds N] [LOAD...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks import peers, serving
from benchmarks.closed_loop import drive, request
from benchmarks.line_protocol_bodies import FIELDS, line_bodies
from benchmarks.remote_write_bodies import bodies, scrape_mix, tsbs

CONNECTIONS, REPEATS = 4, 3
STEP_MS = 10_000
HIDDEN_MS = 120_000  # VictoriaMetrics hides the newest 30 s from queries
SNAPPY = (
    "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
    "X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: bench\r\n"
)


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and to whom."""

    make: Callable[[int, int], Iterator[tuple[int, bytes]]]  # of rounds and the first time
    path: str
    headers: str
    rivals: tuple[str, ...]


def _written(labels: Callable[[int], Any]) -> Callable[[int, int], Iterator[tuple[int, bytes]]]:
    series = labels(10_000)
    return lambda rounds, start: bodies(
        series, rounds, start_ms=start, step_ms=STEP_MS, a_body=2_500
    )


def _lines(rounds: int, start: int) -> Iterator[tuple[int, bytes]]:
    return line_bodies(1_000, rounds, start_ms=start, step_ms=STEP_MS, a_body=250)


def _otlp(rounds: int, start: int) -> Iterator[tuple[int, bytes]]:
    from benchmarks import otlp_bodies  # its protobuf package is heavy

    return otlp_bodies.bodies(tsbs(10_000), rounds, start_ms=start, step_ms=STEP_MS, a_body=2_500)


WRITING = ("victoria-metrics", "prometheus")
LOADS = {
    "tsbs": Load(_written(tsbs), "/api/v1/write", SNAPPY, WRITING),
    "scrape": Load(_written(scrape_mix), "/api/v1/write", SNAPPY, WRITING),
    "lines": Load(
        _lines, "/write?db=bench", "Content-Type: text/plain\r\n", ("victoria-metrics", "influxdb")
    ),
    "otlp": Load(
        _otlp,
        "/opentelemetry/v1/metrics",
        "Content-Type: application/x-protobuf\r\n",
        ("victoria-metrics",),
    ),
}


def drive_all(server: Any, requests: list[bytes], points: int) -> dict[str, float]:
    """Send all; connection i sends every fourth body, so that each series stays in order."""

    def of(connection: int) -> Iterator[bytes]:
        return iter(requests[connection::CONNECTIONS])

    cpu, begun = server.cpu_s(), time.perf_counter()
    took = sorted(drive(server.port, CONNECTIONS, of, {200, 204}))
    wall, cpu = time.perf_counter() - begun, server.cpu_s() - cpu
    return {
        "points_per_s": points / wall,
        "cpu_s_per_million": cpu / points * 1e6,
        "ack_p50_ms": took[len(took) // 2] * 1e3,
        "ack_p99_ms": took[int(len(took) * 0.99)] * 1e3,
    }


def stored(name: str, server: Any) -> int:
    """Points there are. VictoriaMetrics is asked to make what it took visible first."""
    if name == "silverback":
        return int(json.loads(server.get("/api/v1/status"))["points"])
    if name == "victoria-metrics":
        server.get("/internal/force_flush")
        query = 'sum(count_over_time({__name__=~".+"}[2d]))'
        text = server.get("/api/v1/query?query=" + urllib.parse.quote(query))
        return int(json.loads(text)["data"]["result"][0]["value"][1])
    if name == "influxdb":
        query = ",".join(f"count(usage_{field})" for field in FIELDS)
        text = server.get("/query?db=bench&q=" + urllib.parse.quote(f"SELECT {query} FROM cpu"))
        return sum(json.loads(text)["results"][0]["series"][0]["values"][0][1:])
    lines = server.get("/metrics").decode().splitlines()
    appended = 'prometheus_tsdb_head_samples_appended_total{type="float"}'
    return int(float(next(x for x in lines if x.startswith(appended)).split()[1]))


def run(name: str, requests: list[bytes], points: int) -> dict[str, Any]:
    opened: AbstractContextManager[Any]
    opened = serving.running() if name == "silverback" else peers.running(name)
    with opened as server:
        if name == "influxdb":
            create = f"http://127.0.0.1:{server.port}/query?q=CREATE%20DATABASE%20bench"
            urllib.request.urlopen(create, data=b"").read()
        figures: dict[str, Any] = drive_all(server, requests, points)
        found = stored(name, server)
        assert found == points, f"{name}: {found} of {points} points"
        figures["peak_rss_MB"] = server.peak_rss_bytes() / 1e6
        figures["version"] = getattr(server, "version", "")
    return figures


def compare(kind: str, rounds: int) -> dict[str, Any]:
    load = LOADS[kind]
    start = int(time.time() * 1000) - rounds * STEP_MS - HIDDEN_MS
    made = list(load.make(rounds, start))
    points = sum(count for count, _ in made)
    requests = [request("POST", load.path, body, load.headers) for _, body in made]
    there = [name for name in load.rivals if peers.binary(peers.RIVALS[name][0])]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("silverback", *there)}
    for _ in range(REPEATS):
        for name, rows in runs.items():
            rows.append(run(name, requests, points))
    figures: dict[str, Any] = {f"{kind} {n}": "absent" for n in load.rivals if n not in there}
    for name, rows in runs.items():
        figures[f"{kind} {name}"] = {
            key: statistics.median(row[key] for row in rows) if key != "version" else value
            for key, value in rows[0].items()
        }
    for name in there:
        figures[f"{kind} silverback : {name}"] = {
            key: statistics.median(
                ours[key] / theirs[key]
                for ours, theirs in zip(runs["silverback"], runs[name], strict=True)
            )
            for key in ("points_per_s", "cpu_s_per_million")
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("loads", nargs="*", choices=[*LOADS, []], help="all by default")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for kind in arguments.loads or LOADS:
        figures |= compare(kind, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items() if isinstance(part, dict) else [("", part)]:
            shown = f"{value:14,.3f}" if isinstance(value, float) else str(value)
            print(f"{name:36} {key:20} {shown}")


if __name__ == "__main__":
    main()
