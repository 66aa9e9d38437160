"""tsdb.index.matchers: Prometheus' meaning of the four operators."""

from __future__ import annotations

import pytest

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.matchers import Matcher, Op, all_match_empty


@pytest.mark.parametrize(
    ("op", "value", "found", "not_found"),
    [
        ("=", "a", ["a"], ["", "b", "ab"]),
        ("=", "", [""], ["a"]),
        ("!=", "a", ["", "b"], ["a"]),
        ("!=", "", ["a"], [""]),
        ("=~", "a.*", ["a", "ab", "a\n"], ["", "ba"]),
        ("=~", "a|b", ["a", "b"], ["ab", ""]),
        ("=~", "a|", ["a", ""], ["b"]),
        ("=~", ".*", ["", "a", "\n"], []),
        ("=~", ".+", ["a", "\n"], [""]),
        ("!~", "a.*", ["", "b"], ["a", "ab"]),
        ("!~", ".*", [], ["", "a"]),
        ("!~", ".+", [""], ["a"]),
        ("=~", "b", ["b"], ["abc"]),  # anchored at both ends
        ("=~", "(?i)API", ["api", "Api"], ["apis"]),
    ],
)
def test_what_an_operator_means(op: str, value: str, found, not_found) -> None:
    matcher = Matcher("l", Op(op), value)

    assert [v for v in found + not_found if matcher.matches(v)] == found
    assert matcher.matches_empty == ("" in found)


def test_selectors_that_demand_nothing_are_told() -> None:
    demanding = Matcher("a", Op.EQUAL, "b")
    lax = [Matcher("a", Op.MATCH, ".*"), Matcher("a", Op.EQUAL, ""), Matcher("a", Op("!="), "x")]

    assert all_match_empty([])
    assert all_match_empty(lax)
    assert not all_match_empty([*lax, demanding])


@pytest.mark.parametrize(
    ("name", "value"), [("", "a"), ("\ud800", "a"), ("a", "\udc00"), ("a", "(")]
)
def test_impossible_matchers_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        Matcher(name, Op.MATCH, value)


def test_a_value_is_bounded() -> None:
    with pytest.raises(LimitExceeded):
        Matcher("a", Op.EQUAL, "x" * (limits.SELECTOR_BYTES_MAX + 1))


def test_text_form() -> None:
    assert str(Matcher("a", Op.NOT_MATCH, 'x"')) == 'a!~"x\\""'
    assert str(Matcher("a b", Op.EQUAL, "x")) == '"a b"="x"'
