"""Binary operators against a twin that matches anew at every step, a series at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import METRIC_NAME
from tsdb.index.selector import parse_series
from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Table: TypeAlias = dict[str, list[float | None]]
Tabled: TypeAlias = Callable[[Answer], Table]
Labels: TypeAlias = frozenset[tuple[str, str]]

STEPS = 3
CALCULATE: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
}

side_values = st.lists(
    st.none() | st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf]),
    min_size=STEPS,
    max_size=STEPS,
)


def side(name: str) -> st.SearchStrategy[dict[str, list[float | None]]]:
    series = st.builds(
        lambda a, b: f'{name}{{a="{a}", b="{b}"}}', st.sampled_from("xyz"), st.sampled_from(" 12")
    )
    return st.dictionaries(
        series.map(lambda text: text.replace('" "', '""')), side_values, max_size=5
    )


clauses = st.sampled_from([
    "", "on (a)", "on (a, b)", "on ()", "ignoring (b)", "ignoring (a, b)", "on (__name__)",
    "on (a) group_left ()", "on (a) group_left (b)", "ignoring (b) group_left (b, c)",
    "on (a) group_left (__name__)",
    "on (a) group_right ()", "on (a) group_right (b)", "ignoring (b) group_right ()",
])  # fmt: skip


class Refused(Exception):
    pass


def twin(
    operator: str,
    clause: str,
    returns_bool: bool,
    left: dict[Labels, float],
    right: dict[Labels, float],
) -> dict[Labels, float]:
    """One step of Prometheus' matching, as its documentation tells it."""
    on, names, group, include = clause_parts(clause)

    def key(labels: Labels) -> Labels:
        if on:
            return frozenset(pair for pair in labels if pair[0] in names)
        return frozenset(p for p in labels if p[0] not in names and p[0] != METRIC_NAME)

    if operator == "and":
        return {k: v for k, v in left.items() if key(k) in set(map(key, right))}
    if operator == "unless":
        return {k: v for k, v in left.items() if key(k) not in set(map(key, right))}
    if operator == "or":
        return left | {k: v for k, v in right.items() if key(k) not in set(map(key, left))}
    if not left or not right:
        return {}
    many, one = (right, left) if group == "group_right" else (left, right)
    partners: dict[Labels, Labels] = {}
    for labels in one:
        if key(labels) in partners:
            raise Refused("found duplicate series")
        partners[key(labels)] = labels
    answer: dict[Labels, float] = {}
    met: set[tuple[Labels, Labels | None]] = set()
    equal = False
    for labels in many:
        partner = partners.get(key(labels))
        if partner is None:
            continue
        a, b = (
            (one[partner], many[labels]) if group == "group_right" else (many[labels], one[partner])
        )
        value: float | None
        if operator in COMPARE:
            holds = COMPARE[operator](a, b)
            value = float(holds) if returns_bool else (a if holds else None)
        else:
            value = CALCULATE[operator](a, b)
        if value is None:
            continue
        named = dict(labels)
        if operator in CALCULATE or returns_bool:
            named.pop(METRIC_NAME, None)
        if not group:
            named = {k: v for k, v in named.items() if (k in names) == on}
        for name in include:
            named.pop(name, None)
            named |= {k: v for k, v in partner if k == name}
        if returns_bool:
            named.pop(METRIC_NAME, None)
        found = frozenset(named.items())
        mark = (key(labels), found if group else None)
        if mark in met:
            raise Refused("multiple matches")
        met.add(mark)
        equal |= found in answer
        answer[found] = value
    if equal:
        raise Refused("vector cannot contain")
    return answer


def clause_parts(clause: str) -> tuple[bool, list[str], str, list[str]]:
    if not clause:
        return False, [], "", []
    kind, rest = clause.split(" ", 1)
    names, _, tail = rest.partition(")")
    group, _, include = tail.strip().partition(" ")
    listed = [each.strip() for each in names.strip("( ").split(",") if each.strip()]
    included = [each.strip() for each in include.strip("() ").split(",") if each.strip()]
    return kind == "on", listed, group, included


def at(series: Mapping[str, Values], step: int) -> dict[Labels, float]:
    return {
        frozenset(parse_series(text).items()): value
        for text, values in sorted(series.items(), key=lambda item: list(series).index(item[0]))
        if (value := values[step]) is not None
    }


def shown(value: float | None) -> str:
    return repr(value)


@given(
    left=side("l"),
    right=side("r"),
    operator=st.sampled_from([*CALCULATE, *COMPARE, "and", "or", "unless"]),
    clause=clauses,
    returns_bool=st.booleans(),
)
def test_every_step_is_as_if_it_were_alone(
    ask: Ask,
    table: Tabled,
    left: dict[str, list[float | None]],
    right: dict[str, list[float | None]],
    operator: str,
    clause: str,
    returns_bool: bool,
) -> None:
    if operator in {"and", "or", "unless"} and "group" in clause:
        clause = clause[: clause.index("group")]
    returns_bool &= operator in COMPARE
    text = f'{{__name__="l"}} {operator} {"bool" if returns_bool else ""} {clause} {{__name__="r"}}'
    pad: dict[str, list[float | None]] = {"pad": [1.0] * STEPS}

    expected: dict[Labels, list[float | None]] = {}
    refused = ""
    for step in range(STEPS):
        try:
            now = twin(operator, clause, returns_bool, at(left, step), at(right, step))
        except Refused as refusal:
            refused = refused or str(refusal)
            continue
        for labels, value in now.items():
            expected.setdefault(labels, [None] * STEPS)[step] = value
    if refused:
        with pytest.raises(QueryFailed):
            ask(text, left | right | pad)
        return

    found = {
        frozenset(parse_series(labels).items()) if labels != "{}" else frozenset(): values
        for labels, values in table(ask(text, left | right | pad)).items()
    }
    assert {k: list(map(shown, v)) for k, v in found.items()} == {
        k: list(map(shown, v)) for k, v in expected.items()
    }


def test_refusals_name_the_series(ask: Ask) -> None:
    series = {'l{a="x"}': [1.0, 1.0], 'r{a="x", b="1"}': [None, 1.0], 'r{a="x", b="2"}': [1.0, 1.0]}
    with pytest.raises(QueryFailed) as refused:
        ask("l + on (a) r", series)
    assert str(refused.value) == (
        'found duplicate series for the match group {a="x"} on the right hand-side of the '
        'operation: [{__name__="r", a="x", b="2"}, {__name__="r", a="x", b="1"}];many-to-many '
        "matching not allowed: matching labels must be unique on one side"
    )
    with pytest.raises(QueryFailed, match=r"on the left hand-side of the operation"):
        ask("r + on (a) group_right () l", series)
    with pytest.raises(QueryFailed, match=r"many-to-one matching must be explicit"):
        ask("r + on (a) l", series)
    with pytest.raises(QueryFailed, match=r"grouping labels must ensure unique matches"):
        ask("r + on (a) group_left (b) l", series)
    assert issubclass(QueryFailed, InvalidInput)


def test_the_first_refused_step_tells_why(ask: Ask) -> None:
    series = {
        'l{a="x", i="1"}': [1.0, 1.0],
        'l{a="x", i="2"}': [1.0, 1.0],
        'r{a="x", b="1"}': [None, 1.0],
        'r{a="x", b="2"}': [1.0, 1.0],
    }
    with pytest.raises(QueryFailed, match=r"many-to-one matching must be explicit"):
        ask("l + on (a) r", series)
    with pytest.raises(QueryFailed, match=r"found duplicate series"):
        ask("l + on (a) r", {labels: values[1:] for labels, values in series.items()})


def test_a_sign_refuses_equal_series_that_have_values(ask: Ask, table: Tabled) -> None:
    series = {'x{a="1"}': [1.0, None], 'y{a="1"}': [None, 2.0]}
    assert table(ask('-({a="1"} < 2)', series)) == {'{a="1"}': [-1.0, None]}
    with pytest.raises(QueryFailed, match="same labelset"):
        ask('-{a="1"}', series)


def test_series_that_take_turns_match_as_one(ask: Ask, table: Tabled) -> None:
    series = {'l{a="x"}': [1.0, 2.0], 'r{b="1"}': [10.0, None], 'r{b="2"}': [None, 20.0]}
    assert table(ask("l + on () r", series)) == {"{}": [11.0, 22.0]}
    assert table(ask("l + on () group_left (b) r", series)) == {
        '{a="x", b="1"}': [11.0, None],
        '{a="x", b="2"}': [None, 22.0],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 / 0", math.inf), ("-1 / 0", -math.inf), ("0 / 0", math.nan),
        ("5 % 0", math.nan), ("-5 % 3", -2.0), ("5 % -3", 2.0), ("5 % Inf", 5.0),
        ("Inf % 5", math.nan), ("-0.0 % 2", -0.0), ("-4 % 2", -0.0),
        ("0 ^ 0", 1.0), ("NaN ^ 0", 1.0), ("1 ^ NaN", 1.0), ("-1 ^ Inf", -1.0), ("(-1) ^ Inf", 1.0),
        ("(-8) ^ (1 / 3)", math.nan), ("(-0.0) ^ -3", -math.inf), ("(-0.0) ^ -2", math.inf),
        ("0.5 ^ -Inf", math.inf), ("2 ^ 1024", math.inf), ("2 ^ 0.5", math.sqrt(2)),
        ("0 atan2 -1", math.pi), ("(-0.0) atan2 -1", -math.pi), ("1 atan2 Inf", 0.0),
        ("NaN == bool NaN", 0.0), ("NaN != bool NaN", 1.0), ("NaN > bool 1", 0.0),
        ("0 == bool -0.0", 1.0), ("Inf >= bool Inf", 1.0),
    ],
)  # fmt: skip
def test_corners_of_arithmetic(ask: Ask, text: str, value: float) -> None:
    answer = ask(f"vector_free * 0 + ({text})", {"vector_free": [1.0]})
    found = float(answer.value.values[0, 0])  # type: ignore[union-attr]
    assert shown(found) == shown(0.0 + value)


def test_a_filter_keeps_the_vectors_values_and_names(ask: Ask, table: Tabled) -> None:
    series = {'x{a="1"}': [1.0, 5.0], 'x{a="2"}': [7.0, 3.0], 'y{a="2"}': [0.0, 9.0]}
    assert table(ask("x > 4", series)) == {'x{a="1"}': [None, 5.0], 'x{a="2"}': [7.0, None]}
    assert table(ask("4 < x", series)) == table(ask("x > 4", series))
    assert table(ask("x > bool 4", series)) == {'{a="1"}': [0.0, 1.0], '{a="2"}': [1.0, 0.0]}
    assert table(ask("x < y", series)) == {'x{a="2"}': [None, 3.0]}
    assert table(ask("x < on (a) y", series)) == {'{a="2"}': [None, 3.0]}


def test_equal_names_left_over_by_arithmetic_are_refused(ask: Ask, table: Tabled) -> None:
    series = {'x{a="1"}': [1.0, None], 'y{a="1"}': [None, 2.0]}
    assert table(ask('{a="1"} + 1', series)) == {'{a="1"}': [2.0, 3.0]}
    with pytest.raises(QueryFailed, match=r"vector cannot contain metrics with the same labelset"):
        ask('{a="1"} + 1', series | {'z{a="1"}': [3.0, 3.0]})


def test_pairs_are_bounded_before_they_are_made(ask: Ask) -> None:
    # Each series of r lives at a step of its own, so that only the number of pairs is at fault.
    count = 400
    series: dict[str, Values] = {f'l{{i="{i}"}}': [1.0] * count for i in range(400)}
    for i in range(count):
        series[f'r{{b="{i}"}}'] = [None] * i + [1.0] + [None] * (count - i - 1)
    with pytest.raises(LimitExceeded, match=r"holds 64,\d\d\d,\d\d\d values at once"):
        ask("l * on () group_left (b) r", series)
