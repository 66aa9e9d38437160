"""api.cluster_dev and its commands, on processes that do no more than answer `/-/ready`.

That real nodes behave the same is shown by the slow test at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api import cli, cluster_dev
from api.cluster_dev import DevCluster, held, settled
from api.cluster_folder import Plan
from api.exits import CommandFailed, Exit

WAIT_S = 60
LIGHT = Path(__file__).with_name("light_node.py")
# The command line with nodes that weigh nothing.
DEV = f"""
import sys
from api import cli, cluster_dev
from api.commands import cluster
cluster_dev.program = lambda: [sys.executable, {str(LIGHT)!r}]
cluster.ensure_warm = lambda **options: None
cli.main()
"""
REAL = "from api import cli; cli.main()"


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_dev, "program", lambda: [sys.executable, str(LIGHT)])


@pytest.fixture
def base_port() -> int:
    """With a hundred and more ports above it that nobody listens on; most likely."""
    for base in range(20_000 + os.getpid() % 500 * 20, 32_000, 20):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(base, base + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise AssertionError("no free ports")


@pytest.fixture
def cluster(tmp_path: Path, base_port: int) -> Iterator[DevCluster]:
    made = DevCluster(tmp_path / "c", Plan(nodes=3, base_port=base_port))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True] * 3
    yield made
    assert made.stop() == []


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run(*arguments: object) -> int:
    return cli.run(list(map(str, arguments)))


def start_node(number: int, root: Path, code: str = "") -> str:
    """From a process of its own, which is gone when the node runs."""
    done = subprocess.run(
        [sys.executable, "-c", code or DEV, "cluster", "start-node", str(number), "--data", root],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_node_is_a_process_with_its_port_on_its_command_line(cluster: DevCluster) -> None:
    for node in cluster.nodes:
        line = Path(f"/proc/{node.pid()}/cmdline").read_text().split("\0")
        assert line[-7:-1] == [
            "--cluster",
            str(node.folder / "cluster.toml"),
            "--data",
            str(node.folder / "data"),
            "--port",
            str(node.settings.http.port),
        ]
    assert len({node.pid() for node in cluster.nodes}) == 3


def test_a_killed_node_is_told_once_and_brought_back(cluster: DevCluster) -> None:
    victim = cluster.node(2)
    assert list(cluster.changes()) == []
    before = victim.pid()
    victim.signal(signal.SIGKILL)
    until(lambda: victim.pid() is None)

    (line,) = cluster.changes()
    assert line.startswith("node-2 was killed by SIGKILL; the others go on.")
    assert line.endswith(f"silverback cluster start-node 2 --data {cluster.root}")
    assert list(cluster.changes()) == []
    assert [one.unready() is None for one in cluster.nodes] == [True, False, True]

    assert f"node-2 is ready at {victim.url}, pid " in start_node(2, cluster.root)
    assert victim.unready() is None
    assert victim.pid() not in {None, 0, before}
    assert list(cluster.changes()) == [f"node-2 is started again, pid {victim.pid()}"]
    # the fixture's stop ends it although another started it


def test_a_node_that_runs_is_not_started_again(
    cluster: DevCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = cluster.node(1).pid()

    assert run("cluster", "start-node", 1, "--data", cluster.root) == Exit.LOCKED

    assert f"node-1 runs already, pid {pid}" in capsys.readouterr().err
    assert cluster.node(1).pid() == pid


def test_nodes_are_stopped_by_number(
    cluster: DevCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("cluster", "stop-node", 3, "--data", cluster.root) == Exit.OK
    assert [one.pid() is None for one in cluster.nodes] == [False, False, True]
    assert [line.partition(";")[0] for line in cluster.changes()] == ["node-3 was stopped"]
    assert cluster.node(3).log.read_text().splitlines()[-1] == "stopped"  # in order, by SIGTERM

    assert run("cluster", "stop-node", 3, "--data", cluster.root) == Exit.UNAVAILABLE
    assert run("cluster", "stop-node", 4, "--data", cluster.root) == Exit.NO_INPUT
    told = capsys.readouterr().err
    assert "node-3 does not run" in told
    assert "has no node 4, it has 1, 2, 3" in told


def test_a_stopped_process_is_ended_too(cluster: DevCluster) -> None:
    cluster.node(1).signal(signal.SIGSTOP)

    began = time.monotonic()
    assert cluster.stop() == []

    assert time.monotonic() - began < WAIT_S / 2
    assert all(one.pid() is None for one in cluster.nodes)


def test_a_second_signal_hurries_nodes_that_do_not_end(
    tmp_path: Path, base_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_NODE_STUBBORN", "1")  # ends at the second SIGTERM
    made = DevCluster(tmp_path, Plan(nodes=1, base_port=base_port))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True]

    assert made.stop(lambda: "not yet" in made.nodes[0].last_words()) == []


def test_a_node_that_does_not_stop_is_killed(
    tmp_path: Path, base_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_NODE_STUBBORN", "1")
    monkeypatch.setattr(cluster_dev, "STOP_S", 0.3)
    made = DevCluster(tmp_path, Plan(nodes=1, base_port=base_port))
    made.start()
    assert [good for _, good in settled(made.nodes)] == [True]

    assert made.stop() == made.nodes
    until(lambda: made.nodes[0].pid() is None)


def test_a_node_that_ends_while_it_starts_says_why(
    tmp_path: Path, base_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made = DevCluster(tmp_path, Plan(nodes=1, base_port=base_port))
    (tmp_path / "node-1" / "data").write_text("a file")

    assert run("cluster", "start-node", 1, "--data", tmp_path) == Exit.UNAVAILABLE

    assert "node-1 ended with code 1: " in (told := capsys.readouterr().err)
    assert "FileExistsError" in told
    assert made.nodes[0].pid() is None


def test_a_taken_port_is_told_before_any_node_starts(tmp_path: Path, base_port: int) -> None:
    made = DevCluster(tmp_path, Plan(nodes=3, base_port=base_port))

    with (
        socket.create_server(("127.0.0.1", base_port + 2)),
        pytest.raises(CommandFailed, match=rf"port {base_port + 2} of node-3 is taken"),
    ):
        made.start()

    assert [one.pid() for one in made.nodes] == [None] * 3


def test_one_dev_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        held(tmp_path),
        pytest.raises(CommandFailed, match="runs already") as raised,
        held(tmp_path),
    ):
        raise AssertionError("held twice")
    assert raised.value.code == Exit.LOCKED
    assert f"kill {os.getpid()}" in str(raised.value)


@pytest.mark.parametrize("command", [["start-node", 1], ["stop-node", 1], ["status"]])
def test_a_folder_without_a_cluster_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[object]
) -> None:
    assert run("cluster", *command, "--data", tmp_path) == Exit.NO_INPUT

    assert f"there is no cluster in {tmp_path}" in capsys.readouterr().err


# --- the command, as somebody uses it -----------------------------------------------------------


def dev(*arguments: object, code: str = DEV) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, "cluster", "dev", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def read_until(child: subprocess.Popen[str], text: str) -> str:
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    assert child.stderr is not None
    raise AssertionError("".join(lines) + child.stderr.read())


def end(child: subprocess.Popen[str], how: signal.Signals) -> str:
    child.send_signal(how)
    out, err = child.communicate(timeout=WAIT_S)
    assert (child.returncode, err) == (0, "")
    return out


def test_dev_runs_stops_and_goes_on(tmp_path: Path, base_port: int) -> None:
    root = tmp_path / "c"
    first = dev("--nodes", 3, "--data", root, "--base-port", base_port)
    told = read_until(first, "Ctrl-C stops all nodes")
    cluster = DevCluster(root)
    pids = {one.number: one.pid() for one in cluster.nodes}
    assert "Cluster of 3 nodes, 16 shards, 3 copies of each" in told
    assert all(f"pid {pid}" in told for pid in pids.values())

    second = dev("--data", root)
    _, err = second.communicate(timeout=WAIT_S)
    assert (second.returncode, "runs already" in err) == (Exit.LOCKED, True)

    os.kill(pids[2] or 0, signal.SIGKILL)
    assert "node-2 was killed by SIGKILL" in read_until(first, "start-node 2")
    start_node(2, root)
    read_until(first, "node-2 is started again")
    assert "Stopped." in end(first, signal.SIGINT)
    assert [one.pid() for one in cluster.nodes] == [None] * 3  # the one brought back, too

    again = dev("--data", root)
    read_until(again, "Ctrl-C stops all nodes")
    assert [one.unready() for one in cluster.nodes] == [None] * 3
    end(again, signal.SIGTERM)
    assert [one.pid() for one in cluster.nodes] == [None] * 3


def test_nodes_outlive_a_killed_dev_and_are_taken_over(tmp_path: Path, base_port: int) -> None:
    root = tmp_path / "c"
    first = dev("--nodes", 2, "--data", root, "--base-port", base_port)
    read_until(first, "Ctrl-C stops all nodes")
    first.kill()
    first.communicate(timeout=WAIT_S)
    cluster = DevCluster(root)
    pids = [one.pid() for one in cluster.nodes]
    assert None not in pids

    again = dev("--data", root)
    told = read_until(again, "Ctrl-C stops all nodes")
    assert f"node-2 runs already, pid {pids[1]}" in told
    end(again, signal.SIGTERM)

    assert [one.pid() for one in cluster.nodes] == [None] * 2


def test_a_signal_while_nodes_start_stops_them(tmp_path: Path, base_port: int) -> None:
    code = "import os\nos.environ['LIGHT_NODE_NEVER_READY'] = '1'\n" + DEV
    child = dev("--nodes", 2, "--data", tmp_path, "--base-port", base_port, code=code)
    until(lambda: (tmp_path / "node-2" / "running").exists())
    cluster = DevCluster(tmp_path)
    until(lambda: all(one.pid() for one in cluster.nodes))

    end(child, signal.SIGTERM)

    assert [one.pid() for one in cluster.nodes] == [None] * 2


@pytest.mark.slow
def test_real_nodes(tmp_path: Path, base_port: int) -> None:
    root = tmp_path / "c"
    child = dev("--data", root, "--base-port", base_port, code=REAL)
    read_until(child, "Ctrl-C stops all nodes")
    first, second, _ = DevCluster(root).nodes
    point = urllib.request.Request(
        f"{first.url}/kv/sensors/kitchen", b"21.5", {"Content-Type": "text/plain"}, method="PUT"
    )
    with urllib.request.urlopen(point, timeout=WAIT_S) as answer:
        assert answer.status == 200

    second.signal(signal.SIGKILL)
    read_until(child, "start-node 2")
    start_node(2, root, REAL)
    with urllib.request.urlopen(f"{first.url}/kv/sensors/kitchen", timeout=WAIT_S) as answer:
        assert b"21.5" in answer.read()
    end(child, signal.SIGTERM)
