"""api.app: what holds for every route; here over a node whose database is not open yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.app import Application
from api.node import Node
from api.settings import load

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask_unopened(
    serve_app: Any, ask: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ask]:
    node = Node(load({"data": tmp_path_factory.mktemp("data")}, environ={}))
    with serve_app(Application(node)) as served:
        yield lambda *args, **kwargs: ask(served.port, *args, **kwargs)
    node.close()


def test_a_server_that_opens_its_database_is_healthy_but_not_ready(ask_unopened: Ask) -> None:
    healthy, ready = ask_unopened("GET", "/-/healthy"), ask_unopened("GET", "/-/ready")

    assert (healthy.status, healthy.json["state"]) == (200, "healthy")
    assert ready.status == 503
    assert ready.headers["retry-after"] == "1"
    assert (ready.json["code"], ready.json["replayed"], ready.json["total"]) == ("starting", 0, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/kv/a"),
        ("POST", "/kv/a"),
        ("GET", "/kv/a"),
        ("DELETE", "/kv/a"),
        ("GET", "/kv"),
        ("POST", "/api/v1/import"),
        ("GET", "/api/v1/export?match[]=a"),
        ("POST", "/api/v1/admin/flush"),
        ("GET", "/api/v1/status"),
    ],
)
def test_until_then_data_is_asked_to_come_back(ask_unopened: Ask, method: str, path: str) -> None:
    reply = ask_unopened(method, path, b"1")

    assert reply.status == 503
    assert reply.headers["retry-after"]
    assert reply.json["errorType"] == "unavailable"
    assert reply.json["code"] == "starting"


def test_metrics_are_there_from_the_start(ask_unopened: Ask) -> None:
    ask_unopened("GET", "/-/healthy")
    reply = ask_unopened("GET", "/metrics")

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"silverback_up 0.0" in reply.body
    assert b'silverback_http_request_seconds_count{method="GET",route="/-/healthy"' in reply.body


def test_unknown_paths_are_json_404s(ask_unopened: Ask) -> None:
    reply = ask_unopened("GET", "/api/v2/nothing")

    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["errorType"] == "not_found"
    assert "/api/v2/nothing" in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/kv/a/b", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("POST", "/kv", "GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/import", "OPTIONS, POST"),
        ("PUT", "/api/v1/import", "OPTIONS, POST"),
        ("GET", "/api/v1/admin/flush", "OPTIONS, POST"),
        ("DELETE", "/-/ready", "GET, HEAD, OPTIONS"),
    ],
)
def test_wrong_methods_are_json_405s_that_name_the_right_ones(
    ask_unopened: Ask, method: str, path: str, allowed: str
) -> None:
    reply = ask_unopened(method, path)

    assert reply.status == 405
    assert reply.headers["allow"] == allowed
    assert reply.json["errorType"] == "not_allowed"


def test_options_names_the_methods_and_lets_no_other_site_in(ask_unopened: Ask) -> None:
    reply = ask_unopened("OPTIONS", "/kv/a", headers={"Origin": "http://evil.example"})

    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert ask_unopened("OPTIONS", "*").status == 204
    assert ask_unopened("OPTIONS", "/nothing").status == 404


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/openapi.json", "/favicon.svg", "/nothing"])
def test_head_answers_as_get_without_the_body(ask_unopened: Ask, path: str) -> None:
    get, head = ask_unopened("GET", path), ask_unopened("HEAD", path)

    assert head.body == b""
    assert head.status == get.status
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == str(len(get.body))


def test_every_answer_carries_a_request_id(ask_unopened: Ask) -> None:
    ids = [ask_unopened("GET", path).headers["x-request-id"] for path in ("/", "/x", "/kv/a", "/")]
    mine = ask_unopened("GET", "/", headers={"X-Request-Id": "trace:7/a_b.c=+"})
    forged = ask_unopened("GET", "/", headers={"X-Request-Id": "a b\tc<script>"})

    assert len(set(ids)) == 4
    assert mine.headers["x-request-id"] == "trace:7/a_b.c=+"
    assert "<" not in forged.headers["x-request-id"]


def test_browsers_are_told_not_to_guess(ask_unopened: Ask) -> None:
    headers = ask_unopened("GET", "/").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_pages_of_other_sites_are_refused(ask_unopened: Ask) -> None:
    rebound = ask_unopened("GET", "/kv/a", headers={"Host": "evil.example:9292"})
    crossed = ask_unopened("PUT", "/kv/a", b"1", headers={"Origin": "http://evil.example"})

    assert [rebound.status, crossed.status] == [403, 403]
    assert rebound.json["errorType"] == "forbidden"
    assert "Origin" in crossed.json["error"]


@pytest.mark.parametrize(
    "path",
    ["/kv/%ff", "/kv/a?start=%ff", "/kv?prefix=%80", "/api/v1/export?match[]=%c3%28", "/kv/"],
)
def test_text_that_is_no_utf8_is_refused(ask_unopened: Ask, path: str) -> None:
    """Before the database is even asked; what is missing here is tested with one."""
    reply = ask_unopened("GET", path)

    assert reply.status in (400, 503)
    assert json.loads(reply.body)["status"] == "error"


def test_a_query_string_is_bounded(ask_unopened: Ask) -> None:
    reply = ask_unopened("GET", "/kv?prefix=" + "a" * 13_000)

    assert reply.status == 400
    assert reply.json["limit"] == "QUERY_STRING_BYTES_MAX"


def test_a_bug_is_a_500_that_says_nothing(serve_app: Any, ask: Any, tmp_path: Path) -> None:
    node = Node(load({"data": tmp_path}, environ={}))
    application = Application(node)

    @application.api.get("/boom")
    async def boom() -> None:
        raise RuntimeError(f"secret of {tmp_path}")

    with serve_app(application) as served:
        reply = ask(served.port, "GET", "/boom", headers={"X-Request-Id": "r1"})
    node.close()

    assert reply.status == 500
    assert reply.json["requestId"] == "r1"
    assert "secret" not in reply.body.decode()
    assert str(tmp_path) not in reply.body.decode()
