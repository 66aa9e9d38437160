"""Shards on some of the nodes, real processes: they move under writes, and nothing is lost."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cluster_dev import DevCluster, settled
from api.cluster_folder import Plan

WAIT_S = 60
SHARDS, NODES = 4, 4


TOKEN = "sbk_" + "x" * 40
MINE = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nodes that are started from now on want to know who asks."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    file = tmp_path_factory.mktemp("accounts") / "web.yml"
    file.write_text(f'bearer_tokens:\n  me: {{sha256: "{digest}", scopes: [read, write, admin]}}\n')
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SILVERBACK_WEB_CONFIG", str(file))
        patched.setenv("SILVERBACK_TOKEN", TOKEN)
        yield


def made_at(root: Path) -> Iterator[DevCluster]:
    port = 11_000 + (time.time_ns() // 1000) % 1_000 * 20  # below those that clients get
    made = DevCluster(root / "c", Plan(nodes=NODES, base_port=port, shards=SHARDS))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True] * NODES
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cluster(accounts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    yield from made_at(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(accounts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """One that a test may break."""
    yield from made_at(tmp_path_factory.mktemp("own"))


def get(url: str, path: str, **parameters: str) -> Any:
    query = urllib.parse.urlencode(parameters)
    asked = urllib.request.Request(f"{url}{path}?{query}", headers=MINE)
    with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
        return json.load(answer)["data"]


def silverback(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "cluster", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def replicas(url: str) -> list[dict[str, tuple[str, int, str]]]:
    return [
        {one["node"]: (one["state"], one["applied"], one["digest"]) for one in shard["replicas"]}
        for shard in get(url, "/api/v1/cluster")["shards"]
    ]


def equal(urls: list[str]) -> list[set[str]]:
    """Wait until all copies say the same; who keeps each shard."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = replicas(urls[0])
        if all(
            len({(at, digest) for _, at, digest in shard.values()}) == 1
            and {state for state, _, _ in shard.values()} == {"serving"}
            for shard in found
        ):
            return [set(shard) for shard in found]
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


class Writer:
    """Writes until it is stopped, to one node; knows what was acked."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.acked: list[int] = []
        self.failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            lines = "".join(
                f"{self.name},s={series} v={number} {1_700_000_000_000 + number * 1000}\n"
                for series in range(20)
            )
            request = urllib.request.Request(
                f"{self.url}/write?precision=ms", lines.encode(), MINE, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=WAIT_S):
                    self.acked.append(number)
            except (urllib.error.URLError, OSError):
                self.failed += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def count(url: str, name: str) -> list[int]:
    found = get(url, "/api/v1/query", query=f"count_over_time({name}_v[1d])", time="1700060000")
    return [int(one["value"][1]) for one in found["result"]]


def test_shards_move_under_load_and_nothing_is_lost(cluster: DevCluster) -> None:
    urls = [node.url for node in cluster.nodes]
    before = equal(urls)
    assert all(len(shard) == 3 for shard in before)
    assert any("node-2" in shard for shard in before)
    writers = [Writer(url, f"w{i}") for i, url in enumerate(urls)]
    time.sleep(0.5)
    told = silverback("drain", "node-2", "--url", urls[0])
    assert "shards have moved" in told
    time.sleep(0.5)
    silverback("rebalance", "--url", urls[2])
    time.sleep(0.5)
    for writer in writers:
        writer.stop()
    kept = equal(urls)
    assert all(len(shard) == 3 for shard in kept)
    assert sum("node-2" in shard for shard in kept) >= SHARDS * 3 // NODES
    told = silverback("verify", "--before", "1800000000", "--url", urls[1])
    assert f"All copies of {SHARDS} shards are equal" in told
    for writer in writers:
        assert writer.failed == 0
        assert len(writer.acked) > 5
        for url in urls:
            assert count(url, writer.name) == [len(writer.acked)] * 20


@pytest.mark.slow
def test_a_dead_node_is_replaced_and_comes_back_without_data(own: DevCluster) -> None:
    urls = [node.url for node in own.nodes]
    writer = Writer(urls[0], "w")
    time.sleep(0.5)
    own.nodes[1].signal(signal.SIGKILL)
    while own.nodes[1].pid() is not None:
        time.sleep(0.05)
    alive = [urls[0], urls[2], urls[3]]
    silverback("drain", "node-2", "--url", urls[0])
    writer.stop()
    kept = equal(alive)
    assert all(shard == {"node-1", "node-3", "node-4"} for shard in kept)
    shutil.rmtree(own.root / "node-2" / "data")
    silverback("start-node", "2", "--data", str(own.root))
    silverback("rebalance", "--url", urls[1])
    assert any("node-2" in shard for shard in equal(urls))
    for url in urls:
        assert all(found >= len(writer.acked) for found in count(url, "w"))


@pytest.mark.slow
def test_logs_of_a_node_that_is_gone_are_made_anew_and_another_may_go(own: DevCluster) -> None:
    """Two of four are gone in the end: without new copies some logs would have no majority."""
    urls = [node.url for node in own.nodes]
    writer = Writer(urls[0], "w")
    time.sleep(0.5)
    own.nodes[1].signal(signal.SIGKILL)
    while own.nodes[1].pid() is not None:
        time.sleep(0.05)
    silverback("drain", "node-2", "--url", urls[0])
    told = silverback("evict", "node-2", "--url", urls[2])
    assert re.search(r"; [1-9]\d* copies were made on others", told), told
    assert "; 0 copies" in silverback("evict", "node-2", "--url", urls[0])
    own.nodes[3].signal(signal.SIGKILL)
    while own.nodes[3].pid() is not None:
        time.sleep(0.05)
    before = len(writer.acked)
    deadline = time.monotonic() + WAIT_S
    while len(writer.acked) < before + 20:
        assert time.monotonic() < deadline, "no write is acked any more"
        time.sleep(0.1)
    writer.stop()
    assert all(found >= len(writer.acked) for found in count(urls[0], "w"))
    while not all(found >= len(writer.acked) for found in count(urls[2], "w")):  # it acked none
        assert time.monotonic() < deadline + WAIT_S, "what the other node acked does not arrive"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_node_that_lost_its_data_copies_its_shards_from_replicas(own: DevCluster) -> None:
    urls = [node.url for node in own.nodes]
    writer = Writer(urls[0], "w")
    time.sleep(1)
    silverback("stop-node", "2", "--data", str(own.root))
    shutil.rmtree(own.root / "node-2" / "data")
    time.sleep(0.5)
    silverback("start-node", "2", "--data", str(own.root))
    writer.stop()
    equal(urls)
    for url in urls:
        assert all(found >= len(writer.acked) for found in count(url, "w"))


def test_bad_orders_are_refused_by_name(cluster: DevCluster) -> None:
    url = cluster.nodes[0].url
    for path, why in (
        ("moves?shard=0&comes=node-9", "no node of this cluster"),
        ("moves?shard=250&comes=node-1", "there is no shard 250"),
        ("moves?shard=x&comes=node-1", "shard"),
        ("drain?node=nobody", "no node of this cluster"),
        ("evict?node=nobody", "no node of this cluster"),
        ("evict?node=node-1", "node-1 keeps points of shards"),
    ):
        request = urllib.request.Request(f"{url}/api/v1/cluster/{path}", b"", MINE, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=WAIT_S)
        assert refused.value.code == 400
        assert why in refused.value.read().decode()


def test_nodes_with_accounts_know_each_other_by_their_secret(cluster: DevCluster) -> None:
    address = cluster.nodes[0].settings.http

    def asked(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*address, timeout=WAIT_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        return answer.status, text

    secret = (cluster.root / "cluster.secret").read_text().strip()
    lines = "".join(f"g,s={series} v=1 1700000000000\n" for series in range(40)).encode()
    assert asked("POST", "/write?precision=ms", lines, **MINE)[0] == 204
    status, text = asked("GET", "/api/v1/query?query=count(g_v)&time=1700000010", **MINE)
    assert status == 200
    assert json.loads(text)["data"]["result"][0]["value"][1] == "40"  # from several nodes
    told = json.loads(asked("GET", "/api/v1/cluster", **MINE)[1])["data"]
    assert [node["alive"] for node in told["nodes"]] == [True] * NODES
    for path in ("/api/v1/cluster/shard?shard=0", "/api/v1/cluster/snapshot"):
        assert asked("GET", path)[0] == 401
        assert asked("GET", path, X_Silverback_Cluster=secret[:-1])[0] == 401
        assert asked("GET", path, **MINE)[0] == 403  # not even an account of all scopes
    assert asked("GET", "/api/v1/query?query=g_v", X_Silverback_Cluster=secret)[0] == 401
