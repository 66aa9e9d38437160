"""Alerts from one evaluation to the next: the states of Prometheus, moment by moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rules.alerting import GRACE_MS, RESOLVED_RETENTION_MS, Alerts, State
from api.rules.config import Alerting
from api.rules.recording import Sample
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels

MINUTE = 60_000


def expand(text: str, labels: Labels, value: float) -> str:
    return text.replace("VALUE", f"{value:g}").replace("HOST", labels.get("host", ""))


def rule(**fields: int) -> Alerting:
    return Alerting(
        "Hot",
        "x > 1",
        labels=(("severity", "page"),),
        annotations=(("is", "HOST=VALUE"),),
        **fields,
    )


def seen(host: str = "a", value: float = 2.0) -> list[Sample]:
    return [(Labels({"__name__": "x", "host": host}), value)]


def step(alerts: Alerts, samples: list[Sample], moment: int) -> dict[str, float]:
    return {str(labels): value for labels, value in alerts.update(samples, moment, expand=expand)}


def test_without_for_it_fires_at_once() -> None:
    alerts = Alerts(rule(), restored=True)
    assert step(alerts, seen(), MINUTE) == {
        'ALERTS{alertname="Hot", alertstate="firing", host="a", severity="page"}': 1.0,
        'ALERTS_FOR_STATE{alertname="Hot", host="a", severity="page"}': 60.0,
    }
    (alert,) = alerts.active.values()
    assert alert.annotations == {"is": "a=2"}
    assert alerts.state is State.FIRING


def test_pending_until_for_is_over() -> None:
    alerts = Alerts(rule(hold_ms=2 * MINUTE), restored=True)
    states = []
    for minute in range(4):
        step(alerts, seen(value=minute), minute * MINUTE)
        states.append(alerts.state)
    assert states == [State.PENDING, State.PENDING, State.FIRING, State.FIRING]
    (alert,) = alerts.active.values()
    assert (alert.active_at, alert.fired_at, alert.value) == (0, 2 * MINUTE, 3)
    assert alert.annotations == {"is": "a=3"}


def test_a_pending_alert_that_ends_leaves_no_trace() -> None:
    alerts = Alerts(rule(hold_ms=2 * MINUTE), restored=True)
    step(alerts, seen(), MINUTE)
    assert step(alerts, [], 2 * MINUTE) == {}
    assert not alerts.active


def test_a_resolved_alert_is_told_for_a_while() -> None:
    alerts = Alerts(rule(), restored=True)
    step(alerts, seen(), MINUTE)
    assert step(alerts, [], 2 * MINUTE) == {}
    (alert,) = alerts.active.values()
    assert (alert.state, alert.resolved_at) == (State.INACTIVE, 2 * MINUTE)
    step(alerts, [], 2 * MINUTE + RESOLVED_RETENTION_MS)
    assert alerts.active
    step(alerts, [], 3 * MINUTE + RESOLVED_RETENTION_MS)
    assert not alerts.active


def test_it_may_come_back_while_it_is_kept() -> None:
    alerts = Alerts(rule(hold_ms=MINUTE), restored=True)
    for moment in (MINUTE, 2 * MINUTE):
        step(alerts, seen(), moment)
    step(alerts, [], 3 * MINUTE)
    step(alerts, seen(), 4 * MINUTE)
    (alert,) = alerts.active.values()
    assert (alert.state, alert.active_at, alert.resolved_at) == (State.PENDING, 4 * MINUTE, 0)


def test_keep_firing_bridges_gaps() -> None:
    alerts = Alerts(rule(keep_firing_ms=2 * MINUTE), restored=True)
    step(alerts, seen(), MINUTE)
    states = []
    for minute in range(2, 6):
        step(alerts, [], minute * MINUTE)
        states.append(alerts.state)
    assert states == [State.FIRING, State.FIRING, State.INACTIVE, State.INACTIVE]


def test_who_is_told_and_when() -> None:
    alerts = Alerts(rule(), restored=True)

    def told(moment: int) -> int:
        return len(list(alerts.to_send(moment, resend_ms=MINUTE, interval_ms=15_000)))

    step(alerts, seen(), 100_000)
    assert told(100_000) == 1
    assert told(100_000 + MINUTE) == 0
    assert told(100_001 + MINUTE) == 1
    (alert,) = alerts.active.values()
    assert alert.valid_until == 100_001 + 5 * MINUTE
    step(alerts, [], 200_000)
    assert told(200_000) == 1  # that it is over is told at once
    assert told(200_001) == 0


def test_two_samples_that_become_one_alert_are_refused() -> None:
    alerts = Alerts(rule(), restored=True)
    both = [*seen(), (Labels({"__name__": "y", "host": "a"}), 1.0)]
    with pytest.raises(InvalidInput, match="same labelset after applying alert labels"):
        step(alerts, both, MINUTE)


def test_more_alerts_than_the_limit() -> None:
    alerts = Alerts(rule(), restored=True)
    with pytest.raises(InvalidInput, match="exceeded limit of 1 with 2 alerts"):
        alerts.update([*seen("a"), *seen("b")], MINUTE, expand=expand, limit=1)
    assert not alerts.active


@pytest.mark.parametrize(
    ("hold", "active_for", "outage", "left"),
    [
        (30 * MINUTE, 10 * MINUTE, 5 * MINUTE, 20 * MINUTE),  # the outage does not count
        (30 * MINUTE, 25 * MINUTE, 5 * MINUTE, GRACE_MS),
        (30 * MINUTE, 40 * MINUTE, 5 * MINUTE, -15 * MINUTE),  # it was firing
    ],
)
def test_a_restart_restores_pending_times(
    hold: int, active_for: int, outage: int, left: int
) -> None:
    alerts = Alerts(rule(hold_ms=hold))
    moment = 1_000 * MINUTE
    assert step(alerts, seen(), moment) == {}  # nothing is written before
    (alert,) = alerts.active.values()
    told_at = moment - outage
    alerts.restore(alert, told_at, told_at - active_for, moment)
    assert alert.active_at + hold - moment == left


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_states_against_the_plain_reading(there: list[bool], hold: int, keep: int) -> None:
    """`for` counts steps since the series came, `keep_firing_for` steps since it went."""
    alerts = Alerts(rule(hold_ms=hold * MINUTE, keep_firing_ms=keep * MINUTE), restored=True)
    since = gone = None
    firing = False
    for i, holds in enumerate(there):
        moment = (i + 1) * MINUTE
        step(alerts, seen() if holds else [], moment)
        if holds:
            since, gone = (i if since is None else since), None
            firing = firing or i - since >= hold
        else:
            gone = i if gone is None else gone
            if not (firing and keep and i - gone < keep):
                firing, since, gone = False, None, None
        assert (alerts.state is State.FIRING) == firing
        assert (alerts.state is State.PENDING) == (since is not None and not firing)
