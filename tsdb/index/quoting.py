"""How names and values look in text: plain where they can be, quoted where they must.

    in   str without lone surrogates; or such text and the position of a quote in it
    out  the other one

Escapes are Go's, as in PromQL: `\\n`, `\\x41`, `\\101`, `\\u00e9`, `\\U0001f98d`; text between
backticks is taken as it stands. `\\x` and octal escapes are bytes, so a string may turn out not
to be UTF-8: that is refused here, since no stored label could ever equal it.
"""

from __future__ import annotations

import re

from tsdb.errors import InvalidInput

SHOWN_CHARACTERS_MAX = 80  # of a user's text repeated in a message

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_UNPRINTED = re.compile(r'[\\"\x00-\x1f\x7f-\uffff\U00010000-\U0010ffff]')
_NAMED = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}
_NAMES = {chr(code): "\\" + name for name, code in _NAMED.items() if name != "'"}
_DIGITS = {"x": 2, "u": 4, "U": 8}  # hexadecimal; without a letter: three octal ones
_ALPHABETS = {8: "01234567", 16: "0123456789abcdefABCDEF"}
_RUN = {quote: re.compile(rf"[^\\\n{quote}]*") for quote in "\"'"}


def is_metric_name(name: str) -> bool:
    """May stand before the braces without quotes in PromQL."""
    return _METRIC.fullmatch(name) is not None


def is_label_name(name: str) -> bool:
    """May stand inside the braces without quotes in PromQL."""
    return _LABEL.fullmatch(name) is not None


def quote(text: str) -> str:
    """`text` in double quotes, such that `unquote` and Prometheus read it back."""
    return f'"{_UNPRINTED.sub(lambda match: _escaped(match[0]), text)}"'


def shown(text: str) -> str:
    """`text` for a message: quoted, printable, bounded."""
    if len(text) > SHOWN_CHARACTERS_MAX:
        text = text[:SHOWN_CHARACTERS_MAX] + "..."
    return quote(text)


def unquote(text: str, start: int) -> tuple[str, int]:
    """The string whose opening quote is `text[start]`, and the position after its closing one."""
    opening = text[start]
    assert opening in "\"'`"
    if opening == "`":
        end = text.find("`", start + 1)
        if end < 0:
            raise InvalidInput(f"string is never closed, opened at character {start + 1}")
        return text[start + 1 : end], end + 1
    parts: list[bytes] = []
    position = start + 1
    while True:
        run = _RUN[opening].match(text, position)
        assert run is not None
        parts.append(run[0].encode())
        position = run.end()
        following = text[position : position + 1]
        if following == opening:
            return _decoded(parts, start), position + 1
        if following != "\\":
            raise InvalidInput(f"string is never closed, opened at character {start + 1}")
        escape, position = _unescaped(text, position)
        parts.append(escape)


def _escaped(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescaped(text: str, start: int) -> tuple[bytes, int]:
    """Bytes of the escape at `text[start]`, and the position after it."""
    kind = text[start + 1 : start + 2]
    if kind in _NAMED:
        return bytes([_NAMED[kind]]), start + 2
    skip, count, radix = (2, _DIGITS[kind], 16) if kind in _DIGITS else (1, 3, 8)
    end = start + skip + count
    digits = text[start + skip : end]
    if len(digits) == count and all(digit in _ALPHABETS[radix] for digit in digits):
        code = int(digits, radix)
        if count <= 3 and code < 0x100:
            return bytes([code]), end
        if count > 3 and code < 0x110000 and not 0xD800 <= code < 0xE000:
            return chr(code).encode(), end
    raise InvalidInput(f"unknown escape at character {start + 1} of {shown(text)}")


def _decoded(parts: list[bytes], start: int) -> str:
    try:
        return b"".join(parts).decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f"string at character {start + 1} is not valid UTF-8, as every label is"
        ) from None
