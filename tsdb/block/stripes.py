"""Bytes of the chunks file: read a few stripes at a time, each checked before it is used.

    in   which stripes, their checksums
    out  Fetched: their bytes in one memory; what does not hold, by stripe

Neighbouring stripes are read at once. A read error that lasts is pinned down to its stripe.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdb.batch import I64s, U8s, U64s
from tsdb.block.index_file import read_exactly
from tsdb.block.layout import CHUNKS_TAIL_BYTES, check_of
from tsdb.codec.gorilla import DECODE_SLACK_BYTES
from tsdb.errors import CorruptionError
from tsdb.vfs import File

__all__ = ["Bad", "Fetched", "Stripes"]

Bad = dict[int, CorruptionError]
"""What is wrong with a stripe, by its number."""
_SCRUB_STRIPES = 64
"""Stripes checked at a time when all of them are."""
assert CHUNKS_TAIL_BYTES >= DECODE_SLACK_BYTES


@dataclass(frozen=True, slots=True)
class Fetched:
    """Stretches of the chunks file in one memory: files[i] of the file is at memory[i]."""

    data: U8s
    files: I64s
    memory: I64s

    def shift(self, offsets: I64s) -> I64s:
        """What to add to offsets in the file to find them in memory."""
        piece = np.searchsorted(self.files, offsets, side="right") - 1
        return (self.memory - self.files)[piece]


@dataclass(frozen=True, slots=True)
class Stripes:
    """The chunks file of an open block."""

    file: File
    path: Path
    size_bytes: int
    stripe_bytes: int

    def around(self, starts: I64s, ends: I64s) -> tuple[I64s, I64s]:
        """First and last stripe of each stretch of bytes."""
        return starts // self.stripe_bytes, (ends - 1) // self.stripe_bytes

    def fetch(self, first: I64s, last: I64s, checks: U64s, bad: Bad) -> Fetched:
        """All stripes from first[i] to last[i] for every i; both ascend. Finds are put in `bad`."""
        breaks = np.flatnonzero(first[1:] > last[:-1] + 1) + 1
        lows = first[np.concatenate(([0], breaks))]
        highs = last[np.concatenate((breaks - 1, [last.size - 1]))] + 1
        spans = zip(lows.tolist(), highs.tolist(), strict=True)
        parts = [self._read(low, high, checks, bad) for low, high in spans]
        memory = np.zeros(len(parts), np.int64)
        np.cumsum([len(part) for part in parts[:-1]], out=memory[1:])
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        return Fetched(np.frombuffer(whole, np.uint8), lows * self.stripe_bytes, memory)

    def bad(self, checks: U64s) -> list[CorruptionError]:
        """Read and check the whole file."""
        bad: Bad = {}
        for low in range(0, checks.size, _SCRUB_STRIPES):
            self._read(low, min(low + _SCRUB_STRIPES, checks.size), checks, bad)
        return list(bad.values())

    def _read(self, low: int, high: int, checks: U64s, bad: Bad) -> bytes:
        """Bytes of the stripes low <= i < high and a few behind them, which are not checked."""
        at, step = low * self.stripe_bytes, self.stripe_bytes
        size = min(high * step, self.size_bytes) - at
        try:
            data = read_exactly(self.file, size, at, self.path, spare=DECODE_SLACK_BYTES)
        except CorruptionError as error:
            if high - low > 1:  # find out which of them it was
                alone = [self._read(i, i + 1, checks, bad)[:step] for i in range(low, high)]
                return b"".join((*alone, bytes(DECODE_SLACK_BYTES)))
            bad[low] = error.with_traceback(None)
            return bytes(size + DECODE_SLACK_BYTES)
        view = memoryview(data)[:size]
        for i, expected in enumerate(checks[low:high].tolist()):
            if check_of(view[i * step : (i + 1) * step]) != expected:
                reason = "stripe checksum does not hold"
                bad[low + i] = CorruptionError(self.path, at + i * step, reason)
        return data
