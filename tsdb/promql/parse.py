"""Text of PromQL to our tree.

    in   text; names of features that are on (`promql-experimental-functions`)
    out  a node of `tsdb.promql.ast`, types checked as Prometheus 3.5 checks them

The grammar is the package promql-parser's; `prescan` stands before it, so that no text can end
or stall the process, and what the package judges differently is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import METRIC_NAME
from tsdb.index.matchers import Matcher, Op, all_match_empty
from tsdb.promql import ast
from tsdb.promql.ast import Anchor, Cardinality, Matching, Node
from tsdb.promql.blame import blamed
from tsdb.promql.diagnosis import Wrong, read
from tsdb.promql.places import Places, Text
from tsdb.promql.prescan import Scanned, scan

__all__ = ["EXPERIMENTAL_FUNCTIONS", "parse"]

EXPERIMENTAL_FUNCTIONS = "promql-experimental-functions"  # Prometheus' name of the feature

_CARDINALITIES = {
    "OneToOne": Cardinality.ONE_TO_ONE,
    "ManyToOne": Cardinality.MANY_TO_ONE,
    "OneToMany": Cardinality.ONE_TO_MANY,
    "ManyToMany": Cardinality.MANY_TO_MANY,
}
# What the package knows and Prometheus 3.5 does not, or only with the feature.
_LATER = frozenset({
    "end", "first_over_time", "histogram_quantiles", "max_of", "min_of", "range", "start", "step",
    "ts_of_first_over_time",
})  # fmt: skip
_EXPERIMENTAL = frozenset({
    "double_exponential_smoothing", "info", "mad_over_time", "sort_by_label",
    "sort_by_label_desc", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
})  # fmt: skip
_EXPERIMENTAL_AGGREGATIONS = frozenset({"limitk", "limit_ratio"})
_WORDS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\b(expected type|got) vector\b", r"\1 instant vector"),
        (r"\b(expected type|got) matrix\b(?! instead)", r"\1 range vector"),
        (r"only allowed on vector\b", "only allowed on instant vector"),
        (r"only allowed between vectors", "only allowed between instant vectors"),
        (r"scalar or vector, got: (\w+)", r'scalar or instant vector, got "\1"'),
        (r'(?<=aggregate expression) "\w+"', ""),
        (
            r"(?<=^expected type )(scalar|string) in aggregation expression",
            r"\1 in aggregation parameter",
        ),
        (r'(?<=got )"matrix"', '"range vector"'),
    )
)
_HELD = re.compile(r"#(\d+)")


def parse(text: str, features: Collection[str] = ()) -> Node:
    """The tree of a query. Raises InvalidInput saying what is wrong with it, LimitExceeded if
    it is too long, too deep or has too many operators."""
    return _parsed(text, frozenset(features))


@lru_cache(256)
def _parsed(text: str, features: frozenset[str]) -> Node:
    try:
        scanned = scan(text)
        try:
            return _Reader(scanned, features).whole(_tree(scanned))
        except LimitExceeded:
            raise
        except InvalidInput as error:
            raise InvalidInput(_placed(str(error), text, scanned)) from error
    except LimitExceeded:
        raise
    except InvalidInput as error:
        raise InvalidInput(f'invalid parameter "query": {error}') from error


def _placed(sentence: str, text: str, scanned: Scanned) -> str:
    """A refusal, and where in the text its reason is, as far as that is known."""
    try:
        at, sentence = blamed(sentence, read(text, scanned.tokens))
    except Wrong as error:
        at, sentence = error.at, error.sentence
    except RecursionError:  # as deep as may be, beside whatever the caller has open
        at = None
    if at is None:
        return f"parse error: {sentence}"
    place = "unknown position" if at < 0 else Text(text).place(at)
    return f"{place}: parse error: {sentence}"


def _matching_without(operator: str) -> Matching:
    many = operator in {"and", "or", "unless"}
    return Matching(Cardinality.MANY_TO_MANY if many else Cardinality.ONE_TO_ONE)


def _tree(scanned: Scanned) -> Any:
    try:
        return promql_parser.parse(scanned.text)
    except ValueError as error:
        raise InvalidInput(_with_strings(_worded(str(error)), scanned)) from error
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # of the package's Rust code; no Exception
            raise
        raise InvalidInput("the parser failed on this query") from panic


def _worded(sentence: str) -> str:
    """A message of the grammar in Prometheus' words, as far as they differ in words only."""
    sentence = sentence.replace("'", '"').replace("right_brace", '"}"')
    for pattern, words in _WORDS:
        sentence = pattern.sub(words, sentence)
    return sentence


def _with_strings(sentence: str, scanned: Scanned) -> str:
    """A message of the grammar with the query's own strings in it."""
    count = len(scanned.strings)
    return _HELD.sub(
        lambda held: scanned.strings[int(held[1])] if int(held[1]) < count else held[0], sentence
    )


class _Row:
    """Places of one kind, taken one by one."""

    def __init__(self, places: list[str]) -> None:
        self._places = iter(places)
        self._short = False

    def next(self) -> str:
        place = next(self._places, None)
        self._short |= place is None
        return place or ""

    @property
    def is_over(self) -> bool:
        """Whether there were neither too few nor too many."""
        return not self._short and next(self._places, None) is None


class _Reader:
    """The package's tree to ours, in the order of the text."""

    def __init__(self, scanned: Scanned, features: frozenset[str]) -> None:
        self._scanned = scanned
        self._features = features
        self._begin()

    def _begin(self) -> None:
        scanned = self._scanned
        self._signs = iter(zip(scanned.signs, scanned.places.signs, strict=True))
        self._calls = _Row(scanned.places.calls)
        self._selectors = _Row(scanned.places.selectors)
        self._groups = _Row(scanned.places.groups)

    def whole(self, tree: Any) -> Node:
        node = self._node(tree, 0)
        if next(self._signs, None) is not None:
            raise InvalidInput("unexpected unary operator")
        if all(row.is_over for row in (self._calls, self._selectors, self._groups)):
            return node
        self._scanned.places = Places(signs=[""] * len(self._scanned.signs))
        self._begin()
        return self._node(tree, 0)

    def _node(self, tree: Any, depth: int) -> Node:
        if depth > limits.QUERY_DEPTH_MAX:
            raise LimitExceeded(
                "the query is nested too deep",
                limit="QUERY_DEPTH_MAX",
                value=limits.QUERY_DEPTH_MAX,
            )
        depth += 1
        match type(tree).__name__:
            case "NumberLiteral":
                return self._number(tree)
            case "StringLiteral":
                return ast.Text(self._scanned.string(tree.val), self._string_place(tree.val))
            case "VectorSelector":
                return self._selector(tree)
            case "MatrixSelector":
                selector = self._selector(tree.vector_selector)
                return ast.RangeSelector(selector, self._positive(tree.range))
            case "SubqueryExpr":
                return self._subquery(tree, depth)
            case "Call":
                return self._call(tree, depth)
            case "AggregateExpr":
                return self._aggregate(tree, depth)
            case "BinaryExpr":
                return self._binary(tree, depth)
            case "UnaryExpr":
                sign, place = next(self._signs)
                return ast.Unary(sign, self._node(tree.expr, depth), place)
            case "ParenExpr":
                place = self._groups.next()
                return ast.Parenthesised(self._node(tree.expr, depth), place)
        raise AssertionError(f"the parser made a {type(tree).__name__}")

    def _number(self, tree: Any) -> ast.Number:
        numeral = self._scanned.numerals[abs(int(tree.val)) - 1]
        value, place = numeral.value, numeral.place
        if numeral.folded:
            found = [next(self._signs) for _ in range(numeral.signs)]
            value = -value if [sign for sign, _ in found].count("-") % 2 else value
            place = found[0][1] if found else place
        return ast.Number(value, numeral.as_duration_ms is not None, place)

    def _string_place(self, name: str) -> str:
        places = self._scanned.places.strings
        return places[int(name[1:])] if places and name.startswith("#") else ""

    def _call(self, tree: Any, depth: int) -> ast.Call:
        name, place = tree.func.name, self._calls.next()
        self._check_function(name)
        if name == "info" and len(tree.args) > 1:
            inner = self._node(tree.args[0], depth)
            return ast.Call(name, (inner, self._label_selector(tree.args[1])), place)
        return ast.Call(name, tuple(self._node(a, depth) for a in tree.args), place)

    def _label_selector(self, tree: Any) -> ast.InstantSelector:
        """What info() takes: matchers without a name before them, which may match nothing."""
        if type(tree).__name__ != "VectorSelector" or (tree.name and not tree.name.startswith("#")):
            raise InvalidInput("expected label selectors only, got vector selector instead")
        return self._selector(tree, may_be_empty=True)

    def _selector(self, tree: Any, *, may_be_empty: bool = False) -> ast.InstantSelector:
        if tree.matchers.or_matchers:
            raise InvalidInput('unexpected identifier "or" in label matching, expected "," or "}"')
        matchers = [
            Matcher(
                self._scanned.string(m.name),
                Op(self._scanned.operator(m.value)),
                self._scanned.string(m.value),
            )
            for m in tree.matchers.matchers
        ]
        place = self._selectors.next()
        named = tree.name is not None and not tree.name.startswith("#")
        if tree.name:
            matchers.insert(0, Matcher(METRIC_NAME, Op.EQUAL, self._scanned.string(tree.name)))
        if not may_be_empty and all_match_empty(matchers):
            raise InvalidInput("vector selector must contain at least one non-empty matcher")
        return ast.InstantSelector(
            tuple(matchers), self._length(tree.offset), self._at(tree.at), named, place
        )

    def _subquery(self, tree: Any, depth: int) -> ast.Subquery:
        inner = self._node(tree.expr, depth)
        step = None if tree.step is None else self._positive(tree.step)
        range_ms = self._positive(tree.range)
        return ast.Subquery(inner, range_ms, step, self._length(tree.offset), self._at(tree.at))

    def _aggregate(self, tree: Any, depth: int) -> ast.Aggregate:
        operator, place = str(tree.op).lower(), self._calls.next()
        if operator in _EXPERIMENTAL_AGGREGATIONS and EXPERIMENTAL_FUNCTIONS not in self._features:
            raise InvalidInput(
                f"{operator}() is experimental and must be enabled with "
                f"--enable-feature={EXPERIMENTAL_FUNCTIONS}"
            )
        modifier = tree.modifier
        labels = self._labels(modifier.labels) if modifier else ()
        without = bool(modifier) and str(modifier.type).endswith("Without")
        parameter = None if tree.param is None else self._node(tree.param, depth)
        inner = self._node(tree.expr, depth)
        return ast.Aggregate(operator, inner, parameter, labels, without, place)

    def _binary(self, tree: Any, depth: int) -> Node:
        """`a + b + c` is as deep as it is long, to the left: a loop, no recursion."""
        chain = []
        while type(tree).__name__ == "BinaryExpr":
            chain.append(tree)
            tree = tree.lhs
        node = self._node(tree, depth)
        for each in reversed(chain):
            right = self._node(each.rhs, depth)
            modifier = each.modifier
            operator = str(each.op)
            matching = _matching_without(operator) if modifier is None else self._matching(modifier)
            returns_bool = modifier is not None and modifier.return_bool
            node = ast.Binary(operator, node, right, matching, returns_bool)
        return node

    def _matching(self, modifier: Any) -> Matching:
        matching = modifier.matching
        return Matching(
            _CARDINALITIES[str(modifier.card).rpartition(".")[2]],
            on=matching is not None and str(matching.type).endswith("Include"),
            labels=self._labels(matching.labels) if matching else (),
            include=self._labels(modifier.group_labels or ()),
        )

    def _labels(self, names: Collection[str]) -> tuple[str, ...]:
        found = tuple(map(self._scanned.string, names))
        if "" in found:
            raise InvalidInput('invalid label name for grouping: ""')
        return found

    def _check_function(self, name: str) -> None:
        if name in {"start", "end"}:
            raise InvalidInput('unexpected "("')
        if name in _LATER:
            raise InvalidInput(f'unknown function with name "{name}"')
        if name in _EXPERIMENTAL and EXPERIMENTAL_FUNCTIONS not in self._features:
            raise InvalidInput(f'function "{name}" is not enabled')

    # --- times ---------------------------------------------------------------------------------

    def _at(self, at: Any) -> int | Anchor | None:
        if at is None:
            return None
        kind = str(at.type).rpartition(".")[2]
        if kind in {"Start", "End"}:
            return Anchor(kind.lower())
        place: int = round(at.at.timestamp())
        return self._scanned.numerals[place - 1].moment_ms()

    def _length(self, length: timedelta | None) -> int:
        """The package reads number k as k seconds."""
        if not length:
            return 0
        seconds = round(length.total_seconds())
        found = self._scanned.numerals[abs(seconds) - 1].milliseconds()
        return found if seconds > 0 else -found

    def _positive(self, length: timedelta) -> int:
        numeral = self._scanned.numerals[round(length.total_seconds()) - 1]
        found = numeral.milliseconds()
        if numeral.value <= 0:
            raise InvalidInput("duration must be greater than 0")
        return found
