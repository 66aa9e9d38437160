"""Transcripts hold: on a database of ours, and (slow) on a live Prometheus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clients.binaries import need
from promql.backends import Live, Ours
from promql.differential.answers import Outcome, Question
from promql.transcripts import Clear, Evaluation, Load, TranscriptError, differs, read, run

from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test"))
BEHIND_THE_FLAG = {"info"}


def features_of(path: Path) -> list[str]:
    return [EXPERIMENTAL_FUNCTIONS] if path.stem in BEHIND_THE_FLAG else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ours(path: Path, tmp_path: Path) -> None:
    with Ours(tmp_path, features_of(path)) as ours:
        wrong = run(ours, read(path.read_text("utf-8")))
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_prometheus_says_so_too(path: Path, tmp_path: Path) -> None:
    with Live(need("prometheus"), tmp_path, features_of(path)) as live:
        wrong = run(live, read(path.read_text("utf-8")))
    assert not wrong, "\n".join(wrong)


def test_every_question_has_an_answer() -> None:
    for path in FILES:
        commands = read(path.read_text("utf-8"))
        asked = [command for command in commands if isinstance(command, Evaluation)]
        assert asked, path.name
        assert all(command.told for command in asked), path.name


def test_the_language() -> None:
    load, clear, instant, ranged = read(
        """
# a comment
load 1m
  x{a="b c}"} 1+2x3 -1x1 _x2 stale NaN Inf 1.5e3-0.5x1
  y 7
clear
eval instant at 1h30m x @ 5
  expect warn msg: some words
  expect fail regex: o.er
  {a="b",__name__="x"} 4
  {} NaN
eval range from 0 to 2m step 30s sum(x)
  expect ordered
  {} 1 _x2 -Inf
"""
    )
    assert isinstance(load, Load)
    assert load.series[0].labels == {"__name__": "x", "a": "b c}"}
    assert load.series[0].timestamps.tolist() == [
        n * 60_000 for n in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12)
    ]
    values = load.series[0].values
    assert values[:6].tolist() == [1, 3, 5, 7, -1, -1]
    assert values.view(np.uint64)[6] == 0x7FF0000000000002
    assert np.isnan(values[7])
    assert values[8:].tolist() == [np.inf, 1500, 1499.5]
    assert isinstance(clear, Clear)
    assert isinstance(instant, Evaluation)
    assert instant.line == 7
    assert instant.question == Question("x @ 5", 5_400_000)
    assert instant.expects == {"warn": ["msg: some words"], "fail": ["regex: o.er"]}
    assert instant.rows[0] == ((("__name__", "x"), ("a", "b")), [4])
    assert isinstance(ranged, Evaluation)
    assert ranged.question == Question("sum(x)", 0, 120_000, 30_000)
    assert ranged.rows == [((), [1, None, None, -np.inf])]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x 1", 1),
        ("  x 1", 1),
        ("\nload 1m\n  x one", 2),
        ("load 1m\n  x {{schema:0}}", 1),
        ("eval sometimes x", 1),
        ("load soon\n  x 1", 1),
    ],
)
def test_a_wrong_transcript_names_the_line(text: str, line: int) -> None:
    with pytest.raises(TranscriptError, match=f"^line {line}: "):
        read(text)


X = (("__name__", "x"),)


@pytest.mark.parametrize(
    ("expected", "outcome", "says"),
    [
        ("x 1", Outcome("vector", [(X, [(0, "2")])]), "is 2.0"),
        ("x 1", Outcome("vector", []), "lacks"),
        ("", Outcome("vector", [(X, [(0, "2")])]), "has"),
        ("x 1", Outcome("execution", error="no"), "fails: no"),
        ("expect fail", Outcome("vector"), "does not fail"),
        ("expect fail msg: yes", Outcome("execution", error="no"), "not 'yes'"),
        ("expect warn", Outcome("vector"), "says no warn"),
        ("expect info regex: a+", Outcome("vector", infos=["b"]), "nothing like"),
        ("expect no_info", Outcome("vector", infos=["b"]), "infos"),
        ("expect string \"a\"", Outcome("string", [((), [(0, "b")])]), "is 'b'"),
        ("1", Outcome("scalar", [((), [(0, "2")])]), "is 2"),
        (
            "expect ordered\n  x 1\n  y 1",
            Outcome("vector", [((("__name__", "y"),), [(0, "1")]), (X, [(0, "1")])]),
            "comes as",
        ),
    ],
)  # fmt: skip
def test_what_is_not_as_expected_is_told(expected: str, outcome: Outcome, says: str) -> None:
    (evaluation,) = read(f"eval instant at 0 x\n  {expected}")
    assert isinstance(evaluation, Evaluation)
    assert says in (differs(evaluation, outcome) or "")
