"""Question: how many points a second does a whole server take by remote_write, beside its rivals?

    in   10,000 series, one point a series and body of 2,500, four connections; TSBS labels and a
         scrape mix; every server in the same run, on the same cores, rounds alternating
    out  points/s, server CPU seconds a million points, ack p50 and p99, peak memory

An ack meant: ours, fdatasync returned and visible; Prometheus, written to its log, which is not
synced; VictoriaMetrics, taken into memory, on disk within seconds. Answers are checked: every
server is asked afterwards how many points it has. Rivals are looked for on the PATH and below
$SILVERBACK_PEERS; one that is absent is left out, and said so.

Run: python -m benchmarks.bench_peers [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from benchmarks import peers, serving
from benchmarks.closed_loop import drive, request
from benchmarks.remote_write_bodies import Labels, bodies, scrape_mix, tsbs

SERIES, A_BODY, CONNECTIONS, REPEATS = 10_000, 2_500, 4, 3
STEP_MS = 10_000
HIDDEN_MS = 120_000  # VictoriaMetrics hides the newest 30 s from queries
HEADERS = (
    "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
    "X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: bench\r\n"
)
LOADS: dict[str, Callable[[int], list[Labels]]] = {"tsbs": tsbs, "scrape": scrape_mix}


def load(server: Any, path: str, requests: list[bytes], points: int) -> dict[str, float]:
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


def stored(name: str, server: Any, points: int) -> None:
    """Every point is there. VictoriaMetrics is asked to make what it took visible first."""
    if name == "silverback":
        found = json.loads(server.get("/api/v1/status"))["points"]
    elif name == "victoria-metrics":
        server.get("/internal/force_flush")
        query = 'sum(count_over_time({__name__=~".+"}[2d]))'
        text = server.get("/api/v1/query?query=" + urllib.parse.quote(query))
        found = int(json.loads(text)["data"]["result"][0]["value"][1])
    else:
        lines = server.get("/metrics").decode().splitlines()
        appended = 'prometheus_tsdb_head_samples_appended_total{type="float"}'
        found = int(float(next(x for x in lines if x.startswith(appended)).split()[1]))
    assert found == points, f"{name}: {found} of {points} points"


def run(name: str, path: str, requests: list[bytes], points: int) -> dict[str, Any]:
    opened: AbstractContextManager[Any]
    opened = serving.running() if name == "silverback" else peers.running(name)
    with opened as server:
        figures: dict[str, Any] = load(server, path, requests, points)
        stored(name, server, points)
        figures["peak_rss_MB"] = server.peak_rss_bytes() / 1e6
        figures["version"] = getattr(server, "version", "")
    return figures


def measure(rounds: int) -> dict[str, Any]:
    found = ["silverback", *(n for n, rival in peers.RIVALS.items() if peers.binary(rival[0]))]
    figures: dict[str, Any] = {n: "absent" for n in peers.RIVALS if n not in found}
    for kind, series in LOADS.items():
        now_ms = int(time.time() * 1000)
        made = list(
            bodies(
                series(SERIES),
                rounds,
                start_ms=now_ms - rounds * STEP_MS - HIDDEN_MS,
                step_ms=STEP_MS,
                a_body=A_BODY,
            )
        )
        points = sum(count for count, _ in made)
        requests = [request("POST", "/api/v1/write", body, HEADERS) for _, body in made]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        for _ in range(REPEATS):
            for name in found:
                runs[name].append(run(name, "/api/v1/write", requests, points))
        for name, rows in runs.items():
            figures[f"{kind} {name}"] = {
                key: statistics.median(row[key] for row in rows) if key != "version" else value
                for key, value in rows[0].items()
            }
        ours = figures[f"{kind} silverback"]
        for name in found[1:]:
            theirs = figures[f"{kind} {name}"]
            figures[f"{kind} silverback : {name}"] = {
                key: ours[key] / theirs[key] for key in ("points_per_s", "cpu_s_per_million")
            }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items() if isinstance(part, dict) else [("", part)]:
            shown = f"{value:14,.3f}" if isinstance(value, float) else str(value)
            print(f"{name:36} {key:20} {shown}")


if __name__ == "__main__":
    main()
