"""api.cluster_folder: files are made once, kept as they are, and made again when one is lost."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cluster_folder import Folder, Plan
from api.exits import CommandFailed, Exit
from tsdb.errors import InvalidInput

BASE = 29_400


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def texts(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*.toml"))}


def test_a_new_cluster_is_written_as_planned(tmp_path: Path) -> None:
    made = Folder(tmp_path).make(Plan(nodes=3, base_port=BASE, shards=4))

    assert sorted(texts(tmp_path)) == [f"node-{i}/cluster.toml" for i in (1, 2, 3)]
    assert list(made) == [1, 2, 3]
    assert [one.node for one in made.values()] == ["node-1", "node-2", "node-3"]
    assert [one.http.port for one in made.values()] == [BASE, BASE + 1, BASE + 2]
    assert {(one.shards, one.replicas, one.cluster) for one in made.values()} == {(4, 3, "dev")}
    assert len({one.peers for one in made.values()}) == 1


@pytest.mark.parametrize(("nodes", "copies"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3)])
def test_copies_are_as_many_as_make_sense(tmp_path: Path, nodes: int, copies: int) -> None:
    made = Folder(tmp_path).make(Plan(nodes=nodes, base_port=BASE))

    assert made[1].replicas == copies


def test_routes_avoid_ports_that_are_taken_and_stay_then(tmp_path: Path) -> None:
    with taken(BASE + 101):
        first = Folder(tmp_path).make(Plan(base_port=BASE))

    routes = [one.nats.routes.port for one in first.values() if one.nats.routes]
    assert routes == [BASE + 100, BASE + 102, BASE + 103]
    assert Folder(tmp_path).make(Plan()) == first


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make(Plan(nodes=3, base_port=BASE))
    file = folder.file(2)
    file.write_text("# mine\n" + file.read_text())
    before = texts(tmp_path)

    again = folder.make(Plan(nodes=3, base_port=BASE, shards=16, replicas=3))

    assert texts(tmp_path) == before
    assert again == folder.read()


def test_a_lost_file_is_made_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    made = folder.make(Plan(nodes=3, base_port=BASE))
    before = texts(tmp_path)
    for lost in (1, 3):
        folder.file(lost).unlink()

    assert folder.read() == made
    assert texts(tmp_path) == before


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(nodes=4), "has --nodes 3, not 4"),
        (Plan(base_port=BASE + 1), f"has --base-port {BASE}, not {BASE + 1}"),
        (Plan(shards=8), "has --shards 16, not 8"),
        (Plan(replicas=1), "has --replicas 3, not 1"),
    ],
)
def test_another_plan_for_the_same_folder_is_refused(tmp_path: Path, plan: Plan, says: str) -> None:
    Folder(tmp_path).make(Plan(nodes=3, base_port=BASE))

    with pytest.raises(CommandFailed, match=says) as raised:
        Folder(tmp_path).make(plan)

    assert raised.value.code == Exit.CONFIG


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(nodes=0), "--nodes is 1 to 15"),
        (Plan(nodes=16), "--nodes is 1 to 15"),
        (Plan(nodes=2, replicas=3), "--replicas of 2 nodes is one of 1 "),
        (Plan(nodes=3, replicas=2), "--replicas of 3 nodes is one of 1, 3 "),
        (Plan(shards=0), "--shards is 1 to 256"),
        (Plan(base_port=65_500), "--base-port is 1 to"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, plan: Plan, says: str) -> None:
    with pytest.raises(CommandFailed, match=says) as raised:
        Folder(tmp_path).make(plan)

    assert raised.value.code == Exit.USAGE
    assert texts(tmp_path) == {}


def test_a_taken_port_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with taken(BASE + 1), pytest.raises(CommandFailed, match=f"port {BASE + 1} is taken.*node 2"):
        Folder(tmp_path).make(Plan(base_port=BASE))

    assert texts(tmp_path) == {}


def test_a_file_broken_by_hand_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make(Plan(base_port=BASE))
    folder.file(2).write_text("cluster = 7")

    with pytest.raises(InvalidInput, match=r"node-2/cluster\.toml"):
        folder.read()


def test_an_empty_folder_has_no_cluster(tmp_path: Path) -> None:
    assert Folder(tmp_path / "none").read() == {}
