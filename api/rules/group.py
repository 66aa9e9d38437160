"""A group at a moment: each rule asked, its points written, what is gone marked stale.

    in   the group, a database, the moment (ms)
    out  points in the database; health of each rule; alerts that want sending

Rules of a group run one after another, and each sees what those before it wrote: a write is
visible when it is acked. A rule that fails keeps what it gave last time, and the others run.
Works in a thread of the ruler; nothing here knows tasks or sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from api import duty
from api.duty import Duty
from api.rules import template_functions, templates
from api.rules.alerting import FOR_STATE, GRACE_MS, Alert, Alerts
from api.rules.config import Alerting, Group, Recording, Rule
from api.rules.recording import Sample, recorded
from api.rules.templates import Field, TemplateError
from tsdb.errors import InvalidInput, TSDBError
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.matchers import Matcher, Op
from tsdb.promql import query
from tsdb.promql.values import Scalar, Vector

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["GroupState", "Health", "Origin", "RuleState"]

STALE: float = float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])


@dataclass(frozen=True, slots=True)
class Origin:
    """What templates and alerts say of the server itself."""

    external_url: str = ""
    external_labels: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Health:
    """How a rule's last evaluation went."""

    word: str = "unknown"  # ok, err
    error: str = ""
    evaluated_at: int = 0  # ms
    took_s: float = 0.0
    samples: int = 0


@dataclass(slots=True)
class RuleState:
    """A rule and what it gave last."""

    rule: Rule
    health: Health = field(default_factory=Health)
    given: set[Labels] = field(default_factory=set)
    alerts: Alerts | None = None

    @classmethod
    def of(cls, rule: Rule) -> RuleState:
        if isinstance(rule, Recording):
            return cls(rule)
        # A short `for` is over before it could be restored: nothing to wait for.
        return cls(rule, alerts=Alerts(rule, restored=rule.hold_ms < GRACE_MS))


class GroupState:
    """One group while the server runs."""

    def __init__(
        self,
        group: Group,
        origin: Origin,
        *,
        resend_ms: int,
        has_duty: Duty = duty.alone,
    ) -> None:
        self.group = group
        self._has_duty = has_duty
        self.rules = [RuleState.of(rule) for rule in group.rules]
        self.evaluated_at = 0  # ms
        self.took_s = 0.0
        self.evaluations = self.failures = self.missed = 0
        self._origin = origin
        self._resend_ms = resend_ms
        self._orphans: set[Labels] = set()  # of rules that are gone

    def inherit(self, before: GroupState) -> None:
        """Go on from what the same group was before its file changed."""
        left = list(before.rules)
        for i, state in enumerate(self.rules):
            known = next((old for old in left if old.rule == state.rule), None)
            if known is not None:
                left.remove(known)
                self.rules[i] = known
        self._orphans = before._orphans.union(*(old.given for old in left))
        self.evaluated_at, self.took_s = before.evaluated_at, before.took_s
        self.evaluations, self.failures = before.evaluations, before.failures
        self.missed = before.missed

    def retire(self, database: Database, moment: int) -> None:
        """The group is gone: all it gave ends."""
        given = self._orphans.union(*(state.given for state in self.rules))
        self._write(database, [(labels, STALE) for labels in given], moment)

    def evaluate(self, database: Database, moment: int) -> list[tuple[Alerting, Alert]]:
        """All rules once; alerts that somebody has to be told of."""
        begun = time.perf_counter()
        told: list[tuple[Alerting, Alert]] = []
        at = moment - self.group.offset_ms
        for state in self.rules:
            told += self._rule(database, state, moment, at)
        if self._orphans:
            given = set[Labels]().union(*(state.given for state in self.rules))
            self._write(database, [(labels, STALE) for labels in self._orphans - given], at)
            self._orphans = set()
        self.evaluated_at, self.took_s = moment, time.perf_counter() - begun
        return told

    def _rule(
        self, database: Database, state: RuleState, moment: int, at: int
    ) -> list[tuple[Alerting, Alert]]:
        begun = time.perf_counter()
        self.evaluations += 1
        health = Health("ok", evaluated_at=moment)
        told: list[tuple[Alerting, Alert]] = []
        try:
            points = self._points(database, state, moment, at)
            given = {labels for labels, _ in points}
            gone = [(labels, STALE) for labels in state.given - given]
            self._write(database, [*points, *gone], at)
            state.given = given
            health.samples = len(points)
        except TSDBError as error:
            self.failures += 1
            health = Health("err", str(error), moment)
        if state.alerts is not None and health.word == "ok":
            told = [
                (state.alerts.rule, alert)
                for alert in state.alerts.to_send(
                    moment, resend_ms=self._resend_ms, interval_ms=self.group.interval_ms
                )
            ]
        health.took_s = time.perf_counter() - begun
        state.health = health
        return told

    def _points(self, database: Database, state: RuleState, moment: int, at: int) -> list[Sample]:
        samples = ask(database, state.rule.expression, at)
        if state.alerts is not None:
            return state.alerts.update(
                samples, moment, expand=self._expander(database, at), limit=self.group.limit
            )
        assert isinstance(state.rule, Recording)
        points = recorded(state.rule, samples)
        if self.group.limit and len(points) > self.group.limit:
            raise InvalidInput(f"exceeded limit of {self.group.limit} with {len(points)} series")
        return points

    def _write(self, database: Database, points: list[Sample], at: int) -> None:
        duty.check(self._has_duty)
        if not points:
            return
        tick = at * database.resolution.ticks_per_s // 1000
        database.write_many(
            [labels for labels, _ in points],
            [[tick]] * len(points),
            [[value] for _, value in points],
        )

    def restore(self, database: Database, moment: int, tolerance_ms: int) -> None:
        """Pending alerts go on where ALERTS_FOR_STATE last saw them, unless long ago."""
        for state in self.rules:
            alerts = state.alerts
            if alerts is None:
                continue
            if not alerts.restored:
                for alert in alerts.active.values():
                    seen = _last_state(database, alert, moment, tolerance_ms)
                    if seen is not None:
                        alerts.restore(alert, seen[0], seen[1], moment)
            alerts.restored = True

    def _expander(self, database: Database, at: int) -> Callable[[str, Labels, float], str]:
        functions = template_functions.functions(
            lambda text: ask(database, text, at), self._origin.external_url, lambda: at / 1000
        )
        external = dict(self._origin.external_labels)

        def expand(text: str, labels: Labels, value: float) -> str:
            if "{{" not in text:
                return text
            plain = dict(labels.items())
            dot = Field(
                {
                    "Labels": plain,
                    "ExternalLabels": external,
                    "ExternalURL": self._origin.external_url,
                    "Value": value,
                }
            )
            variables = {
                "$": dot,
                "$labels": plain,
                "$externalLabels": external,
                "$externalURL": self._origin.external_url,
                "$value": value,
            }
            try:
                return templates.parse(text).expand(dot, variables, functions)
            except TemplateError as error:
                return f"<error expanding template: {error}>"

        return expand


def ask(database: Database, expression: str, at: int) -> list[Sample]:
    """What an expression is worth at one moment (ms). Raises InvalidInput."""
    source = query.Source(database.select, ticks_per_s=database.resolution.ticks_per_s)
    value = query.instant(source, expression, at).value
    if isinstance(value, Scalar):
        return [(Labels(), float(value.values[0]))]
    if not isinstance(value, Vector):
        raise InvalidInput("a rule needs an instant vector or a scalar")
    return list(zip(value.rows.labels(), value.values[:, 0].tolist(), strict=True))


def _last_state(
    database: Database, alert: Alert, moment: int, tolerance_ms: int
) -> tuple[int, int] | None:
    """When ALERTS_FOR_STATE of an alert was last written, and since when it said to be active."""
    wanted = Labels({**alert.labels, METRIC_NAME: FOR_STATE})
    matchers = [Matcher(name, Op.EQUAL, value) for name, value in wanted.items()]
    ticks_per_s = database.resolution.ticks_per_s
    found = database.select(
        matchers, (moment - tolerance_ms) * ticks_per_s // 1000, moment * ticks_per_s // 1000
    )
    for series in found:
        lives = np.flatnonzero(~np.isnan(series.values))
        if series.labels == wanted and lives.size:
            last = lives[-1]
            stamp = int(series.timestamps[last]) * 1000 // ticks_per_s
            return stamp, int(series.values[last]) * 1000
    return None
