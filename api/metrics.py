"""Figures about the server and its database, in Prometheus' text format.

    in   Database.stats(), one observation a request
    out  bytes

The engine counts in plain ints; they are read only when somebody asks. The one thing measured as
it happens is the time a request takes: 2 µs each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tsdb.errors import Unavailable

if TYPE_CHECKING:
    from api.node import Node

__all__ = ["TEXT_FORMAT", "Metrics"]

TEXT_FORMAT = b"text/plain; version=0.0.4; charset=utf-8"
PREFIX = "silverback_"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _OfDatabase(Collector):
    """Every figure of Stats under its own name; _total ones are counters."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node = self._node
        yield GaugeMetricFamily(f"{PREFIX}reads", "Reads under way.", node.readers.callers)
        yield CounterMetricFamily(
            f"{PREFIX}slow_queries", "Queries longer than slow_query_s.", node.queries.slow
        )
        yield GaugeMetricFamily(
            f"{PREFIX}ingest_bytes", "Bytes of writes under way.", node.ingest.queued_bytes
        )
        yield GaugeMetricFamily(
            f"{PREFIX}writes_waiting", "Writes not answered yet.", node.ingest.writes_waiting
        )
        yield from _of_queries(node)
        yield from _of_listeners(node)
        yield from _of_refusals(node)
        yield from _of_rules(node)
        yield from _of_scraping(node)
        yield from _of_cluster(node)
        try:
            database = node.database()
        except Unavailable:
            yield GaugeMetricFamily(f"{PREFIX}up", "1 when the database is open.", 0)
            yield GaugeMetricFamily(f"{PREFIX}replayed", "Log entries replayed.", node.replayed)
            return
        yield GaugeMetricFamily(f"{PREFIX}up", "1 when the database is open.", 1)
        stats = database.stats()
        for field in dataclasses.fields(stats):
            name, words = PREFIX + field.name, field.name.replace("_", " ")
            value = getattr(stats, field.name)
            if field.name.endswith("_total"):
                yield CounterMetricFamily(name, f"{words}, since the server started.", value)
            else:
                yield GaugeMetricFamily(name, f"{words}.", value)


def _of_queries(node: Node) -> Iterator[Metric]:
    """What PromQL queries do, and why those ended that were not answered."""
    queries, memory = node.queries, node.memory
    for name, words, value in (
        ("queries_running", "Queries under way, being sent included.", queries.running),
        ("queries_queued", "Queries that wait for a thread or for memory.", queries.waiting),
        ("queries_memory_bytes", "What queries under way may hold at most.", memory.taken),
        ("queries_memory_bytes_max", "What they may hold together.", memory.bytes_max),
    ):
        yield GaugeMetricFamily(PREFIX + name, words, value)
    ends = CounterMetricFamily(
        f"{PREFIX}queries_failed",
        "Queries without an answer: canceled by their client or an operator, too late in the queue "
        "or while running, past a limit, wrong.",
        labels=["reason"],
    )
    for reason, count in queries.ends.copy().items():
        ends.add_metric([reason], count)
    yield ends
    words = "Queries that waited until memory was free."
    yield CounterMetricFamily(f"{PREFIX}queries_postponed", words, queries.postponed)


def _of_scraping(node: Node) -> Iterator[Metric]:
    """How many targets there are, and how their scrapes went."""
    if node.scraper is None:
        return
    counts = node.scraper.counts
    targets = GaugeMetricFamily(
        f"{PREFIX}scrape_targets", "Targets by health: up, down, unknown.", labels=["health"]
    )
    for health, count in node.scraper.targets_by_health().items():
        targets.add_metric([health], count)
    yield targets
    for name, words, count in (
        ("scrapes", "Scrapes that were tried.", counts.scrapes),
        ("scrapes_failed", "Scrapes without an answer that counts.", counts.failed),
        ("scrapes_unwritten", "Scrapes that could not be written.", counts.unwritten),
        ("scrape_points_refused", "Points of scrapes that were refused.", counts.refused),
    ):
        yield CounterMetricFamily(f"{PREFIX}{name}_total", words, count)


def _of_rules(node: Node) -> Iterator[Metric]:
    """How rules fare, all groups together, and what became of their alerts."""
    if node.ruler is None:
        return
    states = node.ruler.states()
    sent = node.ruler.sender.counts
    yield GaugeMetricFamily(f"{PREFIX}rule_groups", "Groups of rules.", len(states))
    for name, words, count in (
        ("rule_evaluations", "Rules evaluated.", sum(s.evaluations for s in states)),
        ("rule_failures", "Rules that failed.", sum(s.failures for s in states)),
        ("rule_moments_missed", "Evaluations skipped for lateness.", sum(s.missed for s in states)),
        ("alerts_sent", "Alerts that an Alertmanager took.", sent.sent),
        ("alerts_dropped", "Alerts that nobody took.", sent.dropped),
        ("alert_errors", "Requests to Alertmanagers that failed.", sent.errors),
    ):
        yield CounterMetricFamily(f"{PREFIX}{name}_total", words, count)


def _of_cluster(node: Node) -> Iterator[Metric]:
    """Where this node is in the log of each shard."""
    if node.cluster is None:
        return
    applier = node.cluster.applier
    stopped = applier.stopped
    serving = [int(shard not in stopped) for shard in range(len(applier.applied))]
    for name, words, values in (
        ("applied", "Position in the log up to which points are visible.", applier.applied),
        ("durable", "Position up to which the node has the log on its disk.", applier.durable),
        ("acked", "Last position that this node has answered a write with.", node.cluster.acked),
        ("serving", "1 while the node follows the log, 0 once it had to stop.", serving),
    ):
        family = GaugeMetricFamily(f"{PREFIX}shard_{name}", words, labels=["shard"])
        for shard, value in enumerate(values):
            family.add_metric([str(shard)], value)
        yield family


def _of_listeners(node: Node) -> Iterator[Metric]:
    """Every count of every listener, under its own name."""
    counts = {name: intake.counts for name, intake in node.intakes.items()}
    if not counts:
        return
    for field in dataclasses.fields(next(iter(counts.values()))):
        name, words = f"{PREFIX}listener_{field.name}", field.name.replace("_", " ")
        kind = CounterMetricFamily if field.name.endswith("_total") else GaugeMetricFamily
        family = kind(name, f"{words}, by listener.", labels=["listener"])
        for listener, of in counts.items():
            family.add_metric([listener], getattr(of, field.name))
        yield family


def _of_refusals(node: Node) -> Iterator[Metric]:
    """What was refused, by the bound or the reason."""
    requests = CounterMetricFamily(
        f"{PREFIX}refused", "Requests and connections refused, by limit.", labels=["limit"]
    )
    counts = node.refusals.requests.copy()
    if node.access is not None and node.access.context is not None:
        counts["connections_max"] += node.access.context.cut
    for limit, count in counts.items():
        requests.add_metric([limit], count)
    yield requests
    points = CounterMetricFamily(
        f"{PREFIX}points_refused",
        "Points left out of writes, by limit.",
        labels=["limit"],
    )
    for limit, count in node.refusals.points.copy().items():
        points.add_metric([limit], count)
    yield points
    words = "Fields of InfluxDB's line protocol that are texts, no values."
    yield CounterMetricFamily(f"{PREFIX}text_fields_skipped", words, node.texts_skipped)
    if node.access is not None:
        words = "1 when accounts and certificates are as their files say."
        yield GaugeMetricFamily(f"{PREFIX}web_config_fresh", words, node.access.fresh)
    if node.guard is None:
        return
    logins = CounterMetricFamily(
        f"{PREFIX}logins", "Credentials that were not known already.", labels=["outcome"]
    )
    for outcome, count in node.guard.outcomes.copy().items():
        logins.add_metric([outcome], count)
    yield logins


class Metrics:
    """One server's figures; no global registry, so that servers in one process do not mix."""

    def __init__(self, node: Node) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_OfDatabase(node))
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            f"{PREFIX}http_request_seconds",
            "Time from a request's header to the end of its answer.",
            ("route", "method", "status"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request. `route` is a template and `method` one we serve, so labels stay few."""
        at = (route, method, status)
        child = self._children.get(at)
        if child is None:
            child = self._children[at] = self._requests.labels(route, method, str(status))
        child.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
