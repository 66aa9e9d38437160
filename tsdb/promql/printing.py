"""A tree as text and as JSON, character for character what Prometheus 3.5 makes of it.

    in   a node
    out  `text`: one line; `pretty`: at most 100 bytes a line where the tree can be broken;
         `described`: the object that /api/v1/parse_query answers

Whoever formats a query twice gets the same text. Odd habits are Prometheus': a subquery that fits
loses its indentation, label names of `on` stay bare where those of `by` are quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeAlias

from tsdb.index.matchers import Matcher
from tsdb.index.quoting import is_label_name
from tsdb.promql import ast
from tsdb.promql.ast import Anchor, Cardinality, Matching, Node, Type, type_of

__all__ = ["described", "pretty", "text"]

LINE_BYTES_MAX = 100

Json: TypeAlias = str | int | bool | list["Json"] | dict[str, "Json"] | None

_SPECIAL = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_UNPLAIN = re.compile(r"[^ !#-\[\]-~]")
_UNITS = (
    ("y", 365 * 86_400_000, True), ("w", 7 * 86_400_000, True), ("d", 86_400_000, False),
    ("h", 3_600_000, False), ("m", 60_000, False), ("s", 1000, False), ("ms", 1, False),
)  # fmt: skip


def text(node: Node) -> str:
    """On one line."""
    return _Lines().of(node)


def pretty(node: Node) -> str:
    """As /api/v1/format_query answers."""
    return _Lines().broken(node, 0)


class _Lines:
    """The one-line text of each node is asked for at every level above it, so it is kept."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, node: Node) -> str:
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._made(node)
        return known

    def _made(self, node: Node) -> str:
        match node:
            case ast.Number(value, is_duration):
                return _length(round(value * 1000)) if is_duration else _number(value)
            case ast.Text(value):
                return _quoted(value)
            case ast.InstantSelector():
                return _selector(node, "")
            case ast.RangeSelector(selector, range_ms):
                return _selector(selector, f"[{_length(range_ms)}]")
            case ast.Subquery(inner):
                return self.of(inner) + _suffix(node)
            case ast.Call(function, arguments):
                return f"{function}({', '.join(map(self.of, arguments))})"
            case ast.Aggregate(_, inner, parameter):
                held = self.of(inner)
                if parameter is not None:
                    held = f"{self.of(parameter)}, {held}"
                return f"{_aggregation(node)}({held})"
            case ast.Unary(operator, inner):
                return operator + self.of(inner)
            case ast.Parenthesised(inner):
                return f"({self.of(inner)})"
            case ast.Binary():
                return self._chain(node)

    def _chain(self, node: ast.Binary) -> str:
        """From the left, since a sum of hundreds is as deep as it is long."""
        first, chain = _spine(node)
        found = self.of(first)
        for each in chain:
            found = f"{found} {_operator(each)} {self.of(each.right)}"
            self._known[id(each)] = found
        return found

    def broken(self, node: Node, level: int) -> str:
        """Over several lines where one is too long."""
        indent = "  " * level
        if isinstance(node, ast.Unary):
            return f"{indent}{node.operator}{self.broken(node.inner, level).strip()}"
        short = len(self.of(node).encode()) <= LINE_BYTES_MAX
        match node:
            case ast.Subquery(inner):
                return self.of(node) if short else self.broken(inner, level) + _suffix(node)
            case ast.Call(function, arguments) if not short:
                held = ",\n".join(self.broken(each, level + 1) for each in arguments)
                return f"{indent}{function}(\n{held}\n{indent})"
            case ast.Aggregate(_, inner, parameter) if not short:
                held = self.broken(inner, level + 1)
                if parameter is not None:
                    held = f"{self.broken(parameter, level + 1)},\n{held}"
                return f"{indent}{_aggregation(node)}(\n{held}\n{indent})"
            case ast.Parenthesised(inner) if not short:
                return f"{indent}(\n{self.broken(inner, level + 1)}\n{indent})"
            case ast.Binary() if not short:
                return self._broken_chain(node, level)
            case _:
                return indent + self.of(node)

    def _broken_chain(self, node: ast.Binary, level: int) -> str:
        """Each operator on its own line; what stands left of it is a level deeper."""
        below: list[str] = []
        left: Node = node
        while isinstance(left, ast.Binary) and len(self.of(left).encode()) > LINE_BYTES_MAX:
            right = self.broken(left.right, level + 1)
            below.append(f"{'  ' * level}{_operator(left)}\n{right}")
            left, level = left.left, level + 1
        return "\n".join([self.broken(left, level), *reversed(below)])


def _spine(node: ast.Binary) -> tuple[Node, list[ast.Binary]]:
    """The leftmost operand of a chain, and its operators from the left."""
    chain = [node]
    while isinstance(left := chain[-1].left, ast.Binary):
        chain.append(left)
    return left, chain[::-1]


def _aggregation(node: ast.Aggregate) -> str:
    if node.without:
        return f"{node.operator} without ({_names(node.labels)}) "
    return f"{node.operator} by ({_names(node.labels)}) " if node.labels else node.operator


def _operator(node: ast.Binary) -> str:
    said = node.operator + (" bool" if node.returns_bool else "")
    matching = node.matching
    if not (matching.on or matching.labels):
        return said
    said += f" {'on' if matching.on else 'ignoring'} ({', '.join(matching.labels)})"
    side = {Cardinality.MANY_TO_ONE: "left", Cardinality.ONE_TO_MANY: "right"}
    if matching.cardinality in side:
        included = ", ".join(matching.include)
        said += f" group_{side[matching.cardinality]} ({included})"
    return said


def _selector(node: ast.InstantSelector, range_: str) -> str:
    name, matchers = _name(node), node.matchers[1:] if node.named else node.matchers
    held = ",".join(sorted(f"{_label(m.name)}{m.op}{_quoted(m.value)}" for m in matchers))
    return f"{name}{f'{{{held}}}' if held else ''}{range_}{_moved(node)}"


def _name(node: ast.InstantSelector) -> str:
    return node.matchers[0].value if node.named else ""


def _suffix(node: ast.Subquery) -> str:
    step = "" if node.step_ms is None else _length(node.step_ms)
    return f"[{_length(node.range_ms)}:{step}]{_moved(node)}"


def _moved(node: ast.InstantSelector | ast.Subquery) -> str:
    said = ""
    if isinstance(node.at, Anchor):
        said = f" @ {node.at}()"
    elif node.at is not None:
        said = f" @ {node.at / 1000:.3f}"
    if node.offset_ms:
        sign = "-" if node.offset_ms < 0 else ""
        said += f" offset {sign}{_length(abs(node.offset_ms))}"
    return said


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_label, names))


def _label(name: str) -> str:
    return name if is_label_name(name) else _quoted(name)


def _length(length_ms: int) -> str:
    """Years and weeks only where nothing is left over."""
    if length_ms <= 0:
        return f"-{_length(-length_ms)}" if length_ms else "0s"
    said = ""
    for unit, unit_ms, whole in _UNITS:
        if whole and length_ms % unit_ms:
            continue
        count, length_ms = divmod(length_ms, unit_ms)
        if count:
            said += f"{count}{unit}"
    return said


def _number(value: float) -> str:
    """All digits that tell it from its neighbours, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _quoted(value: str) -> str:
    """As Go's %q."""
    return f'"{_UNPLAIN.sub(lambda found: _escaped(found[0]), value)}"'


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# --- JSON ------------------------------------------------------------------------------------

_VECTOR, _MATRIX, _SCALAR, _STRING = "vector", "matrix", "scalar", "string"


def _signatures() -> Mapping[str, tuple[list[str], int, str]]:
    """Argument types, how many more or fewer there may be, type of the answer."""
    groups: list[tuple[str, list[str], int]] = [
        (
            "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase "
            "irate last_over_time mad_over_time max_over_time min_over_time present_over_time rate "
            "resets stddev_over_time stdvar_over_time sum_over_time ts_of_last_over_time "
            "ts_of_max_over_time ts_of_min_over_time",
            [_MATRIX],
            0,
        ),
        ("day_of_month day_of_week day_of_year days_in_month hour minute month year", [_VECTOR], 1),
        ("clamp", [_VECTOR, _SCALAR, _SCALAR], 0),
        ("clamp_max clamp_min", [_VECTOR, _SCALAR], 0),
        ("double_exponential_smoothing", [_MATRIX, _SCALAR, _SCALAR], 0),
        ("histogram_fraction", [_SCALAR, _SCALAR, _VECTOR], 0),
        ("histogram_quantile", [_SCALAR, _VECTOR], 0),
        ("info", [_VECTOR, _VECTOR], 1),
        ("label_join", [_VECTOR, _STRING, _STRING, _STRING], -1),
        ("label_replace", [_VECTOR, _STRING, _STRING, _STRING, _STRING], 0),
        ("pi time", [], 0),
        ("predict_linear", [_MATRIX, _SCALAR], 0),
        ("quantile_over_time", [_SCALAR, _MATRIX], 0),
        ("round", [_VECTOR, _SCALAR], 1),
        ("sort_by_label sort_by_label_desc", [_VECTOR, _STRING], -1),
        ("vector", [_SCALAR], 0),
    ]
    return {
        name: (types, variadic, _SCALAR if name in ast.SCALAR_FUNCTIONS else _VECTOR)
        for names, types, variadic in groups
        for name in names.split()
    }


_SIGNATURES = _signatures()  # of all others: ([vector], 0, vector)


def described(node: Node) -> dict[str, Json]:
    """As /api/v1/parse_query answers."""
    match node:
        case ast.Number(value):
            return {"type": "numberLiteral", "val": _number(value)}
        case ast.Text(value):
            return {"type": "stringLiteral", "val": value}
        case ast.InstantSelector():
            return {"type": "vectorSelector", **_selected(node)}
        case ast.RangeSelector(selector, range_ms):
            return {"type": "matrixSelector", "range": range_ms, **_selected(selector)}
        case ast.Subquery(inner, range_ms, step_ms):
            window: dict[str, Json] = {"range": range_ms, "step": step_ms or 0}
            return {"type": "subquery", "expr": described(inner), **window, **_times(node)}
        case ast.Call(function, arguments):
            return {
                "type": "call",
                "func": _function(function),
                "args": [described(each) for each in arguments],
            }
        case ast.Aggregate(operator, inner, parameter, labels, without):
            return {
                "type": "aggregation",
                "op": operator,
                "expr": described(inner),
                "param": None if parameter is None else described(parameter),
                "grouping": list(labels),
                "without": without,
            }
        case ast.Unary(operator, inner):
            return {"type": "unaryExpr", "op": operator, "expr": described(inner)}
        case ast.Parenthesised(inner):
            return {"type": "parenExpr", "expr": described(inner)}
        case ast.Binary():
            return _binary(node)


def _binary(node: ast.Binary) -> dict[str, Json]:
    first, chain = _spine(node)
    found, kind = described(first), type_of(first)
    for each in chain:
        right = type_of(each.right)
        found = {
            "type": "binaryExpr",
            "op": each.operator,
            "lhs": found,
            "rhs": described(each.right),
            "matching": _matched(each.matching) if kind is right is Type.VECTOR else None,
            "bool": each.returns_bool,
        }
        kind = kind if kind is right else Type.VECTOR
    return found


def _matched(matching: Matching) -> Json:
    return {
        "card": str(matching.cardinality),
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
    }


def _function(name: str) -> Json:
    types, variadic, returned = _SIGNATURES.get(
        name, ([_VECTOR], 0, _SCALAR if name in ast.SCALAR_FUNCTIONS else _VECTOR)
    )
    return {"name": name, "argTypes": list(types), "variadic": variadic, "returnType": returned}


def _selected(node: ast.InstantSelector) -> dict[str, Json]:
    matchers = (*node.matchers[1:], node.matchers[0]) if node.named else node.matchers
    return {"name": _name(node), "matchers": [_matcher(m) for m in matchers], **_times(node)}


def _matcher(matcher: Matcher) -> Json:
    return {"name": matcher.name, "type": str(matcher.op), "value": matcher.value}


def _times(node: ast.InstantSelector | ast.Subquery) -> dict[str, Json]:
    anchored = isinstance(node.at, Anchor)
    return {
        "offset": node.offset_ms,
        "timestamp": None if anchored else node.at,
        "startOrEnd": str(node.at) if anchored else None,
    }
