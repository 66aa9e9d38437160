"""`silverback query`: PromQL or points of a selector, as table, picture in text, JSON or CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands import terminal
from api.commands.logins import with_login
from api.commands.warm import ensure_warm
from api.exits import CommandFailed, Exit

if TYPE_CHECKING:
    import numpy as np

    from api.answers import Answer
    from tsdb.query.selection import Series

BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 32
SERIES_WITH_POINTS_MAX = 5

Data = Annotated[
    Path | None,
    typer.Option("--data", "-d", metavar="DIR", help="A data directory that no server has open."),
]
Url = Annotated[str, typer.Option("--url", "-u", metavar="URL", help="A running server.")]
Start = Annotated[
    str,
    typer.Option(metavar="TIME", help="First moment: 2026-01-31T12:00:00Z, Unix seconds, now-1h."),
]
End = Annotated[str, typer.Option(metavar="TIME", help="Last moment, inclusive.")]
DEFAULT_URL = "http://127.0.0.1:9292"


def register(app: typer.Typer) -> None:
    app.command("query")(query)
    app.command("select", hidden=True, help="The same as query.")(query)


@with_login
def query(
    selector: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="PromQL, such as sum(rate(x[5m])); or a name (room/temp) or selector, whose "
            "points are shown as they are stored.",
        ),
    ],
    *,
    data: Data = None,
    url: Url = DEFAULT_URL,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="PromQL at this one moment; now unless given.")
    ] = "",
    start: Start = "",
    end: End = "",
    step: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="PromQL every step; of a selector, fold points: 30s, 5m, 1h."
        ),
    ] = "",
    agg: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What a step says: avg, min, max, sum, count, first or last."
        ),
    ] = "avg",
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Newest points shown a series; 0 shows all.")
    ] = 10,
    json: Annotated[bool, typer.Option("--json", help="One JSON document, all points.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, all points.")] = False,
) -> None:
    """Compute PromQL, or show the points of series; from a server or straight from a directory.

    **Examples**

    - `silverback query 'sum by (job) (rate(http_requests_total[5m]))'`
    - `silverback query 'avg(room_temp)' --start now-6h --step 10m`

    - `silverback query sensors/kitchen/temp`
    - `silverback query 'cpu_percent{host="web-1"}' --start now-6h --step 15m --agg max`
    - `silverback query 'http_requests_total{code="500"}' --data demo-data --csv`
    """
    from api.answers import Place, Question, ask
    from api.commands import worth
    from api.expressions import Expression, is_expression

    if json and as_csv:
        raise CommandFailed("--json and --csv exclude each other", Exit.USAGE)
    ensure_warm()
    if at or is_expression(selector):
        asked = Expression(selector, at, start, end, step)
        worth.show(Place(data, url), asked, "json" if json else "csv" if as_csv else "table")
        return
    answer = ask(Place(data, url), Question(selector, start, end, step, agg))
    for warning in answer.warnings:
        terminal.warn(warning)
    if json:
        terminal.show_json(_document(answer))
    elif as_csv:
        _write_csv(answer)
    else:
        _show(answer, limit)


def _document(answer: Answer) -> dict[str, Any]:
    ticks_per_s = answer.resolution.ticks_per_s
    return {
        "resolution": answer.resolution.name_,
        "ticks_per_s": ticks_per_s,
        "series": [
            {
                "metric": dict(series.labels),
                "timestamps": series.timestamps.tolist(),
                "values": [number_or_name(value) for value in series.values.tolist()],
            }
            for series in answer
        ],
        "warnings": list(answer.warnings),
    }


def number_or_name(value: float) -> float | str:
    """JSON has no NaN and no infinity: their names then, as bulk import reads them."""
    if value - value == 0:
        return value
    return "Inf" if value > 0 else "-Inf" if value < 0 else "NaN"


def _write_csv(answer: Answer) -> None:
    from api.encode import csv_rows

    for piece in csv_rows.stream(answer, answer.resolution):
        sys.stdout.write(piece.decode())


def _show(answer: Answer, limit: int) -> None:
    from api.keys import text_of

    if not answer.labels:
        terminal.say("No series with points there. `silverback query '{}'` shows all there are.")
        return
    if len(answer.labels) <= SERIES_WITH_POINTS_MAX:
        for series in answer:
            _show_points(series, answer.resolution.ticks_per_s, limit)
        return
    rows = [
        (text_of(one.labels), f"{len(one):,}", shown(one.values[-1]), spark(one.values))
        for one in answer
    ]
    terminal.show_table(("series", ">points", ">newest", "course"), rows)
    terminal.say(f"{len(rows):,} series, {answer.columns.points:,} points.")


def _show_points(series: Series, ticks_per_s: int, limit: int) -> None:
    from api.keys import text_of
    from api.times import time_text

    first = max(0, len(series) - limit) if limit else 0
    points = zip(series.timestamps[first:].tolist(), series.values[first:].tolist(), strict=True)
    rows = [(time_text(t, ticks_per_s=ticks_per_s), shown(v)) for t, v in points]
    title = f"{text_of(series.labels)}  {spark(series.values)}"
    terminal.show_table(("time (UTC)", ">value"), rows, title=title)
    if first:
        terminal.say(f"The newest {len(rows):,} of {len(series):,} points; --limit 0 shows all.")


def shown(value: float) -> str:
    """As short as possible, exactly this float64; whole numbers without their .0."""
    told = number_or_name(float(value))
    return told if isinstance(told, str) else repr(told).removesuffix(".0")


def spark(values: np.ndarray) -> str:
    """The course of values in one line of text; what is no number leaves a gap."""
    import numpy as np

    groups = np.array_split(values, min(SPARK_WIDTH, values.size)) if values.size else []
    heights = np.array([_mean(group) for group in groups])
    real = heights[np.isfinite(heights)]
    if not real.size:
        return ""
    low, span = float(real.min()), float(real.max() - real.min())
    levels = (heights - low) / span * (len(BARS) - 1) if 0 < span < np.inf else heights * 0 + 3
    return "".join(BARS[round(x)] if np.isfinite(x) else " " for x in levels.tolist())


def _mean(group: np.ndarray) -> float:
    import numpy as np

    finite = group[np.isfinite(group)]
    with np.errstate(over="ignore"):
        return float(finite.mean()) if finite.size else float("nan")
