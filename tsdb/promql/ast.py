"""The tree of a query: what was asked, without how it was written.

    in   made by `tsdb.promql.parse`
    out  immutable nodes that compare and hash by content; `type_of` says what a node gives

Times are milliseconds. Nodes are equal exactly if they mean the same, so an evaluation can
compute a subtree once that stands in a query twice; where they stand does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from struct import pack
from typing import TypeAlias

from tsdb.index.matchers import Matcher

__all__ = [
    "Aggregate",
    "Anchor",
    "Binary",
    "Call",
    "Cardinality",
    "InstantSelector",
    "Matching",
    "Node",
    "Number",
    "Parenthesised",
    "RangeSelector",
    "Subquery",
    "Text",
    "Type",
    "Unary",
    "children",
    "counterpart",
    "nodes_of",
    "place_of",
    "type_of",
    "unwrapped",
]


class Type(StrEnum):
    """What a node gives; the words of Prometheus' API."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "vector"
    MATRIX = "matrix"


class Anchor(StrEnum):
    """Where `@` may stand besides a time: the start or end of the whole query."""

    START = "start"
    END = "end"


class Cardinality(StrEnum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"  # group_left
    ONE_TO_MANY = "one-to-many"  # group_right
    MANY_TO_MANY = "many-to-many"  # and, or, unless


class _Inner:
    """A node with nodes inside: hashed once, when made, so that looking up stays cheap."""

    __slots__ = ("_hash",)
    _hash: int

    def __post_init__(self) -> None:
        named = [each.name for each in fields(self) if each.compare]  # type: ignore[arg-type]
        held = [getattr(self, name) for name in named]
        object.__setattr__(self, "_hash", hash((type(self), *held)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """Equal by bits: 1/0 is not 1/-0, and NaN is NaN."""

    value: float
    is_duration: bool = False  # written as `5m`; means the same as 300
    place: str = field(default="", compare=False)  # line:column where it begins

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and pack("d", self.value) == pack("d", other.value)

    def __hash__(self) -> int:
        return hash(pack("d", self.value))


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    place: str = field(default="", compare=False)  # line:column where it begins


@dataclass(frozen=True, slots=True)
class InstantSelector:
    """`name{matchers} offset .. @ ..`; a metric name written outside is among the matchers."""

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: int | Anchor | None = None
    named: bool = field(default=False, compare=False)  # the name stood before the braces: first
    place: str = field(default="", compare=False)  # line:column where it begins


@dataclass(frozen=True, slots=True)
class RangeSelector(_Inner):
    selector: InstantSelector
    range_ms: int

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Subquery(_Inner):
    """`inner[range:step]`; step None is the default evaluation interval."""

    inner: Node
    range_ms: int
    step_ms: int | None
    offset_ms: int = 0
    at: int | Anchor | None = None

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Call(_Inner):
    function: str
    arguments: tuple[Node, ...]
    place: str = field(default="", compare=False)  # line:column where it begins

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Aggregate(_Inner):
    """`operator by|without (labels) (parameter, inner)`; no clause is `by ()`."""

    operator: str
    inner: Node
    parameter: Node | None = None
    labels: tuple[str, ...] = ()
    without: bool = False
    place: str = field(default="", compare=False)  # line:column where it begins

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Matching:
    """How series of two sides find each other; `include` are the labels of group_left(...)."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary(_Inner):
    """`left operator right`; `matching` counts where both sides are vectors."""

    operator: str
    left: Node
    right: Node
    matching: Matching = Matching()
    returns_bool: bool = False

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Unary(_Inner):
    operator: str  # + or -
    inner: Node
    place: str = field(default="", compare=False)  # line:column where it begins

    __hash__ = _Inner.__hash__


@dataclass(frozen=True, slots=True)
class Parenthesised(_Inner):
    inner: Node
    place: str = field(default="", compare=False)  # line:column where it begins

    __hash__ = _Inner.__hash__


Node: TypeAlias = (
    Number
    | Text
    | InstantSelector
    | RangeSelector
    | Subquery
    | Call
    | Aggregate
    | Binary
    | Unary
    | Parenthesised
)

# Functions whose value is a scalar; all others give a vector.
SCALAR_FUNCTIONS = frozenset({"pi", "scalar", "time"})


def type_of(node: Node) -> Type:
    match node:
        case Number():
            return Type.SCALAR
        case Text():
            return Type.STRING
        case RangeSelector() | Subquery():
            return Type.MATRIX
        case Call(function):
            return Type.SCALAR if function in SCALAR_FUNCTIONS else Type.VECTOR
        case Binary(_, left, right):
            both_scalar = type_of(left) == type_of(right) == Type.SCALAR
            return Type.SCALAR if both_scalar else Type.VECTOR
        case Unary(_, inner) | Parenthesised(inner):
            return type_of(inner)
        case _:
            return Type.VECTOR


def children(node: Node) -> Iterator[Node]:
    match node:
        case RangeSelector(selector):
            yield selector
        case Subquery(inner) | Unary(_, inner) | Parenthesised(inner):
            yield inner
        case Call(_, arguments):
            yield from arguments
        case Aggregate(_, inner, parameter):
            if parameter is not None:
                yield parameter
            yield inner
        case Binary(_, left, right):
            yield left
            yield right
        case _:
            return


def nodes_of(node: Node) -> list[Node]:
    """A node and all below it; in the same order for nodes that are equal."""
    found, waiting = [], [node]
    while waiting:
        found.append(waiting.pop())
        waiting += children(found[-1])
    return found


def counterpart(part: Node, first: Node, second: Node) -> Node:
    """What `part` of the first of two equal nodes is in the second."""
    pairs = zip(nodes_of(first), nodes_of(second), strict=True)
    return next((theirs for mine, theirs in pairs if mine is part), part)


def place_of(node: Node) -> str:
    """Line and column at which a node begins in its text; nothing where that is not known."""
    while True:
        match node:
            case RangeSelector(selector):
                return selector.place
            case Subquery(inner):
                node = inner
            case Binary(_, left):
                node = left
            case _:
                return node.place


def unwrapped(node: Node) -> Node:
    """Without the parentheses around it."""
    while isinstance(node, Parenthesised):
        node = node.inner
    return node
