"""Reference pages that are made from code, so that they cannot lie.

    in   api.cli, api.exits, api.settings, api.app, tsdb.limits, docs/decisions/*.md
    out  docs/reference/{cli,http,limits,settings}.md, docs/decisions/README.md

Run: python -m docs.render           writes the pages
     python -m docs.render --check   fails when one of them is stale
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

DOCS = Path(__file__).resolve().parent
MADE = "<!-- Made by `python -m docs.render` from {source}; edit there. -->\n\n"


# --- the command line ---------------------------------------------------------------------------


def cli() -> str:
    from api import cli as program

    root: Any = typer.main.get_command(program.app)
    parts = [
        "# The command line\n\n",
        MADE.format(source="`api/commands/`"),
        f"{root.help}\n\n",
        "`silverback COMMAND --help` says the same in the terminal. Output for people goes to "
        "stdout as tables, progress and errors to stderr; `--json` prints one JSON document "
        "instead.\n\n",
        "| command | what it does |\n|---|---|\n",
    ]
    commands = dict(_commands(root))
    for name, command in commands.items():
        place = name.replace(" ", "-")
        parts.append(f"| [`{name}`](#silverback-{place}) | {_first_sentence(command.help)} |\n")
    parts.append("\n")
    for name, command in commands.items():
        parts += _command(name, command)
    parts += ["## Exit codes\n\n", *_exit_codes()]
    return "".join(parts)


def _commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Commands by name; of a family (`silverback rules check`) its members."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{above}{name} ")
        elif not command.hidden:
            yield f"{above}{name}", command


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["silverback", name, *(_metavar(a) for a in arguments), "[OPTIONS]"])
    yield f"## silverback {name}\n\n```\n{usage}\n```\n\n{inspect.cleandoc(command.help)}\n\n"
    rows = [(f"`{_metavar(a)}`", a.help or "", "") for a in arguments]
    for option in options:
        if option.hidden or option.name == "help":
            continue
        flags = ", ".join(f"`{o}`" for o in (*option.opts, *option.secondary_opts))
        flag = flags if option.is_flag else f"{flags} `{_metavar(option)}`"
        rows.append((flag, option.help or "", _default(option)))
    yield "| | | default |\n|---|---|---|\n"
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |\n"
    yield "\n"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _default(option: Any) -> str:
    default = option.default
    if option.is_flag or default is None or default == "" or callable(default):
        return ""
    return f"`{default}`"


def _exit_codes() -> Iterator[str]:
    from api.exits import Exit

    source = inspect.getsource(Exit)
    yield "As in BSD's sysexits.h where it has one; 69 and 75 may be tried again.\n\n"
    yield "| code | name | means |\n|---:|---|---|\n"
    for name, code, why in re.findall(r"^    (\w+) = (\d+)  # (.*)$", source, re.M):
        yield f"| {code} | {name.lower()} | {why} |\n"


# --- limits -------------------------------------------------------------------------------------


def limits() -> str:
    from tsdb import limits as module

    source = inspect.getsource(module)
    lines = source.splitlines()
    parts = [
        "# Limits\n\n",
        MADE.format(source="`tsdb/limits.py`"),
        "Every bound of the engine and the server, and why it is what it is. A request that passes "
        "one is refused by name; nothing is ever cut or dropped silently. "
        "`GET /api/v1/status/limits` tells those of a running server and how often each refused.\n",
    ]
    body = ast.parse(source).body
    section = ""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign) or not isinstance(following, ast.Expr):
            continue
        heading = _section_above(lines, statement.lineno)
        if heading != section:
            section = heading
            parts.append(
                f"\n## {section.capitalize()}\n\n| limit | value | why |\n|---|---:|---|\n"
            )
        names = [n.id for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)]
        values = " / ".join(_human(name, getattr(module, name)) for name in names)
        shown = ", ".join(f"`{name}`" for name in names)
        why = inspect.cleandoc(ast.literal_eval(following.value)).replace("\n", " ")
        parts.append(f"| {shown} | {values} | {_cell(why)} |\n")
    return "".join(parts)


def _section_above(lines: list[str], line: int) -> str:
    for text in reversed(lines[:line]):
        if found := re.match(r"# --- (.*?) -+$", text):
            return found[1]
    return "general"


def _human(name: str, value: float) -> str:
    if "BYTES" in name:
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value >= size and value % size == 0:
                return f"{int(value) // size} {unit}"
        return f"{value:,} B"
    if "SHARE" in name:
        return f"{value:.0%}"
    if re.search(r"_S(_|$)", name) and value >= 3600 and value % 3600 == 0:
        return f"{int(value) // 3600} h"
    unit = " ms" if "_MS" in name else " s" if re.search(r"_S(_|$)", name) else ""
    return f"{value:,}{unit}"


# --- settings -----------------------------------------------------------------------------------


def settings() -> str:
    from api.settings import ENV_PREFIX, Settings

    flags = _serve_flags()
    rows = []
    for name, field in Settings.model_fields.items():
        default = (
            "" if field.default in (None, "", ()) else f"`{_setting_value(name, field.default)}`"
        )
        flag = f"`{flags[name]}`" if name in flags else ""
        rows.append(f"| `{name}` | {flag} | {default} | {_cell(field.description or '')} |\n")
    return "".join(
        [
            "# Settings of the server\n\n",
            MADE.format(source="`api/settings.py`"),
            "Each setting is a flag of `silverback serve`, an environment variable "
            f"(`{ENV_PREFIX}` and the name in capitals, as `{ENV_PREFIX}PORT`) and a key of the "
            "TOML file that `--config` or `SILVERBACK_CONFIG` names. The first of these that "
            "says something wins; the server prints what it uses when it starts. Sizes read as "
            "`512MiB`, durations as `30d`, `1h30m` or seconds.\n\n",
            "| setting | flag | default | what |\n|---|---|---|---|\n",
            *rows,
        ]
    )


def _serve_flags() -> dict[str, str]:
    """Which flag sets which field, by the names `serve` gives them."""
    from api import cli as program

    serve: Any = typer.main.get_command(program.app).commands["serve"]  # type: ignore[attr-defined]
    source = inspect.getsource(sys.modules["api.commands.serve"])
    fields = dict(re.findall(r'^            "(\w+)": (\w+),$', source, re.M))
    opts = {p.name: p.opts[0] for p in serve.params if p.param_type_name == "option"}
    return {field: opts[parameter] for field, parameter in fields.items()}


def _setting_value(name: str, value: object) -> str:
    if name.endswith("bytes_max"):
        return _human("BYTES", int(value)).replace(" ", "")  # type: ignore[call-overload]
    return str(value)


# --- decisions ----------------------------------------------------------------------------------


def decisions() -> str:
    parts = [
        "# Decisions\n\n",
        MADE.format(source="the pages beside this one"),
        "What was decided, what else there was, and the figures that decided it. A decision is "
        "changed by a new page that says which one it replaces.\n\n",
    ]
    for page in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = page.read_text("utf-8").splitlines()[0].lstrip("# ")
        parts.append(f"- [{title}]({page.name})\n")
    return "".join(parts)


def _first_sentence(text: str) -> str:
    return _cell(re.split(r"(?<=[.;])\s", text.strip(), maxsplit=1)[0].rstrip(";"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def http() -> str:
    from docs.http_reference import http as page

    return page(MADE.format(source="`api/routes/examples.py`"))


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli,
    "reference/http.md": http,
    "reference/limits.md": limits,
    "reference/settings.md": settings,
    "decisions/README.md": decisions,
}


def stale() -> list[str]:
    """Pages that are not what the code says now."""
    return [
        name
        for name, make in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != make()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the reference pages from code.")
    parser.add_argument("--check", action="store_true", help="fail when a page is stale")
    if parser.parse_args().check:
        old = stale()
        if old:
            sys.exit(f"stale: {', '.join(old)}; run python -m docs.render")
        return
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
