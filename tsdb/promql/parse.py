"""Text of PromQL to our tree.

    in   text
    out  a node of `tsdb.promql.ast`, types checked

The grammar is the package promql-parser's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import promql_parser

from tsdb.errors import InvalidInput
from tsdb.index.labels import METRIC_NAME
from tsdb.index.matchers import Matcher, Op
from tsdb.promql import ast
from tsdb.promql.ast import Anchor, Cardinality, Matching, Node

__all__ = ["parse"]

_OPS = {"Equal": Op.EQUAL, "NotEqual": Op.NOT_EQUAL, "Re": Op.MATCH, "NotRe": Op.NOT_MATCH}
_CARDINALITIES = {
    "OneToOne": Cardinality.ONE_TO_ONE,
    "ManyToOne": Cardinality.MANY_TO_ONE,
    "OneToMany": Cardinality.ONE_TO_MANY,
    "ManyToMany": Cardinality.MANY_TO_MANY,
}


def parse(text: str) -> Node:
    """The tree of a query. Raises InvalidInput saying what is wrong with it."""
    try:
        tree = promql_parser.parse(text)
    except ValueError as error:
        raise InvalidInput(f'invalid parameter "query": {error}') from error
    return _node(tree)


def _node(tree: Any) -> Node:
    match type(tree).__name__:
        case "NumberLiteral":
            return ast.Number(tree.val)
        case "StringLiteral":
            return ast.Text(tree.val)
        case "VectorSelector":
            return _selector(tree)
        case "MatrixSelector":
            return ast.RangeSelector(_selector(tree.vector_selector), _ms(tree.range))
        case "SubqueryExpr":
            step = None if tree.step is None else _ms(tree.step)
            return ast.Subquery(
                _node(tree.expr), _ms(tree.range), step, _ms(tree.offset), _at(tree.at)
            )
        case "Call":
            return ast.Call(tree.func.name, tuple(map(_node, tree.args)))
        case "AggregateExpr":
            return _aggregate(tree)
        case "BinaryExpr":
            return _binary(tree)
        case "UnaryExpr":
            return ast.Unary("-", _node(tree.expr))
        case "ParenExpr":
            return ast.Parenthesised(_node(tree.expr))
    raise AssertionError(f"the parser made a {type(tree).__name__}")


def _selector(tree: Any) -> ast.InstantSelector:
    matchers = [
        Matcher(m.name, _OPS[str(m.op).rpartition(".")[2]], m.value) for m in tree.matchers.matchers
    ]
    if tree.name:
        matchers.insert(0, Matcher(METRIC_NAME, Op.EQUAL, tree.name))
    return ast.InstantSelector(tuple(matchers), _ms(tree.offset), _at(tree.at))


def _aggregate(tree: Any) -> ast.Aggregate:
    modifier = tree.modifier
    labels = tuple(modifier.labels) if modifier else ()
    without = bool(modifier) and str(modifier.type).endswith("Without")
    parameter = None if tree.param is None else _node(tree.param)
    return ast.Aggregate(str(tree.op), _node(tree.expr), parameter, labels, without)


def _binary(tree: Any) -> ast.Binary:
    modifier = tree.modifier
    if modifier is None:
        return ast.Binary(str(tree.op), _node(tree.lhs), _node(tree.rhs))
    matching = modifier.matching
    return ast.Binary(
        str(tree.op),
        _node(tree.lhs),
        _node(tree.rhs),
        Matching(
            _CARDINALITIES[str(modifier.card).rpartition(".")[2]],
            on=matching is not None and str(matching.type).endswith("Include"),
            labels=tuple(matching.labels) if matching else (),
            include=tuple(modifier.group_labels or ()),
        ),
        returns_bool=modifier.return_bool,
    )


def _at(at: Any) -> int | Anchor | None:
    if at is None:
        return None
    kind = str(at.type).rpartition(".")[2]
    if kind in {"Start", "End"}:
        return Anchor(kind.lower())
    moment: datetime = at.at
    return round(moment.timestamp() * 1000)


def _ms(length: timedelta | None) -> int:
    return 0 if length is None else length // timedelta(milliseconds=1)
