"""Question: how long does a dashboard wait for an answer, beside Prometheus and VictoriaMetrics?

    10,000 series, 4 h at 15 s, the same 9.6 million points in each by remote_write; then the
    queries of dashboards over HTTP, one connection each, servers taking turns: p50 of the whole
    round trip, and the ratio of ours to theirs in the same run.

No cache of results: VictoriaMetrics is told nocache=1, Prometheus and ours have none. Answers are
checked: ours and Prometheus' must be the same series, times and values (1e-9); VictoriaMetrics
extrapolates rates in its own way, so of its answers only the number of series is compared.

Rivals are looked for on the PATH and below $SILVERBACK_PEERS; one that is absent is left out.

Run: python -m benchmarks.bench_queries [--json] [--rounds N] [--hours N] [QUERY...]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import cramjam
import numpy as np

from benchmarks import peers, serving

STEP_MS = 15_000
SLICE_POINTS = 120  # of a series a body: half an hour, as Prometheus takes nothing much older
SLICE_SERIES = 250
RIVALS = ("prometheus", "victoria-metrics")
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
METRICS = ("user", "system", "idle", "nice", "iowait")
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """`step_s` None asks at the end alone; a path of its own asks for no points."""

    query: str
    hours: float = 1
    step_s: int | None = 15
    path: str = ""


DOUBLE = "avg by (hostname) (avg_over_time(cpu_usage_{}[1h]))"
QUESTIONS = {
    "rate": Question("sum by (region) (rate(requests_total[5m]))"),
    "quantile": Question("histogram_quantile(0.99, sum by (le) (rate(seconds_bucket[5m])))"),
    "average": Question("avg by (job) (temperature)"),
    "double-groupby-1": Question(DOUBLE.format("user"), 3, 3600),
    "double-groupby-5": Question(" + ".join(map(DOUBLE.format, METRICS)), 3, 3600),
    "threshold": Question("cpu_usage_user > 83"),
    "last-point": Question('{__name__=~".+"}', step_s=None),
    "count-by-name": Question('count by (__name__) ({__name__=~".+"})', step_s=None),
    "topk": Question("topk(5, avg_over_time(temperature[1h]))", step_s=None),
    "single": Question('cpu_usage_user{hostname="host_7"}'),
    "label-names": Question("", path="/api/v1/labels"),
    "label-values": Question("", path="/api/v1/label/hostname/values"),
    "series": Question("temperature", path="/api/v1/series"),
}
TINY = {"single", "label-names", "label-values", "series"}


def families() -> Iterator[tuple[Labels, str]]:
    """Label sets of 10,000 series, and what their values are like."""
    for i in range(1000):
        place = {"region": f"region-{i % 10}", "instance": f"10.0.{i // 250}.{i % 250}:9100"}
        yield {"__name__": "requests_total", "job": f"job-{i % 7}", **place}, "counter"
        yield {"__name__": "temperature", "job": f"job-{i % 10}", "host": f"host_{i}"}, "gauge"
        for metric in METRICS:
            host = {"hostname": f"host_{i}", "rack": str(i % 100), "team": "ABCD"[i % 4]}
            yield {"__name__": f"cpu_usage_{metric}", **host}, "gauge"
        le = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")[i % 10]
        yield {"__name__": "seconds_bucket", "le": le, "handler": f"/h{i // 10}"}, f"bucket{i % 10}"
        for n in range(2):
            yield {"__name__": f"other_{i % 20}_{n}", "node": f"n{i}"}, "gauge"


def values_of(kind: str, points: int, random: np.random.Generator) -> np.ndarray:
    if kind == "gauge":
        return np.round(random.uniform(0, 100, points), 2)
    grown = random.integers(0, 50, points).astype(np.float64)
    if kind.startswith("bucket"):  # cumulative over `le`, with the same steps for all handlers
        grown = np.random.default_rng(3).integers(0, 9, points) * float(int(kind[6:]) + 1)
    return np.cumsum(grown)


def bodies(points: int, start_ms: int) -> Iterator[bytes]:
    """Half an hour of 250 series each, in the order of time. A sample always has 18 bytes."""
    random = np.random.default_rng(11)
    series = [(_labels(labels), values_of(kind, points, random)) for labels, kind in families()]
    sample = np.dtype([("head", "S3"), ("value", "<f8"), ("tag", "u1"), ("time", "S6")])
    for first in range(0, points, SLICE_POINTS):
        count = min(SLICE_POINTS, points - first)
        rows = np.zeros(count, sample)
        rows["head"], rows["tag"] = b"\x12\x10\x09", 0x10
        stamps = [_varint(start_ms + (first + i) * STEP_MS) for i in range(count)]
        assert {len(stamp) for stamp in stamps} == {6}
        rows["time"] = stamps
        for at in range(0, len(series), SLICE_SERIES):
            parts = []
            for labels, values in series[at : at + SLICE_SERIES]:
                rows["value"] = values[first : first + count]
                text = labels + rows.tobytes()
                parts.append(b"\x0a" + _varint(len(text)) + text)
            yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def _labels(labels: Labels) -> bytes:
    parts = []
    for name, value in sorted(labels.items()):
        pair = b"".join(
            struct.pack("BB", tag, len(text)) + text.encode()
            for tag, text in ((0x0A, name), (0x12, value))
        )
        parts.append(struct.pack("BB", 0x0A, len(pair)) + pair)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


class Asked:
    """One server and one connection to it."""

    def __init__(self, name: str, server: Any) -> None:
        self.name, self.server = name, server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in {200, 204}:
            raise RuntimeError(f"{self.name} {path[:200]}: {answer.status} {text[:300]!r}")
        return text

    def load(self, points: int, start_ms: int) -> float:
        began = time.perf_counter()
        for body in bodies(points, start_ms):
            self.ask("POST", "/api/v1/write", body, **HEADERS)
        if self.name == "victoria-metrics":
            self.ask("GET", "/internal/force_flush")
        return time.perf_counter() - began


def path_of(question: Question, end_s: int) -> str:
    start_s = end_s - int(question.hours * 3600)
    if question.path:
        match = {"match[]": question.query} if question.query else {}
        return f"{question.path}?{urlencode({'start': start_s, 'end': end_s} | match)}"
    if question.step_s is None:
        return f"/api/v1/query?{urlencode({'query': question.query, 'time': end_s, 'nocache': 1})}"
    span = {"start": start_s, "end": end_s, "step": question.step_s, "nocache": 1}
    return f"/api/v1/query_range?{urlencode({'query': question.query} | span)}"


def answer_of(text: bytes) -> Any:
    """What was answered, in a form that compares: {labels: {time: value}} or a sorted list."""
    data = json.loads(text)["data"]
    if isinstance(data, list):
        return sorted(json.dumps(each, sort_keys=True) for each in data)
    return {
        json.dumps(each["metric"], sort_keys=True): {
            at: float(value) for at, value in each.get("values") or [each["value"]]
        }
        for each in data["result"]
    }


def check(name: str, ours: Any, theirs: Any) -> None:
    """Stops the run where an answer is not Prometheus'."""
    assert type(ours) is type(theirs), name
    if isinstance(ours, list):
        assert ours == theirs, f"{name}: {set(ours) ^ set(theirs)}"
        return
    assert ours.keys() == theirs.keys(), f"{name}: {len(ours)} and {len(theirs)} series"
    for labels, points in theirs.items():
        assert ours[labels].keys() == points.keys(), f"{name} {labels}: other times"
        for at, value in points.items():
            close = math.isclose(ours[labels][at], value, rel_tol=1e-9, abs_tol=1e-12)
            assert close or (math.isnan(value) and math.isnan(ours[labels][at])), (
                f"{name} {labels} at {at}: {ours[labels][at]!r} and {value!r}"
            )


def measured(
    name: str, question: Question, servers: list[Asked], end_s: int, rounds: int
) -> dict[str, Any]:
    path = path_of(question, end_s)
    answers = {each.name: answer_of(each.ask("GET", path)) for each in servers}
    for rival, found in answers.items():
        if rival == "prometheus":
            check(name, answers["silverback"], found)
        same = len(found) == len(answers["silverback"])
        assert same, f"{name}: {rival} has {len(found)} of {len(answers['silverback'])}"
    took: dict[str, list[float]] = {each.name: [] for each in servers}
    for _ in range(rounds * (5 if name in TINY else 1)):
        for each in servers:
            began = time.perf_counter()
            each.ask("GET", path)
            took[each.name].append((time.perf_counter() - began) * 1e3)
    figures = {f"{server} p50 ms": statistics.median(times) for server, times in took.items()}
    ours = figures["silverback p50 ms"]
    for rival in list(took)[1:]:
        figures[f"silverback : {rival}"] = ours / figures[f"{rival} p50 ms"]
    return figures


def run(names: list[str], rounds: int, hours: int) -> dict[str, Any]:
    points = hours * 3_600_000 // STEP_MS
    # On a full hour, so that hours of questions are hours of points; not quite now.
    end_s = int(time.time() - 300) // 3600 * 3600
    start_ms = end_s * 1000 - (points - 1) * STEP_MS
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as opened:
        servers = [Asked("silverback", opened.enter_context(serving.running()))]
        for rival in RIVALS:
            if peers.binary(peers.RIVALS[rival][0]) is None:
                figures[rival] = "absent"
                continue
            servers.append(Asked(rival, opened.enter_context(peers.running(rival))))
        for each in servers:
            figures[f"load {each.name} s"] = each.load(points, start_ms)
            print(f"{each.name}: {10_000 * points:,} points", file=sys.stderr)
        for name in names:
            try:
                figures[name] = measured(name, QUESTIONS[name], servers, end_s, rounds)
            except (AssertionError, RuntimeError) as error:
                figures[name] = f"FAILED: {error}"[:300]
            print(name, figures[name], file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--hours", type=int, default=4)
    parser.add_argument("names", nargs="*", choices=[*QUESTIONS, []], help="all by default")
    arguments = parser.parse_args()
    figures = run(arguments.names or list(QUESTIONS), arguments.rounds, arguments.hours)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, part in figures.items():
        for key, value in part.items() if isinstance(part, dict) else [("", part)]:
            shown = f"{value:12,.3f}" if isinstance(value, float) else str(value)
            print(f"{name:20} {key:32} {shown}")


if __name__ == "__main__":
    main()
