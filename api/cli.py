"""`silverback`: the command line, put together from `api.commands`.

    in   argv
    out  text on stdout, one line on stderr when something is wrong, an exit code (api.exits)

Only typer is imported here and in the command modules; what a command needs loads when it runs,
so `silverback --help` answers at once. This is a process boundary: errors that people can act on
become one line, everything else is our bug and shows its traceback.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from api.commands import blocks, cluster, compress, demo, points, query, rules, serve, token, warm
from api.exits import Exit

# typer keeps its own copy of click; these are the classes of that copy.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_ClickException: type[Exception] = _UsageError.__mro__[1]

app = typer.Typer(
    name="silverback",
    help="A time-series key-value database: points in, exact ranges out, every ack on disk.",
    epilog="Start with: silverback demo --data demo-data. Documentation: docs/index.md",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"silverback {version('silverback-tsdb')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


for _family in (serve, demo, cluster, points, query, rules, blocks, compress, token, warm):
    _family.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command; returns its exit code."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("silverback", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as leave:
        return leave.exit_code
    except _ClickException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except Exception as error:
        return _failed(error)
    return Exit.OK


def _misused(error: BaseException) -> int:
    context = getattr(error, "ctx", None)
    message = getattr(error, "format_message", lambda: str(error))()
    if not isinstance(error, _UsageError):
        typer.echo(f"silverback: {message}", err=True)
        return Exit.NO_INPUT
    if not message:  # no arguments: the help was shown instead
        return Exit.USAGE
    command = context.command_path if context is not None else "silverback"
    message += "" if message.endswith((".", "?")) else "."
    typer.echo(f"{command}: {message} Try '{command} --help'.", err=True)
    return Exit.USAGE


def _pipe_closed() -> int:
    """`silverback export | head` is no error: leave without a second complaint at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.OK


def _failed(error: Exception) -> int:
    from api.exits import verdict

    known = verdict(error)
    if known is None:
        traceback.print_exception(error)
        typer.echo("silverback: this is a bug; please report the lines above.", err=True)
        return Exit.BUG
    typer.echo(f"silverback: {known[1]}", err=True)
    return known[0]


if __name__ == "__main__":
    main()
