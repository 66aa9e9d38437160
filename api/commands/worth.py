"""What `silverback query` shows of a PromQL expression: a table with courses, JSON or CSV."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import numpy as np

from api.commands import terminal

if TYPE_CHECKING:
    from api.answers import Place
    from api.expressions import Expression, Worth

__all__ = ["show"]


def show(place: Place, asked: Expression, form: Literal["table", "json", "csv"]) -> None:
    from api.expressions import worth

    found = worth(place, asked)
    for sentence in found.said:
        terminal.warn(sentence)
    if form == "json":
        _show_json(found)
    elif form == "csv":
        _write_csv(found)
    elif not found.labels:
        terminal.say("No series has a value there.")
    elif found.is_range:
        _show_courses(found)
    else:
        _show_values(found)


def _name(found: Worth, row: int) -> str:
    return str(found.labels[row])


def _show_values(found: Worth) -> None:
    from api.commands.query import shown
    from api.times import time_text

    rows = [(_name(found, row), shown(value)) for row, value in enumerate(found.values[:, 0])]
    title = f"at {time_text(int(found.times[0]), ticks_per_s=1000)}"
    terminal.show_table(("series", ">value"), rows, title=title)


def _show_courses(found: Worth) -> None:
    from api.commands.query import shown, spark
    from api.times import time_text

    rows = []
    for row, present in enumerate(found.present):
        values = found.values[row][present]
        course = spark(np.where(present, found.values[row], np.nan))
        rows.append(
            (_name(found, row), shown(values[-1]), shown(values.min()), shown(values.max()), course)
        )
    first, last = (time_text(int(found.times[at]), ticks_per_s=1000) for at in (0, -1))
    title = f"{first} to {last}, {found.times.size:,} steps"
    terminal.show_table(("series", ">last", ">least", ">most", "course"), rows, title=title)


def _show_json(found: Worth) -> None:
    from api.commands.query import number_or_name

    terminal.show_json(
        {
            "series": [
                {
                    "metric": dict(labels),
                    "timestamps": found.times[present].tolist(),
                    "values": [number_or_name(value) for value in values[present].tolist()],
                }
                for labels, values, present in zip(
                    found.labels, found.values, found.present, strict=True
                )
            ],
            "said": list(found.said),
        }
    )


def _write_csv(found: Worth) -> None:
    from api.encode import csv_rows
    from tsdb.codec.resolution import Resolution
    from tsdb.query.selection import Series

    series = [
        Series(labels, found.times[present], values[present])
        for labels, values, present in zip(found.labels, found.values, found.present, strict=True)
    ]
    for piece in csv_rows.stream(series, Resolution.MS):
        sys.stdout.write(piece.decode())
