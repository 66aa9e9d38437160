"""tsdb.index.selector: text in, matchers out, errors with a place."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import Labels
from tsdb.index.matchers import Op
from tsdb.index.selector import parse_selector, parse_series

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.dictionaries(texts | st.just("__name__"), texts, min_size=1, max_size=5))
@example({"__name__": "a b", "c": "\n"})
def test_the_text_of_a_label_set_names_it_again(labels: dict[str, str]) -> None:
    made = Labels(labels)

    assert parse_series(str(made)) == made
    assert {(m.name, m.op, m.value) for m in parse_selector(str(made))} == {
        (name, Op.EQUAL, value) for name, value in labels.items()
    }


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("cpu", ['__name__="cpu"']),
        ("cpu{}", ['__name__="cpu"']),
        ('cpu{host="a"}', ['__name__="cpu"', 'host="a"']),
        (' cpu { host = "a" , dc =~ "x|y" , } ', ['__name__="cpu"', 'host="a"', 'dc=~"x|y"']),
        ("{a='1',b!='2',c=~`3.*`,d!~\"4\"}", ['a="1"', 'b!="2"', 'c=~"3.*"', 'd!~"4"']),
        ('{"my.metric", "label name"="v"}', ['__name__="my.metric"', '"label name"="v"']),
        ('{a="b", "my.metric"}', ['a="b"', '__name__="my.metric"']),
        ("sensors/kitchen/temp", ['__name__="sensors/kitchen/temp"']),
        ('a.b-c/d{x="y"}', ['__name__="a.b-c/d"', 'x="y"']),
        ('{__name__=~"a.+",__name__!="ab"}', ['__name__=~"a.+"', '__name__!="ab"']),
        ('{by="1",sum="2",on="3"}', ['by="1"', 'sum="2"', 'on="3"']),
        ("job:rate:5m", ['__name__="job:rate:5m"']),
        ("\u6e29\u5ea6", ['__name__="\u6e29\u5ea6"']),
        ('{a="\\u00e9\\n"}', ['a="\u00e9\\n"']),
    ],
)
def test_selectors(text: str, matchers: list[str]) -> None:
    assert [str(matcher) for matcher in parse_selector(text)] == matchers


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "character 1"),
        ("cpu{", "character 5"),
        ("cpu}", "character 4"),
        ("cpu{host}", "character 9"),
        ("cpu{host=}", "character 10"),
        ("cpu{host=a}", "character 10"),
        ('cpu{host="a" dc="b"}', "character 14"),
        ('cpu{,host="a"}', "character 5"),
        ('cpu{host="a",,}', "character 14"),
        ('cpu{host="a"}x', "character 14"),
        ('cpu{host=="a"}', "character 10"),
        ('cpu{ho.st="a"}', "character 7"),
        ('cpu{1a="a"}', "character 5"),
        ("rate(cpu)", "character 5"),
        ("cpu[5m]", "character 4"),
        ("cpu mem", "character 5"),
        ('cpu{host="a', "character 10"),
        ('cpu{host="\\q"}', "character 11"),
        ('{a="\ud800"}', "character 5"),
        ("'cpu'", "character 1"),
    ],
)
def test_errors_name_the_character(text: str, place: str) -> None:
    with pytest.raises(InvalidInput, match=f"{place}\\b"):
        parse_selector(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('cpu{__name__="mem"}', "set twice"),
        ('cpu{"mem"}', "set twice"),
        ('{"cpu", "mem"}', "set twice"),
        ('{""}', "empty"),
        ('{""="a"}', "label name"),
        ('{a=~"("}', "RE2"),
    ],
)
def test_contradictions_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_selector(text)


@pytest.mark.parametrize("text", ["{}", '{a=""}', '{a=~".*"}', '{a!="b"}', '{a!~"b"}', '{a=~"b|"}'])
def test_selecting_everything_must_be_meant(text: str) -> None:
    """As Prometheus: a typo must not select, or delete, every series."""
    with pytest.raises(InvalidInput, match="demands no label"):
        parse_selector(text)
    assert all(matcher.matches_empty for matcher in parse_selector(text, allow_empty=True))


def test_bounds() -> None:
    with pytest.raises(LimitExceeded) as refused:
        parse_selector("x" * (limits.SELECTOR_BYTES_MAX + 1))
    assert refused.value.limit == "SELECTOR_BYTES_MAX"
    many = ",".join(f'l{i}="v"' for i in range(limits.MATCHERS_PER_SELECTOR_MAX + 1))
    with pytest.raises(LimitExceeded) as refused:
        parse_selector(f"{{{many}}}")
    assert refused.value.limit == "MATCHERS_PER_SELECTOR_MAX"
    assert parse_selector("a" * 5000)[0].value == "a" * 5000


def test_deep_nesting_is_no_recursion() -> None:
    with pytest.raises(InvalidInput, match="character 2"):
        parse_selector("{" * 10_000)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("sensors/kitchen/temp", {"__name__": "sensors/kitchen/temp"}),
        ('cpu{host="a",dc=""}', {"__name__": "cpu", "host": "a"}),
        ('{host="a"}', {"host": "a"}),
        ('{"my.metric", "label name"="v"}', {"__name__": "my.metric", "label name": "v"}),
    ],
)
def test_series_names(text: str, labels: dict[str, str]) -> None:
    assert dict(parse_series(text)) == labels


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "at least one label"),
        ('cpu{a!="b"}', "named by ="),
        ('cpu{a=~"b"}', "named by ="),
        ('cpu{a="b",a="c"}', "given twice"),
        ('{__name__="a",__name__="b"}', "given twice"),
        (f'cpu{{a="{"x" * 5000}"}}', "LABEL_VALUE_BYTES_MAX"),
    ],
)
def test_what_names_no_series(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_series(text)


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(list("ab{}=!~,\"'`\\ ")), max_size=20).map("".join)
)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        matchers = parse_selector(text, allow_empty=True)
    except InvalidInput:
        return
    again = "{" + ",".join(map(str, matchers)) + "}"
    assert parse_selector(again, allow_empty=True) == matchers
