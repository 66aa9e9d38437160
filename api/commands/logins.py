"""Options of every command that may talk to a server: --token, --user, --ca-file.

    in   a command
    out  the same command with three more options, in force while it runs

Added to the signature, since typer makes options of that, so that they are told once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

__all__ = ["with_login"]

PANEL = "A server with accounts"
Token = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Bearer token; better in SILVERBACK_TOKEN, as others see options.",
        rich_help_panel=PANEL,
    ),
]
User = Annotated[
    str,
    typer.Option(
        "--user",
        metavar="NAME:PASSWORD",
        help="Basic auth; better in SILVERBACK_USER.",
        rich_help_panel=PANEL,
    ),
]
CaFile = Annotated[
    str,
    typer.Option(
        "--ca-file",
        metavar="FILE.pem",
        help="Trust this authority for https, also SILVERBACK_CA_FILE.",
        rich_help_panel=PANEL,
    ),
]
OPTIONS: dict[str, Any] = {"token": Token, "user": User, "ca_file": CaFile}


def with_login(command: Callable[..., None]) -> Callable[..., None]:
    """Use as a decorator, directly below the registration."""

    @functools.wraps(command)
    def run(*, token: str = "", user: str = "", ca_file: str = "", **given: Any) -> None:
        from api.login import as_chosen

        with as_chosen(token, user, ca_file):
            command(**given)

    kind = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, kind, default="", annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]
    signature = inspect.signature(command, eval_str=True)
    parameters = [*signature.parameters.values(), *more]
    told: Any = run
    told.__signature__ = signature.replace(parameters=parameters)
    told.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
