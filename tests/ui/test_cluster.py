"""/cluster on real nodes: what is shown is what they say, a node that is gone too."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from ui.conftest import WAIT_MS, Opened

from api.cluster_dev import DevCluster, settled
from api.cluster_folder import Plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NODES = 3


def free_ports() -> int:
    """The first of a hundred that nobody listens on; most likely."""
    for base in range(21_000, 32_000, 40):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(base, base + NODES):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    folder = tmp_path_factory.mktemp("ui") / "cluster"
    made = DevCluster(folder, Plan(nodes=NODES, base_port=free_ports()))
    made.start()
    try:
        assert [good for _, good in settled(made.nodes)] == [True] * NODES
        yield made
    finally:
        made.stop()


def test_nodes_and_shards_are_shown_and_who_is_gone(
    visit: Callable[..., Opened], cluster: DevCluster
) -> None:
    opened = visit()
    opened.url = cluster.node(1).url
    page = opened.open("/cluster")
    page.get_by_text("3 of 3 answer").wait_for()
    opened.screenshot("cluster-3")
    shards = page.get_by_role("region", name="Copies of each shard").locator("tbody tr")
    assert shards.count() == 16
    assert opened.serious() == []

    cluster.node(3).signal(signal.SIGKILL)
    page.get_by_text("2 of 3 answer").wait_for(timeout=2 * WAIT_MS)
    page.get_by_role("cell", name="does not answer").wait_for()
    opened.screenshot("cluster-2-of-3")
