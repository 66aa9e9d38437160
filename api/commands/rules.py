"""`silverback rules`: rule files checked and tested before a server reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.commands import terminal
from api.exits import CommandFailed, Exit

_family = typer.Typer(
    help="Recording and alerting rules: check files, run their unit tests.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE.yml...", help="Files, by name.", show_default=False)
]


def register(app: typer.Typer) -> None:
    app.add_typer(_family, name="rules")


@_family.command()
def check(files: Files) -> None:
    """Read rule files as the server would, and say what is in them.

    Expressions, templates, names and labels are checked; what is wrong is named with its line.

    **Examples**

    - `silverback rules check rules/*.yml`
    """
    from api.rules import reading
    from api.rules.config import Alerting
    from tsdb.errors import InvalidInput

    wrong = False
    for file in files:
        try:
            groups = reading.load([str(file)], 60_000)
        except InvalidInput as error:
            terminal.say(f"WRONG  {error}")
            wrong = True
            continue
        rules = [rule for group in groups for rule in group.rules]
        alerts = sum(isinstance(rule, Alerting) for rule in rules)
        terminal.say(
            f"ok     {file}: {len(groups)} groups, {len(rules) - alerts} recording rules, "
            f"{alerts} alerts"
        )
    if wrong:
        raise typer.Exit(Exit.BAD_DATA)


@_family.command()
def test(files: Files) -> None:
    """Run unit tests of rules: series in, alerts and samples out. The format is promtool's.

    **Examples**

    - `silverback rules test tests.yml`
    """
    from api.rules import unit_tests
    from tsdb.errors import InvalidInput

    failed = count = 0
    for file in files:
        try:
            suite = unit_tests.load(file)
        except InvalidInput as error:
            raise CommandFailed(str(error), Exit.BAD_DATA) from error
        with terminal.progress("tests") as bars:
            task = bars.add_task(file.name, total=len(suite.tests))
            for outcome in suite.run():
                bars.advance(task)
                count += 1
                failed += bool(outcome.differences)
                terminal.say(
                    f"{'FAIL' if outcome.differences else 'pass'}   {file}: {outcome.name}"
                )
                for difference in outcome.differences:
                    terminal.say(f"         {difference}")
    terminal.say(f"{count - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(Exit.DIFFERENT)
