"""api.node: what a node may spend on one read follows from its memory limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.node import Node
from api.settings import load
from tsdb import limits

T = 1_700_000_000


def node_of(**settings: Any) -> Node:
    return Node(load({"data": "/nonexistent"} | settings, environ={}))


def test_a_read_may_take_its_share_of_the_memory_limit() -> None:
    assert node_of().points_max == limits.POINTS_PER_SELECT_MAX
    assert node_of(memory_limit_bytes="64MiB").points_max == (64 << 20) // 256
    assert node_of(memory_limit_bytes="1TiB").points_max == limits.POINTS_PER_SELECT_MAX


def test_a_read_that_takes_more_is_refused_by_name(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path / "db", memory_limit_bytes="64MiB") as server:
        for part in range(3):
            points = [[T + part * 100_000 + i, i] for i in range(100_000)]
            assert server("PUT", "/kv/a", points).status == 200

        whole, half = server.get("/kv/a"), server.get(f"/kv/a?start={T}&end={T + 99_999}")

        assert (whole.status, whole.json["errorType"]) == (422, "limit")
        assert whole.json["limit"] == "POINTS_PER_SELECT_MAX"
        assert "range" in whole.json["error"]
        assert len(half.points) == 100_000
