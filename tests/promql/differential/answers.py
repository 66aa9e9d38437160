"""An answer in a form that both databases can give, and how two of them differ.

    in   a question; the live Prometheus, or our database
    out  Outcome; the first difference as a sentence, None if there is none

Values may differ by VALUE_BOUND of themselves. Where a sum of larger terms cancels, its rounding
is what both compute: SCALE_BOUND of the largest value that the answer's kind allows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from promql.differential.live import Prometheus

import tsdb
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels
from tsdb.promql import query
from tsdb.promql.ast import Type
from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer, Source
from tsdb.promql.values import Scalar, Text, Vector

__all__ = [
    "Outcome",
    "Question",
    "asked_of_prometheus",
    "asked_of_us",
    "difference",
    "disagreement",
]

VALUE_BOUND = 1e-12
ATTEMPTS = 6
UNSEEN = re.compile(r"\[[\w.]+:.*@")
CHOOSING = re.compile(r"\b(topk|bottomk|limitk)\b")

Point = tuple[int, str]
Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Times in ms; step 0 asks at `start` alone."""

    text: str
    start: int
    end: int = 0
    step: int = 0


@dataclass(slots=True)
class Outcome:
    """`series` in the order of the answer; values as Prometheus spells them."""

    kind: str
    series: list[tuple[Key, list[Point]]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    error: str = ""


def asked_of_prometheus(server: Prometheus, question: Question) -> Outcome:
    times = {"time": f"{question.start / 1000:.3f}"}
    path = "/api/v1/query"
    if question.step:
        path = "/api/v1/query_range"
        times = {
            "start": f"{question.start / 1000:.3f}",
            "end": f"{question.end / 1000:.3f}",
            "step": f"{question.step / 1000:.3f}",
        }
    return outcome_of_json(server.ask(path, query=question.text, **times))


def outcome_of_json(answer: dict[str, Any]) -> Outcome:
    if answer["status"] != "success":
        return Outcome(answer["errorType"], error=answer["error"])
    data = answer["data"]
    result = data["result"]
    outcome = Outcome(
        data["resultType"], [], _sorted(answer.get("warnings")), _sorted(answer.get("infos"))
    )
    if outcome.kind in {"scalar", "string"}:
        outcome.series.append(((), [_point(result)]))
        return outcome
    for row in result:
        points = row["values"] if "values" in row else [row["value"]]
        outcome.series.append((tuple(sorted(row["metric"].items())), list(map(_point, points))))
    return outcome


def asked_of_us(
    database: tsdb.Database, question: Question, *, features: Collection[str] = ()
) -> Outcome:
    source = Source(database.select, features=frozenset(features))
    try:
        if question.step:
            answer = query.over_range(
                source, question.text, question.start, question.end, question.step
            )
        else:
            answer = query.instant(source, question.text, question.start)
    except QueryFailed as error:
        return Outcome("execution", error=str(error))
    except InvalidInput as error:
        return Outcome("bad_data", error=str(error))
    return _outcome(answer)


def _outcome(answer: Answer) -> Outcome:
    warnings, infos = _sorted(answer.warnings), _sorted(answer.infos)
    outcome = Outcome(str(answer.type), [], warnings, infos)
    times = answer.times.tolist()
    match answer.value:
        case Scalar(values):
            outcome.series.append(((), [(times[0], repr(float(values[0])))]))
        case Text(value):
            outcome.series.append(((), [(times[0], value)]))
        case Vector(rows, values, present):
            for labels, row, there in zip(rows.labels(), values, present, strict=True):
                points = [
                    (time, repr(float(value)))
                    for time, value, has in zip(times, row, there, strict=True)
                    if has
                ]
                outcome.series.append((_key(labels), points))
        case (rows, columns):
            stamps, values = columns.timestamps.tolist(), columns.values.tolist()
            for row, labels in enumerate(rows.labels()):
                span = slice(int(columns.offsets[row]), int(columns.offsets[row + 1]))
                points = list(zip(stamps[span], map(repr, values[span]), strict=True))
                outcome.series.append((_key(labels), points))
    assert answer.type in Type
    return outcome


def _key(labels: Labels) -> Key:
    return tuple(sorted(labels.items()))


def _point(pair: list[Any]) -> Point:
    return round(pair[0] * 1000), pair[1]


def _sorted(sentences: list[str] | None) -> list[str]:
    return sorted(set(sentences or ()))


def disagreement(
    server: Prometheus,
    database: tsdb.Database,
    question: Question,
    *,
    features: Collection[str] = (),
) -> str | None:
    """The first difference of the two answers, if it stays when Prometheus is asked again.

    Between operators its series have no order, so its sums' last digits come by chance.
    """
    ours = asked_of_us(database, question, features=features)
    found: str | None = None
    for _ in range(ATTEMPTS):
        found = difference(question, asked_of_prometheus(server, question), ours)
        if found is None:
            return None
    return found


def difference(question: Question, theirs: Outcome, ours: Outcome) -> str | None:
    """The first one. Which of equal values comes first is nobody's promise: Prometheus' own
    answers change from call to call there."""
    if theirs.kind == "execution" != ours.kind and UNSEEN.search(question.text):
        return None  # it failed at a moment that no window sees
    found = _difference(theirs, ours, ordered=bool(question.step))
    if found is None or theirs.kind != ours.kind or not CHOOSING.search(question.text):
        return found
    return None if _same_but_for_ties(theirs, ours) else found


def _same_but_for_ties(theirs: Outcome, ours: Outcome) -> bool:
    """At each moment the same values, whosever they are."""
    mine, expected = _by_time(ours), _by_time(theirs)
    return mine.keys() == expected.keys() and all(
        len(values) == len(mine[time])
        and all(map(_near, sorted(values, key=_rank), sorted(mine[time], key=_rank)))
        for time, values in expected.items()
    )


def _by_time(outcome: Outcome) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for _, points in outcome.series:
        for time, value in points:
            found.setdefault(time, []).append(value)
    return found


def _rank(value: str) -> tuple[bool, float]:
    number = float(value)
    return math.isnan(number), 0.0 if math.isnan(number) else number


def _difference(theirs: Outcome, ours: Outcome, *, ordered: bool) -> str | None:
    if theirs.kind != ours.kind:
        return f"{theirs.kind} {theirs.error!r} | {ours.kind} {ours.error!r}"
    if len(dict(ours.series)) != len(ours.series):
        return "we answer a label set twice"
    mine = dict(ours.series)
    if missing := [key for key, _ in theirs.series if key not in mine]:
        return f"{len(missing)} series missing, as {dict(missing[0])}"
    if len(mine) > len(theirs.series):
        known = dict(theirs.series)
        more = [key for key in mine if key not in known]
        return f"{len(more)} series too many, as {dict(more[0])}"
    if ordered and [key for key, _ in theirs.series] != [key for key, _ in ours.series]:
        return f"order of {len(theirs.series)} series"
    for key, points in theirs.series:
        found = _of_points(points, mine[key])
        if found:
            return f"{dict(key)}: {found}"
    if theirs.warnings != ours.warnings:
        return f"warnings {theirs.warnings} | {ours.warnings}"
    if theirs.infos != ours.infos:
        return f"infos {theirs.infos} | {ours.infos}"
    return None


def _of_points(theirs: list[Point], ours: list[Point]) -> str | None:
    if [time for time, _ in theirs] != [time for time, _ in ours]:
        return f"{len(theirs)} points | {len(ours)}, other times"
    for (time, expected), (_, got) in zip(theirs, ours, strict=True):
        if expected != got and not _near(expected, got):
            return f"at {time}: {expected} | {got}"
    return None


def _near(expected: str, got: str) -> bool:
    try:
        a, b = float(expected), float(got)
    except ValueError:
        return False
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or math.isinf(b):
        return a == b or (math.isnan(a) and math.isnan(b))
    return abs(a - b) <= VALUE_BOUND * max(abs(a), abs(b))
