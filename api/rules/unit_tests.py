"""Unit tests of rule files, in promtool's format.

    in   a YAML file: rule files, series by step, what alerts and expressions should be
    out  a list of differences for each test; empty is a pass

Every test gets a database of its own in a temporary folder and runs the rules that a server would
run, at moments counted from 1970.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from api.document import Entry, Section, read
from api.rules import reading
from api.rules.alerting import OUTAGE_TOLERANCE_MS, State
from api.rules.config import Group
from api.rules.group import GroupState, Origin, ask
from api.rules.recording import Sample
from api.rules.series_values import values_of
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels
from tsdb.index.selector import parse_series

if TYPE_CHECKING:
    from tsdb.database.database import Database

__all__ = ["Outcome", "UnitTests", "load"]

MINUTE_MS = 60_000
FUZZ = 1e-6  # of fuzzy_compare


@dataclass(frozen=True, slots=True)
class ExpectedAlerts:
    at: int
    name: str
    alerts: tuple[tuple[Labels, dict[str, str]], ...]


@dataclass(frozen=True, slots=True)
class ExpectedSamples:
    at: int
    expression: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class UnitTest:
    name: str
    interval_ms: int
    series: tuple[tuple[Labels, tuple[float | None, ...]], ...]
    alerts: tuple[ExpectedAlerts, ...]
    samples: tuple[ExpectedSamples, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class UnitTests:
    """One file of tests."""

    groups: tuple[Group, ...]
    interval_ms: int
    fuzzy: bool
    tests: tuple[UnitTest, ...]

    def run(self) -> Iterator[Outcome]:
        """Each test's outcome, one after another."""
        for test in self.tests:
            with TemporaryDirectory(prefix="silverback-rules-") as folder:
                yield Outcome(test.name, self._differences(test, Path(folder)))

    def _differences(self, test: UnitTest, folder: Path) -> list[str]:
        import tsdb

        with tsdb.open(folder / "db", background=False) as database:
            _fill(database, test)
            states = [GroupState(group, test.origin, resend_ms=MINUTE_MS) for group in self.groups]
            for state in states:
                state.restore(database, 0, OUTAGE_TOLERANCE_MS)
            found: list[str] = []
            moments = [a.at for a in test.alerts] + [s.at for s in test.samples]
            last = max(moments, default=0)
            for moment in range(0, last + 1, self.interval_ms):
                for state in states:
                    state.evaluate(database, moment)
                    found += _failures(state, moment)
                for expected in test.alerts:
                    if moment <= expected.at < moment + self.interval_ms:
                        found += _alert_differences(expected, states)
            for samples in test.samples:
                found += _sample_differences(database, samples, self.fuzzy)
            return found


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    differences: list[str]


def load(path: Path) -> UnitTests:
    """The tests of a file, its rule files too. Raises InvalidInput with the line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    document = read(text, str(path))
    if document is None:
        raise InvalidInput(f"{path}: there are no tests in it")
    root = document.section()
    patterns = [str(path.parent / pattern) for pattern in root.texts("rule_files")]
    interval_ms = root.milliseconds("evaluation_interval", MINUTE_MS)
    fuzzy = root.flag("fuzzy_compare", False)
    order = root.texts("group_eval_order")
    groups = sorted(
        reading.load(patterns, interval_ms),
        key=lambda group: order.index(group.name) if group.name in order else len(order),
    )
    tests = [_test(entry, i, interval_ms) for i, entry in enumerate(root.items("tests"))]
    root.end()
    return UnitTests(tuple(groups), interval_ms, fuzzy, tuple(tests))


def _test(entry: Entry, number: int, interval_ms: int) -> UnitTest:
    section = entry.section()
    test = UnitTest(
        section.text("name", f"test {number + 1}"),
        section.milliseconds("interval", interval_ms),
        tuple(map(_series, section.items("input_series"))),
        tuple(map(_alerts, section.items("alert_rule_test"))),
        tuple(map(_samples, section.items("promql_expr_test"))),
        Origin(section.text("external_url"), tuple(section.labels("external_labels").items())),
    )
    section.end()
    return test


def _series(entry: Entry) -> tuple[Labels, tuple[float | None, ...]]:
    section = entry.section()
    labels = _labels(entry, section.text("series"))
    try:
        values = tuple(values_of(section.text("values")))
    except InvalidInput as error:
        section.fail("values", str(error))
    section.end()
    return labels, values


def _alerts(entry: Entry) -> ExpectedAlerts:
    section = entry.section()
    name = section.text("alertname")
    alerts = []
    for item in section.items("exp_alerts"):
        expected = item.section()
        labels = {**expected.labels("exp_labels"), "alertname": name}
        alerts.append((Labels(labels), expected.labels("exp_annotations")))
        expected.end()
    found = ExpectedAlerts(_moment(section), name, tuple(alerts))
    section.end()
    return found


def _samples(entry: Entry) -> ExpectedSamples:
    section = entry.section()
    expression = section.text("expr")
    samples = []
    for item in section.items("exp_samples"):
        expected = item.section()
        labels = _labels(item, expected.text("labels", "{}"))
        try:
            samples.append((labels, float(expected.text("value", "0"))))
        except ValueError:
            expected.fail("value", "a number is expected")
        expected.end()
    found = ExpectedSamples(_moment(section), expression, tuple(samples))
    section.end()
    return found


def _moment(section: Section) -> int:
    entry = section.take("eval_time")
    if entry is None or entry.text() == "0":
        return 0
    return entry.milliseconds()


def _labels(entry: Entry, text: str) -> Labels:
    if text.strip() in {"", "{}"}:
        return Labels()
    try:
        return Labels(parse_series(text))
    except InvalidInput as error:
        entry.fail(str(error))


def _fill(database: Database, test: UnitTest) -> None:
    for labels, values in test.series:
        at = [i * test.interval_ms for i, value in enumerate(values) if value is not None]
        if at:
            database.write(labels, at, [value for value in values if value is not None])


def _failures(state: GroupState, moment: int) -> list[str]:
    return [
        f"rule {rule.rule.name} at {_duration(moment)}: {rule.health.error}"
        for rule in state.rules
        if rule.health.error
    ]


def _alert_differences(expected: ExpectedAlerts, states: Sequence[GroupState]) -> list[str]:
    found = [
        (alert.labels, alert.annotations)
        for state in states
        for rule in state.rules
        if rule.alerts is not None and rule.rule.name == expected.name
        for alert in rule.alerts.active.values()
        if alert.state is State.FIRING
    ]
    where = f"alert {expected.name} at {_duration(expected.at)}"
    wanted = list(expected.alerts)
    missing = [f"{where}: expected {_shown(*alert)}" for alert in wanted if alert not in found]
    extra = [f"{where}: got {_shown(*alert)}" for alert in found if alert not in wanted]
    return missing + extra


def _sample_differences(database: Database, expected: ExpectedSamples, fuzzy: bool) -> list[str]:
    where = f"{expected.expression} at {_duration(expected.at)}"
    try:
        found = dict(ask(database, expected.expression, expected.at))
    except InvalidInput as error:
        return [f"{where}: {error}"]
    wanted = dict(expected.samples)
    differences = [
        f"{where}: got {labels} {value!r}"
        for labels, value in found.items()
        if labels not in wanted
    ]
    for labels, value in wanted.items():
        if labels not in found:
            differences.append(f"{where}: expected {labels} {value!r}")
        elif not _same(value, found[labels], fuzzy):
            differences.append(f"{where}: {labels} is {found[labels]!r}, expected {value!r}")
    return differences


def _same(a: float, b: float, fuzzy: bool) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or (fuzzy and math.isclose(a, b, rel_tol=FUZZ))


def _shown(labels: Labels, annotations: dict[str, str]) -> str:
    said = ", ".join(f"{name}: {text!r}" for name, text in sorted(annotations.items()))
    return f"{labels} with {said or 'no annotations'}"


def _duration(moment: int) -> str:
    return f"{moment / MINUTE_MS:g}m"
