"""Rules end to end: a real server with rule files, read back over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.exits import CommandFailed, Exit
from api.server import Server
from api.settings import load

RULES = """
groups:
- name: fast
  interval: 100ms
  rules:
  - {record: temp:max, expr: max(temp), labels: {team: a}}
  - alert: Hot
    expr: temp:max > 30
    labels: {severity: page}
    annotations: {summary: '{{ $value }} degrees'}
  - {alert: Slow, expr: temp > 30, for: 1h}
  - {record: broken, expr: 'label_replace(temp, "room", "", "room", ".*")'}
"""


class Ruled:
    def __init__(self, running: Any, file: Path) -> None:
        self.running = running
        self.file = file

    def get(self, path: str) -> Any:
        return self.running.get(path).json["data"]

    def wait(self, check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (found := check()):
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.02)
        return found


@pytest.fixture
def ruled(serve: Any, tmp_path: Path) -> Iterator[Ruled]:
    file = tmp_path / "rules.yml"
    file.write_text(RULES)
    with serve(tmp_path / "db", rules=str(file), external_url="http://here/") as running:
        now = running.database.now_ticks()
        running.database.write_many(
            ['temp{room="a"}', 'temp{room="b"}'], [[now]] * 2, [[31.0], [29.0]]
        )
        yield Ruled(running, file)


def test_rules_alerts_and_points(ruled: Ruled) -> None:
    (alert,) = ruled.wait(
        lambda: [a for a in ruled.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"]
    )
    assert alert["labels"] == {"alertname": "Hot", "severity": "page", "team": "a"}
    assert alert["annotations"] == {"summary": "31 degrees"}
    assert alert["value"] == "3.1e+01"

    (group,) = ruled.get("/api/v1/rules")["groups"]
    assert (group["name"], group["interval"], group["file"]) == ("fast", 0.1, str(ruled.file))
    recorded, hot, slow, _ = group["rules"]
    assert recorded["type"] == "recording"
    assert recorded["health"] == "ok"
    assert "alerts" not in recorded
    assert (hot["state"], hot["duration"], len(hot["alerts"])) == ("firing", 0, 1)
    assert (slow["state"], slow["duration"], len(slow["alerts"])) == ("pending", 3600, 1)
    (series,) = ruled.running.database.select("temp:max")
    assert str(series.labels) == 'temp:max{team="a"}'
    assert ruled.running.database.select('ALERTS{alertstate="firing"}').points
    assert b"silverback_rule_evaluations_total" in ruled.running.get("/metrics").body


def test_chosen_rules(ruled: Ruled) -> None:
    def names(query: str) -> list[str]:
        groups = ruled.get(f"/api/v1/rules?{query}")["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    assert names("type=record") == ["temp:max", "broken"]
    assert names("rule_name[]=Hot&rule_name[]=Slow") == ["Hot", "Slow"]
    assert names('match[]={severity="page"}') == ["Hot"]
    assert names("rule_group[]=none") == []
    assert names("something=else") == ["temp:max", "Hot", "Slow", "broken"]
    assert ruled.running.get("/api/v1/rules?type=other").status == 400


def test_reload_over_http(ruled: Ruled) -> None:
    ruled.file.write_text("groups: [{name: other, rules: []}]")
    assert ruled.running("POST", "/-/reload").json == {"status": "success", "reloaded": True}
    assert [g["name"] for g in ruled.get("/api/v1/rules")["groups"]] == ["other"]
    ruled.file.write_text("groups: [{rules: []}]")
    refused = ruled.running("POST", "/-/reload")
    assert refused.status == 400
    assert "line 1: groups: a group needs a name" in refused.json["error"]
    assert [g["name"] for g in ruled.get("/api/v1/rules")["groups"]] == ["other"]


def test_without_rules_there_are_none(server: Any) -> None:
    assert server.get("/api/v1/rules").json["data"] == {"groups": []}
    assert server.get("/api/v1/alerts").json["data"] == {"alerts": []}
    assert server.get("/api/v1/alertmanagers").json["data"] == {
        "activeAlertmanagers": [],
        "droppedAlertmanagers": [],
    }


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"rules": "{}/none.yml"}, "no such file"),
        ({"rules": "{}/*.yml", "alertmanagers": "host:9093"}, "no address of an Alertmanager"),
    ],
)
def test_a_server_does_not_start_on_what_is_wrong(
    tmp_path: Path, fields: dict[str, str], why: str
) -> None:
    chosen = {name: text.format(tmp_path) for name, text in fields.items()}
    with pytest.raises(CommandFailed, match=why) as refused:
        Server(load({"data": str(tmp_path / "data"), **chosen}, environ={}))
    assert refused.value.code is Exit.CONFIG
