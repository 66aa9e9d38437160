"""Rules in a cluster of real processes: one node evaluates them, another one when that is gone."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cluster_dev import DevCluster, settled
from api.cluster_folder import Plan

WAIT_S = 60
RULES = """
groups:
- name: g
  interval: 1s
  rules:
  - {record: "one:evaluated", expr: "vector(1)"}
  - {alert: Always, expr: "vector(1) > 0", for: 1s}
"""


@pytest.fixture
def cluster(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DevCluster]:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    monkeypatch.setenv("SILVERBACK_RULES", str(rules))
    port = 11_000 + (time.time_ns() // 1000) % 1_000 * 20  # below those that clients get
    made = DevCluster(tmp_path_factory.mktemp("duties") / "c", Plan(base_port=port, shards=2))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True] * 3
    yield made
    made.stop()


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=WAIT_S) as answer:
        return json.load(answer)["data"]


def until(holds: Any) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.2)
    return found


def evaluating(cluster: DevCluster, number: int) -> bool:
    """By the log of the node: whether it has the duties."""
    told = cluster.nodes[number].log.read_text().splitlines()
    turns = [line for line in told if "duties_begin" in line or "duties_end" in line]
    return bool(turns) and "duties_begin" in turns[-1]


@pytest.mark.slow
def test_one_node_evaluates_and_another_takes_over(cluster: DevCluster) -> None:
    urls = [node.url for node in cluster.nodes]

    def firing(url: str) -> bool:
        return any(one["state"] == "firing" for one in get(url, "/api/v1/alerts")["alerts"])

    for url in urls:  # whoever is asked, it is the holder that answers
        until(lambda url=url: firing(url))
        assert [group["name"] for group in get(url, "/api/v1/rules")["groups"]] == ["g"]
    holders = [number for number in range(3) if evaluating(cluster, number)]
    assert len(holders) == 1
    holder = cluster.nodes[holders[0]]
    holder.signal(signal.SIGKILL)
    left = [number for number in range(3) if number not in holders]
    until(lambda: any(evaluating(cluster, number) for number in left))
    other = cluster.nodes[left[0]].url
    until(lambda: firing(other))
    assert sum(evaluating(cluster, number) for number in left) == 1
    found = get(other, "/api/v1/query?query=one:evaluated%5B5m%5D")["result"]
    stamps = [stamp for stamp, _ in found[0]["values"]]
    assert len(found) == 1
    assert len(stamps) == len(set(stamps)) > 3
    # The alert was pending once: the second node found it firing in its series.
    pending = get(other, "/api/v1/query?query=ALERTS%7Balertstate=%22pending%22%7D%5B5m%5D")
    assert sum(len(one["values"]) for one in pending["result"]) <= 4


@pytest.mark.slow
def test_a_holder_that_was_suspended_finds_out_when_it_runs_again(cluster: DevCluster) -> None:
    (holder,) = until(lambda: [n for n in range(3) if evaluating(cluster, n)])
    others = [n for n in range(3) if n != holder]
    cluster.nodes[holder].signal(signal.SIGSTOP)
    try:
        until(lambda: any(evaluating(cluster, n) for n in others))
    finally:
        cluster.nodes[holder].signal(signal.SIGCONT)
    until(lambda: not evaluating(cluster, holder))
    (now,) = [n for n in range(3) if evaluating(cluster, n)]
    assert now != holder
    url = cluster.nodes[holder].url
    until(lambda: get(url, "/api/v1/alerts")["alerts"])  # it asks its successor
    time.sleep(2)
    assert not evaluating(cluster, holder)
    found = get(url, "/api/v1/query?query=one:evaluated%5B5m%5D")["result"]
    assert {value for _, value in found[0]["values"]} == {"1"}
