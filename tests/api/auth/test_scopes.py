"""api.auth.scopes: every route has a scope, decided by a rule and not by the closed default."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route

from api.app import declared
from api.auth.scope_names import ADMIN, OPEN, READ, WRITE, names_of
from api.auth.scopes import needed, rule_of
from api.metrics import Metrics
from api.node import Node
from api.routes import writers
from api.settings import Settings


@pytest.fixture(scope="module")
def routes() -> Any:
    node = Node(Settings())
    try:
        yield [r for r in declared(node, Metrics(node)).routes if isinstance(r, Route)]
    finally:
        node.close()


def filled(template: str) -> bytes:
    """A path of that template."""
    return template.replace("{", "").replace("}", "").replace(":path", "").encode()


def test_every_declared_route_has_a_scope(routes: Any) -> None:
    asked = [(m, filled(r.path)) for r in routes for m in r.methods or ()]
    undecided = [at for at in asked if rule_of(*at) is None]
    assert len(asked) > 10
    assert undecided == [], "say in api.auth.scopes who may call these"


def test_the_openapi_document_names_the_scopes() -> None:
    node = Node(Settings())
    try:
        app = declared(node, Metrics(node))
        first, second = app.openapi(), app.openapi()
    finally:
        node.close()
    assert first == second
    write = first["paths"]["/kv/{key}"]["put"]["security"]
    assert write == [{}, {"bearer": ["write"]}, {"basic": ["write"]}]
    assert first["paths"]["/-/healthy"]["get"]["security"] == [{}]
    assert set(first["components"]["securitySchemes"]) == {"bearer", "basic"}


def test_every_route_asks_who_it_is(guarded: Any, keys: Any, routes: Any) -> None:
    """Not the table: the server."""
    tried = 0
    for route in routes:
        for method in route.methods or ():
            path = filled(route.path)
            wanted = needed(method, path)
            if wanted == OPEN:
                continue
            tried += 1
            assert guarded(method, path.decode()).status == 401, (method, path)
            other = {READ: keys.writer, WRITE: keys.reader}.get(wanted, keys.reader)
            allowed = READ & wanted and other == keys.reader
            refused = guarded(method, path.decode(), **keys.bearer(other)).status
            assert (refused == 403) is not bool(allowed), (method, path)
    assert tried > 10


def test_every_writer_needs_write() -> None:
    found = list(writers.EXACT) + [
        (method, prefix + b"x") for prefix, methods, _ in writers.PREFIXES for method in methods
    ]
    assert found
    assert {needed(*at) for at in found} <= {WRITE, READ | WRITE}


def test_the_few_open_routes_are_those(routes: Any) -> None:
    found = {r.path for r in routes for m in r.methods or () if needed(m, filled(r.path)) == OPEN}
    assert found <= {
        "/-/healthy", "/-/ready", "/ping", "/health", "/ready", "/favicon.ico", "/favicon.svg",
    }  # fmt: skip
    assert {"/-/healthy", "/-/ready"} <= found


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/kv/x", READ),
        ("HEAD", "/kv/x", READ),
        ("GET", "/kv", READ),
        ("GET", "/metrics", READ),
        ("GET", "/", READ),
        ("GET", "/openapi.json", READ),
        ("PUT", "/kv/x", WRITE),
        ("POST", "/kv/a/b", WRITE),
        ("DELETE", "/kv/x", WRITE),
        ("POST", "/api/v1/import", WRITE),
        ("POST", "/api/v1/admin/flush", ADMIN),
        ("GET", "/api/v1/admin/flush", ADMIN),
        ("DELETE", "/api/v1/admin/x", ADMIN),
        ("POST", "/api/v1/unheard-of", ADMIN),
        ("PATCH", "/kv/x", ADMIN),
        ("OPTIONS", "/kv/x", OPEN),
        ("GET", "/-/healthy", OPEN),
        ("GET", "/-/healthy/", READ),
        ("POST", "/-/healthy", ADMIN),
        ("GET", "/api/v1/%61dmin/flush", READ),  # no route matches it: paths match as they came
    ],
)
def test_scopes_of_paths(method: str, path: str, scope: int) -> None:
    assert needed(method, path.encode()) == scope


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        (b"q=CREATE+DATABASE+%22a%22&db=x", READ | WRITE),
        (b"q=create%20database%20telegraf", READ | WRITE),
        (b"q=SELECT+*+FROM+cpu", READ),
        (b"q=CREATE+DATABASE+a&q=SELECT+*+FROM+cpu", READ),
        (b"q=SELECT+*+FROM+cpu&q=CREATE+DATABASE+a", READ),
        (b"q=CREATE+DATABASE+a;SELECT+*+FROM+cpu", READ),
        (b'q=CREATE+DATABASE+"a;+SELECT+1"', READ),
        (b"q=CREATE+DATABASE+a%0ASELECT+1", READ),
        (b"", READ | WRITE),  # it comes in the body, and the route looks at who asks
        (b"db=x", READ | WRITE),
    ],
)
def test_who_only_writes_may_create_a_database_and_ask_nothing(query: bytes, scope: int) -> None:
    assert needed("POST", b"/query", query) == scope


def test_names_say_it() -> None:
    assert names_of(READ | WRITE) == "read or write"
    assert names_of(ADMIN) == "admin"
