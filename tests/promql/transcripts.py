"""Transcripts in Prometheus' test language: series, questions, what must be answered.

    in   text of a .test file
    out  a list of Load, Clear and Evaluation; `run` carries them out on a Backend

    load 1m
      x{host="a"} 1+2x5 _ stale NaN
    eval instant at 5m sum(x)
      expect no_warn
      {} 11
    eval range from 0 to 4m step 2m rate(x[5m])
      {host="a"} _ 0.03 0.03
    eval instant at 5m sum(x, y)
      expect fail regex: expected 1 argument.*

`expect` knows fail, warn, info, no_warn, no_info (each with msg: or regex:), ordered, and string.
Series with native histograms (`{{...}}`) are refused: there are none here. An instant question is
asked as a range, too, as Prometheus' own tests do: its middle step must say the same.

Filling in: `python -m promql.fill FILE` asks a live Prometheus what stands nowhere yet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from promql.differential.answers import Key, Outcome, Question
from promql.differential.dataset import STALE, Series

from tsdb.index.selector import parse_series

__all__ = ["Backend", "Clear", "Evaluation", "Load", "TranscriptError", "read", "run"]

VALUE_BOUND = 1e-12
MIDDLE_MS = 60_000

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NUMBER = r"[-+]?(?:Inf|NaN|\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
_RUN = re.compile(rf"(?:({_NUMBER})({_NUMBER})?|(_)|(stale))(?:x(\d+))?", re.IGNORECASE)
_INSTANT = re.compile(r"eval instant at (\S+)\s+(.*)", re.DOTALL)
_RANGE = re.compile(r"eval range from (\S+) to (\S+) step (\S+)\s+(.*)", re.DOTALL)
_EXPECT = re.compile(r"expect (fail|warn|info|no_warn|no_info|ordered|string)\b\s*(.*)")
_ANCHORED = re.compile(r"@\s*(start|end)\(\)|\b(sort|sort_desc)\(")


class TranscriptError(Exception):
    """The transcript itself is wrong."""


@dataclass(frozen=True, slots=True)
class Load:
    series: list[Series]


@dataclass(frozen=True, slots=True)
class Clear:
    pass


@dataclass(slots=True)
class Evaluation:
    line: int
    question: Question
    rows: list[tuple[Key, list[float | None]]] = field(default_factory=list)
    scalar: float | None = None
    string: str | None = None
    expects: dict[str, list[str]] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Anything is expected at all."""
        return bool(self.rows or self.expects or self.scalar is not None)


class Backend(Protocol):
    def clear(self) -> None: ...
    def load(self, series: Sequence[Series]) -> None: ...
    def ask(self, question: Question) -> Outcome: ...


# --- reading ------------------------------------------------------------------------------------


def read(text: str) -> list[Load | Clear | Evaluation]:
    """Raises TranscriptError naming the line."""
    found: list[Load | Clear | Evaluation] = []
    for number, lines in _blocks(text):
        head = lines[0]
        try:
            if head == "clear":
                found.append(Clear())
            elif head.startswith("load "):
                found.append(Load(_series(lines[1:], milliseconds(head[5:].strip()))))
            elif head.startswith("eval "):
                found.append(_evaluation(number, lines))
            else:
                raise TranscriptError(f"{head!r} is no command")
        except (TranscriptError, ValueError) as error:
            raise TranscriptError(f"line {number}: {error}") from error
    return found


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Commands start at the left margin; what belongs to one is indented."""
    block: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if line[0] not in " \t":
            if block:
                yield start, block
            block, start = [], number
        elif not block:
            raise TranscriptError(f"line {number}: belongs to no command")
        block.append(bare)
    if block:
        yield start, block


def _series(lines: Sequence[str], step_ms: int) -> list[Series]:
    found = []
    for line in lines:
        labels, rest = _split(line)
        values = _values(rest)
        there = np.array([value is not None for value in values], np.bool_)
        stamps = np.arange(len(values), dtype=np.int64) * step_ms
        held = np.array([0.0 if value is None else value for value in values])
        found.append(Series(dict(labels), stamps[there], held[there]))
    return found


def _evaluation(number: int, lines: Sequence[str]) -> Evaluation:
    found = Evaluation(number, _question(lines[0]))
    for line in lines[1:]:
        expectation = _EXPECT.fullmatch(line)
        if expectation is not None:
            if expectation[1] == "string":
                found.string = expectation[2][1:-1]
            found.expects.setdefault(expectation[1], []).append(expectation[2])
        elif re.fullmatch(_NUMBER, line, re.IGNORECASE):
            found.scalar = float(line)
        else:
            labels, rest = _split(line)
            found.rows.append((labels, _values(rest)))
    return found


def _question(head: str) -> Question:
    if instant := _INSTANT.fullmatch(head):
        return Question(instant[2], milliseconds(instant[1]))
    if ranged := _RANGE.fullmatch(head):
        start, end, step = (milliseconds(ranged[n]) for n in (1, 2, 3))
        return Question(ranged[4], start, end, step)
    raise TranscriptError(f"{head!r} asks nothing")


def _split(line: str) -> tuple[Key, str]:
    """A label set, and what stands behind it."""
    brace = re.match(r'[\w:]*\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}', line)
    name = brace[0] if brace else line.split(None, 1)[0]
    if name == "{}":
        return (), line[2:].strip()
    return tuple(sorted(parse_series(name).items())), line[len(name) :].strip()


def _values(text: str) -> list[float | None]:
    if "{{" in text:
        raise TranscriptError("native histograms are not stored, so transcripts have none")
    found: list[float | None] = []
    for token in text.split():
        run = _RUN.fullmatch(token)
        if run is None:
            raise TranscriptError(f"{token!r} is no value")
        first, delta, gap, stale, times = run.groups()
        if gap:
            found += [None] * int(times or 1)
        elif stale:
            found += [float(STALE)] * int(times or 1)
        else:
            more = int(times) + 1 if times else 1
            found += [float(first) + n * float(delta or 0) for n in range(more)]
    return found


def milliseconds(text: str) -> int:
    """A duration, or seconds."""
    units = re.findall(r"(\d+)(ms|[smhdw])", text)
    if units and "".join(count + unit for count, unit in units) == text:
        return sum(int(count) * _UNITS_MS[unit] for count, unit in units)
    return round(float(text) * 1000)


# --- running ------------------------------------------------------------------------------------


def run(backend: Backend, commands: Sequence[Load | Clear | Evaluation]) -> list[str]:
    """What is not as the transcript says, a sentence each."""
    wrong = []
    for command in commands:
        if isinstance(command, Clear):
            backend.clear()
        elif isinstance(command, Load):
            backend.load(command.series)
        elif (said := failed(command, backend)) is not None:
            wrong.append(f"line {command.line}, {command.question.text}: {said}")
    return wrong


def failed(evaluation: Evaluation, backend: Backend) -> str | None:
    question = evaluation.question
    outcome = backend.ask(question)
    found = differs(evaluation, outcome)
    if found or question.step or outcome.error or outcome.kind not in {"vector", "scalar"}:
        return found
    if _ANCHORED.search(question.text):
        return None
    at = question.start
    ranged = Question(question.text, at - MIDDLE_MS, at + MIDDLE_MS, MIDDLE_MS)
    said = differs(evaluation, _at(backend.ask(ranged), at, outcome.kind), alone=True)
    return said and f"as the middle of a range: {said}"


def _at(outcome: Outcome, time: int, kind: str) -> Outcome:
    """One step of a matrix as an instant answer."""
    rows = [
        (key, [point for point in points if point[0] == time]) for key, points in outcome.series
    ]
    return Outcome(kind, [row for row in rows if row[1]], error=outcome.error)


def differs(evaluation: Evaluation, outcome: Outcome, *, alone: bool = False) -> str | None:
    """`alone`: only the values count; what other steps had to say is mixed in."""
    if "fail" in evaluation.expects:
        if not outcome.error:
            return "does not fail"
        return _unlike(evaluation.expects["fail"], [outcome.error])
    if outcome.error:
        return None if alone else f"fails: {outcome.error}"
    if not alone and (said := _sentences(evaluation, outcome)):
        return said
    if evaluation.string is not None:
        got = outcome.series[0][1][0][1]
        return None if got == evaluation.string else f"is {got!r}"
    if evaluation.scalar is not None:
        got = outcome.series[0][1][0][1]
        return None if _near(evaluation.scalar, float(got)) else f"is {got}"
    return _rows(evaluation, outcome, ordered="ordered" in evaluation.expects and not alone)


def _sentences(evaluation: Evaluation, outcome: Outcome) -> str | None:
    for kind, said in (("warn", outcome.warnings), ("info", outcome.infos)):
        wanted = evaluation.expects.get(kind)
        if wanted is None:
            if said and f"no_{kind}" in evaluation.expects:
                return f"{kind}s {said}"
        elif not said:
            return f"says no {kind}"
        elif (unlike := _unlike(wanted, said)) is not None:
            return unlike
    return None


def _unlike(wanted: Sequence[str], said: Sequence[str]) -> str | None:
    for each in wanted:
        how, _, text = each.partition(":")
        text = text.strip()
        if how == "msg" and not any(text in sentence for sentence in said):
            return f"says {said}, not {text!r}"
        if how == "regex" and not any(re.search(text, sentence) for sentence in said):
            return f"says {said}, nothing like {text!r}"
    return None


def _rows(evaluation: Evaluation, outcome: Outcome, *, ordered: bool) -> str | None:
    got = dict(outcome.series)
    expected = dict(evaluation.rows)
    if got.keys() != expected.keys():
        missing, more = expected.keys() - got.keys(), got.keys() - expected.keys()
        return (
            f"lacks {sorted(map(dict, missing), key=str)}, has {sorted(map(dict, more), key=str)}"
        )
    if ordered and [key for key, _ in outcome.series] != [key for key, _ in evaluation.rows]:
        return f"comes as {[dict(key) for key, _ in outcome.series]}"
    question = evaluation.question
    step = question.step or 1
    for key, values in expected.items():
        times = [question.start + n * step for n in range(len(values))]
        points = {time: float(value) for time, value in got[key]}
        wanted = {t: v for t, v in zip(times, values, strict=True) if v is not None}
        if points.keys() != wanted.keys():
            return f"{dict(key)} has values at {sorted(points)}"
        for time, value in wanted.items():
            if not _near(value, points[time]):
                return f"{dict(key)} is {points[time]!r} at {time}, not {value!r}"
    return None


def _near(expected: float, got: float) -> bool:
    if math.isnan(expected) or math.isinf(expected) or math.isnan(got) or math.isinf(got):
        return expected == got or (math.isnan(expected) and math.isnan(got))
    return abs(expected - got) <= VALUE_BOUND * max(abs(expected), abs(got))
