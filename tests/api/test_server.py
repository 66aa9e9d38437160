"""The server as a process: start, stop, signals, exit codes, and what it writes about itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tsdb
from api.exits import Exit
from api.node import Node, State
from api.settings import load
from tsdb.block import manifest
from tsdb.errors import Unavailable

T = 1_700_000_000
WAIT_S = 240
MAIN = "from api.server import run; from api.settings import load; import sys; "


@dataclass
class Process:
    """A server process; its log is a list of JSON events."""

    child: subprocess.Popen[bytes]
    folder: Path

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def wait(self) -> int:
        return self.child.wait(WAIT_S)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(x) for x in (self.folder / "log").read_text().splitlines()]

    def events(self) -> list[str]:
        return [event["event"] for event in self.log()]


@contextlib.contextmanager
def process(folder: Path, *, code: str = "", **settings: Any) -> Iterator[Process]:
    """Run a server on folder/db; `code` runs in it first."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SILVERBACK_")}
    chosen = {"data": folder / "db", "port": 0, "port_file": folder / "port", "log_format": "json"}
    for name, value in (chosen | settings).items():
        environ[f"SILVERBACK_{name.upper()}"] = str(value)
    (folder / "port").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-c", f"{MAIN}{code}\nsys.exit(run(load()))"]
        child = subprocess.Popen(command, env=environ, stderr=log, stdout=log)
    try:
        yield Process(child, folder)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(WAIT_S)


def ready(server: Process) -> None:
    """Wait until it takes writes; looks every 20 ms as an operator's probe would."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        assert server.child.poll() is None, (server.folder / "log").read_text()
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if status(server, "GET", "/-/ready") == 200:
                return
        threading.Event().wait(0.02)
    raise AssertionError((server.folder / "log").read_text())


def request(server: Process, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    with contextlib.closing(connection):
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, path, text)
        answer = connection.getresponse()
        return answer.status, answer.read()


def status(server: Process, method: str, path: str, body: Any = None) -> int:
    return request(server, method, path, body)[0]


def test_a_life_from_start_to_stop(tmp_path: Path) -> None:
    with process(tmp_path) as server:
        ready(server)
        assert status(server, "PUT", "/kv/a", [[T, 1]]) == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == Exit.OK
        events = server.events()

    assert events[0] == "settings"
    for earlier, later in [
        ("listening", "stopping"),
        ("ready", "stopping"),
        ("stopping", "closed"),
    ]:
        assert events.index(earlier) < events.index(later)
    assert not (tmp_path / "port").exists()
    with tsdb.open(tmp_path / "db") as db:
        assert db.select("a").columns().values.tolist() == [1.0]


def test_what_was_acked_survives_a_stop_under_load(tmp_path: Path) -> None:
    """Eight writers until the connection breaks; then the data directory is asked."""
    acked: list[tuple[int, int]] = []

    def write(writer: int, server: Process) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
            with contextlib.closing(connection):
                for n in range(1 << 20):
                    connection.request("PUT", f"/kv/w/{writer}", json.dumps([[T + n, n]]).encode())
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        assert answer.status == 503
                        return
                    acked.append((writer, n))

    with process(tmp_path) as server:
        ready(server)
        threads = [threading.Thread(target=write, args=(i, server)) for i in range(8)]
        for thread in threads:
            thread.start()
        while len(acked) < 400:
            threads[0].join(0.01)
        server.signal(signal.SIGINT)
        for thread in threads:
            thread.join(WAIT_S)
        assert server.wait() == Exit.OK

    with tsdb.open(tmp_path / "db") as db:
        held = {
            (int(series.labels.name.removeprefix("w/")), int(v))
            for series in db.select('{__name__=~"w/.*"}')
            for v in series.values.tolist()
        }
    assert len(acked) >= 400
    assert set(acked) <= held


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    body = json.dumps([[T, 5]]).encode()
    head = b"PUT /kv/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with process(tmp_path, body_timeout_s=WAIT_S) as server:
        ready(server)
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as wire:
            wire.sendall(head + body[:3])
            assert status(server, "GET", "/-/ready") == 200  # it has read what came before
            server.signal(signal.SIGTERM)
            while "stopping" not in server.events():
                threading.Event().wait(0.01)
            wire.sendall(body[3:])
            answer = wire.recv(4096)
        assert server.wait() == Exit.OK

    assert answer.startswith(b"HTTP/1.1 200")
    with tsdb.open(tmp_path / "db") as db:
        assert db.select("slow").columns().values.tolist() == [5.0]


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    with process(tmp_path, body_timeout_s=WAIT_S, shutdown_timeout_s=WAIT_S) as server:
        ready(server)
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as wire:
            wire.sendall(b"PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[")
            assert status(server, "GET", "/-/ready") == 200
            server.signal(signal.SIGTERM)
            while "stopping" not in server.events():
                threading.Event().wait(0.01)
            server.signal(signal.SIGTERM)
            assert server.wait() == 128 + signal.SIGTERM


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with process(tmp_path) as first:
        ready(first)
        with process(tmp_path / "second", data=tmp_path / "db") as second:
            assert second.wait() == Exit.LOCKED
            (event,) = [e for e in second.log() if e["event"] == "cannot_open"]
        assert str(first.child.pid) in event["error"]
        assert status(first, "GET", "/-/ready") == 200


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load({"data": tmp_path, "port": taken.getsockname()[1]}, environ={})
        from api.exits import CommandFailed
        from api.server import Server

        with pytest.raises(CommandFailed, match="in use") as raised:
            Server(settings).run()
    assert raised.value.code is Exit.UNAVAILABLE


def test_without_assertions_it_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-O", "-m", "api.cli", "serve", "--data", str(tmp_path / "db")]
    ended = subprocess.run(command, capture_output=True, timeout=WAIT_S, check=False)

    assert ended.returncode == Exit.USAGE
    assert b"-O" in ended.stderr


def test_a_failed_fsync_ends_the_process(tmp_path: Path) -> None:
    """Waiting writes hear that their outcome is unknown, reads go on, then it exits 74."""
    code = (
        "import api.server, tsdb.vfs, pathlib; api.server.LAST_WORDS_S = 1.0\n"
        "sync = tsdb.vfs.OsFile.datasync\n"
        "def datasync(self):\n"
        f"    if pathlib.Path({str(tmp_path / 'fail')!r}).exists(): raise OSError(5, 'EIO')\n"
        "    sync(self)\n"
        "tsdb.vfs.OsFile.datasync = datasync\n"
    )
    with process(tmp_path, code=code) as server:
        ready(server)
        assert status(server, "PUT", "/kv/a", [[T, 1]]) == 200
        (tmp_path / "fail").touch()
        code_, body = request(server, "PUT", "/kv/a", [[T + 1, 2]])
        assert (code_, json.loads(body)["errorType"]) == (503, "storage_failed")
        assert status(server, "PUT", "/kv/a", [[T + 2, 3]]) == 503
        assert status(server, "GET", "/kv/a") == 200
        assert status(server, "GET", "/-/ready") == 503
        assert server.wait() == Exit.STORAGE
        assert "storage_failed" in server.events()


def test_the_log_is_json_and_holds_no_secrets(tmp_path: Path) -> None:
    with process(tmp_path, access_log=True, host="127.0.0.1") as server:
        ready(server)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            headers = {"Authorization": "Bearer hunter2", "Cookie": "x=hunter2"}
            connection.request("GET", "/kv/a?token=hunter2%0Aforged", headers=headers)
            assert connection.getresponse().status == 400
        server.signal(signal.SIGTERM)
        assert server.wait() == Exit.OK
        text = (tmp_path / "log").read_text()
        requests = [e for e in server.log() if e["event"] == "request"]

    assert "hunter2" not in text
    assert requests[-1]["path"] == "/kv/a"
    assert {"status", "took_ms", "request_id", "client", "method"} <= set(requests[-1])


def test_replay_is_counted_and_its_end_makes_ready(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path / "db") as server:
        for i in range(5):
            server("PUT", "/kv/a", [[T + i, i]])
    with serve(tmp_path / "db") as server:
        node = server.server.node
        assert node.to_replay > 0
        assert node.replayed == node.to_replay
        assert [v for _, v in server.get("/kv/a").points] == [0, 1, 2, 3, 4]


def test_opening_can_be_given_up(serve: Any, tmp_path: Path) -> None:
    """A stop during replay ends it at the next entry and lets the directory go."""
    with serve(tmp_path / "db") as server:
        server("PUT", "/kv/a", [[T, 1]])
    node = Node(load({"data": tmp_path / "db"}, environ={}))
    node.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        node.open()
    node.close()

    with tsdb.open(tmp_path / "db") as db:
        assert db.select("a").points == 1


def test_a_stopped_server_takes_nothing_and_can_start_again(start: Any, tmp_path: Path) -> None:
    running = start(tmp_path / "db")
    node = running.server.node
    assert running("PUT", "/kv/a", [[T, 1]]).status == 200
    assert running.stop() == Exit.OK
    assert node.state is State.CLOSING
    with pytest.raises(Unavailable):
        node.database()
    again = start(tmp_path / "db")
    assert again.get("/kv/a").points == [[T, 1]]
    assert again.stop() == Exit.OK


def test_data_of_a_newer_version_is_not_touched(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "VERSION", manifest.VERSION + 1)
    tsdb.open(tmp_path / "db").close()
    monkeypatch.undo()
    before = {p: p.read_bytes() for p in (tmp_path / "db").glob("MANIFEST-*")}

    running = start(tmp_path / "db")
    running.thread.join(WAIT_S)

    assert running.exits == [Exit.CONFIG]
    assert "upgrade" in str(running.server.node.failure)
    assert {p: p.read_bytes() for p in (tmp_path / "db").glob("MANIFEST-*")} == before


def test_a_directory_that_cannot_be_served_ends_the_start(start: Any, tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db") as db:
        db.write("a", [T * 1000], [1.0])
    for path in (tmp_path / "db").glob("MANIFEST-*"):
        path.write_bytes(b"rubbish")

    running = start(tmp_path / "db")
    running.thread.join(WAIT_S)

    assert running.exits == [Exit.STORAGE]
