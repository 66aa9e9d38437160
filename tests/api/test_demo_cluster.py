"""api.demo_cluster: writers that never give up, a reading that would see what is wrong.

What needs no cluster is shown on one server; the whole is a run of `silverback cluster demo`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cluster_dev import DevNode
from api.demo_cluster import SERIES, Outcome, Reading, Writer, read, series_of
from api.encode import json_lines
from api.exits import CommandFailed
from api.remote import Remote
from replication.settings import Address, ClusterSettings, NatsSettings, Peer
from tsdb.codec.resolution import Resolution
from tsdb.query.selection import Series

FIRST_MS = 1_769_860_800_000
WAIT_S = 60


def node(port: int, name: str = "node-1") -> DevNode:
    """As the demo sees it: only its address counts."""
    address = Address("127.0.0.1", port)
    settings = ClusterSettings(
        Path("cluster.toml"), "demo", name, address, NatsSettings(), (Peer(name, address),)
    )
    return DevNode(1, Path("nowhere"), settings)


@pytest.fixture
def place(
    serve: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Path
) -> Iterator[DevNode]:
    with serve(tmp_path / "db") as server:
        yield node(server.port)


def written(requests: int, *nodes: DevNode) -> Writer:
    """A writer that has sent so much."""
    writer = Writer(0, list(nodes), FIRST_MS)
    writer.start()
    deadline = time.monotonic() + WAIT_S
    while writer.requests < requests and time.monotonic() < deadline:
        time.sleep(0.005)
    writer.stop()
    assert writer.failure is None
    assert requests <= writer.requests == writer.begun == len(writer.acks)
    return writer


def send(place: DevNode, series: list[Series]) -> None:
    with Remote(place.url) as server:
        server.send("POST", "/api/v1/import", b"".join(json_lines.stream(series, Resolution.MS)))


def test_what_is_acked_is_read_back(place: DevNode) -> None:
    writer = written(20, place)

    reading = read(place, [writer], FIRST_MS)

    assert reading == Reading("node-1", writer.requests * SERIES, 0, 0, 0)
    assert reading.good


def test_a_writer_goes_on_elsewhere_when_a_node_is_gone(place: DevNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    writer = written(3, node(port, "node-2"), place)

    assert read(place, [writer], FIRST_MS).good


def test_a_writer_goes_on_elsewhere_when_a_node_hangs_up(place: DevNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            one, _ = listener.accept()
            one.recv(100)
            one.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        writer = written(3, node(listener.getsockname()[1], "node-2"), place)
        thread.join(WAIT_S)

    assert not thread.is_alive()
    assert read(place, [writer], FIRST_MS).good


def test_a_refused_write_ends_the_writer(place: DevNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "stream", lambda *a: [b"no line of JSON\n"])
    writer = Writer(0, [place], FIRST_MS)
    writer.start()
    writer.join(WAIT_S)

    assert isinstance(writer.failure, CommandFailed)
    assert "400" in str(writer.failure)


def test_missing_points_are_counted(place: DevNode) -> None:
    writer = written(5, place)
    writer.requests += 2  # so it says

    reading = read(place, [writer], FIRST_MS)

    assert (reading.missing, reading.differing, reading.strangers) == (2 * SERIES, 0, 0)
    assert not reading.good


def test_another_value_is_counted(place: DevNode) -> None:
    writer = written(5, place)
    one = series_of(0, FIRST_MS, 3, 4)[7]
    one.values.view("u8")[0] ^= 1
    send(place, [one])

    reading = read(place, [writer], FIRST_MS)

    assert (reading.missing, reading.differing, reading.strangers) == (0, 1, 0)
    assert not reading.good


def test_points_that_nobody_sent_are_counted(place: DevNode) -> None:
    writer = written(5, place)
    later = series_of(0, FIRST_MS, writer.begun, writer.begun + 2)[0]  # two not sent yet
    between = series_of(0, FIRST_MS + 1, 0, 1)[1]
    send(place, [later, between, series_of(1, FIRST_MS, 0, 4)[0]])  # and four of no writer

    reading = read(place, [writer], FIRST_MS)

    assert (reading.missing, reading.differing, reading.strangers) == (0, 0, 2 + 1 + 4)
    assert not reading.good


def test_a_point_that_was_sent_but_not_acked_may_be_there(place: DevNode) -> None:
    writer = written(5, place)
    writer.requests -= 1

    assert read(place, [writer], FIRST_MS).good


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"acked_down": 0}, False),
        ({"shards_equal": 15}, False),
        ({"readings": (Reading("node-1", 10, 0, 0, 0), Reading("node-2", 10, 1, 0, 0))}, False),
    ],
)
def test_what_makes_a_run_good(change: dict[str, Any], good: bool) -> None:
    whole: dict[str, Any] = {
        "victim": "node-2", "acked": 10, "acked_down": 5, "longest_s": 1.0, "back_s": 1.0,
        "readings": (Reading("node-1", 10, 0, 0, 0),), "shards": 16, "shards_equal": 16,
    }  # fmt: skip

    assert Outcome(**(whole | change)).good is good


def test_the_longest_wait_is_between_acks_or_since_one() -> None:
    writer = Writer(0, [node(1)], FIRST_MS)
    writer.acks = [1.0, 5.0, 5.5, 8.0]

    assert writer.longest_wait_s(4.0, 8.5) == 2.5
    assert writer.longest_wait_s(4.0, 20.0) == 12.0
    assert writer.longest_wait_s(2.0, 5.2) == 3.0


@pytest.mark.slow
def test_the_whole_demo() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "cluster", "demo", "--json"],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["good"]
    assert found["acked"] > found["acked_down"] > 0
    assert found["shards"] == found["shards_equal"] == 16
    assert [one["missing"] for one in found["readings"]] == [0] * 4
