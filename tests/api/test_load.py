"""More than the server takes: it says so, keeps what it has, and recovers by itself."""

from __future__ import annotations

import contextlib
import gc
import gzip
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tsdb.vfs
from api.exchange import Answer
from api.work import Work

T = 1_700_000_000
WAIT_S = 30


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    for _ in range(WAIT_S * 100):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


@contextlib.contextmanager
def stalled_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """fdatasync waits for the event."""
    go = threading.Event()
    sync = tsdb.vfs.OsFile.datasync

    def datasync(self: Any) -> None:
        go.wait(WAIT_S)
        sync(self)

    monkeypatch.setattr(tsdb.vfs.OsFile, "datasync", datasync)
    try:
        yield go
    finally:
        go.set()
        monkeypatch.setattr(tsdb.vfs.OsFile, "datasync", sync)


def test_a_full_queue_answers_429_and_loses_nothing(
    serve: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stalls; what was taken is acked when it goes on, what was not was told so."""
    replies: list[Any] = []
    body = json.dumps([[T + i, i] for i in range(20_000)]).encode()
    with serve(tmp_path / "db", queue_bytes_max="1MiB") as server:
        with stalled_disk(monkeypatch) as go:

            def write(n: int) -> None:
                replies.append(server("PUT", f"/kv/queue/{n}", body))

            threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
            for thread in threads:
                thread.start()
            until(lambda: bool(replies))
            refused = replies[0]
            go.set()
            for thread in threads:
                thread.join(WAIT_S)
        statuses = [r.status for r in replies]
        kept = server.get("/kv?prefix=queue/").json["keys"]

        assert refused.status == 429
        assert refused.json["errorType"] == "busy"
        assert int(refused.headers["retry-after"]) >= 1
        assert set(statuses) == {200, 429}
        assert len(kept) == statuses.count(200)
        assert server("PUT", "/kv/queue/after", body).status == 200


def test_reads_go_on_while_the_disk_stalls(
    serve: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is visible before it is durable."""
    with serve(tmp_path / "db") as server:
        server("PUT", "/kv/a", [[T, 1]])
        with stalled_disk(monkeypatch) as go:
            writing = threading.Thread(target=server, args=("PUT", "/kv/a", [[T + 1, 2]]))
            writing.start()
            until(lambda: server.server.node.ingest.queued_bytes > 0)
            assert server.get("/kv/a").points == [[T, 1]]
            assert server.get("/-/healthy").status == 200
            go.set()
            writing.join(WAIT_S)
        assert server.get("/kv/a").points == [[T, 1], [T + 1, 2]]


def test_too_many_reads_answer_503(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server("PUT", "/kv/busy", [[T, 1]])
    monkeypatch.setattr(server.server.node.readers, "_callers_max", 0)

    reply = server.get("/kv/busy")

    assert (reply.status, reply.json["code"]) == (503, "overloaded")
    assert reply.headers["retry-after"] == "1"
    assert server("PUT", "/kv/busy", [[T, 2]]).status == 200


def test_a_reader_that_goes_away_gives_its_place_back(server: Any) -> None:
    for part in range(4):
        stamps = list(range(T * 1000 + part * 100_000, T * 1000 + (part + 1) * 100_000))
        line = {"metric": {"__name__": "gone"}, "values": stamps, "timestamps": stamps}
        packed = gzip.compress(json.dumps(line).encode(), 1)
        server("POST", "/api/v1/import", packed, Content_Encoding="gzip")
    readers = server.server.node.readers

    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as wire:
            wire.sendall(b"GET /api/v1/export?match[]=gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert wire.recv(4096).startswith(b"HTTP/1.1 200")
    until(lambda: readers.callers == 0)

    assert server.get("/api/v1/export?match[]=gone&end=2023-11-14T22:13:21Z").status == 200


def test_an_answer_that_breaks_off_does_not_look_whole(server: Any) -> None:
    """After the first piece there is no status left to change: the connection is cut."""
    node = server.server.node

    def broken(database: Any) -> Answer:
        def rest() -> Iterator[bytes]:
            yield b"second"
            raise RuntimeError("broken")

        return Answer(b"first", rest=rest())

    async def route() -> Work:
        return Work(node, broken, node.readers)

    server.server.config.app.api.add_api_route(
        "/broken", route, response_model=None, include_in_schema=False
    )

    with pytest.raises(http.client.IncompleteRead) as raised:
        server.get("/broken")
    assert raised.value.partial.startswith(b"first")
    assert node.readers.callers == 0


def test_hundreds_of_connections_are_served(server: Any) -> None:
    with contextlib.ExitStack() as stack:
        wires = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), WAIT_S))
            for _ in range(400)
        ]
        for i, wire in enumerate(wires):
            body = b"[[%d,%d]]" % (T + i, i)
            wire.sendall(
                b"PUT /kv/crowd HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
        answers = [wire.recv(4096) for wire in wires]

    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
    assert len(server.get("/kv/crowd").points) == 400


def test_writes_that_wait_together_wake_the_loop_together(
    serve: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path / "db") as server:
        server("PUT", "/kv/warm", [[T, 1]])
        ingest = server.server.node.ingest
        with stalled_disk(monkeypatch) as go:
            threads = [
                threading.Thread(target=server, args=("PUT", f"/kv/{n}", [[T, n]]))
                for n in range(40)
            ]
            for thread in threads:
                thread.start()
            until(lambda: ingest.writes_waiting == 40)
            before = ingest.wake_ups
            go.set()
            for thread in threads:
                thread.join(WAIT_S)
        assert ingest.wake_ups - before <= 10
        assert len(server.get("/kv").json["keys"]) == 41


def test_a_write_leaves_nothing_to_the_garbage_collector(server: Any) -> None:
    """Requests that hold each other in a circle stay in memory until the collector finds them."""
    wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)

    def write(n: int) -> None:
        wire.request("PUT", "/kv/litter", json.dumps([[T + n, n]]).encode())
        assert wire.getresponse().read()

    write(0)
    gc.collect()
    gc.disable()
    try:
        for n in range(1, 101):
            write(n)
        left = gc.collect()
    finally:
        gc.enable()
        wire.close()
    assert left < 100, f"{left / 100:g} objects a request"
