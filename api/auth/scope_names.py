"""The three scopes, as numbers to or together and as the words of files and commands."""

from __future__ import annotations

__all__ = ["ADMIN", "ALL", "NAMES", "OPEN", "READ", "WRITE", "names_of"]

OPEN, READ, WRITE, ADMIN = 0, 1, 2, 4
ALL = READ | WRITE | ADMIN
NAMES = {"read": READ, "write": WRITE, "admin": ADMIN}


def names_of(scopes: int) -> str:
    """`read or write`."""
    return " or ".join(name for name, scope in NAMES.items() if scopes & scope)
