"""Flush and snapshot over HTTP: POST, loopback, no other site; and they do what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tsdb
from api.door import Door

T = 1_700_000_000


def test_a_flush_makes_blocks_and_changes_no_answer(server: Any) -> None:
    server("PUT", "/kv/admin/flushed", [[T, 1], [T + 86_400, 2]])
    before = server.get("/kv/admin/flushed").points

    reply = server("POST", "/api/v1/admin/flush")

    assert reply.status == 200
    assert reply.json["blocks"] >= 1
    assert server.get("/kv/admin/flushed").points == before
    assert server.get("/api/v1/status").json["blocks"] >= 1


def test_a_snapshot_is_a_database_of_its_own(server: Any) -> None:
    server("PUT", "/kv/admin/snap", [[T, 1]])
    reply = server("POST", "/api/v1/admin/snapshot")
    server("PUT", "/kv/admin/snap", [[T, 2]])

    assert reply.status == 200, reply.body
    folder = server.database.path / reply.json["folder"] / reply.json["name"]
    with tsdb.open(folder) as copy:
        (series,) = copy.select("admin/snap")
        assert series.values.tolist() == [1.0]
    again = server("POST", "/api/v1/admin/snapshot")
    assert again.json["name"] != reply.json["name"]


@pytest.mark.parametrize("path", ["/api/v1/admin/flush", "/api/v1/admin/snapshot"])
def test_admin_calls_are_posts_from_here(
    server: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server("GET", path).status == 405
    assert server("POST", path, Origin="http://evil.example").status == 403
    assert server("POST", path, Sec_Fetch_Site="cross-site").status == 403
    assert server("POST", path, Host="evil.example").status == 403
    monkeypatch.setattr(server.server.node, "door", Door(loopback=False))
    refused = server("POST", path)
    assert (refused.status, refused.json["errorType"]) == (403, "forbidden")


def test_status_counts_what_is_there(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path / "db", resolution="us") as server:
        server("PUT", "/kv/a", [[T, 1], [T + 1, 2]])
        status = server.get("/api/v1/status").json

    assert (status["state"], status["resolution"]) == ("ready", "us")
    assert (status["series"], status["points"], status["blocks"]) == (1, 2, 0)
