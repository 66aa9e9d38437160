"""Templates of labels and annotations: the part of Go's text/template that rule files use.

    in   text with {{ actions }}
    out  Template; `expand` with the values of one alert gives text

Pipelines, variables, `if`/`else`, `range`, `with`, comments, trimming dashes, and the functions of
`api.rules.template_functions`. What is wrong with a template is told when it is parsed; what goes
wrong while it runs stands in the text it gives, as in Prometheus.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from tsdb.errors import InvalidInput

__all__ = ["Field", "Template", "TemplateError", "parse"]

OUTPUT_BYTES_MAX = 1 << 20
STEPS_MAX = 100_000
_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.S)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d++\.?\d*(?:[eE][+-]?\d+)?|\.\d+))
    |(?P<path>\$?[A-Za-z_]\w*(?:\.\w+)*|\$(?:\.\w+)*|(?:\.\w+)+|\.)
    |(?P<sign>:=|[|(),=]))""",
    re.X,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{3}|.)", re.S)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WORDS = {"true": True, "false": False, "nil": None}


class TemplateError(Exception):
    """Something a template does cannot be done; the text shows it."""


class Field:
    """A value with fields that templates may read: `{{ .Labels }}`."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Command:
    """A function or value and its arguments; each is a literal, a path or a pipeline."""

    words: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """`$name.a.b` or `.a.b`; the root is "" for the dot."""

    root: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Command, ...]
    names: tuple[str, ...] = ()  # variables that take its value
    declares: bool = False


@dataclass(slots=True)
class Branch:
    """`if`, `range` or `with`, and what stands between it and its end."""

    kind: str
    pipeline: Pipeline
    body: list[Any]
    otherwise: list[Any]


class Template:
    """Parsed once, expanded for every alert."""

    def __init__(self, parts: list[Any]) -> None:
        self._parts = parts

    def expand(
        self, dot: Any, variables: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
    ) -> str:
        """The text. Raises TemplateError."""
        run = _Run(dict(variables), functions)
        return "".join(run.texts(self._parts, dot))


@lru_cache(1024)
def parse(text: str) -> Template:
    """Raises InvalidInput saying what is wrong."""
    parts = _Parser(text)
    body, ended_by = parts.body()
    if ended_by:
        raise InvalidInput(f"unexpected {{{{{ended_by}}}}} in the template")
    return Template(body)


class _Parser:
    def __init__(self, text: str) -> None:
        self._pieces = list(_pieces(text))
        self._at = 0

    def body(self) -> tuple[list[Any], str]:
        """Parts up to an `end` or `else`, and which of them it was; "" is the end of the text."""
        parts: list[Any] = []
        while self._at < len(self._pieces):
            kind, content = self._pieces[self._at]
            self._at += 1
            if kind == "text":
                parts.append(content)
                continue
            word = content.split(maxsplit=1)[0] if content else ""
            if word in {"end", "else"}:
                return parts, content
            if word in {"if", "range", "with"}:
                parts.append(self._branch(word, content[len(word) :]))
            elif word in {"define", "template", "block", "break", "continue"}:
                raise InvalidInput(f"{{{{{word}}}}} is not supported in templates of rules")
            else:
                parts.append(_Words(content).pipeline())
        return parts, ""

    def _branch(self, kind: str, condition: str) -> Branch:
        pipeline = _Words(condition).pipeline()
        body, ended_by = self.body()
        otherwise: list[Any] = []
        if ended_by.startswith("else"):
            rest = ended_by[4:].strip()
            if rest:  # `else if x`: the same as `else` and an `if` inside
                word = rest.split(maxsplit=1)[0]
                if word not in {"if", "with"}:
                    raise InvalidInput(f"unexpected {{{{{ended_by}}}}} in the template")
                return Branch(kind, pipeline, body, [self._branch(word, rest[len(word) :])])
            otherwise, ended_by = self.body()
        if ended_by != "end":
            raise InvalidInput(f"{{{{{kind}}}}} has no {{{{end}}}}")
        return Branch(kind, pipeline, body, otherwise)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Texts and actions in turn; dashes trim the text beside them."""
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trim else before
        before = before.rstrip() if match[1] else before
        if before:
            yield "text", before
        content = match[2].strip()
        if not (content.startswith("/*") and content.endswith("*/")):
            yield "action", content
        at, trim = match.end(), bool(match[3])
    rest = text[at:].lstrip() if trim else text[at:]
    if "{{" in rest:
        raise InvalidInput("a {{ of the template is never closed")
    if rest:
        yield "text", rest


class _Words:
    """The words of one action."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise InvalidInput(f"unexpected {text[at : at + 20].strip()!r} in the template")
            self._tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            at = match.end()
        self._at = 0

    def pipeline(self) -> Pipeline:
        """Everything there is, as one pipeline with its variables."""
        found = self._declared()
        if self._at < len(self._tokens):
            self._fail()
        return found

    def _declared(self) -> Pipeline:
        signs = [token for token in self._tokens if token in {("sign", ":="), ("sign", "=")}]
        if not signs:
            return self._commands()
        names: list[str] = []
        while True:
            names.append(self._name())
            kind, sign = self._next()
            if (kind, sign) == signs[0]:
                break
            if sign != ",":
                self._fail()
        value = self._commands()
        return Pipeline(value.commands, tuple(names), declares=sign == ":=")

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "path" or not text.startswith("$") or "." in text:
            self._fail()
        return text

    def _commands(self) -> Pipeline:
        commands = [self._command()]
        while self._peek() == ("sign", "|"):
            self._at += 1
            commands.append(self._command())
        return Pipeline(tuple(commands))

    def _command(self) -> Command:
        words: list[Any] = []
        while (token := self._peek()) is not None and token not in {("sign", "|"), ("sign", ")")}:
            words.append(self._word())
        if not words:
            raise InvalidInput("missing value for command in the template")
        return Command(tuple(words))

    def _word(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return Literal(_unquoted(text))
        if kind == "number":
            return Literal(_number(text))
        if kind == "path":
            if text in _WORDS:
                return Literal(_WORDS[text])
            root, *fields = text.split(".")
            return Path(root, tuple(f for f in fields if f))
        if text == "(":
            inner = self._commands()
            if self._next() != ("sign", ")"):
                self._fail()
            return inner
        return self._fail()

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise InvalidInput("an action of the template ends too early")
        self._at += 1
        return token

    def _fail(self) -> NoReturn:
        where = self._tokens[min(self._at, len(self._tokens)) - 1][1]
        raise InvalidInput(f"unexpected {where!r} in the template")


class _Run:
    """One expansion."""

    def __init__(
        self, variables: dict[str, Any], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self._variables = variables
        self._functions = functions
        self._steps = 0

    def texts(self, parts: list[Any], dot: Any) -> Iterator[str]:
        for part in parts:
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise TemplateError("the template takes too many steps")
            if isinstance(part, str):
                yield part
            elif isinstance(part, Branch):
                yield from self._branch(part, dot)
            else:
                value = self._value(part, dot)
                if not part.names:
                    yield self._functions["print"](value)

    def _branch(self, branch: Branch, dot: Any) -> Iterator[str]:
        kept = dict(self._variables)
        value = self._value(branch.pipeline, dot, assign=branch.kind != "range")
        if branch.kind == "range":
            items = _items(value)
            for key, item in items:
                for name, bound in zip(
                    branch.pipeline.names[-2:],
                    (key, item) if len(branch.pipeline.names) > 1 else (item,),
                    strict=False,
                ):
                    self._variables[name] = bound
                yield from self.texts(branch.body, item)
            if not items:
                yield from self.texts(branch.otherwise, dot)
        elif truth(value):
            yield from self.texts(branch.body, value if branch.kind == "with" else dot)
        else:
            yield from self.texts(branch.otherwise, dot)
        # Variables of the branch are gone; what it assigned to outer ones stays.
        self._variables = {name: self._variables[name] for name in kept}

    def _value(self, pipeline: Pipeline, dot: Any, *, assign: bool = True) -> Any:
        value: Any = None
        for i, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if i else ())
        for name in pipeline.names if assign else ():
            if not pipeline.declares and name not in self._variables:
                raise TemplateError(f"undefined variable {name}")
            self._variables[name] = value
        return value

    def _command(self, command: Command, dot: Any, piped: tuple[Any, ...]) -> Any:
        head, *rest = command.words
        if isinstance(head, Path) and head.root and not head.root.startswith("$"):
            function = self._functions.get(head.root)
            if function is None or head.fields:
                raise TemplateError(f"function {head.root!r} not defined")
            arguments = [self._word(word, dot) for word in rest]
            try:
                return function(*arguments, *piped)
            except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
                raise TemplateError(f"error calling {head.root}: {error}") from error
        if rest or piped:
            raise TemplateError("can't give argument to non-function")
        return self._word(head, dot)

    def _word(self, word: Any, dot: Any) -> Any:
        if isinstance(word, Literal):
            return word.value
        if isinstance(word, Pipeline):
            return self._value(word, dot)
        assert isinstance(word, Path)
        if word.root and not word.root.startswith("$"):
            return self._command(Command((word,)), dot, ())
        if word.root == "":
            value = dot
        elif word.root in self._variables:
            value = self._variables[word.root]
        else:
            raise TemplateError(f"undefined variable {word.root}")
        for field in word.fields:
            value = _field(value, field)
        return value


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Field):
        if name not in value.fields:
            raise TemplateError(f"can't evaluate field {name}")
        return value.fields[name]
    if isinstance(value, Mapping):
        return value.get(name, "")
    raise TemplateError(f"can't evaluate field {name}")


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(i, i) for i in range(min(value, STEPS_MAX))]
    if value is None:
        return []
    raise TemplateError("range can't iterate over it")


def truth(value: Any) -> bool:
    """Go's truth: zero and empty are false; so is nil."""
    return bool(value)


def _unquoted(text: str) -> Any:
    if text[0] == "`":
        return text[1:-1]
    plain = _ESCAPE.sub(lambda m: _unescaped(m[1]), text[1:-1])
    return ord(plain) if text[0] == "'" else plain


def _unescaped(escape: str) -> str:
    if escape[0] in "xu" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape.isdigit() and len(escape) == 3:
        return chr(int(escape, 8))
    return _ESCAPED.get(escape, escape)


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)
