"""What a PromQL expression is worth, wherever the points are: a directory or a running server.

    in   a place (--data DIR or --url URL), an expression, times as text
    out  Worth: label sets, times, values by series and time, the same from both

A text without an operator, a call or a range is no expression here but a selector or a series'
name, which may hold slashes: `silverback query` shows its points as they are stored.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from api.answers import Place, open_directory
from api.remote import Remote
from api.times import duration_ticks, parse_time
from tsdb.batch import F64s, I64s
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels

if TYPE_CHECKING:
    from tsdb.promql.values import Bools

__all__ = ["Expression", "Worth", "is_expression", "worth"]

STEPS = 60  # of a range whose step nobody gave
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_BRACES = re.compile(r"\{[^{}]*\}")
_OPERATES = re.compile(
    r"[()\[\]]|\s(?:[-+*/%^]|[=!]=|[<>]=?|and|or|unless|offset|@)\s|^\s*[-+]?[\d.]"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """`at` for one moment; else from start to end, every step. Texts as people type them."""

    text: str
    at: str = ""
    start: str = ""
    end: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class Worth:
    """`values[i, j]` of labels[i] at times[j] counts where `present[i, j]`."""

    labels: list[Labels]
    times: I64s  # ms
    values: F64s
    present: Bools
    said: tuple[str, ...]  # warnings and infos
    is_range: bool


def is_expression(text: str) -> bool:
    """Whether it computes something, beyond naming series."""
    return _OPERATES.search(_BRACES.sub("{}", _QUOTED.sub('""', text))) is not None


def worth(place: Place, asked: Expression) -> Worth:
    """Raises InvalidInput for what is no PromQL or no time."""
    if asked.at and (asked.start or asked.end or asked.step):
        raise InvalidInput("--at is one moment: it excludes --start, --end and --step")
    span = _span(asked)
    return _of_directory(place, asked, span) if place.data else _of_server(place, asked, span)


def _span(asked: Expression) -> tuple[int, int, int | None]:
    """First and last moment and step in ms; no step for one moment."""
    now = time.time_ns() // 1_000_000
    if not (asked.start or asked.end or asked.step):
        at = _moment(asked.at, now) if asked.at else now
        return at, at, None
    end = _moment(asked.end, now) if asked.end else now
    start = _moment(asked.start, now) if asked.start else end - 3_600_000
    step = duration_ticks(asked.step, ticks_per_s=1000) if asked.step else (end - start) // STEPS
    return start, end, max(step, 1)


def _moment(text: str, now: int) -> int:
    return parse_time(text, ticks_per_s=1000, now_ticks=now)


def _of_directory(place: Place, asked: Expression, span: tuple[int, int, int | None]) -> Worth:
    from tsdb.promql.matrix import matrix_of
    from tsdb.promql.query import Source, instant, over_range

    assert place.data is not None
    start, end, step = span
    with open_directory(place.data, read_only=True) as database:
        source = Source(database.select, ticks_per_s=database.resolution.ticks_per_s)
        if step is None:
            answer = instant(source, asked.text, start)
        else:
            answer = over_range(source, asked.text, start, end, step)
        found = matrix_of(answer, database.resolution)
    said = (*found.warnings, *found.infos)
    return Worth(found.labels, answer.times, found.values, found.present, said, step is not None)


def _of_server(place: Place, asked: Expression, span: tuple[int, int, int | None]) -> Worth:
    start, end, step = span
    parameters = {"query": asked.text}
    if step is None:
        parameters["time"] = f"{start / 1000:.3f}"
    else:
        parameters |= {"start": f"{start / 1000:.3f}", "end": f"{end / 1000:.3f}"}
        parameters["step"] = f"{step / 1000:.3f}"
    with Remote(place.url) as server:
        path = "/api/v1/query" if step is None else "/api/v1/query_range"
        document = server.get_json(path, parameters)
    return _of_document(document, span)


def _of_document(document: Any, span: tuple[int, int, int | None]) -> Worth:
    start, end, step = span
    kind, result = document["data"]["resultType"], document["data"]["result"]
    if kind == "string" or (kind == "matrix" and step is None):
        raise InvalidInput(
            f"the query gives a {kind}, not a number a step: "
            "`silverback export` shows stored points"
        )
    if kind == "scalar":
        result = [{"metric": {}, "value": result}]
    times = np.arange(start, end + 1, step or 1, dtype=np.int64)
    values = np.full((len(result), times.size), np.nan)
    present = np.zeros(values.shape, np.bool_)
    for row, each in enumerate(result):
        for at, value in each.get("values") or [each["value"]]:
            column = (round(at * 1000) - start) // (step or 1)
            values[row, column], present[row, column] = float(value), True
    said = (*document.get("warnings", ()), *document.get("infos", ()))
    labels = [Labels(each["metric"]) for each in result]
    return Worth(labels, times, values, present, said, step is not None)
