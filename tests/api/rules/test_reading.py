"""Rule files: what they say, and where what is wrong stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.rules import reading
from api.rules.config import Alerting, Group, Recording
from tsdb.errors import InvalidInput

FILE = """
groups:
  - name: web
    interval: 30s
    limit: 10
    query_offset: 1m
    labels: {team: a}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: {level: job}
      - alert: Down
        expr: up == 0
        for: 5m
        keep_firing_for: 1m
        labels: {severity: page, team: b}
        annotations: {summary: "{{ $labels.instance }} is down"}
  - name: empty
"""


def test_parse() -> None:
    web, empty = reading.parse(FILE, "r.yml", 60_000)
    assert web == Group(
        "r.yml",
        "web",
        30_000,
        (
            Recording("job:up:sum", "sum by (job) (up)", (("level", "job"), ("team", "a"))),
            Alerting(
                "Down",
                "up == 0",
                300_000,
                60_000,
                (("severity", "page"), ("team", "b")),
                (("summary", "{{ $labels.instance }} is down"),),
            ),
        ),
        limit=10,
        offset_ms=60_000,
    )
    assert empty == Group("r.yml", "empty", 60_000)
    assert reading.parse("", "r.yml", 1) == []


def rules(text: str) -> str:
    return "groups:\n- name: g\n  rules:\n  - " + text.replace("\n", "\n    ")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("groups:\n- rules: []", 2, "a group needs a name"),
        ("groups:\n- name: a\n- name: a", 3, "two groups called 'a'"),
        ("groups: []\nother: 1", 2, "unknown key 'other'"),
        (rules("record: a\nalert: b\nexpr: x"), 4, "either `record` or `alert`"),
        (rules("expr: x"), 4, "either `record` or `alert`"),
        (rules("record: a"), 4, "'a' has no expr"),
        (rules("record: a\nexpr: sum(x"), 5, "expr: "),
        (rules("record: a\nexpr: x[5m]"), 5, "instant vector or a scalar"),
        (rules("record: a\nexpr: x\nfor: 5m"), 6, "only alerts have it"),
        (rules("record: 'a{b}'\nexpr: x"), 4, "braces are present"),
        (rules("record: a\nexpr: x\nlabels: {__name__: b}"), 6, "cannot be the name of a label"),
        (rules("alert: a\nexpr: x\nfor: soon"), 6, "for: "),
        (rules("alert: a\nexpr: x\nlabels: {b: '{{ if }}'}"), 6, "labels: b: missing value"),
        (rules("alert: a\nexpr: x\nannotations: {b: '{{'}"), 6, "annotations: b: "),
        (rules("alert: a\nexpr: x\nrecrod: c"), 6, "unknown key 'recrod'"),
        ("groups:\n- name: [", 3, ""),
    ],
)
def test_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        reading.parse(text, "r.yml", 60_000)
    assert f"r.yml, line {line}" in str(refusal.value)
    assert why in str(refusal.value)


def test_load_by_pattern(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("groups: [{name: b}]")
    (tmp_path / "a.yml").write_text("groups: [{name: a}]")
    found = reading.load([f"{tmp_path}/*.yml", f"{tmp_path}/none*.yml"], 1000)
    assert [group.name for group in found] == ["a", "b"]
    with pytest.raises(InvalidInput, match=r"c\.yml: no such file"):
        reading.load([f"{tmp_path}/c.yml"], 1000)
