"""What a query is made of, read before the grammar sees it, so that no text can hurt.

    in   text of PromQL
    out  Scanned: the same query with every number, duration and string replaced by its place in
         a table, all brackets and operators counted

The grammar's package crashes on deep nesting, takes quadratic time, has its own ideas of
strings, numbers and times, and panics on some `@`. It therefore gets a text that is bounded and
holds only small whole numbers and short strings; what they stand for never passes through it.
The rules are those of Prometheus 3.5's lexer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown, unquote
from tsdb.promql.places import Places, Text, Token, places_of

__all__ = ["Numeral", "Scanned", "scan"]

NANOSECONDS_MAX = 2**63 - 1  # of a duration, as Go counts them: 292 years
NUMBER_DIGITS_MAX = 4_000  # Python refuses to read longer ones

_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\r\n]+ | \#[^\r\n]* )
    | (?P<number> (?: 0[xX][0-9a-fA-F_]+
                  | (?: \d[\d_]*(?:\.[\d_]*)? | \.\d[\d_]* ) (?: [eE][+-]?[\d_]+ )? ) (?![\w.]) )
    | (?P<duration> (?=\d) (?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?
                    (?<=\w) (?!\w) )
    | (?P<wrong> \.?\d[\w.]* )
    | (?P<word> [A-Za-z_:][\w:]* )
    | (?P<string> ["'`] )
    | (?P<symbol> == | != | =~ | !~ | <= | >= | [-+*/%^<>=(){}\[\],@] )
    """,
    re.VERBOSE | re.ASCII,
)
_LABEL_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_MISPLACED = re.compile(r"__|_$|_[.eE]|[.eE]_|[+-]_")
_OCTAL = re.compile(r"[0-7]{1,4000}")
_LENGTH = re.compile(r"(\d+)(ms|[ywdhms])")
_UNIT_MS = {
    "y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000,
    "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1,
}  # fmt: skip
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", "<=", ">=", "<", ">"})
_MATCHING = frozenset({"=", "!=", "=~", "!~"})
_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_OPENING = {"(": ")", "[": "]", "{": "}"}
_LISTED = frozenset({"on", "ignoring", "group_left", "group_right"})  # label lists before operands


@dataclass(slots=True)
class Numeral:
    """A number or a duration as written; `signs` are the unary ones right before it."""

    value: float
    as_duration_ms: int | None = None
    signs: int = 0
    place: str = ""  # line:column
    folded: bool = True  # the grammar makes one number of signs and numeral, but not in -2^2

    def milliseconds(self) -> int:
        """As the length of time it stands for; numbers count seconds."""
        if self.as_duration_ms is not None:
            return self.as_duration_ms
        if not abs(self.value) < NANOSECONDS_MAX / 1e9:
            raise InvalidInput("duration out of range")
        return int(_rounded(self.value * 1e9) / 1_000_000)

    def moment_ms(self) -> int:
        """As a time that stands after `@`."""
        if not abs(self.value) < NANOSECONDS_MAX:
            raise InvalidInput(f"timestamp out of bounds for @ modifier: {_spelled(self.value)}")
        # Beyond any time that a point can have; sums with offsets must not overflow.
        return max(-(2**61), min(2**61, _rounded(self.value * 1000)))


@dataclass(slots=True)
class Scanned:
    """`text` for the grammar: number k is `numerals[k - 1]`, string "#k" is `strings[k]`.

    Matchers all have `=` there, so that the grammar does not judge regexes and empty values;
    the operator of the matcher whose value is string k is `operators[k]`.
    """

    text: str = ""
    numerals: list[Numeral] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    operators: dict[int, str] = field(default_factory=dict)
    signs: list[str] = field(default_factory=list)  # unary + and -, as they stand in the text
    tokens: list[Token] = field(default_factory=list)
    places: Places = field(default_factory=Places)

    def string(self, name: str) -> str:
        """What a string or label name of the grammar's tree stands for."""
        return self.strings[int(name[1:])] if name.startswith("#") else name

    def operator(self, value: str) -> str:
        """Of the matcher that has this value in the grammar's tree."""
        return self.operators.get(int(value[1:]), "=")


def scan(text: str) -> Scanned:
    """Raises InvalidInput at the first thing that is no PromQL, LimitExceeded if there is too
    much of anything."""
    check_size(text)
    scanner = _Scanner(text)
    scanner.run()
    return scanner.found


def check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput("the query is not UTF-8") from None
    if size > limits.QUERY_BYTES_MAX:
        raise LimitExceeded(
            f"the query has {size:,} bytes", limit="QUERY_BYTES_MAX", value=limits.QUERY_BYTES_MAX
        )


class _Scanner:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        self.found = Scanned()
        self._text = text
        self._lines = Text(text)
        self._pieces: list[str] = []
        self._open: list[str] = []  # closing brackets that are awaited
        self._lists: list[int] = []  # depths at which the labels of `on (...)` stand
        self._operators = 0
        self._run = 0  # unary signs right before this place
        self._operand = False  # an operand has just ended, so that + is an operator
        self._last = ""
        self._at = 0  # where the token begins that is being read

    def run(self) -> None:
        text, position = self._text, 0
        while position < len(text):
            match = self._matched(position)
            kind, token = match.lastgroup, match[0]
            position = match.end()
            if kind == "space":
                continue
            self._check_room()
            self._at = match.start()
            self.found.tokens.append(Token(kind or "", token, self._at))
            if kind == "string":
                value, position = self._string(match.start())
                whole = text[self._at : position]
                self.found.tokens[-1] = Token(kind, whole, self._at)
                self._operand, self._run, self._last = True, 0, '"'
                self._pieces.append(value)
            elif kind in {"number", "duration"}:
                self._numeral(self._valued(token, match.start(), kind))
            elif kind == "word":
                self._word(token)
            else:
                self._symbol(token)
        self.found.text = " ".join(self._pieces)
        places_of(self._lines, self.found.tokens, self.found.places)

    def _check_room(self) -> None:
        if len(self._pieces) >= limits.QUERY_TOKENS_MAX:
            raise LimitExceeded(
                "the query has too many words and signs",
                limit="QUERY_TOKENS_MAX",
                value=limits.QUERY_TOKENS_MAX,
            )

    def _matched(self, position: int) -> re.Match[str]:
        text = self._text
        inside = self._open[-1] if self._open else ""
        if inside == "}":
            label = _LABEL_NAME.match(text, position)
            if label is not None:
                return _WORD.match(text, position) or label
        elif inside == "]" and text[position] == ":":
            return _COLON.match(text, position) or self._refused(position)
        match = _TOKEN.match(text, position)
        if match is None:
            return self._refused(position)
        if match.lastgroup == "wrong":
            raise self._error(position, f"bad number or duration syntax: {shown(match[0])}")
        return match

    def _refused(self, position: int) -> re.Match[str]:
        character = self._text[position]
        where = ""
        if character == "!" and position + 1 < len(self._text):
            where, character = " after '!'", self._text[position + 1]
        elif self._open and self._open[-1] == "}":
            where = " inside braces"
        raise self._error(position, f"unexpected character{where}: '{character}'")

    def _error(self, position: int, sentence: str) -> InvalidInput:
        return InvalidInput(f"{self._lines.place(position)}: parse error: {sentence}")

    # --- tokens --------------------------------------------------------------------------------

    def _string(self, position: int) -> tuple[str, int]:
        try:
            value, end = unquote(self._text, position)
        except InvalidInput as error:
            sentence = str(error)
            if sentence.startswith("string is never closed"):
                raw = self._text[position] == "`"
                sentence = f"unterminated {'raw' if raw else 'quoted'} string"
            raise self._error(position, sentence) from error
        place = len(self.found.strings)
        self.found.strings.append(value)
        self.found.places.strings.append(self._lines.place(position))
        if self._last in _MATCHING:
            self.found.operators[place] = self._last
        return f'"#{place}"', end

    def _valued(self, token: str, position: int, kind: str) -> Numeral:
        try:
            return _duration(token) if kind == "duration" else Numeral(_number(token))
        except InvalidInput as error:
            raise self._error(position, str(error)) from error

    def _numeral(self, numeral: Numeral) -> None:
        """`@ -5` becomes one number: what stands for it has no sign."""
        if self._last in {"@+", "@-"}:
            self._pieces.pop()
            if self._last == "@-":
                numeral.value = -numeral.value
                self._operators -= 1
        numeral.signs = self._run
        numeral.place = self._lines.place(self._at)
        self.found.numerals.append(numeral)
        self._pieces.append(str(len(self.found.numerals)))
        self._operand, self._run, self._last = True, 0, "#"

    def _word(self, token: str) -> None:
        lower = token.lower()
        inside = self._open[-1] if self._open else ""
        if inside != "}" and lower in {"inf", "nan"}:
            self._numeral(Numeral(float(lower)))
            return
        self._pieces.append(token)
        self._run = 0
        if inside == "}":
            self._last = token
            return
        after_operand, self._operand = self._operand, True
        self._last = lower
        if lower in _LISTED:
            self._operand = False
        elif lower in _WORD_OPERATORS and after_operand:
            self._count_operator()
            self._operand = False
        elif lower == "bool" and self._pieces[-2:-1] and self._pieces[-2] in _OPERATORS:
            self._operand = False
        elif lower == "offset" and after_operand:
            self._last = "offset "  # a keyword: what follows is a length, its sign no operator

    def _symbol(self, token: str) -> None:
        piece, last = token, self._last
        self._last = token
        if token in _OPENING:
            self._opened(token, last)
            self._operand = False
        elif token in ")]}":
            self._closed()
        elif token in _MATCHING and self._open and self._open[-1] == "}":
            piece = "="
            if last.lower() == "or":  # a label; the grammar thinks of its own extension
                self.found.strings.append(last)
                self.found.places.strings.append("")
                self._pieces[-1] = f'"#{len(self.found.strings) - 1}"'
        elif token in _OPERATORS and not (self._open and self._open[-1] in "}]"):
            piece = self._operator(token, last)
        else:
            self._operand = False
        if not (token in {"+", "-"} and piece == "-" and self._run):
            self._run = 0
        self._pieces.append(piece)

    def _opened(self, token: str, last: str) -> None:
        self._open.append(_OPENING[token])
        if token == "(" and last in _LISTED:
            self._lists.append(len(self._open))
        if len(self._open) > limits.QUERY_DEPTH_MAX:
            raise LimitExceeded(
                "the query's brackets are nested too deep",
                limit="QUERY_DEPTH_MAX",
                value=limits.QUERY_DEPTH_MAX,
            )

    def _closed(self) -> None:
        self._operand = True
        if self._lists and self._lists[-1] == len(self._open):
            self._lists.pop()
            self._operand = False
        if self._open:
            self._open.pop()

    def _operator(self, token: str, last: str) -> str:
        """Counted; a unary + is written as -, since the grammar forgets it."""
        self._count_operator()
        unary = token in {"+", "-"} and not self._operand
        if last in {"@", "offset "}:
            self._last = f"@{token}" if last == "@" else token
            return token
        if unary:
            self.found.signs.append(token)
            self.found.places.signs.append(self._lines.place(self._at))
            self._run += 1
            return "-"
        if token == "^" and last == "#":
            self.found.numerals[-1].folded = False
        self._operand = False
        return token

    def _count_operator(self) -> None:
        self._operators += 1
        if self._operators > limits.QUERY_OPERATORS_MAX:
            raise LimitExceeded(
                "the query has too many operators",
                limit="QUERY_OPERATORS_MAX",
                value=limits.QUERY_OPERATORS_MAX,
            )


_WORD = re.compile(r"(?P<word>[A-Za-z_]\w*)", re.ASCII)
_COLON = re.compile(r"(?P<symbol>:)")


def _number(token: str) -> float:
    """Go's ParseInt with any base, else its ParseFloat."""
    digits = token.replace("_", "")
    refused = InvalidInput(f"bad number or duration syntax: {shown(token)}")
    if digits[:2].lower() == "0x":
        if len(digits) == 2 or "__" in token or token[-1] == "_":
            raise refused
        if len(digits) > NUMBER_DIGITS_MAX or int(digits, 16) >= 2**63:
            raise InvalidInput(f"error parsing number: {shown(token)}: value out of range")
        return float(int(digits, 16))
    if _MISPLACED.search(token):
        raise refused
    if digits[0] == "0" and _OCTAL.fullmatch(digits):
        whole = int(digits, 8)
        if whole < 2**63:
            return float(whole)
    value = float(digits)
    if math.isinf(value):
        raise InvalidInput(f"error parsing number: {shown(token)}: value out of range")
    return value


def _duration(token: str) -> Numeral:
    if len(token) > NUMBER_DIGITS_MAX:
        raise InvalidInput("duration out of range")
    length = sum(int(count) * _UNIT_MS[unit] for count, unit in _LENGTH.findall(token))
    if length * 1_000_000 > NANOSECONDS_MAX:
        raise InvalidInput("duration out of range")
    return Numeral(length / 1000, length)


def _rounded(value: float) -> int:
    """To the nearest whole number, halves away from zero, as Go's math.Round."""
    whole = math.trunc(value)
    return whole + (int(math.copysign(1, value)) if abs(value - whole) >= 0.5 else 0)


def _spelled(value: float) -> str:
    """As Go's %f."""
    if math.isnan(value):
        return "NaN"
    return f"{value:f}" if math.isfinite(value) else f"{value:+}".title()
