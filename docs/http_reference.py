"""docs/reference/http.md, from the OpenAPI document that the server answers.

    in   api.app (routes, their texts and examples), api.errors (the table in its docstring)
    out  one page: every route with its parameters, bodies as curl lines, answers

The examples here are those that tests/api/test_openapi.py runs against a server.
"""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

__all__ = ["http"]

BASE = "http://127.0.0.1:9292"
TAGS = {
    "keys": "Series by key",
    "bulk": "Many series at once",
    "admin": "Administration",
    "health": "Health",
    "collectd": "collectd",
}
EVERYWHERE = (400, 401, 403, 500, 503)
SAME = "The same as"
INTRODUCTION = """
A 2xx answer to a write means that it is on disk (or what `ack` asks for instead). No answer, a
5xx or a 429 leaves the outcome open or refuses it for now: repeating is always safe, because the
same point twice is one point. Bodies up to the bounds in [limits](limits.md) may be compressed;
answers are, if `Accept-Encoding` names `gzip` or `zstd`.

On loopback the `Host` header must name this machine, and requests that change something are
refused when a browser sends them for a page of another site. A server with accounts
([secure a server](../how-to/secure-a-server.md)) wants `Authorization: Bearer` or `Basic` with the
scope that each route names below.
"""


def http(made: str) -> str:
    """The page; `made` is the line that says it is generated."""
    document = _document()
    parts = [
        "# The HTTP API\n\n",
        made,
        f"{document['info']['description']}\n{INTRODUCTION}\n",
        "## Errors\n\n```\n",
        _error_table(),
        "```\n\nAny route may answer "
        f"{', '.join(map(str, EVERYWHERE[:-1]))} and {EVERYWHERE[-1]}; the others are named where "
        "they occur. Where a bound was passed, `limit` names it and `limitValue` says what it "
        "is. Answers to partly refused writes hold `points`, `refused_count` and `refused` "
        "besides.\n",
    ]
    for tag, title in _sections(document).items():
        parts.append(f"\n## {title}\n")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if tag in operation["tags"]:
                    parts += _operation(method.upper(), path, operation)
    return "".join(parts)


def _sections(document: dict[str, Any]) -> dict[str, str]:
    """Title by tag; a tag that has no title here is its own, so that no route is left out."""
    operations = [one for found in document["paths"].values() for one in found.values()]
    others = {tag: tag[:1].upper() + tag[1:] for one in operations for tag in one["tags"]}
    return TAGS | {tag: title for tag, title in others.items() if tag not in TAGS}


def _document() -> dict[str, Any]:
    from api.app import Application
    from api.node import Node
    from api.settings import load

    node = Node(load({}, environ={}))
    try:
        return Application(node).api.openapi()
    finally:
        node.close()


def _error_table() -> str:
    from api import errors

    lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
    return "".join(f"{line.strip()}\n" for line in lines if line.strip()[:3].isdigit())


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    summary = operation["summary"] + ("" if operation["summary"].endswith("?") else ".")
    yield f"\n### {method} {path}\n\n{summary} {operation.get('description', '')}".rstrip() + "\n"
    lists = [names for one in operation["security"] for names in one.values()]
    scopes = dict.fromkeys(name for names in lists for name in names)
    if scopes:
        yield f"\nScope: {' or '.join(f'`{name}`' for name in scopes)}.\n"
    if summary.startswith(SAME):
        return
    parameters = operation.get("parameters", [])
    if parameters:
        yield "\n| parameter | in | what |\n|---|---|---|\n"
        for one in parameters:
            need = "" if one["in"] == "path" or not one.get("required") else " (required)"
            what = " ".join(one.get("description", "").split()) + _choices(one["schema"])
            what = what.replace("|", "\\|")
            yield f"| `{one['name']}` | {one['in']}{need} | {what} |\n"
    yield from _commands(method, path, operation)
    yield "\n| status | when |\n|---:|---|\n"
    for status, answer in sorted(operation["responses"].items()):
        if int(status) not in EVERYWHERE:
            yield f"| {status} | {answer['description']} |\n"
    example = _example_answer(operation)
    if example:
        yield f"\n```json\n{example}\n```\n"


def _choices(schema: dict[str, Any]) -> str:
    kinds = [schema, *schema.get("anyOf", [])]
    values = next((kind["enum"] for kind in kinds if "enum" in kind), None)
    default = f" Default `{schema['default']}`." if schema.get("default") is not None else ""
    return (f" One of {', '.join(f'`{v}`' for v in values)}." if values else "") + default


def _commands(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody", {}).get("content", {})
    flag = "" if method == "GET" else f" -X {method}"
    if "[" in _query(operation):
        flag += " -g"  # curl would take the brackets for a range
    lines: list[str] = []
    for name, key in _keys(operation):
        target = shlex.quote(BASE + path.replace("{key}", key) + _query(operation))
        if not body:
            lines.append(f"curl{flag} {target}\n")
        for media in body.values():
            for example in media.get("examples", {}).values():
                value = example["value"]
                text = value if isinstance(value, str) else json.dumps(value)
                if not text.replace("\n", "").isprintable():
                    continue  # bytes, which no shell takes
                send = "--data-binary" if isinstance(value, str) else "-d"
                lines.append(f"curl{flag} {target} {send} {shlex.quote(text.strip())}\n")
        if body and name == "plain":
            break  # the other spelling of the key is shown where it is read
    if lines:
        yield "".join(("\n```sh\n", *lines, "```\n"))


def _keys(operation: dict[str, Any]) -> list[tuple[str, str]]:
    """Examples of the path's key, encoded; one empty one where the path has none."""
    for one in operation.get("parameters", []):
        if one["in"] == "path":
            return [(n, quote(e["value"], safe="/")) for n, e in one["examples"].items()]
    return [("", "")]


def _query(operation: dict[str, Any]) -> str:
    pairs = [
        (one["name"], one["schema"]["examples"][0][0])
        for one in operation.get("parameters", [])
        if one["in"] == "query" and one.get("required")
    ]
    return "?" + "&".join(f"{n}={quote(v)}" for n, v in pairs) if pairs else ""


def _example_answer(operation: dict[str, Any]) -> str:
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    return json.dumps(content["example"]) if "example" in content else ""
