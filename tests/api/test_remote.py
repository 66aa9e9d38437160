"""api.remote: a server that is busy is asked again, a server that is gone is one sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from api.exits import CommandFailed, Exit
from api.remote import Refused, Remote, key_path
from tsdb.errors import Unavailable


@dataclass
class Script:
    """What to answer, one after the other; what was asked."""

    answers: list[tuple[int, dict[str, str], Any]]
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def script() -> Iterator[Script]:
    """An HTTP server that answers by script and closes the connection after each answer."""
    told = Script([])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            told.asked.append((self.command, self.path, self.rfile.read(size)))
            status, headers, document = told.answers.pop(0)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_busy_server_is_asked_again_at_its_own_pace(script: Script) -> None:
    script.answers = [
        (429, {"Retry-After": "2"}, {"error": "queue is full", "errorType": "busy"}),
        (503, {"Retry-After": "3"}, {"error": "starting", "errorType": "unavailable"}),
        (200, {}, {"points": 1}),
    ]
    slept: list[float] = []
    with Remote(script.url, sleep=slept.append) as server:
        assert server.send("POST", "/api/v1/import", b"x") == {"points": 1}

    assert slept == [2, 3]
    assert script.asked == [("POST", "/api/v1/import", b"x")] * 3


def test_patience_ends(script: Script) -> None:
    script.answers = [(503, {"Retry-After": "30"}, {"error": "disk full"})] * 4
    slept: list[float] = []
    with (
        Remote(script.url, patience_s=45, sleep=slept.append) as server,
        pytest.raises(Unavailable, match="disk full"),
    ):
        server.get("/kv")

    assert slept == [30, 15]


def test_a_limit_is_not_waited_for(script: Script) -> None:
    """Although it is answered 429: waiting does not make series fewer."""
    script.answers = [(429, {"Retry-After": "60"}, {"error": "no", "errorType": "limit"})]
    with (
        Remote(script.url, sleep=lambda _: pytest.fail("it waited")) as server,
        pytest.raises(Refused, match="no") as refused,
    ):
        server.get("/kv")
    assert refused.value.status == 429


def test_a_refusal_is_the_servers_own_words(script: Script) -> None:
    script.answers = [
        (400, {}, {"error": "label 'a b' is not a name", "points": 3}),
        (500, {}, b"<html>teapot</html>"),
    ]
    with Remote(script.url) as server:
        with pytest.raises(Refused, match="label 'a b' is not a name") as refused:
            server.get("/kv")
        assert refused.value.document["points"] == 3
        with pytest.raises(CommandFailed, match="teapot"):
            server.get("/kv")


def test_a_connection_closed_while_idle_is_opened_again(script: Script) -> None:
    script.answers = [(200, {"Connection": "close"}, {"n": 1}), (200, {}, {"n": 2})]
    with Remote(script.url) as server:
        assert server.get_json("/a") == {"n": 1}
        assert server.get_json("/b", {"start": "now-1h", "x": "a b"}) == {"n": 2}
    assert script.asked[1][1] == "/b?start=now-1h&x=a+b"


def test_an_answer_comes_in_blocks(script: Script) -> None:
    script.answers = [(200, {}, b"x" * 600_000)]
    with Remote(script.url) as server:
        blocks = list(server.stream("/api/v1/export"))

    assert b"".join(blocks) == b"x" * 600_000
    assert len(blocks) > 1


def test_nobody_there_says_what_to_do() -> None:
    with Remote("http://127.0.0.1:1") as server, pytest.raises(CommandFailed) as failed:
        server.get("/")
    assert failed.value.code is Exit.UNAVAILABLE
    assert "silverback serve" in str(failed.value)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        Remote(url)
    assert failed.value.code is Exit.USAGE


def test_keys_are_paths() -> None:
    assert key_path("sensors/kitchen/temp") == "/kv/sensors/kitchen/temp"
    assert key_path('cpu{host="a"}') == "/kv/cpu%7Bhost%3D%22a%22%7D"
