"""`silverback demo`: something to look at within seconds."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands import terminal
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from api.demo import Demo, Pulse


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    *,
    data: Annotated[
        Path, typer.Option("--data", "-d", metavar="DIR", help="Where the demo keeps its data.")
    ] = Path("demo-data"),
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="N", help="Port; 0 picks a free one.")
    ] = 9292,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Send, kill -9, restart, compare bit for bit; then leave. Own directory."
        ),
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(hidden=True, help="Stop by itself after so many seconds.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --once: one JSON document.")] = False,
) -> None:
    """Start a server with data in it, and feed it this machine's figures.

    The first run makes three days of history for three machines; then this machine's CPU, memory,
    disk and network figures come in every second. Ctrl-C stops; the data stays, a second run goes
    on with it. Nothing leaves this machine.

    **Examples**

    - `silverback demo`
    - `silverback demo --once`
    """
    ensure_warm()
    if once:
        _once(json=json)
        return
    from api.demo import Demo

    # A demo that is ended, by make or a time-out, stops its server as one that is interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = Demo(data, port)
    try:
        _run(show, data, seconds)
    except KeyboardInterrupt:
        terminal.say("\nStopping the server...")
    finally:
        show.close()
    terminal.say(
        f"Stopped. The data is in {data}; `silverback demo --data {data}` goes on with it."
    )


def _run(show: Demo, data: Path, seconds: float | None) -> None:
    from rich.live import Live
    from rich.text import Text

    took_s = show.start()
    terminal.say(f"Silverback is ready at {show.url} ({took_s:.1f} s), data in {data}")
    if show.is_new():
        with terminal.progress("points") as bars:
            task = bars.add_task("making three days of history", total=None)
            points = show.fill_history(
                lambda sent, total: bars.update(task, completed=sent, total=total, done=sent)
            )
        terminal.say(f"Filled in three days of three machines: {points:,} points, all fsynced.")
    else:
        terminal.say("Found the data of an earlier run.")
    _show_doors(show)
    console = terminal.stdout()
    if not console.is_terminal:
        for n, pulse in enumerate(show.beats(), 1):
            terminal.say(_line(pulse))
            if seconds is not None and n >= seconds:
                return
    with Live(console=console, refresh_per_second=4) as live:
        for n, pulse in enumerate(show.beats(), 1):
            live.update(Text(_line(pulse)))
            if seconds is not None and n >= seconds:
                return


def _line(pulse: Pulse) -> str:
    """Fits a terminal of 80 columns."""
    return (
        f"{pulse.points:,} points, {pulse.series} series, {pulse.bytes_per_point:.2f} B each "
        f"({pulse.ratio:.1f}x smaller), {pulse.sent_per_s:.0f} points/s, ack {pulse.ack_ms:.1f} ms"
    )


def _show_doors(show: Demo) -> None:
    host = show.machine.host
    for line in (
        "",
        f"Open {show.url}/ in a browser, or paste:",
        "",
        f"  curl '{show.url}/kv?prefix=cpu'",
        f"  curl -X PUT -d 21.5 {show.url}/kv/sensors/kitchen/temp",
        f"  curl -G '{show.url}/kv/load%7Bhost=%22{host}%22,minutes=%221%22%7D' "
        "-d start=now-5m -d step=1m -d agg=max",
        "",
        "Ctrl-C stops.",
        "",
    ):
        terminal.say(line)


def _once(*, json: bool) -> None:
    from api.demo_once import prove

    outcome = prove(terminal.note)
    if json:
        terminal.show_json(
            {
                "sent": outcome.sent,
                "acknowledged": outcome.acknowledged,
                "read_back": outcome.back,
                "differing": outcome.differing,
                "same": outcome.same,
            }
        )
    else:
        terminal.show_table(
            ("what", ">points"),
            [
                ("sent over HTTP", f"{outcome.sent:,}"),
                ("acknowledged before kill -9", f"{outcome.acknowledged:,}"),
                ("read back after the restart", f"{outcome.back:,}"),
                ("that differ in any bit", f"{outcome.differing:,}"),
            ],
        )
    if not outcome.same:
        raise CommandFailed("what was acknowledged did not come back", Exit.DIFFERENT)
    if not json:
        terminal.say("Every acknowledged point came back, bit for bit.")
