"""Rule files of Prometheus 3.5, read and checked.

    in   YAML files (globs), the interval of groups that name none
    out  groups; InvalidInput naming file, line and what is wrong

Everything is checked before anything runs: expressions are parsed, templates too, names and labels
must be ones that a series can have, two groups of a file may not share a name.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from api.document import Entry, Section, read
from api.rules import templates
from api.rules.config import Alerting, Group, Pairs, Recording, Rule
from tsdb.errors import InvalidInput
from tsdb.index.labels import METRIC_NAME
from tsdb.promql import ast
from tsdb.promql.parse import parse as parse_query

__all__ = ["load", "parse"]


def load(patterns: Iterable[str], interval_ms: int) -> tuple[Group, ...]:
    """All groups of all files, in the order of their names."""
    groups: list[Group] = []
    for pattern in patterns:
        paths = sorted(glob.glob(pattern))
        if not paths and not glob.has_magic(pattern):
            raise InvalidInput(f"{pattern}: no such file")
        for path in paths:
            groups += parse(_text(Path(path)), path, interval_ms)
    return tuple(groups)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: {error}") from error


def parse(text: str, file: str, interval_ms: int) -> list[Group]:
    """The groups of one file."""
    document = read(text, file)
    if document is None:
        return []
    root = document.section()
    groups: list[Group] = []
    for entry in root.items("groups"):
        group = _group(entry, file, interval_ms)
        if any(group.name == other.name for other in groups):
            entry.fail(f"there are two groups called {group.name!r}")
        groups.append(group)
    root.end()
    return groups


def _group(entry: Entry, file: str, interval_ms: int) -> Group:
    section = entry.section()
    name = section.text("name")
    if not name:
        entry.fail("a group needs a name")
    labels = section.labels("labels")
    _check_labels(section, labels)
    group = Group(
        file,
        name,
        section.milliseconds("interval", 0) or interval_ms,
        tuple(_rule(rule, labels) for rule in section.items("rules")),
        section.number("limit"),
        section.milliseconds("query_offset", 0),
    )
    section.end()
    return group


def _rule(entry: Entry, group_labels: dict[str, str]) -> Rule:
    section = entry.section()
    record, alert = section.text("record"), section.text("alert")
    if bool(record) == bool(alert):
        entry.fail("a rule has either `record` or `alert`")
    expression = section.take("expr")
    if expression is None or not expression.text():
        entry.fail(f"rule {record or alert!r} has no expr")
    _check_expression(expression)
    labels = section.labels("labels")
    _check_labels(section, labels)
    together = tuple(sorted((group_labels | labels).items()))
    rule: Rule
    if record:
        _check_metric_name(section, record)
        for key in ("for", "keep_firing_for", "annotations"):
            if section.take(key) is not None:
                section.fail(key, "only alerts have it, this rule records")
        rule = Recording(record, expression.text(), together)
    else:
        rule = Alerting(
            alert,
            expression.text(),
            section.milliseconds("for", 0),
            section.milliseconds("keep_firing_for", 0),
            together,
            tuple(sorted(section.labels("annotations").items())),
        )
        _check_templates(section, rule.labels, "labels")
        _check_templates(section, rule.annotations, "annotations")
    section.end()
    return rule


def _check_expression(entry: Entry) -> None:
    try:
        node = parse_query(entry.text())
    except InvalidInput as error:
        entry.fail(str(error))
    if ast.type_of(node) not in {ast.Type.VECTOR, ast.Type.SCALAR}:
        entry.fail("a rule needs an instant vector or a scalar")


def _check_metric_name(section: Section, name: str) -> None:
    if "{" in name or "}" in name:
        section.fail("record", f"braces are present in the name {name!r}: did you mean `expr`?")


def _check_labels(section: Section, labels: dict[str, str]) -> None:
    for name in labels:
        if not name or name == METRIC_NAME:
            section.fail("labels", f"{name!r} cannot be the name of a label here")


def _check_templates(section: Section, pairs: Pairs, key: str) -> None:
    for name, text in pairs:
        try:
            templates.parse(text)
        except InvalidInput as error:
            section.fail(key, f"{name}: {error}")
