"""`silverback warm`: compile the kernels now, so that no request ever waits for a compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.commands import terminal
from api.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from api.warming import Warmed


def register(app: typer.Typer) -> None:
    app.command("warm")(warm)


def warm(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Look at every kernel, even if all were compiled.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Compile the numeric kernels once, into your cache folder.

    Part of the set-up: it takes half a minute or so once a machine and version, and a blink from
    then on. The folder is $SILVERBACK_CACHE_DIR, or silverback under $XDG_CACHE_HOME or ~/.cache;
    it may be deleted at any time.

    **Example**

    - `silverback warm`
    """
    warmed = _warmed(force=force)
    if json:
        terminal.show_json(
            {
                "folder": str(warmed.folder),
                "modules": warmed.modules,
                "seconds": round(warmed.took_s, 3),
                "was_warm": warmed.was_warm,
            }
        )
    elif warmed.was_warm:
        terminal.say(f"The kernels are compiled already, in {warmed.folder}")
    else:
        terminal.say(
            f"Compiled {warmed.modules} modules of kernels in {warmed.took_s:.0f} s, "
            f"into {warmed.folder}"
        )


def ensure_warm(*, always: bool = False) -> None:
    """Before a command that needs kernels: nobody shall sit half a minute before a dead screen.

    Where there is no screen, the process that needs them compiles them, unless `always`.
    """
    if always or terminal.stderr().is_terminal:
        _warmed(force=False)


def _warmed(*, force: bool) -> Warmed:
    from api import warming

    with terminal.progress("modules") as bars:
        task = bars.add_task("compiling kernels, once", total=None, visible=False)
        try:
            return warming.warm(
                force=force,
                on_start=lambda modules: bars.update(task, total=modules, visible=True),
                on_done=lambda module: bars.update(task, advance=1),
            )
        except RuntimeError as error:
            raise CommandFailed(str(error), Exit.BUG) from error
