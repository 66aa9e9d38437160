"""Alerts: pending while their expression holds, firing after `for`, resolved when it does not.

    in   the rule, the samples its expression gave, the moment (ms)
    out  alerts with their states; the series ALERTS and ALERTS_FOR_STATE; who is to be told

Pure: the moment comes from the caller, templates ask through a function they are given. The
states and their order are Prometheus'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from api.rules.config import Alerting
from api.rules.recording import Sample
from tsdb.errors import InvalidInput
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.promql.rows import dropped

__all__ = ["ALERTS", "ALERT_NAME", "FOR_STATE", "Alert", "Alerts", "Expand", "State"]

ALERTS, FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
ALERT_NAME, ALERT_STATE = "alertname", "alertstate"
RESOLVED_RETENTION_MS = 15 * 60_000  # a resolved alert is told again for so long
GRACE_MS = 10 * 60_000  # a restored alert stays pending at least for so long
OUTAGE_TOLERANCE_MS = 3_600_000  # an older state is not restored

Expand = Callable[[str, Labels, float], str]  # a template, for the labels and value of a sample


class State(StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(slots=True)
class Alert:
    """One series of the expression and how long it has been there. Moments are ms, 0 is never."""

    labels: Labels
    annotations: dict[str, str]
    value: float
    active_at: int
    state: State = State.PENDING
    fired_at: int = 0
    resolved_at: int = 0
    keep_firing_since: int = 0
    last_sent_at: int = 0
    valid_until: int = 0

    def needs_sending(self, moment: int, resend_ms: int) -> bool:
        if self.state is State.PENDING:
            return False
        if self.resolved_at > self.last_sent_at:
            return True
        return self.last_sent_at + resend_ms < moment


@dataclass(slots=True)
class Alerts:
    """The alerts of one rule, from one evaluation to the next."""

    rule: Alerting
    active: dict[Labels, Alert] = field(default_factory=dict)
    restored: bool = False  # what was active before a restart is known again, or there was nothing

    @property
    def state(self) -> State:
        states = {alert.state for alert in self.active.values()}
        for state in (State.FIRING, State.PENDING):
            if state in states:
                return state
        return State.INACTIVE

    def update(
        self, samples: list[Sample], moment: int, *, expand: Expand, limit: int = 0
    ) -> list[Sample]:
        """Take what the expression gave at a moment; the points to write.

        Until states are restored nothing is written: it would hide what was there before.
        """
        found = self._found(samples, moment, expand)
        for labels, alert in found.items():
            known = self.active.get(labels)
            if known is not None and known.state is not State.INACTIVE:
                known.value, known.annotations = alert.value, alert.annotations
            else:
                self.active[labels] = alert
        points: list[Sample] = []
        for labels, alert in list(self.active.items()):
            if not self._lives(labels, alert, labels in found, moment):
                continue
            if alert.state is State.PENDING and moment - alert.active_at >= self.rule.hold_ms:
                alert.state, alert.fired_at = State.FIRING, moment
            if self.restored:
                points += _points(alert)
        burning = sum(alert.state is not State.INACTIVE for alert in self.active.values())
        if limit and burning > limit:
            self.active.clear()
            raise InvalidInput(f"exceeded limit of {limit} with {burning} alerts")
        return points

    def _found(self, samples: list[Sample], moment: int, expand: Expand) -> dict[Labels, Alert]:
        found: dict[Labels, Alert] = {}
        for labels, value in samples:
            of_rule = {n: expand(text, labels, value) for n, text in self.rule.labels}
            plain = dropped(labels, (METRIC_NAME,))
            named = Labels({**plain, **of_rule, ALERT_NAME: self.rule.name})
            if named in found:
                raise InvalidInput(
                    "vector contains metrics with the same labelset after applying alert labels: "
                    f"{named}"
                )
            annotations = {n: expand(text, labels, value) for n, text in self.rule.annotations}
            found[named] = Alert(named, annotations, value, moment)
        return found

    def _lives(self, labels: Labels, alert: Alert, found: bool, moment: int) -> bool:
        """Whether an alert is pending or firing after this moment."""
        if found:
            alert.keep_firing_since = 0
            return True
        if alert.state is State.FIRING and self.rule.keep_firing_ms:
            alert.keep_firing_since = alert.keep_firing_since or moment
            if moment - alert.keep_firing_since < self.rule.keep_firing_ms:
                return True
        old = alert.resolved_at and moment - alert.resolved_at > RESOLVED_RETENTION_MS
        if alert.state is State.PENDING or old:
            del self.active[labels]
            return False
        if alert.state is not State.INACTIVE:
            alert.state, alert.resolved_at = State.INACTIVE, moment
        return False

    def to_send(self, moment: int, *, resend_ms: int, interval_ms: int) -> Iterator[Alert]:
        """Alerts somebody has to be told of; they count as told."""
        for alert in self.active.values():
            if alert.needs_sending(moment, resend_ms):
                alert.last_sent_at = moment
                alert.valid_until = moment + 4 * max(interval_ms, resend_ms)
                yield alert

    def restore(self, alert: Alert, told_at: int, active_at: int, moment: int) -> None:
        """Continue a pending time that a restart cut: ALERTS_FOR_STATE said `active_at` last
        at `told_at`. The outage does not count; at least the grace time is left to go.
        """
        left = self.rule.hold_ms - (told_at - active_at)
        if left <= 0:
            alert.active_at = active_at  # it was firing
        elif left < GRACE_MS:
            alert.active_at = moment + GRACE_MS - self.rule.hold_ms
        else:
            alert.active_at = active_at + (moment - told_at)


def _points(alert: Alert) -> Iterator[Sample]:
    shown = {**alert.labels, METRIC_NAME: ALERTS, ALERT_STATE: alert.state.value}
    yield Labels(shown), 1.0
    yield Labels({**alert.labels, METRIC_NAME: FOR_STATE}), float(alert.active_at // 1000)
