"""The cluster's promise in one run: a node is killed, writes go on, nothing acked is missing.

    in   a dev cluster that runs (api.cluster_dev), a voice
    out  Outcome: what was acked, what every node gave back, how long nobody was acked

Writers send points of many series, so that every request needs all shards, and send the same again
elsewhere when a node does not answer. What a writer will send is known beforehand: its points are
a function of their number. So what comes back is compared to the last bit, and what nobody sent
would be seen, too.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from api.answers import Place, Question, ask
from api.cluster_dev import DevCluster, DevNode, settled
from api.cluster_status import fetch, summary
from api.encode import json_lines
from api.exits import CommandFailed, Exit
from tsdb.batch import F64s, I64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import Unavailable
from tsdb.index.labels import Labels
from tsdb.query.selection import Series

__all__ = ["Outcome", "Phases", "Reading", "Writer", "prove", "read", "series_of"]

WRITERS, SERIES = 3, 64  # of each; a request has a point of each of a writer's series
STEP_MS = 100  # between points, and between requests if acks allow
REQUEST_S, PAUSE_S = 30.0, 0.1
EQUAL_S = 120.0
BUSY = {429, 500, 502, 503, 504}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of each."""

    before: float = 4.0
    down: float = 14.0  # longer than the election of new leaders
    after: float = 4.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one node has, beside what it should have."""

    node: str
    acked: int  # points, before it was asked
    missing: int  # of those
    differing: int  # in any bit
    strangers: int  # that nobody sent

    @property
    def good(self) -> bool:
        return not (self.missing or self.differing or self.strangers)


@dataclass(frozen=True, slots=True)
class Outcome:
    victim: str
    acked: int
    acked_down: int  # while the node was down
    longest_s: float  # a writer waited for an ack while the node was down
    back_s: float  # from start to ready
    readings: tuple[Reading, ...]
    shards: int
    shards_equal: int

    @property
    def good(self) -> bool:
        return (
            self.acked_down > 0
            and all(one.good for one in self.readings)
            and self.shards_equal == self.shards
        )


class Writer(threading.Thread):
    """Sends one request after the other until `stop`; each until it is acked."""

    def __init__(self, number: int, nodes: list[DevNode], first_ms: int) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.number = number
        self.requests = 0  # acked
        self.begun = 0
        self.acks: list[float] = []  # when
        self.failure: Exception | None = None
        self._first_ms = first_ms
        self._nodes = nodes[number % len(nodes) :] + nodes[: number % len(nodes)]
        self._connection: http.client.HTTPConnection | None = None
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """After the request under way."""
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        try:
            self._run()
        except CommandFailed as error:
            self.failure = error
        finally:
            self._disconnect()

    def longest_wait_s(self, since: float, until: float) -> float:
        """Between two acks, or an ack and now."""
        marks = [since, *(at for at in self.acks if since < at < until), until]
        return max(b - a for a, b in itertools.pairwise(marks))

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop_asked.is_set():
            points = series_of(self.number, self._first_ms, self.begun, self.begun + 1)
            body = b"".join(json_lines.stream(points, Resolution.MS))
            self.begun += 1
            while not self._acked(body):
                time.sleep(PAUSE_S)
            self.requests += 1
            self.acks.append(time.monotonic())
            due = max(due + STEP_MS / 1000, time.monotonic())
            self._stop_asked.wait(due - time.monotonic())

    def _acked(self, body: bytes) -> bool:
        """Whether the node took it; if not, another one is next."""
        if self._connection is None:
            address = self._nodes[0].settings.http
            self._connection = http.client.HTTPConnection(
                address.host, address.port, timeout=REQUEST_S
            )
        try:
            self._connection.request("POST", "/api/v1/import", body)
            answer = self._connection.getresponse()
            said = answer.read()
        except (http.client.HTTPException, OSError):
            self._disconnect()
            return False
        if answer.status == 200:
            return True
        if answer.status not in BUSY:
            raise CommandFailed(f"a write was answered {answer.status}: {said!r}", Exit.BUG)
        self._disconnect()
        return False

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._nodes = [*self._nodes[1:], self._nodes[0]]


def series_of(writer: int, first_ms: int, begin: int, end: int) -> list[Series]:
    """What a writer sends in its requests from `begin` until before `end`."""
    numbers = np.arange(begin, end, dtype=np.int64)
    stamps = first_ms + STEP_MS * numbers
    return [
        Series(_labels(writer, series), stamps, _values(writer, series, numbers))
        for series in range(SERIES)
    ]


def prove(cluster: DevCluster, tell: Tell, phases: Phases | None = None) -> Outcome:
    """Write, kill, go on, bring back, compare."""
    phases = phases or Phases()
    victim = _leading(cluster)
    others = [one for one in cluster.nodes if one is not victim]
    first_ms = time.time_ns() // 1_000_000
    with _writing(cluster.nodes, first_ms) as writers:
        _follow(writers, tell, phases.before)
        _kill(victim)
        killed, acked = time.monotonic(), _acked(writers)
        tell(f"kill -9 {victim.name}, which led the most shards, with its server of the log")
        _follow(writers, tell, phases.down)
        acked_down = _acked(writers) - acked
        longest_s = max(one.longest_wait_s(killed, time.monotonic()) for one in writers)
        tell(f"reading everything back from {others[0].name}, while {victim.name} is down")
        readings = [read(others[0], writers, first_ms)]
        tell(_verdict(readings[0]))
        began = time.monotonic()
        victim.ended()
        victim.start()
        for _, ready in settled([victim]):
            if not ready:
                raise CommandFailed(f"{victim.name} {victim.ended()}", Exit.UNAVAILABLE)
        back_s = time.monotonic() - began
        tell(f"{victim.name} is back and ready after {back_s:.1f} s")
        _follow(writers, tell, phases.after)
    tell("the writers have stopped; waiting until all copies are equal")
    shards, equal = _await_equal(cluster)
    for node in cluster.nodes:
        tell(f"reading everything back from {node.name}")
        readings.append(read(node, writers, first_ms))
        tell(_verdict(readings[-1]))
    return Outcome(
        victim=victim.name,
        acked=_acked(writers),
        acked_down=acked_down,
        longest_s=longest_s,
        back_s=back_s,
        readings=tuple(readings),
        shards=shards,
        shards_equal=equal,
    )


@contextlib.contextmanager
def _writing(nodes: list[DevNode], first_ms: int) -> Iterator[list[Writer]]:
    writers = [Writer(number, nodes, first_ms) for number in range(WRITERS)]
    for one in writers:
        one.start()
    try:
        yield writers
    finally:
        for one in writers:
            one.stop()
    _check(writers)


def _follow(writers: list[Writer], tell: Tell, seconds: float) -> None:
    """A line a second."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        before, began = _acked(writers), time.monotonic()
        time.sleep(min(1.0, left))
        _check(writers)
        acked, now = _acked(writers), time.monotonic()
        quiet = now - max((one.acks[-1] for one in writers if one.acks), default=began)
        rate = (acked - before) / (now - began)
        why = ": shards without a leader elect one" if quiet > 1 else ""
        tell(f"  {acked:>9,} points acked, {rate:>6,.0f}/s, the last {quiet:.1f} s ago{why}")


def _check(writers: list[Writer]) -> None:
    for one in writers:
        if one.failure is not None:
            raise one.failure


def _acked(writers: list[Writer]) -> int:
    return sum(one.requests for one in writers) * SERIES


def _leading(cluster: DevCluster) -> DevNode:
    """The node whose death hurts most."""
    led = [shard["leader"] for shard in fetch(cluster.nodes[0].url)["shards"]]
    return max(cluster.nodes, key=lambda one: led.count(one.name))


def _kill(node: DevNode) -> None:
    """As if the machine was gone: without time for its children to leave in order, either."""
    pid = node.pid()
    children = Path(f"/proc/{pid}/task").glob("*/children")
    for child in " ".join(one.read_text() for one in children).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    node.signal(signal.SIGKILL)


def read(node: DevNode, writers: list[Writer], first_ms: int) -> Reading:
    """Everything it has, linearizable: what was acked before this was asked is there."""
    acked = [one.requests for one in writers]
    found = {one.labels: one for one in ask(Place(None, node.url), Question('{__name__="proof"}'))}
    total = Reading(node.name, sum(acked) * SERIES, 0, 0, 0)
    for writer, requests in zip(writers, acked, strict=True):
        for series in range(SERIES):
            one = found.pop(_labels(writer.number, series), None)
            stamps = np.empty(0, np.int64) if one is None else one.timestamps
            values = np.empty(0, np.float64) if one is None else one.values
            numbers, known = _numbers(stamps, first_ms, writer.begun)
            wanted = _values(writer.number, series, numbers)
            same = wanted.view(np.uint64) == values[known].view(np.uint64)
            total = replace(
                total,
                missing=total.missing + requests - np.unique(numbers[numbers < requests]).size,
                differing=total.differing + int((~same).sum()),
                strangers=total.strangers + int((~known).sum()),
            )
    more = sum(map(len, found.values()))
    return replace(total, strangers=total.strangers + more)


def _numbers(stamps: I64s, first_ms: int, begun: int) -> tuple[I64s, npt.NDArray[np.bool_]]:
    """Of the requests that points came in, and which points came in any."""
    numbers, rest = np.divmod(stamps - first_ms, STEP_MS)
    known = (rest == 0) & (numbers >= 0) & (numbers < begun)
    return numbers[known], known


def _await_equal(cluster: DevCluster) -> tuple[int, int]:
    """Shards, and how many of them have equal copies on all nodes."""
    deadline = time.monotonic() + EQUAL_S
    while True:
        try:
            found = summary(fetch(cluster.nodes[0].url))
        except Unavailable:
            found = None
        if found is not None and (found.whole or time.monotonic() > deadline):
            return found.shards, found.equal
        if time.monotonic() > deadline:
            raise CommandFailed(f"{cluster.nodes[0].name} says nothing", Exit.UNAVAILABLE)
        time.sleep(0.2)


def _verdict(reading: Reading) -> str:
    if reading.good:
        return f"  all {reading.acked:,} acked points are there, bit for bit"
    return (
        f"  of {reading.acked:,} acked points {reading.missing:,} are missing and "
        f"{reading.differing:,} differ; {reading.strangers:,} were never sent"
    )


def _labels(writer: int, series: int) -> Labels:
    return Labels({"__name__": "proof", "writer": str(writer), "series": str(series)})


def _values(writer: int, series: int, numbers: I64s) -> F64s:
    """All bits of the mantissa in use, no two alike."""
    return (numbers * 7_919 + series * 101 + writer + 1) / 7.0
