"""Whole lines, or whole messages, out of a stream that is cut anywhere.

    in   pieces as they are read
    out  blocks of whole ones; how many were too long

What follows the last newline is kept, up to LISTENER_LINE_BYTES_MAX; of a longer line nothing is,
through its newline. A message says its length first; after one that is too long (or no message at
all) the stream is `lost`, as nobody knows where the next one begins.
"""

from __future__ import annotations

from typing import Protocol

from tsdb import limits

__all__ = ["Framing", "LineFraming", "MessageFraming"]

NEWLINE = b"\n"
LENGTH_BYTES = 4


class Framing(Protocol):
    """Of one connection."""

    whole_bytes: int  # of whole ones that wait
    too_long: int
    lost: bool

    @property
    def unfinished(self) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def take(self) -> bytes: ...


class LineFraming:
    """Lines; the newline belongs to them."""

    __slots__ = ("_rest", "_skipping", "_whole", "lost", "too_long", "whole_bytes")

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._rest = bytearray()
        self._skipping = False
        self.whole_bytes = 0  # of whole lines that wait
        self.too_long = 0
        self.lost = False

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> None:
        if self._skipping:
            _, newline, data = data.partition(NEWLINE)
            self._skipping = not newline
        end = data.rfind(NEWLINE) + 1
        if end:
            whole = bytes(self._rest) + data[:end] if self._rest else data[:end]
            self._rest.clear()
            self._whole.append(whole)
            self.whole_bytes += len(whole)
        self._rest += data[end:]
        if len(self._rest) > limits.LISTENER_LINE_BYTES_MAX:
            self.too_long += 1
            self._rest.clear()
            self._skipping = True

    def take(self) -> bytes:
        """All whole lines that wait."""
        block = self._whole[0] if len(self._whole) == 1 else b"".join(self._whole)
        self._whole.clear()
        self.whole_bytes = 0
        return block


class MessageFraming:
    """Messages: u32be length, then so many bytes."""

    __slots__ = ("_data", "lost", "too_long", "whole_bytes")

    def __init__(self) -> None:
        self._data = bytearray()
        self.whole_bytes = 0
        self.too_long = 0
        self.lost = False

    @property
    def unfinished(self) -> bool:
        return len(self._data) > self.whole_bytes

    def feed(self, data: bytes) -> None:
        if self.lost:
            return
        self._data += data
        while len(self._data) - self.whole_bytes >= LENGTH_BYTES:
            start = self.whole_bytes + LENGTH_BYTES
            length = int.from_bytes(self._data[self.whole_bytes : start], "big")
            if length > limits.LISTENER_MESSAGE_BYTES_MAX:
                self.too_long += 1
                self.lost = True
                del self._data[self.whole_bytes :]
                return
            if len(self._data) < start + length:
                return
            self.whole_bytes = start + length

    def take(self) -> bytes:
        """All whole messages that wait."""
        block = bytes(self._data[: self.whole_bytes])
        del self._data[: self.whole_bytes]
        self.whole_bytes = 0
        return block
