"""Groups on a real database: what is written, what is marked stale, what survives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tsdb
from api.rules import reading
from api.rules.alerting import OUTAGE_TOLERANCE_MS, State
from api.rules.config import Group
from api.rules.group import STALE, GroupState, Origin

MINUTE = 60_000
STALE_BITS = 0x7FF0000000000002


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tsdb.Database]:
    with tsdb.open(tmp_path / "db") as db:
        yield db


def group(text: str) -> Group:
    lines = "\n".join("    " + line for line in text.strip().splitlines())
    (found,) = reading.parse(f"groups:\n- name: g\n  rules:\n{lines}", "r.yml", MINUTE)
    return found


def state_of(text: str) -> GroupState:
    origin = Origin("http://here", (("cluster", "eu"),))
    return GroupState(group(text), origin, resend_ms=MINUTE)


def points(database: tsdb.Database, selector: str) -> dict[str, list[tuple[int, float | str]]]:
    return {
        str(series.labels): [
            (int(t) // MINUTE, "stale" if b == STALE_BITS else float(v))
            for t, v, b in zip(
                series.timestamps, series.values, series.values.view(np.uint64), strict=True
            )
        ]
        for series in database.select(selector)
    }


def test_the_marker_is_the_marker() -> None:
    assert np.float64(STALE).view(np.uint64) == STALE_BITS
    assert math.isnan(STALE)


ONE_TWO_ALERT = """
- {record: one, expr: vector(1)}
- {record: two, expr: vector(2)}
- {alert: A, expr: vector(3)}
"""


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_node_that_was_suspended_stops_in_the_middle(database: tsdb.Database, kept: int) -> None:
    """It had the duty when the round began, and when the first rules wrote; then another had it."""
    turns = iter([True] * kept)
    rules = group(ONE_TWO_ALERT)
    state = GroupState(rules, Origin(), resend_ms=1, has_duty=lambda: next(turns, False))

    told = state.evaluate(database, MINUTE)

    assert len(told) == (kept == 3)
    written = {"one": 1, "two": 2, 'ALERTS{alertname="A", alertstate="firing"}': 3}
    assert points(database, "{__name__!='ALERTS_FOR_STATE'}").keys() == {
        name for name, rule in written.items() if rule <= kept
    }
    assert [rule.health.word for rule in state.rules] == ["ok"] * kept + ["err"] * (3 - kept)
    assert all("another node" in rule.health.error for rule in state.rules[kept:])


def test_later_rules_see_earlier_ones(database: tsdb.Database) -> None:
    database.write_many(['x{job="a"}', 'x{job="b"}'], [[MINUTE]] * 2, [[1.0], [2.0]])
    state = state_of("- {record: total, expr: sum(x)}\n- {record: double, expr: total + total}")
    state.evaluate(database, 2 * MINUTE)
    assert points(database, "total") == {"total": [(2, 3.0)]}
    assert points(database, "double") == {"double": [(2, 6.0)]}
    assert [rule.health.word for rule in state.rules] == ["ok", "ok"]


def test_labels_of_the_rule_win_and_empty_ones_go(database: tsdb.Database) -> None:
    database.write('x{job="a", host="h"}', [MINUTE], [1.0])
    state = state_of('- {record: y, expr: x, labels: {job: b, host: ""}}')
    state.evaluate(database, MINUTE)
    assert points(database, "y") == {'y{job="b"}': [(1, 1.0)]}


def test_what_is_gone_is_marked_stale(database: tsdb.Database) -> None:
    state = state_of("- {record: y, expr: x > 1}")
    database.write_many(
        ['x{a="1"}', 'x{a="2"}'], [[MINUTE, 2 * MINUTE]] * 2, [[2.0, 2.0], [2.0, 0.0]]
    )
    state.evaluate(database, MINUTE)
    state.evaluate(database, 2 * MINUTE)
    assert points(database, "y") == {
        'y{a="1"}': [(1, 2.0), (2, 2.0)],
        'y{a="2"}': [(1, 2.0), (2, "stale")],
    }


def test_a_rule_that_fails_leaves_the_others(database: tsdb.Database) -> None:
    database.write_many(['x{a="1"}', 'y{a="1"}'], [[MINUTE]] * 2, [[2.0], [3.0]])
    state = state_of("- {record: z, expr: '{__name__=~\"x|y\"}'}\n- {record: ok, expr: x}")
    state.evaluate(database, MINUTE)
    assert "same labelset after applying rule labels" in state.rules[0].health.error
    assert points(database, "z") == {}
    assert points(database, "ok") == {'ok{a="1"}': [(1, 2.0)]}
    assert (state.evaluations, state.failures) == (2, 1)


def test_the_offset_of_a_group(database: tsdb.Database) -> None:
    database.write("x", [0, MINUTE, 2 * MINUTE], [0.0, 1.0, 2.0])
    text = "groups:\n- name: g\n  query_offset: 1m\n  rules: [{record: y, expr: x}]"
    (found,) = reading.parse(text, "r.yml", MINUTE)
    GroupState(found, Origin(), resend_ms=1).evaluate(database, 2 * MINUTE)
    assert points(database, "y") == {"y": [(1, 1.0)]}


ALERT = """
- alert: Hot
  expr: x > 1
  for: 1m
  labels: {severity: '{{ if gt $value 5.0 }}page{{ else }}mail{{ end }}'}
  annotations:
    is: '{{ $labels.host }} in {{ $externalLabels.cluster }} is at {{ $value | humanize }}'
    of: '{{ with query "count(x)" }}{{ . | first | value }}{{ end }}'
    bad: '{{ $labels.host.x }}'
"""


def test_an_alert_from_pending_to_resolved(database: tsdb.Database) -> None:
    state = state_of(ALERT)
    stamps = [m * MINUTE for m in range(1, 5)]
    database.write('x{host="a"}', stamps, [2.0, 2.0, 2.0, 0.0])

    assert state.evaluate(database, MINUTE) == []
    ((rule, alert),) = state.evaluate(database, 2 * MINUTE)
    assert (rule.name, alert.state) == ("Hot", State.FIRING)
    assert alert.annotations["is"] == "a in eu is at 2"
    assert alert.annotations["of"] == "1"
    assert alert.annotations["bad"].startswith("<error expanding template: ")
    ((_, resolved),) = state.evaluate(database, 4 * MINUTE)
    assert resolved.resolved_at == 4 * MINUTE

    assert points(database, "ALERTS") == {
        'ALERTS{alertname="Hot", alertstate="firing", host="a", severity="mail"}': [
            (2, 1.0),
            (4, "stale"),
        ],
        'ALERTS{alertname="Hot", alertstate="pending", host="a", severity="mail"}': [
            (1, 1.0),
            (2, "stale"),
        ],
    }


def test_pending_time_survives_a_restart(database: tsdb.Database) -> None:
    text = "- {alert: Slow, expr: x > 1, for: 30m}"
    stamps = [m * MINUTE for m in range(60)]
    database.write("x", stamps, [2.0] * 60)
    before = state_of(text)
    before.restore(database, 0, OUTAGE_TOLERANCE_MS)
    for moment in range(0, 11 * MINUTE, MINUTE):
        before.evaluate(database, moment)

    after = state_of(text)
    for moment in (15 * MINUTE, 16 * MINUTE):
        after.evaluate(database, moment)
    after.restore(database, 16 * MINUTE, OUTAGE_TOLERANCE_MS)
    alerts = after.rules[0].alerts
    assert alerts is not None
    (alert,) = alerts.active.values()
    # It was pending for ten minutes; the six without us do not count.
    assert alert.active_at == 6 * MINUTE
    assert points(database, 'ALERTS{alertstate="pending"}').popitem()[1][-1] == (10, 1.0)
    after.evaluate(database, 36 * MINUTE)
    assert alert.state is State.FIRING


def test_a_changed_file_keeps_alerts_and_ends_what_is_gone(database: tsdb.Database) -> None:
    database.write("x", [MINUTE, 2 * MINUTE], [2.0, 2.0])
    before = state_of("- {record: y, expr: x}\n- {alert: A, expr: x > 1, for: 5m}")
    before.evaluate(database, MINUTE)
    after = state_of("- {alert: A, expr: x > 1, for: 5m}\n- {record: z, expr: x}")
    after.inherit(before)
    after.evaluate(database, 2 * MINUTE)
    assert points(database, "y") == {"y": [(1, 2.0), (2, "stale")]}
    assert points(database, "z") == {"z": [(2, 2.0)]}
    assert points(database, "ALERTS_FOR_STATE").popitem()[1] == [(1, 60.0), (2, 60.0)]
    after.retire(database, 3 * MINUTE)
    assert points(database, "z") == {"z": [(2, 2.0), (3, "stale")]}


def test_more_series_than_the_limit(database: tsdb.Database) -> None:
    database.write_many(['x{a="1"}', 'x{a="2"}'], [[MINUTE]] * 2, [[2.0], [3.0]])
    text = "groups:\n- name: g\n  limit: 1\n  rules: [{record: y, expr: x}]"
    (found,) = reading.parse(text, "r.yml", MINUTE)
    state = GroupState(found, Origin(), resend_ms=1)
    state.evaluate(database, MINUTE)
    assert state.rules[0].health.error == "exceeded limit of 1 with 2 series"
    assert points(database, "y") == {}
