"""Trees as text and JSON; the expected ones were told by Prometheus 3.5.3."""

from __future__ import annotations

from random import Random

import pytest
from promql.differential.grammar import Grammar

from tsdb.errors import InvalidInput
from tsdb.promql.parse import parse
from tsdb.promql.printing import described, pretty, text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1_000.50", "1000.5"), ("1e30", "1" + "0" * 30), ("1e-9", "0.000000001"), ("inf", "+Inf"),
        ("-0", "-0"), ("0x10", "16"), ("90s", "1m30s"), ("-5m", "-5m"), ("0s", "0s"),
        ("x[0.5]", "x[500ms]"), ("x[7d:24h]", "x[1w:1d]"), ("x offset 368d", "x offset 368d"),
        ("x offset 365d", "x offset 1y"), ("x offset -1.5", "x offset -1s500ms"),
        ("x offset 5m @ 3.0005", "x @ 3.001 offset 5m"), ("x @ end()", "x @ end()"),
        ("- - x", "--x"), ("+ x", "+x"), ("- 2^2", "-2 ^ 2"), ("( 1+2 )*x", "(1 + 2) * x"),
        ("x{}", "x"), ("x{b='c',a=\"b\"}", 'x{a="b",b="c"}'), ('{"a b",c=~`\\d`}',
         '{__name__="a b",c=~"\\\\d"}'), ('x{"a b"!="c"}', 'x{"a b"!="c"}'),
        ("'é\\n\\x01\\u200b\"'", '"é\\n\\x01\\u200b\\""'),
        ("SUM(x) by(a,\"b c\")", 'sum by (a, "b c") (x)'),
        ("sum without() (x)", "sum without () (x)"),
        ("sum by () (x)", "sum(x)"), ("topk(2,x)", "topk(2, x)"),
        ("x > bool on() y", "x > bool on () y"), ("x == ignoring() y", "x == y"),
        ('x+on("a b")group_left y', "x + on (a b) group_left () y"),
        ("x*ignoring(a)group_right(b,c)y", "x * ignoring (a) group_right (b, c) y"),
    ],
)  # fmt: skip
def test_on_one_line(written: str, expected: str) -> None:
    assert text(parse(written)) == expected
    assert pretty(parse(written)) == expected


LONG = 'metric_with_a_long_name{first="value",second="value"}'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            f"sum by (job) (rate({LONG}[5m])) / on (job) group_left topk(3, {LONG})",
            "  sum by (job) (rate(metric_with_a_long_name{first=\"value\",second=\"value\"}[5m]))\n"
            "/ on (job) group_left ()\n"
            "  topk(3, metric_with_a_long_name{first=\"value\",second=\"value\"})",
        ),
        (
            f"-(abs({LONG} - {LONG}))",
            "-(\n"
            "  abs(\n"
            "      metric_with_a_long_name{first=\"value\",second=\"value\"}\n"
            "    -\n"
            "      metric_with_a_long_name{first=\"value\",second=\"value\"}\n"
            "  )\n"
            ")",
        ),
        (
            f"topk(5, {LONG} or {LONG})[1h:5m] offset 5m",
            "topk(\n"
            "  5,\n"
            "    metric_with_a_long_name{first=\"value\",second=\"value\"}\n"
            "  or\n"
            "    metric_with_a_long_name{first=\"value\",second=\"value\"}\n"
            ")[1h:5m] offset 5m",
        ),
    ],
)  # fmt: skip
def test_long_ones_are_broken(written: str, expected: str) -> None:
    assert pretty(parse(written)) == expected


def test_text_says_the_same() -> None:
    grammar = Grammar(Random(4))
    told = 0
    for query in (grammar.query() for _ in range(500)):
        try:
            tree = parse(query)
        except InvalidInput:
            continue
        for written in (text(tree), pretty(tree)):
            assert parse(written) == tree, query
            assert pretty(parse(written)) == pretty(tree)
        told += 1
    assert told > 400


def test_a_tree_as_json() -> None:
    assert described(parse('sum by (a) (rate(x{b!="c"}[5m] offset 1m @ 2)) > bool on (a) -y')) == {
        "type": "binaryExpr",
        "op": ">",
        "lhs": {
            "type": "aggregation",
            "op": "sum",
            "expr": {
                "type": "call",
                "func": {
                    "name": "rate",
                    "argTypes": ["matrix"],
                    "variadic": 0,
                    "returnType": "vector",
                },
                "args": [
                    {
                        "type": "matrixSelector",
                        "name": "x",
                        "matchers": [
                            {"name": "b", "type": "!=", "value": "c"},
                            {"name": "__name__", "type": "=", "value": "x"},
                        ],
                        "range": 300_000,
                        "offset": 60_000,
                        "timestamp": 2000,
                        "startOrEnd": None,
                    }
                ],
            },
            "param": None,
            "grouping": ["a"],
            "without": False,
        },
        "rhs": {
            "type": "unaryExpr",
            "op": "-",
            "expr": {
                "type": "vectorSelector",
                "name": "y",
                "matchers": [{"name": "__name__", "type": "=", "value": "y"}],
                "offset": 0,
                "timestamp": None,
                "startOrEnd": None,
            },
        },
        "matching": {"card": "one-to-one", "labels": ["a"], "on": True, "include": []},
        "bool": True,
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1 + x", None),
        ("1 + 1", None),
        ("x or y", {"card": "many-to-many", "labels": [], "on": False, "include": []}),
        ("x + y", {"card": "one-to-one", "labels": [], "on": False, "include": []}),
        ("1 + 1 + x + y", {"card": "one-to-one", "labels": [], "on": False, "include": []}),
    ],
)
def test_only_vectors_match(written: str, expected: object) -> None:
    assert described(parse(written))["matching"] == expected


def test_a_chain_of_hundreds() -> None:
    tree = parse(" + ".join(["x"] * 400))
    assert text(tree).count("+") == 399
    assert pretty(tree).count("\n") > 399
    assert described(tree)["op"] == "+"
