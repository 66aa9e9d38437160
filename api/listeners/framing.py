"""Whole lines out of a stream that is cut anywhere.

    in   pieces as they are read
    out  blocks that end with a newline; how many lines were too long

What follows the last newline is kept, up to LISTENER_LINE_BYTES_MAX; of a longer line nothing is,
through its newline.
"""

from __future__ import annotations

from tsdb import limits

__all__ = ["LineFraming"]

NEWLINE = b"\n"


class LineFraming:
    """Of one connection."""

    __slots__ = ("_rest", "_skipping", "_whole", "bytes", "too_long")

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._rest = bytearray()
        self._skipping = False
        self.bytes = 0  # of whole lines that wait
        self.too_long = 0

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
            self.bytes += len(whole)
        self._rest += data[end:]
        if len(self._rest) > limits.LISTENER_LINE_BYTES_MAX:
            self.too_long += 1
            self._rest.clear()
            self._skipping = True

    def take(self) -> bytes:
        """All whole lines that wait."""
        block = self._whole[0] if len(self._whole) == 1 else b"".join(self._whole)
        self._whole.clear()
        self.bytes = 0
        return block
