"""Where nodes begin: told for every node of a tree, or for none."""

from __future__ import annotations

import pytest

from tsdb.errors import InvalidInput
from tsdb.promql import ast
from tsdb.promql.ast import nodes_of, place_of
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse


def places(text: str) -> list[str]:
    """Of all nodes, in the order of the text."""
    found = [n for n in nodes_of(parse(text, [EXPERIMENTAL_FUNCTIONS])) if place_of(n)]
    own = [n for n in found if not isinstance(n, ast.Binary | ast.RangeSelector | ast.Subquery)]
    return sorted((place_of(n) for n in own), key=lambda p: tuple(map(int, p.split(":"))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", ["1:1"]),
        ("  x", ["1:3"]),
        ("a\n+ b", ["1:1", "2:3"]),
        ('rate({a="é"}[5m]) + y', ["1:1", "1:6", "1:22"]),
        ("rate(x[5m] offset 1m)", ["1:1", "1:6"]),
        ("sum by (a, b) (x)", ["1:1", "1:16"]),
        ("sum(x) without (a) / y", ["1:1", "1:5", "1:22"]),
        ("topk(3, (x))", ["1:1", "1:6", "1:9", "1:10"]),
        ("a * on (b) group_left (c) (d)", ["1:1", "1:27", "1:28"]),
        ("a and ignoring (b) rate(c[5m])", ["1:1", "1:20", "1:25"]),
        ("-x + -1 + - 2 ^ 2", ["1:1", "1:2", "1:6", "1:11", "1:13", "1:17"]),
        ("x @ start() > bool y @ end()", ["1:1", "1:20"]),
        ("quantile_over_time(-1.5, x[5m])", ["1:1", "1:20", "1:26"]),
        ("max_over_time(rate(x[5m])[1h:1m] @ 5)", ["1:1", "1:15", "1:20"]),
        ('label_replace(x, "a", "b", "c", "d")', ["1:1", "1:15", "1:18", "1:23", "1:28", "1:33"]),
        ('{"x", a="b"} or sum', ["1:1", "1:17"]),
        ("sum # a comment\n(x)", ["1:1", "2:2"]),
    ],
)
def test_places(text: str, expected: list[str]) -> None:
    assert places(text) == expected


@pytest.mark.parametrize("text", ["on + sum(x)", "by", "sum(without)", "group_left(x)"])
def test_keywords_as_names_leave_no_wrong_place(text: str) -> None:
    try:
        found = places(text)
    except InvalidInput:
        return  # no query at all
    assert all(
        text[int(p[2:]) - 1 :].startswith(("on", "sum", "x", "by", "without")) for p in found
    )


def test_places_do_not_count() -> None:
    assert parse("x + rate(y[5m])") == parse("x  +  rate( y[5m])")
    assert hash(parse("-(x)")) == hash(parse(" - ( x )"))
