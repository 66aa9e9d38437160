"""`silverback token`: a random token, and its line for the web configuration file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from api.commands import terminal
from api.exits import CommandFailed, Exit

TOKEN_BYTES = 32
PREFIX = "sb_"  # so that scanners for leaked secrets, and people, know what they look at
GIVEN_CHARACTERS_MIN = 32


def register(app: typer.Typer) -> None:
    app.command("token")(token)


def token(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who will use it; the server's log says it.")
    ],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", metavar="SCOPE", help="read, write or admin; repeatable."),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Take a token from standard input instead.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Make a bearer token, and print the line of it for the file of `serve --web-config`.

    The file gets its hash only: keep the token, nothing can show it again. The server reads the
    file again within a second.

    **Examples**

    - `silverback token vmagent-7 --scope write`
    - `silverback token grafana --scope read --json`
    """
    import hashlib
    import secrets

    from api.auth.scope_names import NAMES

    scopes = scope or []
    if not scopes or not set(scopes) <= set(NAMES):
        raise CommandFailed(f"--scope is one or more of {', '.join(NAMES)}", Exit.USAGE)
    if not name.isprintable() or not name.strip():
        raise CommandFailed("NAME is one line of text", Exit.USAGE)
    made = sys.stdin.readline().strip() if stdin else PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    if len(made) < GIVEN_CHARACTERS_MIN:
        raise CommandFailed(
            f"a token has {GIVEN_CHARACTERS_MIN} characters or more: it is hashed fast, so a short "
            "one can be guessed",
            Exit.USAGE,
        )
    digest = hashlib.sha256(made.encode()).hexdigest()
    if json:
        terminal.show_json({"name": name, "token": made, "sha256": digest, "scopes": scopes})
        return
    if not stdin:
        terminal.say(f"# {made}")
        terminal.note("The token, shown this once; the lines below go into the file.")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    terminal.say("bearer_tokens:")
    terminal.say(f'  "{quoted}": {{sha256: "{digest}", scopes: [{", ".join(scopes)}]}}')
