"""Numbers as they come in lines of text: plain decimals and the names of what is none.

in   bytes of one word
out  float64, None for NaN; InvalidInput says what the word is
"""

from __future__ import annotations

import re

from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown

__all__ = ["NUMBER", "float_of", "text_of"]

NUMBER = re.compile(r"[+-]?(\d++\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INFINITY = float("inf")
_SPECIAL = {
    "nan": None,
    "inf": INFINITY,
    "infinity": INFINITY,
}


def text_of(word: bytes) -> str:
    """A word for a message or a number; what is no UTF-8 is replaced."""
    return word.decode(errors="replace")


def float_of(word: bytes) -> float | None:
    """The value a word stands for."""
    text = text_of(word)
    if NUMBER.fullmatch(text):
        value = float(text)
        if abs(value) == INFINITY:
            raise InvalidInput(f"value {shown(text)} is past the largest float64")
        return value
    bare = text.lstrip("+-").lower() if text[:2] not in ("++", "--", "+-", "-+") else ""
    if bare not in _SPECIAL:
        raise InvalidInput(f"value {shown(text)} is not a number")
    special = _SPECIAL[bare]
    return special if special is None or text[0] != "-" else -special
