"""Memory of decoded bodies, used again and again.

    in   sizes
    out  uint8 arrays, whose bytes are what the last one left there

Half a megabyte that is fresh from the system costs more, page by page, than decoding into it. Only
for parsers whose `Parsed` holds nothing of the body: what is given back is overwritten.

Any thread may take and give. At most KEPT buffers of up to KEPT_BYTES_MAX each are kept.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tsdb.batch import U8s

__all__ = ["BodyBuffers"]

KEPT, KEPT_BYTES_MAX = 4, 4 << 20
BYTES_MIN = 1 << 16


class BodyBuffers:
    """One database's."""

    def __init__(self) -> None:
        self._free: deque[U8s] = deque(maxlen=KEPT)

    def take(self, size: int) -> U8s:
        """An array of `size` bytes, nobody else's until it is given back."""
        try:
            buffer = self._free.pop()
        except IndexError:
            return np.empty(max(size, BYTES_MIN), np.uint8)[:size]
        if buffer.size < size:
            buffer = np.empty(size, np.uint8)
        return buffer[:size]

    def give(self, taken: U8s) -> None:
        """What `take` gave, or part of it."""
        whole = taken.base if isinstance(taken.base, np.ndarray) else taken
        if whole.size <= KEPT_BYTES_MAX:
            self._free.append(whole)
