"""label_replace and label_join."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from tsdb import limits
from tsdb.errors import LimitExceeded
from tsdb.promql.errors import QueryFailed
from tsdb.promql.query import Answer

Values: TypeAlias = Sequence[float | None]
Ask: TypeAlias = Callable[[str, Mapping[str, Values]], Answer]
Tabled: TypeAlias = Callable[[Answer], dict[str, list[float | None]]]


@pytest.mark.parametrize(
    ("template", "expression", "value"),
    [
        ("$1", "(.*):.*", "web-1"), ("${1}x", "(.*):.*", "web-1x"), ("$1x", "(.*):.*", ""),
        ("$2-$1", "(.*):(.*)", "80-web-1"), ("$0", ".*", "web-1:80"), ("$3", "(.*)", ""),
        ("$host", "(?P<host>[^:]*).*", "web-1"), ("${host}", "(?P<host>[^:]*).*", "web-1"),
        ("$$1", "(.*)", "$1"), ("a$", "(.*)", "a$"), ("${1", "(.*)", "${1"), ("${}", "(.*)", "${}"),
        ("$-", "(.*)", "$-"), ("$01", "(.*)", ""), ("$é", "(.*)", ""), ("$99999999999", "(.*)", ""),
        ("new", "web.*", "new"), ("new", "web", None), ("new", "eb.*", None), ("$1", "(x)?.*", ""),
    ],
)  # fmt: skip
def test_templates_are_gos(
    ask: Ask, table: Tabled, template: str, expression: str, value: str | None
) -> None:
    text = f'label_replace(m, "to", "{template}", "from", "{expression}")'
    kept = '"web-1:80"' if value is None else f'"web-1:80", to="{value}"'
    expected = "m{from=" + kept.replace(', to=""', "") + "}"
    assert table(ask(text, {'m{from="web-1:80"}': [1.0]})) == {expected: [1.0]}


def test_a_dot_is_a_character_not_a_byte(ask: Ask, table: Tabled) -> None:
    stored = {'m{from="é🦍b"}': [1.0]}
    found = table(ask('label_replace(m, "from", "${2}ü", "from", "(.)(.)(.)")', stored))
    assert found == {'m{from="🦍ü"}': [1.0]}


def test_a_dot_matches_a_newline(ask: Ask, table: Tabled) -> None:
    stored = {'m{from="a\\nb"}': [1.0]}
    found = table(ask('label_replace(m, "from", "c", "from", "a.b")', stored))
    assert found == {'m{from="c"}': [1.0]}


def test_a_missing_label_is_an_empty_text(ask: Ask, table: Tabled) -> None:
    stored = {'m{a="x"}': [1.0]}
    assert table(ask('label_replace(m, "to", "none", "nope", "")', stored)) == {
        'm{a="x", to="none"}': [1.0]
    }
    assert table(ask('label_replace(m, "a", "", "a", ".*")', stored)) == {"m": [1.0]}
    assert table(ask('label_replace(m, "__name__", "n", "", "")', stored)) == {'n{a="x"}': [1.0]}


def test_join(ask: Ask, table: Tabled) -> None:
    stored = {'m{a="x", b="y"}': [1.0]}
    assert table(ask('label_join(m, "to", "-", "b", "nope", "a")', stored)) == {
        'm{a="x", b="y", to="y--x"}': [1.0]
    }
    assert table(ask('label_join(m, "a", "-")', stored)) == {'m{b="y"}': [1.0]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('label_replace(m, "", "", "", "")', r"^invalid destination label name in label_replace"),
        ('label_replace(m, "a", "", "", "(")', r"^invalid regular expression in .*\(\): \($"),
        ('label_join(m, "", "")', r"^invalid destination label name in label_join\(\): $"),
        ('label_join(m, "a", "", "")', r"^invalid source label name in label_join\(\): $"),
    ],
)  # fmt: skip
def test_refusals(ask: Ask, text: str, message: str) -> None:
    with pytest.raises(QueryFailed, match=message):
        ask(text, {"m": [1.0]})


def test_an_expression_is_bounded(ask: Ask) -> None:
    with pytest.raises(LimitExceeded, match="REGEX_BYTES_MAX"):
        ask(f'label_replace(m, "a", "", "", "{"x" * 10_000}")', {"m": [1.0]})


def test_equal_labels_are_refused_even_at_different_steps(ask: Ask) -> None:
    stored = {'m{a="x"}': [1.0, None], 'm{a="y"}': [None, 1.0]}
    for text in ('label_replace(m, "a", "z", "", "")', 'label_join(m, "a", "")'):
        with pytest.raises(QueryFailed, match="same labelset"):
            ask(text, stored)


@pytest.mark.parametrize("digits", [limits.QUERY_LABEL_BYTES_MAX, limits.QUERY_LABEL_BYTES_MAX + 1])
def test_made_values_are_bounded_at_the_byte(ask: Ask, digits: int) -> None:
    """Ten of 6,553 and what is missing."""
    rest = "1" * (digits - 10 * 6_553)
    calls = (
        f'label_join(label_replace(m, "ten", "{"1" * 6_553}{rest}", "", ""), "b", "", "ten")',
        f'label_replace(label_replace(m, "a", "{"1" * 6_553}", "", ""), "b", '
        f'"{"${1}" * 10}{rest}", "a", "(.*)")',
    )
    assert ask(calls[0], {"m": [1.0]})
    if digits == limits.QUERY_LABEL_BYTES_MAX:
        assert ask(calls[1], {"m": [1.0]})
        return
    with pytest.raises(LimitExceeded, match=r"label_replace.*QUERY_LABEL_BYTES_MAX"):
        ask(calls[1], {"m": [1.0]})


def test_values_that_grow_at_each_level_end(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    doubled, text = 'label_replace(%s, "b", "${1}${1}x", "b", "(.*)")', "m"
    for _ in range(40):
        text = doubled % text
    with pytest.raises(LimitExceeded, match="QUERY_LABEL_BYTES_MAX"):
        ask(text, {"m": [1.0]})
    text = 'label_replace(m, "b", "x", "", "")'
    for _ in range(40):
        text = f'label_join({text}, "b", ",", "b", "b")'
    with pytest.raises(LimitExceeded, match=r"label_join.*QUERY_LABEL_BYTES_MAX"):
        ask(text, {"m": [1.0]})
    monkeypatch.setattr(limits, "QUERY_LABELS_BYTES_MAX", 100)
    many = {f'm{{s="{i}"}}': [1.0] for i in range(21)}
    with pytest.raises(LimitExceeded, match="QUERY_LABELS_BYTES_MAX"):
        ask('label_join(m, "b", "-", "s", "s", "s")', many)
