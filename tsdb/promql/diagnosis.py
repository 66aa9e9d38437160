"""Where a query that was refused goes wrong, and in which words Prometheus says so.

    in   the text, its tokens, the sentence of whoever refused it
    out  `line:column: parse error: sentence`; without a place where none is known

Runs only after a refusal: the grammar's package says neither where nor, of most mistakes, what. The
tokens are read again, by precedence, into parts that know their start and type. A mistake of
grammar is met on the way; of what the parts mean, the sentence says what to look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tsdb.index.quoting import quote
from tsdb.promql.ast import SCALAR_FUNCTIONS
from tsdb.promql.places import Token

__all__ = ["Part", "Wrong", "read"]

SCALAR, STRING, VECTOR, RANGE = "scalar", "string", "instant vector", "range vector"
LEVELS = {
    "or": 1, "and": 2, "unless": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
COMPARING = frozenset({"==", "!=", "<", "<=", ">", ">="})
SIGNS = frozenset({"+", "-"})
AGGREGATIONS = frozenset({
    "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min",
    "quantile", "stddev", "stdvar", "sum", "topk",
})  # fmt: skip
NEVER_NAMES = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "on"})
KEYWORDS = NEVER_NAMES | {"by", "offset", "without", "start", "end"}
MATCHING = frozenset({"=", "!=", "=~", "!~"})
IN_BRACES = "label matching"
SHOWN_MAX = 10  # characters of a token that are repeated
PRECEDED = "modifier must be preceded by an instant vector selector or range vector selector or"


class Wrong(Exception):
    """A mistake of grammar, and the character at which it is."""

    def __init__(self, at: int, sentence: str) -> None:
        super().__init__(sentence)
        self.at = at
        self.sentence = sentence


@dataclass(slots=True)
class Part:
    """A node, as far as its start and type go."""

    kind: str  # number, string, selector, range, subquery, call, aggregate, binary, unary, group
    type: str
    start: int
    name: str = ""  # of a function, aggregation or operator
    inner: list[Part] = field(default_factory=list)
    at: int = 0  # of the operator
    words: frozenset[str] = frozenset()  # bool, on, ignoring, group_left, offset, @ ...
    shared: tuple[str, ...] = ()  # labels of both on() and group_left()
    empty: int | None = None  # where a label without a name stands


def read(text: str, tokens: Sequence[Token]) -> Part:
    """Raises Wrong."""
    return _Reader(text, tokens).whole()


class _Reader:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self._end = Token("end", "", len(text))
        self._tokens = tokens
        self._at = 0
        self._depth = 0  # of parentheses
        self._empty: int | None = None

    def whole(self) -> Part:
        if not self._tokens:
            raise Wrong(-1 if self._end.start == 0 else 0, "no expression found in input")
        found = self._expression(1)
        if self._peek().kind != "end":
            raise self._unexpected()
        return found

    # --- tokens --------------------------------------------------------------------------------

    def _peek(self, ahead: int = 0) -> Token:
        at = self._at + ahead
        token = self._tokens[at] if at < len(self._tokens) else self._end
        if ahead == 0:
            self._check(token)
        return token

    def _check(self, token: Token) -> None:
        """What no grammar could take, whatever is expected."""
        if token.kind == "end" and self._depth:
            raise Wrong(token.start, "unclosed left parenthesis")
        if token.text == ")" and not self._depth:
            raise Wrong(token.start + 1, "unexpected right parenthesis ')'")
        if token.text == "]":
            raise Wrong(token.start, "unexpected right bracket ']'")
        if token.text in {"=~", "!~"}:
            raise Wrong(token.start, f"unexpected character after '{token.text[0]}': '~'")
        if token.text == "}":
            raise Wrong(token.start, "unexpected character: '}'")

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        self._depth += {"(": 1, ")": -1}.get(token.text, 0)
        return token

    def _is(self, *texts: str) -> bool:
        token = self._peek()
        return token.kind != "string" and token.text.lower() in texts

    def _unexpected(self, context: str = "", expected: str = "") -> Wrong:
        token = self._peek_at()
        said = _described(token)
        if context == IN_BRACES and token.kind == "word":  # where no word is a keyword
            said = f"identifier {quote(token.text)}"
        sentence = f"unexpected {said}"
        sentence += f" in {context}" if context else ""
        sentence += f", expected {expected}" if expected else ""
        return Wrong(token.start, sentence)

    # --- expressions ---------------------------------------------------------------------------

    def _expression(self, level: int) -> Part:
        left = self._operand()
        while (found := LEVELS.get(self._peek().text.lower(), 0)) >= level:
            operator = self._next()
            words, shared = self._modifiers()
            name = operator.text.lower()
            right = self._expression(found if name == "^" else found + 1)
            both = left.type == right.type == SCALAR
            left = Part(
                "binary", SCALAR if both else VECTOR, left.start, name, [left, right],
                operator.start, words, shared,
            )  # fmt: skip
        return left

    def _modifiers(self) -> tuple[frozenset[str], tuple[str, ...]]:
        words: set[str] = set()
        lists: list[set[str]] = []
        if self._is("bool"):
            words.add(self._next().text.lower())
        if self._is("on", "ignoring"):
            words.add(self._next().text.lower())
            lists.append(self._labels())
            if self._is("group_left", "group_right"):
                words.add(self._next().text.lower())
                lists.append(self._labels() if self._is("(") else set())
        shared = sorted(lists[0] & lists[1]) if "on" in words and len(lists) > 1 else ()
        return frozenset(words), tuple(shared)

    def _operand(self) -> Part:
        signs = []
        while self._is(*SIGNS):
            signs.append(self._next())
        if not signs:
            return self._followed(self._primary())
        inner = self._expression(LEVELS["^"])
        return Part("unary", inner.type, signs[0].start, signs[0].text, [inner])

    def _primary(self) -> Part:
        token = self._peek()
        word = token.text.lower()
        if token.kind in {"number", "duration"} or (
            token.kind == "word" and word in {"inf", "nan"}
        ):
            return Part("number", SCALAR, self._next().start)
        if token.kind == "string":
            return Part("string", STRING, self._next().start)
        if token.text == "(":
            self._next()
            inner = self._expression(1)
            self._close()
            return Part("group", inner.type, token.start, inner=[inner])
        if token.text == "{":
            self._braces()
            return Part("selector", VECTOR, token.start)
        if token.kind != "word" or word in NEVER_NAMES:
            raise self._unexpected()
        following = self._peek(1).text.lower()
        if word in AGGREGATIONS and following in {"(", "by", "without"}:
            return self._aggregate()
        if following == "(" and word not in KEYWORDS | LEVELS.keys():
            self._next()
            kind = SCALAR if word in SCALAR_FUNCTIONS else VECTOR
            return Part("call", kind, token.start, token.text, self._arguments())
        self._next()
        named = Part("selector", VECTOR, token.start, token.text)
        if self._is("{"):
            named.words = frozenset({"{"})
            self._braces()
        return named

    def _close(self, context: str = "") -> None:
        if not self._is(")"):
            raise self._unexpected(context)
        self._next()

    def _arguments(self, context: str = "") -> list[Part]:
        self._next()
        found: list[Part] = []
        while not (self._is(")") and not found):
            found.append(self._expression(1))
            if not self._is(","):
                break
            comma = self._next()
            if self._is(")"):
                raise Wrong(comma.start, "trailing commas not allowed in function call args")
        self._close(context)
        return found

    def _aggregate(self) -> Part:
        token = self._next()
        self._empty = None
        grouped = self._is("by", "without")
        if grouped:
            self._next()
            self._labels()
            if not self._is("("):
                raise self._unexpected("aggregation")
        inner = self._arguments("aggregation")
        if not grouped and self._is("by", "without"):
            self._next()
            self._labels()
        return Part("aggregate", VECTOR, token.start, token.text.lower(), inner, empty=self._empty)

    def _labels(self) -> set[str]:
        context = "grouping opts"
        if not self._is("("):
            raise self._unexpected(context, '"("')
        self._next()
        found: set[str] = set()
        while not self._is(")"):
            label = self._peek()
            if label.kind not in {"word", "string"}:
                raise self._unexpected(context, "label")
            if label.kind == "string" and len(label.text) == len('""'):
                self._empty = label.start
            found.add(self._next().text)
            if self._is(","):
                self._next()
            elif not self._is(")"):
                raise self._unexpected(context, '"," or ")"')
        self._next()
        return found

    # --- selectors -----------------------------------------------------------------------------

    def _braces(self) -> None:
        context = IN_BRACES
        self._at += 1
        while (token := self._inside_braces()).text != "}":
            if token.kind not in {"word", "string"}:
                raise self._unexpected(context, 'identifier or "}"')
            self._at += 1
            operator = self._inside_braces()
            if operator.text == "==":
                raise Wrong(operator.start + 1, f'unexpected "=" in {context}, expected string')
            if operator.text in MATCHING:
                self._at += 1
                if self._inside_braces().kind != "string":
                    raise self._unexpected(context, "string")
                self._at += 1
            elif token.kind == "word":
                raise self._unexpected(context, "label matching operator")
            if self._inside_braces().text == ",":
                self._at += 1
            elif self._inside_braces().text != "}":
                raise self._unexpected(context, '"," or "}"')
        self._at += 1

    def _inside_braces(self) -> Token:
        token = self._peek_at()
        if token.kind == "end":
            raise Wrong(token.start, "unexpected end of input inside braces")
        known = token.kind in {"word", "string"} or token.text in MATCHING | {",", "}", "=="}
        if not known:
            raise Wrong(token.start, f"unexpected character inside braces: '{token.text[:1]}'")
        return token

    def _peek_at(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _followed(self, part: Part) -> Part:
        """With what may stand behind it: a range, an offset, a moment."""
        while True:
            if self._is("["):
                part = self._range(part)
            elif self._is("offset"):
                self._next()
                self._length("offset", "number or duration")
                part = self._modified(part, "offset", "offset may not")
            elif self._is("@"):
                self._next()
                if self._is("start", "end"):
                    self._next()
                    for bracket in "()":
                        if not self._is(bracket):
                            raise self._unexpected("@", "timestamp")
                        self._next()
                else:
                    self._length("@", "timestamp")
                part = self._modified(part, "@", "@ <timestamp> may not")
            else:
                return part

    def _length(self, context: str, expected: str) -> None:
        if self._is(*SIGNS):
            self._next()
        token = self._peek()
        if token.kind not in {"number", "duration"} and token.text.lower() not in {"inf", "nan"}:
            raise self._unexpected(context, expected)
        self._next()

    def _modified(self, part: Part, word: str, twice: str) -> Part:
        if part.kind not in {"selector", "range", "subquery"}:
            raise Wrong(part.start, f"{word} {PRECEDED} a subquery")
        if word in part.words:
            raise Wrong(part.start, f"{twice} be set multiple times")
        part.words |= {word}
        return part

    def _range(self, part: Part) -> Part:
        opened = self._next()
        inside: list[Token] = []
        while (token := self._peek_at()).text != "]":
            self._check_inside_range(token, inside)
            inside.append(token)
            self._at += 1
        self._at += 1
        colons = [each for each in inside if each.text == ":"]
        nothing = [each for each in inside if _is_nothing(each)]
        if nothing:
            raise Wrong(nothing[0].start, "duration must be greater than 0")
        if colons:
            return Part("subquery", RANGE, part.start, inner=[part])
        if part.kind != "selector" or part.words & {"offset", "@"}:
            raise Wrong(opened.start, "ranges only allowed for vector selectors")
        return Part("range", RANGE, part.start, inner=[part])

    def _check_inside_range(self, token: Token, before: list[Token]) -> None:
        where = "in duration expression"
        lengths = {"number", "duration"}
        if token.kind == "end":
            said = "unclosed left bracket" if before else f"unexpected end of input {where}"
        elif token.kind in {"word", "string"}:
            said = f"unexpected character {where}: '{token.text[0]}'"
        elif token.text == ":" and not before:
            said = f"unexpected colon before duration {where}"
        elif token.text == ":" and any(each.text == ":" for each in before):
            said = "unexpected colon ':'"
        elif token.kind in lengths and before and before[-1].kind in lengths:
            raise self._unexpected("subquery or range", '":" or "]"')
        else:
            return
        raise Wrong(token.start, said)


def _is_nothing(token: Token) -> bool:
    """A length of zero, or a sign before one."""
    if token.text == "-":
        return True
    return token.kind in {"number", "duration"} and not any(c in "123456789" for c in token.text)


def _described(token: Token) -> str:
    """A token in Prometheus' words."""
    word = token.text.lower()
    if token.kind == "end":
        return "end of input"
    if token.kind in {"number", "duration", "string"}:
        return f"{token.kind} {_cut(token.text)}"
    if token.kind == "word":
        if word in {"inf", "nan"}:
            return f"number {quote(token.text)}"
        if word in AGGREGATIONS:
            return f"<aggr:{word}>"
        if word in LEVELS:
            return f"<op:{word}>"
        if word in KEYWORDS:
            return f"<{word}>"
        return f"{'metric ' if ':' in token.text else ''}identifier {quote(token.text)}"
    if token.text in LEVELS or token.text in MATCHING - {"="} or token.text == "@":
        return f"<op:{token.text}>"
    return quote(token.text)


def _cut(text: str) -> str:
    return quote(text) if len(text) <= SHOWN_MAX else f"{quote(text[:SHOWN_MAX])}..."
