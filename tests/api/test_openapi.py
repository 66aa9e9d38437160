"""The OpenAPI document: valid, whole, its examples work, and no generated request breaks us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
import schemathesis.checks as checks
import schemathesis.specs.openapi.checks as conformance
from hypothesis import HealthCheck, given, settings

from api.app import Application
from api.node import Node
from api.settings import load
from docs import render

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/openapi.json").json
    return found


def operations() -> list[tuple[str, str]]:
    node = Node(load({"data": "/nonexistent"}, environ={}))
    paths = Application(node).api.openapi()["paths"]
    node.close()
    return [(method, path) for path, found in paths.items() for method in found]


def test_every_route_of_the_issue_is_declared(document: dict[str, Any]) -> None:
    assert set(operations()) >= {
        ("put", "/kv/{key}"), ("post", "/kv/{key}"), ("get", "/kv/{key}"), ("delete", "/kv/{key}"),
        ("get", "/kv"), ("post", "/api/v1/import"), ("get", "/api/v1/export"),
        ("post", "/api/v1/admin/flush"), ("post", "/api/v1/admin/snapshot"),
        ("get", "/-/healthy"), ("get", "/-/ready"), ("get", "/metrics"), ("get", "/api/v1/status"),
        ("post", "/api/put"), ("get", "/api/suggest"), ("post", "/collectd"),
    }  # fmt: skip
    ids = [o["operationId"] for found in document["paths"].values() for o in found.values()]
    assert len(ids) == len(set(ids))
    assert "HTTPValidationError" not in json.dumps(document)


def examples_of(operation: dict[str, Any]) -> list[tuple[dict[str, str], str, Any, str]]:
    """Every (path values, query, body, its media type) that the document gives as an example."""
    keys = [{}]
    query = []
    for one in operation.get("parameters", []):
        if one["in"] == "path":
            keys = [{one["name"]: e["value"]} for e in one["examples"].values()]
        elif one.get("required"):
            query.append(f"{one['name']}={quote(one['schema']['examples'][0][0])}")
    content = operation.get("requestBody", {}).get("content", {})
    bodies = [(e["value"], m) for m, one in content.items() for e in one["examples"].values()]
    return [(key, "&".join(query), *body) for key in keys for body in bodies or [(None, "")]]


def is_of_a_cluster(operation: tuple[str, str]) -> bool:
    """Tried by tests/replication/test_served.py, which has one."""
    return operation[1].startswith("/api/v1/cluster")


@pytest.mark.parametrize(
    ("method", "path"), [one for one in operations() if not is_of_a_cluster(one)]
)
def test_the_examples_work(server: Any, document: dict[str, Any], method: str, path: str) -> None:
    operation = document["paths"][path][method]
    found = examples_of(operation)

    assert found
    for values, query, body, media in found:
        target = path
        for name, value in values.items():
            target = target.replace("{" + name + "}", quote(value))
            server("PUT", target, [[1_700_000_000, 1]])
        target += f"?{query}" if query else ""
        body = body.encode() if isinstance(body, str) else body
        headers = {"content_type": media} if media else {}
        reply = server(method.upper(), target, body, **headers)
        assert reply.status in (200, 202, 204), (target, reply.body)
        if reply.status == 204:
            assert "204" in operation["responses"]
            continue
        media = reply.headers["content-type"].partition(";")[0]
        declared = operation["responses"][str(reply.status)]["content"]
        assert media in declared
        example = declared[media].get("example")
        if example:
            assert set(example) <= set(reply.json)


@pytest.fixture(scope="module")
def schema(server: Any) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


@pytest.mark.parametrize(("method", "path"), operations())
def test_no_generated_request_breaks_the_server(schema: Any, method: str, path: str) -> None:
    """Statuses, media types and bodies are those that the document declares; never a 500."""
    statuses: list[int] = []

    @given(schema[path][method].as_strategy())
    @settings(
        max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def check_one(case: Any) -> None:
        response = case.call()
        statuses.append(response.status_code)
        case.validate_response(
            response,
            checks=[
                checks.not_a_server_error,
                conformance.status_code_conformance,
                conformance.content_type_conformance,
                conformance.response_schema_conformance,
            ],
        )

    check_one()
    assert statuses
    assert max(statuses) < 500


def test_the_reference_page_says_what_the_document_says() -> None:
    page = Path(render.DOCS) / "reference" / "http.md"

    assert page.read_text("utf-8") == render.http(), "run python -m docs.render"
