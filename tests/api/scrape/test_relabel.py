"""api.scrape.relabel: Prometheus' rules, case by case."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape.relabel import Action, Rule, expand, relabel
from tsdb.errors import InvalidInput, LimitExceeded

ABC = {"a": "foo", "b": "bar", "c": "baz"}


def rule(action: str = "replace", sources: str = "", **fields: Any) -> Rule:
    made = Rule(Action(action), tuple(sources.split()), **fields)
    made.check()
    return made


# What Prometheus' relabel.go does to each; the results were worked out from its text by hand.
CASES: list[tuple[str, dict[str, str], list[Rule], dict[str, str] | None]] = [
    (
        "the group goes into the replacement",
        ABC,
        [rule(sources="a", regex="f(.*)", target_label="d", replacement="ch${1}-ch${1}")],
        ABC | {"d": "choo-choo"},
    ),
    (
        "two rules, the second reads what the first wrote",
        ABC,
        [
            rule(sources="a b", regex="f(.*);(.*)r", target_label="a", replacement="b${1}${2}m"),
            rule(sources="c a", regex="(b).*b(.*)ba(.*)", target_label="d",
                 replacement="$1$2$2$3"),
        ],
        {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"},
    ),
    ("drop where it matches", {"a": "foo"},
     [rule("drop", "a", regex=".*o.*"), rule(sources="a", target_label="d")], None),
    ("drop where it does not", {"a": "abc"}, [rule("drop", "a", regex="xyz")], {"a": "abc"}),
    ("the whole value has to match", {"a": "foobar"}, [rule("drop", "a", regex="foo")],
     {"a": "foobar"}),
    ("keep where it does not match", ABC, [rule("keep", "a", regex="no-match")], None),
    ("keep where it matches", {"a": "foo"}, [rule("keep", "a", regex="f|foo")], {"a": "foo"}),
    ("no match, no change", {"a": "boo"},
     [rule(sources="a", regex="f", target_label="b", replacement="bar")], {"a": "boo"}),
    ("an empty result removes the label", ABC, [rule(target_label="b", replacement="")],
     {"a": "foo", "c": "baz"}),
    ("a group that took no part is empty", {"a": "x"},
     [rule(sources="a", regex="(y)?x", target_label="a", replacement="$1")], {}),
    ("a target label made of groups", {"a": "some-name-value"},
     [rule(sources="a", regex="some-([^-]+)-([^,]+)", target_label="${1}", replacement="${2}")],
     {"a": "some-name-value", "name": "value"}),
    ("a target label that comes out empty is none", {"a": "x"},
     [rule(sources="a", regex="(y?).*", target_label="${1}", replacement="v")], {"a": "x"}),
    ("$1x is a group called 1x", {"a": "foo"},
     [rule(sources="a", target_label="b", replacement="$1x")], {"a": "foo"}),
    ("a dollar is two", {"a": "foo"},
     [rule(sources="a", target_label="b", replacement="$$1 costs ${1}$")],
     {"a": "foo", "b": "$1 costs foo$"}),
    ("groups by name", {"a": "v1.2"},
     [rule(sources="a", regex=r"v(?P<major>\d+)\..*", target_label="m", replacement="${major}")],
     {"a": "v1.2", "m": "1"}),
    ("a dot is any character, a newline too", {"a": "x\ny"},
     [rule(sources="a", regex="x.y", target_label="b", replacement="1")],
     {"a": "x\ny", "b": "1"}),
    ("alternatives are one group", {"a": "ab"}, [rule("keep", "a", regex="a|b")], None),
    ("missing sources are empty", {"a": "x"},
     [rule(sources="a none", separator="/", target_label="b")], {"a": "x", "b": "x/"}),
    ("a separator of one's own", ABC,
     [rule(sources="a b c", separator="", target_label="all")], ABC | {"all": "foobarbaz"}),
    ("labelmap copies", {"a": "foo", "b1": "bar", "b2": "baz"},
     [rule("labelmap", regex="(b.*)", replacement="bar_${1}")],
     {"a": "foo", "b1": "bar", "b2": "baz", "bar_b1": "bar", "bar_b2": "baz"}),
    ("labelmap strips", {"a": "1", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb"},
     [rule("labelmap", regex="__meta_(my.*)")],
     {"a": "1", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "my_bar": "aaa",
      "my_baz": "bbb"}),
    ("labelmap onto a label that is there: the last one wins", {"a": "1", "x_a": "2"},
     [rule("labelmap", regex="x_(.*)")], {"a": "2", "x_a": "2"}),
    ("labeldrop", {"a": "foo", "b1": "bar", "b2": "baz"}, [rule("labeldrop", regex="(b.*)")],
     {"a": "foo"}),
    ("labelkeep", {"a": "foo", "b1": "bar", "b2": "baz"}, [rule("labelkeep", regex="(b.*)")],
     {"b1": "bar", "b2": "baz"}),
    ("lowercase and uppercase", {"foo": "bAr123Foo"},
     [rule("lowercase", "foo", target_label="low"), rule("uppercase", "foo", target_label="up")],
     {"foo": "bAr123Foo", "low": "bar123foo", "up": "BAR123FOO"}),
    ("keepequal, equal", {"tmp_port": "1234", "port": "1234"},
     [rule("keepequal", "tmp_port", target_label="port")], {"tmp_port": "1234", "port": "1234"}),
    ("keepequal, not equal", {"tmp_port": "1234", "port1": "1234", "port2": "5678"},
     [rule("keepequal", "tmp_port", target_label="port2")], None),
    ("dropequal, equal", {"a": "1", "b": "1"}, [rule("dropequal", "a", target_label="b")], None),
    ("dropequal, not equal", {"a": "1", "b": "2"}, [rule("dropequal", "a", target_label="b")],
     {"a": "1", "b": "2"}),
    ("hashmod", {"c": "baz"}, [rule("hashmod", "c", target_label="d", modulus=1000)],
     {"c": "baz", "d": "976"}),
    ("hashmod of two lines", {"a": "foo\nbar"},
     [rule("hashmod", "a", target_label="b", modulus=1000)], {"a": "foo\nbar", "b": "734"}),
    ("empty labels are no labels", {"a": "", "b": "x"}, [], {"b": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "rules", "expected"), [c[1:] for c in CASES],
                         ids=[c[0] for c in CASES])  # fmt: skip
def test_rules(labels: dict[str, str], rules: list[Rule], expected: dict[str, str] | None) -> None:
    before = dict(labels)
    assert relabel(labels, rules) == expected
    assert labels == before


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"action": "replace"}, "target_label"),
    ({"action": "hashmod", "target_label": "x"}, "modulus"),
    ({"action": "lowercase", "sources": "a"}, "target_label"),
    ({"action": "lowercase", "target_label": "x", "replacement": "y"}, "replacement"),
    ({"action": "labeldrop", "regex": "a", "sources": "b"}, "source_labels"),
    ({"action": "labelkeep", "regex": "a", "target_label": "b"}, "target_label"),
    ({"action": "labelkeep", "regex": "a", "separator": "-"}, "separator"),
    ({"action": "keepequal", "sources": "a", "target_label": "b", "regex": "x"}, "regex"),
    ({"action": "dropequal", "sources": "a", "target_label": "b", "modulus": 2}, "modulus"),
    ({"action": "labelmap", "replacement": ""}, "replacement"),
    ({"action": "keep", "sources": "a", "regex": "("}, "RE2"),
    ({"action": "keep", "sources": "a", "regex": r"(?=x)"}, "RE2"),
]


@pytest.mark.parametrize(("fields", "culprit"), REFUSED)
def test_what_prometheus_refuses_is_refused(fields: dict[str, Any], culprit: str) -> None:
    with pytest.raises(InvalidInput, match=culprit):
        rule(**fields)


def test_a_regex_is_bounded() -> None:
    with pytest.raises(LimitExceeded, match="REGEX_BYTES_MAX"):
        rule("keep", "a", regex="x" * 5000)


names = st.sampled_from(["a", "b", "c", "__meta_x", "__meta_y"])
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
label_sets = st.dictionaries(names, values, max_size=5)


@given(label_sets)
def test_replace_with_the_defaults_copies(labels: dict[str, str]) -> None:
    made = relabel(labels, [rule(sources="a", target_label="copy")])
    assert made is not None
    assert made.get("copy", "") == labels.get("a", "")
    assert {k: v for k, v in made.items() if k != "copy"} == {k: v for k, v in labels.items() if v}


@given(label_sets)
def test_labelmap_then_labeldrop_moves(labels: dict[str, str]) -> None:
    rules = [rule("labelmap", regex="__meta_(.+)"), rule("labeldrop", regex="__meta_.+")]
    made = relabel(labels, rules)
    plain = {k: v for k, v in labels.items() if v and not k.startswith("__meta_")}
    moved = {k[7:]: v for k, v in labels.items() if v and k.startswith("__meta_")}
    assert made == plain | moved


@given(label_sets)
def test_keep_and_drop_are_opposites(labels: dict[str, str]) -> None:
    rules = [rule(action, "a b", regex="[a-m;]*") for action in ("keep", "drop")]
    results = [relabel(labels, [one]) for one in rules]
    assert results.count(None) == 1


@given(values, st.integers(1, 2**64 - 1))
def test_hashmod_is_the_second_half_of_md5(value: str, modulus: int) -> None:
    made = relabel({"a": value}, [rule("hashmod", "a", target_label="h", modulus=modulus)])
    digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
    assert made is not None
    assert made["h"] == str(int.from_bytes(digest[8:], "big") % modulus)


@given(st.text("$1{}ax_0 ", max_size=10))
def test_any_template_expands(template: str) -> None:
    match = rule("keep", "a", regex="(.*)").pattern.fullmatch("V")
    text = expand(template, match)
    assert "$" in template or text == template
