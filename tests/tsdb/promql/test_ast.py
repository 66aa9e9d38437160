"""Nodes: equal exactly if they mean the same, and cheap to look up however deep."""

from __future__ import annotations

import math

import pytest

from tsdb.index.matchers import Matcher, Op
from tsdb.promql import ast
from tsdb.promql.ast import Type, type_of

X = ast.InstantSelector((Matcher("__name__", Op.EQUAL, "x"),))


def sum_of(terms: int) -> ast.Node:
    node: ast.Node = X
    for _ in range(terms - 1):
        node = ast.Binary("+", node, X)
    return node


def test_equal_trees_are_one_key() -> None:
    assert {sum_of(300): 1}[sum_of(300)] == 1
    assert ast.Binary("+", X, X) != ast.Binary("-", X, X)
    assert ast.Parenthesised(X) != ast.Unary("+", X)


def test_numbers_are_equal_by_bits() -> None:
    assert ast.Number(0.0) != ast.Number(-0.0)
    assert ast.Number(math.nan) == ast.Number(math.nan)
    assert hash(ast.Number(1.0)) == hash(ast.Number(1.0))


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        (ast.Number(1.0), Type.SCALAR),
        (ast.Text("a"), Type.STRING),
        (X, Type.VECTOR),
        (ast.RangeSelector(X, 1), Type.MATRIX),
        (ast.Subquery(X, 1, None), Type.MATRIX),
        (ast.Call("time", ()), Type.SCALAR),
        (ast.Call("vector", (ast.Number(1.0),)), Type.VECTOR),
        (ast.Binary("+", ast.Number(1.0), ast.Call("pi", ())), Type.SCALAR),
        (ast.Binary("+", ast.Number(1.0), X), Type.VECTOR),
        (ast.Parenthesised(ast.Unary("-", ast.Number(1.0))), Type.SCALAR),
        (ast.Aggregate("sum", X), Type.VECTOR),
    ],
)
def test_type_of(node: ast.Node, kind: Type) -> None:
    assert type_of(node) is kind


def test_children_come_in_the_order_of_evaluation() -> None:
    topk = ast.Aggregate("topk", X, ast.Number(3.0))
    assert list(ast.children(topk)) == [ast.Number(3.0), X]
    assert list(ast.children(ast.RangeSelector(X, 1))) == [X]
    assert not list(ast.children(X))
    assert ast.unwrapped(ast.Parenthesised(ast.Parenthesised(X))) == X
