"""Unit tests of rules, and the commands that run them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from api import cli
from api.exits import Exit
from api.rules import unit_tests
from tsdb.errors import InvalidInput

RULES = """
groups:
- name: g
  rules:
  - {record: "job:up:sum", expr: "sum by (job) (up)"}
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.instance }} is down in {{ $externalLabels.dc }}"}
"""
TESTS = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- name: one goes down
  interval: 1m
  external_labels: {dc: eu}
  input_series:
  - {series: 'up{job="a", instance="x"}', values: '1 1 0x10'}
  - {series: 'up{job="a", instance="y"}', values: '1x12'}
  alert_rule_test:
  - {eval_time: 3m, alertname: Down}
  - eval_time: 4m
    alertname: Down
    exp_alerts:
    - exp_labels: {severity: page, job: a, instance: x}
      exp_annotations: {summary: x is down in eu}
  promql_expr_test:
  - expr: job:up:sum
    eval_time: 0
    exp_samples: [{labels: 'job:up:sum{job="a"}', value: 2}]
  - expr: job:up:sum
    eval_time: 5m
    exp_samples: [{labels: 'job:up:sum{job="a"}', value: 1}]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(tests: str) -> Path:
        (tmp_path / "rules.yml").write_text(RULES)
        path = tmp_path / "tests.yml"
        path.write_text(tests)
        return path

    return written


def differences(path: Path) -> list[str]:
    return [text for outcome in unit_tests.load(path).run() for text in outcome.differences]


def test_a_pass(write: Write) -> None:
    assert differences(write(TESTS)) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("eval_time: 4m", "eval_time: 3m", "alert Down at 3m: expected"),
        ("{eval_time: 3m, alertname: Down}", "{eval_time: 6m, alertname: Down}", "6m: got"),
        ("x is down in eu", "x is up", "expected"),
        ("value: 1}", "value: 3}", "is 1.0, expected 3.0"),
        ("eval_time: 5m", "eval_time: 1h", "expected job:up:sum"),
        ("expr: job:up:sum\n    eval_time: 0", "expr: sum(up)\n    eval_time: 0", "got {} 2.0"),
    ],
)
def test_a_difference_is_told(write: Write, old: str, new: str, why: str) -> None:
    assert old in TESTS
    assert why in "\n".join(differences(write(TESTS.replace(old, new))))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("1 1 0x10", "1 1 zero", "line 9: values: 'zero' is no value"),
        ("alertname: Down}", "alertnam: Down}", "unknown key 'alertnam'"),
        ("rules.yml", "none.yml", "no such file"),
        ("up{job=", "up{job!=", "line 9: input_series: a series is named by = only"),
    ],
)
def test_a_mistake_names_its_line(write: Write, old: str, new: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        differences(write(TESTS.replace(old, new, 1)))
    assert why in str(refusal.value)


def test_commands(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(TESTS)
    assert cli.run(["rules", "test", str(path)]) == Exit.OK
    assert "1 passed, 0 failed" in capsys.readouterr().out
    assert cli.run(["rules", "check", str(path.parent / "rules.yml")]) == Exit.OK
    assert "1 groups, 1 recording rules, 1 alerts" in capsys.readouterr().out

    path = write(TESTS.replace("value: 1}", "value: 3}"))
    assert cli.run(["rules", "test", str(path)]) == Exit.DIFFERENT
    assert "FAIL" in capsys.readouterr().out
    assert cli.run(["rules", "check", str(path)]) == Exit.BAD_DATA
    assert "WRONG" in capsys.readouterr().out
