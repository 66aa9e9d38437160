"""A cluster of real processes: three servers, each with a server of the log, over HTTP.

What a node acked it shows at once, others when they are asked to wait; all copies are equal; a node
that lost its data copies another's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cluster_dev import DevCluster, settled
from api.cluster_folder import Plan

WAIT_S = 60
SHARDS = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    port = 11_000 + (time.time_ns() // 1000) % 1_000 * 20  # below those that clients get
    root = tmp_path_factory.mktemp("cluster") / "c"
    made = DevCluster(root, Plan(nodes=3, base_port=port, shards=SHARDS))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True] * 3
    yield made
    assert made.stop() == []


def put(url: str, key: str, body: bytes) -> str:
    """Write a point; its position."""
    request = urllib.request.Request(f"{url}/kv/{key}", body, method="PUT")
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        assert answer.status == 200
        position: str = answer.headers["x-silverback-position"]
    return position


def points(url: str, key: str, **headers: str) -> list[list[float]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{url}/kv/{key}", headers=named)
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        found: list[list[float]] = json.load(answer)["points"]
    return found


def status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/api/v1/cluster", timeout=WAIT_S) as answer:
        found: dict[str, Any] = json.load(answer)["data"]
    return found


def test_any_node_takes_any_write_and_any_read(cluster: DevCluster) -> None:
    urls = [node.url for node in cluster.nodes]
    for number in range(30):
        put(urls[number % 3], f"any/{number}", b"%d" % number)
        for url in urls:  # /kv is linearizable unless told otherwise
            assert [value for _, value in points(url, f"any/{number}")] == [number]


def test_a_position_carries_a_session_to_another_node(cluster: DevCluster) -> None:
    first, second, _ = (node.url for node in cluster.nodes)
    for number in range(20):
        position = put(first, "session", b"%d" % number)
        found = points(
            second,
            "session",
            X_Silverback_Read="session",
            X_Silverback_Position=position,
        )
        assert found[-1][1] == number


def test_all_copies_are_equal(cluster: DevCluster) -> None:
    for number in range(12):
        put(cluster.nodes[number % 3].url, f"equal/{number}", b"1")
    deadline = time.monotonic() + WAIT_S
    while True:
        document = status(cluster.nodes[1].url)
        copies = [
            {(copy["applied"], copy["digest"]) for copy in shard["replicas"]}
            for shard in document["shards"]
        ]
        if all(len(found) == 1 for found in copies):
            break
        assert time.monotonic() < deadline, document
        time.sleep(0.1)
    assert len(copies) == SHARDS
    assert [node["alive"] for node in document["nodes"]] == [True] * 3
    assert {shard["leader"] for shard in document["shards"]} <= {"node-1", "node-2", "node-3"}


def test_figures_say_where_a_node_is(cluster: DevCluster) -> None:
    put(cluster.nodes[0].url, "figures", b"1")
    assert points(cluster.nodes[0].url, "figures")  # waits until it is applied, as an ack does not
    with urllib.request.urlopen(f"{cluster.nodes[0].url}/metrics", timeout=WAIT_S) as answer:
        text = answer.read().decode()
    for shard in range(SHARDS):
        assert f'silverback_shard_serving{{shard="{shard}"}} 1.0' in text
    acked, applied = (
        [float(line.split()[1]) for line in text.splitlines() if line.startswith(name + "{")]
        for name in ("silverback_shard_acked", "silverback_shard_applied")
    )
    assert max(acked) > 0
    assert all(a <= b for a, b in zip(acked, applied, strict=True))


def test_a_bad_level_and_a_bad_position_are_refused(cluster: DevCluster) -> None:
    put(cluster.nodes[0].url, "there", b"1")
    for headers in ({"X_Silverback_Read": "newest"}, {"X_Silverback_Position": "7:x"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            points(cluster.nodes[0].url, "there", **headers)
        assert refused.value.code == 400
        refused.value.close()


def test_a_node_that_lost_its_data_copies_anothers(cluster: DevCluster) -> None:
    first, second, _ = cluster.nodes
    put(first.url, "kept", b"5")
    run("stop-node", cluster)
    shutil.rmtree(second_data(cluster))
    put(first.url, "kept/meanwhile", b"6")
    run("start-node", cluster)
    assert [value for _, value in points(second.url, "kept")] == [5]
    assert [value for _, value in points(second.url, "kept/meanwhile")] == [6]


def second_data(cluster: DevCluster) -> Path:
    return cluster.root / "node-2" / "data"


def run(command: str, cluster: DevCluster) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "cluster", command, "2", "--data", str(cluster.root)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
