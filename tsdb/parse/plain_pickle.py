"""Pickles of plain data, without Python's unpickler: numbers, texts, lists and tuples.

    in   bytes of one pickle, any protocol
    out  what it holds; InvalidInput for everything else, above all for what names a class

Python's unpickler runs what a pickle says, and even one that forbids classes can be made to take
gigabytes (a memo index of four bytes is an allocation). This reads the opcodes that plain data
needs, on a stack of its own; what one opcode takes is bounded by its bytes, and what it makes is
shared, never copied, so a pickle of n bytes makes at most n objects.

Price: 0.8 µs an opcode; a point of Graphite takes ten.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tsdb.errors import InvalidInput
from tsdb.index.quoting import shown

__all__ = ["load"]

MARK = object()
DIGITS_MAX = 400  # of a number in text: big integers cost quadratic time
LONG_BYTES_MAX = 16
MEMO_MAX = 1 << 20


def load(data: bytes) -> Any:
    """The value that a pickle holds."""
    reader = _Reader(data)
    try:
        return reader.read()
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the pickle is damaged at byte {reader.at}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.at = 0

    def read(self) -> Any:
        data, opcodes = self._data, _OPCODES
        while True:
            opcode = data[self.at]
            self.at += 1
            if opcode == STOP:
                value = self._stack.pop()
                if value is MARK or self._stack or self.at != len(data):
                    raise InvalidInput("the pickle goes on after its end, or ends inside a list")
                return value
            does = opcodes.get(opcode)
            if does is None:
                raise InvalidInput(
                    f"the pickle holds more than numbers, texts, lists and tuples: opcode "
                    f"{shown(chr(opcode))} at byte {self.at}"
                )
            does(self)

    # --- bytes ------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        piece = self._data[self.at : self.at + count]
        if len(piece) != count:
            raise IndexError
        self.at += count
        return piece

    def line(self, encoding: str = "utf-8") -> str:
        end = self._data.find(b"\n", self.at)
        if end < 0:
            raise IndexError
        text = self._data[self.at : end].decode(encoding)
        self.at = end + 1
        return text

    def unpack(self, form: struct.Struct) -> int:
        (number,) = form.unpack(self.take(form.size))
        return int(number)

    # --- opcodes ----------------------------------------------------------------------------

    def push(self, value: object) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is MARK:
            raise IndexError
        return value

    def since_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise IndexError
        found = stack[at + 1 :]
        del stack[at:]
        return found

    def tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(items[::-1]))

    def append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise IndexError
        target += items

    def remember(self, index: int) -> None:
        if len(self._memo) >= MEMO_MAX:
            raise InvalidInput("the pickle remembers too many values")
        value = self._stack[-1]
        if value is MARK:
            raise IndexError
        self._memo[index] = value

    def memoize(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    def text(self, count: int) -> None:
        self.push(self.take(count).decode())

    def quoted(self) -> None:
        """A text of protocol 0: a literal of Python 2."""
        text = self.line()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"" or "\\" in text:
            raise InvalidInput(f"text {shown(text)} in the pickle is not plain")
        self.push(text[1:-1])

    def number(self, kind: type[int] | type[float]) -> None:
        text = self.line().rstrip("L")
        if len(text) > DIGITS_MAX:
            raise InvalidInput(f"number {shown(text)} in the pickle is too long")
        try:
            self.push(kind(text))
        except ValueError as error:
            raise InvalidInput(f"{shown(text)} in the pickle is not a number") from error

    def long(self) -> None:
        count = self.take(1)[0]
        if count > LONG_BYTES_MAX:
            raise InvalidInput("an integer in the pickle has too many bytes")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def float(self) -> None:
        (value,) = _F64.unpack(self.take(8))
        self.push(value)

    def index_of_line(self) -> int:
        text = self.line()
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise IndexError
        return int(text)


_U8, _U16, _U32, _U64 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I32, _F64 = struct.Struct("<i"), struct.Struct(">d")
STOP = ord(".")

# Texts of Python 2 are bytes; carbon takes them as UTF-8 too.
_OPCODES: dict[int, Callable[[_Reader], object]] = {
    0x80: lambda r: r.take(1),  # PROTO
    0x95: lambda r: r.take(8),  # FRAME
    ord("("): lambda r: r.push(MARK),
    ord("]"): lambda r: r.push([]),
    ord(")"): lambda r: r.push(()),
    ord("l"): lambda r: r.push(r.since_mark()),
    ord("t"): lambda r: r.push(tuple(r.since_mark())),
    0x85: lambda r: r.tuple(1),
    0x86: lambda r: r.tuple(2),
    0x87: lambda r: r.tuple(3),
    ord("a"): lambda r: r.append([r.pop()]),
    ord("e"): lambda r: r.append(r.since_mark()),
    ord("X"): lambda r: r.text(r.unpack(_U32)),
    0x8C: lambda r: r.text(r.unpack(_U8)),
    0x8D: lambda r: r.text(r.unpack(_U64)),
    ord("U"): lambda r: r.text(r.unpack(_U8)),
    ord("T"): lambda r: r.text(r.unpack(_U32)),
    ord("B"): lambda r: r.text(r.unpack(_U32)),
    ord("C"): lambda r: r.text(r.unpack(_U8)),
    ord("S"): lambda r: r.quoted(),
    ord("V"): lambda r: r.push(r.line("raw-unicode-escape")),
    ord("K"): lambda r: r.push(r.unpack(_U8)),
    ord("M"): lambda r: r.push(r.unpack(_U16)),
    ord("J"): lambda r: r.push(r.unpack(_I32)),
    ord("I"): lambda r: r.number(int),
    ord("L"): lambda r: r.number(int),
    ord("F"): lambda r: r.number(float),
    ord("G"): lambda r: r.float(),
    0x8A: lambda r: r.long(),
    ord("N"): lambda r: r.push(None),
    0x88: lambda r: r.push(True),
    0x89: lambda r: r.push(False),
    ord("q"): lambda r: r.remember(r.unpack(_U8)),
    ord("r"): lambda r: r.remember(r.unpack(_U32)),
    ord("p"): lambda r: r.remember(r.index_of_line()),
    0x94: lambda r: r.memoize(),
    ord("h"): lambda r: r.recall(r.unpack(_U8)),
    ord("j"): lambda r: r.recall(r.unpack(_U32)),
    ord("g"): lambda r: r.recall(r.index_of_line()),
}
