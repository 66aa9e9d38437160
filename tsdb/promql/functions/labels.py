"""Functions that change labels: label_replace, label_join.

in   a Vector, names and texts
out  the same values under other labels

Values of the replaced label are computed once for each text that the source label has, not once
a series. Expressions are RE2's, templates Go's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import re2

from tsdb import limits
from tsdb.errors import LimitExceeded
from tsdb.index.labels import Labels
from tsdb.promql.ast import Call
from tsdb.promql.errors import QueryFailed
from tsdb.promql.values import Grid, Vector

if TYPE_CHECKING:
    from tsdb.promql.evaluate import Evaluation, Handler

__all__ = ["FAMILY"]

ENGINE_BYTES_MAX = 4 << 20  # of one compiled expression


def _replaced(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """`label_replace(v, destination, template, source, expression)`."""
    destination, template, source, expression = map(evaluation.text, call.arguments[1:])
    pattern = _compiled(expression)
    _check_name(destination, what="destination", function="label_replace")
    room = _Room("label_replace")
    expand = _template(template, pattern, room)

    @functools.cache
    def text_for(value: str) -> str | None:
        match = pattern.fullmatch(value.encode())  # in half the time of a str
        return None if match is None else expand(match)

    def changed(labels: Labels) -> Labels:
        text = text_for(labels.get(source, ""))
        return labels if text is None else labels.replaced(destination, text)

    return _relabelled(evaluation.vector(call.arguments[0], grid), changed)


def _joined(evaluation: Evaluation, call: Call, grid: Grid) -> Vector:
    """`label_join(v, destination, separator, source, ...)`."""
    destination, separator, *sources = map(evaluation.text, call.arguments[1:])
    for source in sources:
        _check_name(source, what="source", function="label_join")
    _check_name(destination, what="destination", function="label_join")
    room = _Room("label_join")
    between = len(separator) * max(0, len(sources) - 1)

    def changed(labels: Labels) -> Labels:
        texts = [labels.get(source, "") for source in sources]
        room.take(sum(map(len, texts)) + between)
        return labels.replaced(destination, separator.join(texts))

    return _relabelled(evaluation.vector(call.arguments[0], grid), changed)


class _Room:
    """For the texts that one call makes: nested calls may multiply their length at each level."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._left = limits.QUERY_LABELS_BYTES_MAX

    def take(self, size: int) -> None:
        """Before a text of this length is made. Raises LimitExceeded."""
        self._left -= size
        if size > limits.QUERY_LABEL_BYTES_MAX:
            raise LimitExceeded(
                f"{self._function}() makes a label value of {size:,} bytes",
                limit="QUERY_LABEL_BYTES_MAX",
                value=limits.QUERY_LABEL_BYTES_MAX,
            )
        if self._left < 0:
            raise LimitExceeded(
                f"{self._function}() makes too many long label values",
                limit="QUERY_LABELS_BYTES_MAX",
                value=limits.QUERY_LABELS_BYTES_MAX,
            )


def _relabelled(vector: Vector, change: Callable[[Labels], Labels]) -> Vector:
    vector = vector.pruned()
    return Vector(vector.rows.renamed(change).distinct(), vector.values, vector.present)


def _check_name(name: str, *, what: str, function: str) -> None:
    if not name:
        raise QueryFailed(f"invalid {what} label name in {function}(): {name}")


@functools.lru_cache(maxsize=64)
def _compiled(expression: str) -> Any:
    if len(expression.encode()) > limits.REGEX_BYTES_MAX:
        raise LimitExceeded(
            "the regular expression in label_replace() is too long",
            limit="REGEX_BYTES_MAX",
            value=limits.REGEX_BYTES_MAX,
        )
    options = re2.Options()
    options.log_errors = False
    options.max_mem = ENGINE_BYTES_MAX
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        raise QueryFailed(f"invalid regular expression in label_replace(): {expression}") from error


def _template(text: str, pattern: Any, room: _Room) -> Callable[[Any], str]:
    """A template of Go's regexp: `$1`, `${name}`, `$$`; a group without a match is empty."""
    parts: list[bytes | int] = []
    while True:
        before, dollar, text = text.partition("$")
        parts.append(before.encode())
        if not dollar:
            break
        if text.startswith("$"):
            parts.append(b"$")
            text = text[1:]
            continue
        name, text = _reference(text)
        parts.append(_group(name, pattern) if name else b"$")

    def expand(match: Any) -> str:
        texts = [part if isinstance(part, bytes) else match[part] or b"" for part in parts]
        room.take(sum(map(len, texts)))
        return b"".join(texts).decode(errors="replace")

    return expand


def _reference(text: str) -> tuple[str, str]:
    """The name after a dollar and what follows it; no name if it is none."""
    inside = text[1:] if text.startswith("{") else text
    size = 0
    while size < len(inside) and (
        inside[size].isalpha() or inside[size].isdecimal() or inside[size] == "_"
    ):
        size += 1
    if inside is text:
        return text[:size], text[size:]
    if not size or not inside.startswith("}", size):
        return "", text
    return inside[:size], inside[size + 1 :]


def _group(name: str, pattern: Any) -> int | bytes:
    """The group's number, or no text if there is no such group."""
    if name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0")):
        number = int(name) if len(name) < 10 else pattern.groups + 1
        return number if number <= pattern.groups else b""
    found: int | bytes = pattern.groupindex.get(name, b"")
    return found


FAMILY: Mapping[str, Handler] = {
    "label_replace": _replaced,
    "label_join": _joined,
}
