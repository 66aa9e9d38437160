"""The OpenAPI document as FastAPI makes it, finished: what it says too much and too little.

    in   FastAPI's document
    out  the same, without its own 422, and with the scope that each route needs

Idempotent, as FastAPI keeps its document.
"""

from __future__ import annotations

import re
from typing import Any

from api.auth.scope_names import NAMES
from api.auth.scopes import needed

__all__ = ["finished"]

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token (--web-config)."},
    "basic": {"type": "http", "scheme": "basic", "description": "A user, or a token as password."},
}


def finished(document: dict[str, Any]) -> dict[str, Any]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _without_422_of_fastapi(operation)
            operation["security"] = _security(method.upper(), path)
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    for name in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(name, None)
    return document


def _without_422_of_fastapi(operation: dict[str, Any]) -> None:
    """FastAPI declares its own 422 for wrong parameters; ours are 400, declared by the routes."""
    content = operation["responses"].get("422", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "HTTPValidationError" in schema.get("$ref", ""):
        del operation["responses"]["422"]


def _security(method: str, path: str) -> list[dict[str, list[str]]]:
    """None at all, for a server without accounts, or either scheme with one of the scopes."""
    scopes = needed(method, re.sub(r"[{}]", "", path).encode())
    names = [name for name, scope in NAMES.items() if scopes & scope]
    return [{}, *({scheme: [name]} for name in names for scheme in SCHEMES)]
