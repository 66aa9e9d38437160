"""api.cluster_status: what a document of a cluster means, and the command that shows it."""

from __future__ import annotations

import copy
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cli
from api.cluster_status import (
    NODE_HEADINGS,
    SHARD_HEADINGS,
    Copies,
    copies,
    node_rows,
    shard_rows,
    summary,
)
from api.exits import Exit

DOCUMENT: dict[str, Any] = {
    "cluster": "demo",
    "node": "node-1",
    "epoch": 12,
    "nodes": [
        {"node": "node-1", "http": "127.0.0.1:9301", "alive": True, "last_seen_s": 0.0},
        {"node": "node-2", "http": "127.0.0.1:9302", "alive": True, "last_seen_s": 0.4},
        {"node": "node-3", "http": "127.0.0.1:9303", "alive": True, "last_seen_s": 0.9},
    ],
    "shards": [
        {
            "shard": shard,
            "incarnation": 1,
            "leader": f"node-{shard + 1}",
            "replicas": [
                {
                    "node": f"node-{node}", "state": "serving", "applied": 70 + shard,
                    "durable": 60 + node, "lag": 0, "digest": f"{shard:016x}",
                }
                for node in (1, 2, 3)
            ],
        }
        for shard in (0, 1)
    ],
}  # fmt: skip
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def replica(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["shards"][1]["replicas"][2]
    return found


def test_a_whole_cluster() -> None:
    found = summary(DOCUMENT)

    assert found.whole
    assert (found.nodes, found.alive, found.shards, found.led) == (3, 3, 2, 2)
    assert [copies(shard) for shard in DOCUMENT["shards"]] == [Copies.EQUAL] * 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: replica(d).update(digest="f" * 16), Copies.DIFFERENT),
        (lambda d: replica(d).update(applied=70), Copies.MOVING),
        (lambda d: replica(d).update(applied=None), Copies.MISSING),
        (lambda d: replica(d).update(digest=None), Copies.MISSING),
        (lambda d: replica(d).update(applied=99, digest_at=71), Copies.EQUAL),
        (lambda d: replica(d).update(digest_at=0, digest="0"), Copies.MOVING),
    ],
)
def test_what_is_said_of_copies(change: Change, told: Copies) -> None:
    document = changed(change)

    assert copies(document["shards"][0]) is Copies.EQUAL
    assert copies(document["shards"][1]) is told
    assert summary(document).whole is (told is Copies.EQUAL)


@given(said=st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab")), min_size=1, max_size=5))
def test_copies_differ_only_where_they_say_different_things_of_one_position(
    said: list[tuple[int, str]],
) -> None:
    shard = {"replicas": [{"applied": at, "digest": digest} for at, digest in said]}

    clash = any(a == b and x != y for a, x in said for b, y in said)

    assert (copies(shard) is Copies.DIFFERENT) is clash
    assert (copies(shard) is Copies.EQUAL) is (len(set(said)) == 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["nodes"][0].update(alive=False),
        lambda d: d["shards"][0].update(leader=None),
    ],
)
def test_a_dead_node_or_a_shard_without_leader_is_not_whole(change: Change) -> None:
    assert not summary(changed(change)).whole


def test_rows_have_what_their_headings_say() -> None:
    def spoil(document: dict[str, Any]) -> None:
        document["nodes"][2] |= {"alive": False, "last_seen_s": 31.2}
        document["shards"][0]["leader"] = None
        replica(document).update(state="catching up", applied=40, lag=31, durable=None)

    document = changed(spoil)
    nodes = [dict(zip(NODE_HEADINGS, row, strict=True)) for row in node_rows(document)]
    shards = [dict(zip(SHARD_HEADINGS, row, strict=True)) for row in shard_rows(document)]

    assert [one["node"] for one in nodes] == ["node-1 (answers)", "node-2", "node-3"]
    assert [one["seen"] for one in nodes] == ["alive", "alive", "31 s ago"]
    assert [one[">leads"] for one in nodes] == [0, 1, 0]
    assert [one[">copies"] for one in nodes] == [2, 2, 2]
    assert [one[">lag"] for one in nodes] == [0, 0, 31]
    assert [one["leader"] for one in shards] == ["none", "node-2"]
    assert [(one[">position"], one[">durable"], one[">lag"]) for one in shards] == [
        (70, 61, 0),
        (71, 61, 31),
    ]
    assert shards[1]["copies"] == "node-1, node-2, node-3 (catching up)"
    assert [one["equal"] for one in shards] == ["yes", "not yet"]


# --- the command --------------------------------------------------------------------------------


class Answering(http.server.ThreadingHTTPServer):
    document: dict[str, Any] | None = DOCUMENT


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answering)
        known = self.path == "/api/v1/cluster" and self.server.document is not None
        said = {"status": "success", "data": self.server.document}
        body = json.dumps(said if known else {"error": "no such route"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering(("127.0.0.1", 0), Answer) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def status(server: Answering, *more: str) -> int:
    return cli.run(["cluster", "status", "--url", f"http://127.0.0.1:{server.server_port}", *more])


def test_status_shows_it(server: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(server) == Exit.OK

    told = capsys.readouterr().out
    assert "Cluster demo, epoch 12: 3 of 3 nodes alive, 2 of 2 shards led" in told
    assert "node-1 (answers)" in told
    assert "node-1, node-2, node-3" in told


def test_status_as_json_is_the_document(
    server: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(server, "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == DOCUMENT


def test_copies_that_differ_are_an_exit_code(
    server: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    server.document = changed(lambda d: replica(d).update(digest="f" * 16))

    assert status(server) == Exit.DIFFERENT
    assert "copies differ in shards 1" in capsys.readouterr().err


def test_a_server_of_its_own_is_told(server: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    server.document = None

    assert status(server) == Exit.UNAVAILABLE
    assert "no node of a cluster" in capsys.readouterr().err


@pytest.mark.parametrize("both", [[], ["--url", "http://127.0.0.1:1", "--data", "x"]])
def test_one_of_url_and_data(both: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cluster", "status", *both]) == Exit.USAGE
    assert "one of them" in capsys.readouterr().err


def test_a_cluster_that_does_not_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from api.cluster_folder import Folder, Plan

    Folder(tmp_path).make(Plan(nodes=3, base_port=29_500))

    assert cli.run(["cluster", "status", "--data", str(tmp_path)]) == Exit.UNAVAILABLE
    assert f"silverback cluster dev --data {tmp_path}" in capsys.readouterr().err
