"""What the commands present to a server: a token or a user, and whose certificate they trust.

    in   options of a command, SILVERBACK_TOKEN, SILVERBACK_USER, SILVERBACK_CA_FILE
    out  Login: one header, one TLS context

An option is seen by everybody who lists processes; the variables are not. Options win.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from api.exits import CommandFailed, Exit

__all__ = ["Login", "as_chosen", "chosen", "from_environment"]


@dataclass(frozen=True, slots=True)
class Login:
    """`user` is NAME:PASSWORD. Nothing at all is a login too: many servers ask for none."""

    token: str = ""
    user: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        if self.token and self.user:
            raise CommandFailed("a token or a user, not both", Exit.USAGE)
        if self.user and ":" not in self.user:
            raise CommandFailed("a user is given as NAME:PASSWORD", Exit.USAGE)
        if not (self.token + self.user).isprintable():
            raise CommandFailed("a token or a user is one line of text", Exit.USAGE)

    def headers(self) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user:
            return {"Authorization": f"Basic {base64.b64encode(self.user.encode()).decode()}"}
        return {}

    def tls(self) -> ssl.SSLContext:
        """Trusts the given authority alone, or those the system trusts."""
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except ssl.SSLError as error:
            raise CommandFailed(
                f"{self.ca_file}: it holds no certificate (PEM)", Exit.CONFIG
            ) from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CommandFailed(f"{self.ca_file}: {reason}", Exit.NO_INPUT) from error


_chosen: ContextVar[Login | None] = ContextVar("login", default=None)


def from_environment(environ: Mapping[str, str] | None = None) -> Login:
    environ = os.environ if environ is None else environ
    names = ("SILVERBACK_TOKEN", "SILVERBACK_USER", "SILVERBACK_CA_FILE")
    return Login(*(environ.get(name, "").strip() for name in names))


def chosen() -> Login:
    """What the running command was told, or else the environment."""
    return _chosen.get() or from_environment()


@contextmanager
def as_chosen(token: str, user: str, ca_file: str) -> Iterator[None]:
    """For the time of a command; what is empty is left to the environment."""
    login = from_environment()
    if token or user:
        login = replace(login, token=token, user=user)
    if ca_file:
        login = replace(login, ca_file=ca_file)
    before = _chosen.set(login)
    try:
        yield
    finally:
        _chosen.reset(before)
