"""From text to tree: Prometheus' grammar, and no text that ends or stalls the process."""

from __future__ import annotations

import pytest

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.matchers import Matcher, Op
from tsdb.promql import ast
from tsdb.promql.ast import (
    Aggregate,
    Anchor,
    Binary,
    Call,
    Cardinality,
    InstantSelector,
    Matching,
    Node,
    Number,
    Parenthesised,
    RangeSelector,
    Subquery,
    Text,
    Unary,
)
from tsdb.promql.parse import EXPERIMENTAL_FUNCTIONS, parse

STALLED = pytest.mark.timeout(60)  # without its remedy each of them takes minutes or crashes


def named(
    name: str, *others: Matcher, offset_ms: int = 0, at: int | Anchor | None = None
) -> InstantSelector:
    return InstantSelector((Matcher("__name__", Op.EQUAL, name), *others), offset_ms, at)


X, Y, Z = named("x"), named("y"), named("z")
TWO, THREE = Number(2), Number(3)
MANY = Matching(Cardinality.MANY_TO_MANY)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("-2^2", Unary("-", Binary("^", TWO, TWO))),
        ("2^-2", Binary("^", TWO, Number(-2))),
        ("2^3^2", Binary("^", TWO, Binary("^", THREE, TWO))),
        ("2-3-2", Binary("-", Binary("-", TWO, THREE), TWO)),
        ("2+3*2", Binary("+", TWO, Binary("*", THREE, TWO))),
        ("x+y atan2 z", Binary("+", X, Binary("atan2", Y, Z))),
        ("-x*y", Binary("*", Unary("-", X), Y)),
        ("+x", Unary("+", X)),
        ("- + x", Unary("-", Unary("+", X))),
        ("-+-2", TWO),
        ("+-2 ^ 3", Unary("+", Unary("-", Binary("^", TWO, THREE)))),
        ("(-2)", Parenthesised(Number(-2))),
        ("x or y and z", Binary("or", X, Binary("and", Y, Z, MANY), MANY)),
        ("x unless y and z", Binary("and", Binary("unless", X, Y, MANY), Z, MANY)),
        ("x == y > z", Binary(">", Binary("==", X, Y), Z)),
        ("x > bool y", Binary(">", X, Y, returns_bool=True)),
        ("x > BOOL 2", Binary(">", X, TWO, returns_bool=True)),
        (
            "x / on (a, b) group_left (c) y",
            Binary("/", X, Y, Matching(Cardinality.MANY_TO_ONE, True, ("a", "b"), ("c",))),
        ),
        (
            'x + ignoring ("a b") group_right y',
            Binary("+", X, Y, Matching(Cardinality.ONE_TO_MANY, False, ("a b",))),
        ),
        ("x and on () y", Binary("and", X, Y, Matching(Cardinality.MANY_TO_MANY, True))),
        ("sum(x)", Aggregate("sum", X)),
        ("SUM BY (a, a) (x)", Aggregate("sum", X, None, ("a", "a"))),
        ('sum(x) without ("a.b", le)', Aggregate("sum", X, None, ("a.b", "le"), True)),
        ("topk(2, x)", Aggregate("topk", X, TWO)),
        ('count_values("v", x)', Aggregate("count_values", X, Text("v"))),
        ("sum by (sum, by) (sum)", Aggregate("sum", named("sum"), None, ("sum", "by"))),
        ("rate(x[5m])", Call("rate", (RangeSelector(X, 300_000),))),
        ("x[300]", RangeSelector(X, 300_000)),
        ("x[1h30m]", RangeSelector(X, 5_400_000)),
        ("x[0.5]", RangeSelector(X, 500)),
        ("x[1w:]", Subquery(X, 604_800_000, None)),
        ("x[1_0:0x2]", Subquery(X, 10_000, 2000)),
        ("(x)[5m:1m] offset 1m @ 7", Subquery(Parenthesised(X), 300_000, 60_000, 60_000, 7000)),
        ("x offset 60", named("x", offset_ms=60_000)),
        ("x offset 0s", X),
        ("x offset -1.5", named("x", offset_ms=-1500)),
        ("x offset +5m", named("x", offset_ms=300_000)),
        ("x @ -1", named("x", at=-1000)),
        ("x @ 1e12", named("x", at=10**15)),
        ("x @ -1.0005", named("x", at=-1001)),
        ("x @ 0x10 offset 5s", named("x", offset_ms=5000, at=16_000)),
        ("x @ end()", named("x", at=Anchor.END)),
        ("x[1m] @ start()", RangeSelector(InstantSelector(X.matchers, at=Anchor.START), 60_000)),
        ("offset offset 5m", named("offset", offset_ms=300_000)),
        ("x{} # comment", X),
        ('{"x y"}', named("x y")),
        ("x{a=~`\\d+`}", named("x", Matcher("a", Op.MATCH, "\\d+"))),
        ('x{"a b"!="\\x41"}', named("x", Matcher("a b", Op.NOT_EQUAL, "A"))),
        ('{a!=""}', InstantSelector((Matcher("a", Op.NOT_EQUAL, ""),))),
        ('{a!~".*"}', InstantSelector((Matcher("a", Op.NOT_MATCH, ".*"),))),
        ('{or="1",by="2",nan="3"}', InstantSelector(tuple(
            Matcher(n, Op.EQUAL, v) for n, v in (("or", "1"), ("by", "2"), ("nan", "3"))
        ))),
        ("'#0'", Text("#0")),
        ('"a\\"\\n"', Text('a"\n')),
        ("1h", Number(3600)),
    ],
)  # fmt: skip
def test_trees(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no expression found"),
        ("{}", "vector selector must contain at least one non-empty matcher"),
        ('{a=""}', "at least one non-empty matcher"),
        ('{a=~".*"}', "at least one non-empty matcher"),
        ('{a!~".+"}', "at least one non-empty matcher"),
        ('{""}', "at least one non-empty matcher"),
        ('{a="b" or c="d"}', 'unexpected identifier "or"'),
        ('x{__name__="y"}', 'metric name must not be set twice: "x" or "y"'),
        ('x{"y"}', 'metric name must not be set twice: "x" or "y"'),
        ('x{a=~"("}', "regex"),
        ('x{a=~"(?=b)"}', "regex"),
        ("start()", 'unexpected "\\("'),
        ("end()", 'unexpected "\\("'),
        ("step()", 'unknown function with name "step"'),
        ("first_over_time(x[5m])", 'unknown function with name "first_over_time"'),
        ("holt_winters(x[5m], 1, 1)", 'unknown function with name "holt_winters"'),
        ("foo(x)", 'unknown function with name "foo"'),
        ("ABS(x)", 'unknown function with name "ABS"'),
        ("rate(x)", "expected type range vector in call to function .rate., got instant vector"),
        ("sum(1)", "expected type instant vector in aggregation expression, got scalar"),
        ("1 == 1", "comparisons between scalars must use BOOL modifier"),
        ("x + bool y", "bool modifier can only be used on comparison operators"),
        ("x @ 1e30", "timestamp out of bounds for @ modifier"),
        ("x @ NaN", "timestamp out of bounds for @ modifier: NaN"),
        ("x @ Inf", "timestamp out of bounds for @ modifier: \\+Inf"),
        ("x @ 1 @ 2", "may not be set multiple times"),
        ("x offset 1 offset 2", "may not be set multiple times"),
        ("x[0]", "duration must be greater than 0"),
        ("x[0s:1m]", "duration must be greater than 0"),
        ("x[5m:0]", "duration must be greater than 0"),
        ("x[1e10]", "duration out of range"),
        ("x[300y]", "duration out of range"),
        ("x[5m+1m]", "bracket"),
        ('sum by ("") (x)', 'invalid label name for grouping: ""'),
        ("x and on (a) group_left y", "no grouping allowed"),
        ("x y", "parse error"),
        ("(x", "parse error"),
        ("x)", "parse error"),
        ("'a\nb'", "unterminated quoted"),
    ],
)
def test_refusals(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        parse(text)
    assert str(refused.value).startswith('invalid parameter "query": ')
    assert "#" not in str(refused.value), "what stands for a string is nobody's business"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("limitk(1, x)", "limitk() is experimental and must be enabled with "
         "--enable-feature=promql-experimental-functions"),
        ("limit_ratio(0.5, x)", "limit_ratio() is experimental and must be enabled with "
         "--enable-feature=promql-experimental-functions"),
        ('sort_by_label(x, "a")', 'function "sort_by_label" is not enabled'),
        ('sort_by_label_desc(x, "a")', 'function "sort_by_label_desc" is not enabled'),
        ("mad_over_time(x[5m])", 'function "mad_over_time" is not enabled'),
        ("ts_of_max_over_time(x[5m])", 'function "ts_of_max_over_time" is not enabled'),
        ("info(x)", 'function "info" is not enabled'),
        ("double_exponential_smoothing(x[5m], 1, 1)",
         'function "double_exponential_smoothing" is not enabled'),
    ],
)  # fmt: skip
def test_experimental_functions_need_their_feature(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert str(refused.value) == f'invalid parameter "query": 1:1: parse error: {sentence}'
    assert isinstance(parse(text, {EXPERIMENTAL_FUNCTIONS}), Call | Aggregate)


HOSTS = "|".join(f"host{n:05}\\\\.example" for n in range(500))  # dots as Grafana writes them


@STALLED
@pytest.mark.parametrize(
    "text",
    [
        f'sum by (host) (rate(requests_total{{host=~"{HOSTS}"}}[5m]))',
        " or ".join(f'metric_{n}{{job="api", code=~"5..|4.."}}' for n in range(300)),
        " + ".join(["1"] * 300),
        "(" * 50 + "x" + ")" * 50,
        "abs(" * 50 + "x" + ")" * 50,
    ],
)
def test_long_queries_of_dashboards_pass(text: str) -> None:
    assert isinstance(parse(text), ast.Binary | Aggregate | Parenthesised | Call)


@STALLED
@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000 + "1" + ")" * 20_000,
        "abs(" * 20_000,
        "-" * 10_000 + "x",
        "x" * (1 << 20),
        "+".join(["1"] * 20_000),
        "^".join(["2"] * 20_000),
        "^".join(["2"] * 300),
        "-" * 300 + "x",
        "+ -" * 150 + "x",
        "sum(" * 60 + "abs(" * 60 + "x" + ")" * 120,
        "-(" * 60 + "x" + ")" * 60,
        "x{" + 'a="b",' * 10_000 + "}",
        "x[" * 10_000,
        "{" * 60_000,
        "x @ " + "-" * 10_000 + "1",
        "x offset " + "-" * 10_000 + "1",
        'x{a=~"' + "(" * 900 + "a" + ")" * 900 + '"}',
        'x{a=~"(a{1000}){1000}"}',
        'x{a=~"((((a{30}){30}){30}){30})"}',
    ],
)
def test_hostile_queries_are_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


@STALLED
def test_the_worst_that_passes_is_bounded() -> None:
    depth, terms = limits.QUERY_DEPTH_MAX - 4, limits.QUERY_OPERATORS_MAX
    selector = 'x{a="",b=""}'
    text = "abs(" * depth + "+".join([selector] * terms) + ")" * depth
    assert isinstance(parse(text), Call)


@pytest.mark.parametrize("depth", [limits.QUERY_DEPTH_MAX, limits.QUERY_DEPTH_MAX + 1])
def test_depth_is_of_the_tree_too(depth: int) -> None:
    text = "-" * depth + "x"
    if depth <= limits.QUERY_DEPTH_MAX:
        assert isinstance(parse(text), Unary)
        return
    with pytest.raises(LimitExceeded, match="QUERY_DEPTH_MAX"):
        parse(text)


@pytest.mark.parametrize("second", ["foo", 'foo{a="b"}', "sum(x)", '({a="b"})', "x[5m]", "1"])
def test_info_takes_matchers_only(second: str) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        parse(f"info(up, {second})", [EXPERIMENTAL_FUNCTIONS])
    assert parse('info(up, {a=~".*"})', [EXPERIMENTAL_FUNCTIONS]) != parse(
        "info(up)", [EXPERIMENTAL_FUNCTIONS]
    )
