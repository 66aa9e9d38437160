"""JSON decoded without losing anything: number texts, repeated keys, the sign of -0.

    in   bytes of one JSON text
    out  Object (pairs in order), list, str, Number (its text), bool, None

This is the slow and strict twin of the kernels and decides what JSON means here. Libraries that
decode to floats and dicts have thrown away by then what we must judge: whether a time is exact,
whether a label was given twice. The standard library's decoder can be asked for both.

Price: about 0.3 µs a number; it sees only what the kernels leave.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from tsdb import limits
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.quoting import shown

__all__ = ["Item", "Number", "Object", "decode", "float_of", "kind_of"]


class Number(str):
    """Text of a JSON number."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Object:
    """Pairs of a JSON object in the order they came, repeated keys included."""

    pairs: list[tuple[str, Item]]

    def get(self, key: str) -> Item:
        """The value of `key`, None without it; InvalidInput if it is given twice."""
        found = [value for name, value in self.pairs if name == key]
        if len(found) > 1:
            raise InvalidInput(f"{shown(key)} is given twice")
        return found[0] if found else None

    def array(self, key: str) -> list[Item]:
        """The array called `key`; InvalidInput if there is none."""
        item = self.get(key)
        if isinstance(item, list):
            return item
        if item is None:
            raise InvalidInput(f'"{key}" is missing')
        raise InvalidInput(f'"{key}" is {kind_of(item)}, not an array')

    def columns(self) -> tuple[list[Item], list[Item]]:
        """ "timestamps" and "values", equally long."""
        stamps, values = self.array("timestamps"), self.array("values")
        if len(stamps) != len(values):
            raise InvalidInput(f"{len(stamps):,} timestamps but {len(values):,} values")
        return stamps, values


Item: TypeAlias = "Object | list[Item] | str | bool | None"  # Number is a str

ITEMS_MAX = 2 * limits.POINTS_PER_REQUEST_MAX + 10_000
"""Commas in one text. An object takes 80 bytes a number, so the limit has to come before it."""
STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""Prometheus' mark that a series has ended: a NaN of its own."""
SPECIAL: dict[str, float] = {
    "StaleNaN": STALE,
    **dict.fromkeys(("NaN", "nan"), float("nan")),
    **dict.fromkeys(("Inf", "+Inf", "Infinity", "+Infinity", "inf", "infinity"), float("inf")),
    **dict.fromkeys(("-Inf", "-Infinity", "-inf", "-infinity"), float("-inf")),
}
"""Values that JSON has no numbers for, as Prometheus, VictoriaMetrics and JavaScript write them."""

# Possessive: a hostile string of escapes would otherwise cost memory for each of them.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_KINDS = {Object: "an object", Number: "a number", list: "an array", str: "a string"}


def _no_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not JSON: write it as a string")


_DECODER = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=_no_constant
)


def decode(text: bytes) -> Item:
    """The one JSON value in `text`; InvalidInput says what is wrong with it."""
    if text.count(b",") > ITEMS_MAX:
        raise LimitExceeded(
            "more points than one request may hold",
            limit="POINTS_PER_REQUEST_MAX",
            value=limits.POINTS_PER_REQUEST_MAX,
        )
    if _depth(text) > limits.JSON_DEPTH_MAX:
        raise InvalidInput(f"brackets are nested deeper than {limits.JSON_DEPTH_MAX}")
    try:
        item: Item = _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise InvalidInput(f"not JSON: {reason} at character {error.pos + 1}") from error
    return item


def float_of(item: Item) -> float:
    """A point's value; InvalidInput for null, for other types and past the largest float64."""
    if isinstance(item, Number):
        value = float(item)
        if value in {float("inf"), float("-inf")}:
            raise InvalidInput(f"{shown(item)} is past the largest float64")
        return value
    if isinstance(item, str) and item in SPECIAL:
        return SPECIAL[item]
    if isinstance(item, str):
        raise InvalidInput(f"{shown(item)} is not a number")
    raise InvalidInput(f"it is {kind_of(item)}, not a number")


def kind_of(item: Item) -> str:
    """The item's type in words."""
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    return _KINDS[type(item)]


def _depth(text: bytes) -> int:
    """Deepest nesting of brackets outside strings; the decoder would run out of stack instead."""
    brackets = text.translate(None, _NO_BRACKETS)
    if len(brackets) <= limits.JSON_DEPTH_MAX:
        return 0
    depth = deepest = 0
    for c in _STRING.sub(b"", text).translate(None, _NO_BRACKETS):
        depth += 1 if c in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
