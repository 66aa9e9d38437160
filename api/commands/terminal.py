"""What commands show: tables for people on stdout, JSON for machines, one line for errors.

    in   rows, documents, sentences
    out  text; progress bars and errors go to stderr, so that stdout can be piped

Colour and width follow the terminal; a pipe gets plain text that is never cut.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PIPE_WIDTH = 200
_SI = ("", "k", "M", "G", "T", "P")


def stdout() -> Console:
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    from rich.console import Console

    class Pipeable(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `| head` is no failure; rich would leave with code 1

    width = None if file.isatty() else PIPE_WIDTH
    return Pipeable(file=file, width=width, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """A line on stdout, as it is: series names hold brackets that are no markup."""
    stdout().print(text, markup=False)


def note(text: str) -> None:
    """A line on stderr, beside the output."""
    stderr().print(text, markup=False, style="dim")


def warn(text: str) -> None:
    stderr().print(text, markup=False, style="yellow")


def show_json(document: object) -> None:
    """One JSON document on stdout, indented; NumPy scalars and arrays included."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    sys.stdout.write(orjson.dumps(document, default=str, option=options).decode())


def show_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    total: Sequence[object] | None = None,
) -> None:
    """Columns of text; those whose heading starts with `>` hold numbers and are set right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_footer=total is not None,
    )
    for i, heading in enumerate(headings):
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if heading.startswith(">") else "left",
            footer=Text(str(total[i])) if total is not None else "",
            overflow="fold",
            no_wrap=heading.startswith(">"),
        )
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = stdout()
    console.print(table, soft_wrap=not console.is_terminal)


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """Bars on stderr with a rate in `unit` a second; silent when stderr is no terminal.

    A task's field `done` is what the rate counts; its `total` and `completed` move the bar.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            done = task.fields.get("done", task.completed)
            rate = done / task.elapsed if task.elapsed else 0.0
            return Text(f"{si(done)} {unit}, {si(rate)}/s")

    console = stderr()
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bars:
        yield bars


def si(value: float) -> str:
    """12,300,000 as 12.3M: three figures are what an eye takes in."""
    size = 0
    while abs(value) >= 999.5 and size < len(_SI) - 1:
        value /= 1000
        size += 1
    if size == 0 and float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.3g}{_SI[size]}"


def size_text(size_bytes: float) -> str:
    """Bytes as people say them: 512 B, 1.4 KiB, 3.2 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size_bytes) < 1024 or unit == "TiB":
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError("unreachable: the last unit returns")


def number(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}"
