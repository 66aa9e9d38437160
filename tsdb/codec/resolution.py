"""Ticks per second of a database, and what follows from it for its chunks.

    in   "s", "ms", "us", "ns"
    out  Resolution: ticks a second, the id of the chunk format, the widths of its timestamp codes

The Gorilla paper (VLDB 2015, section 4.1.1) took its bucket widths from clocks that tick in
seconds. At finer ticks the same jitter is a larger number, so each resolution has widths of its
own; docs/decisions/0002-gorilla-widths.md has the measurements behind us and ns.

A width is part of the format: chunks on disk depend on it, so it never changes for a codec id.
"""

from __future__ import annotations

import enum

import numpy as np

from tsdb.errors import InvalidInput

__all__ = ["Resolution"]


class Resolution(enum.Enum):
    """`widths` are the payload bits of the codes 10, 110, 1110 and 1111 of a delta of deltas."""

    S = ("s", 1, 1, (7, 9, 12, 32))  # the paper's
    MS = ("ms", 1_000, 2, (14, 17, 20, 64))  # as Prometheus XOR chunks
    US = ("us", 1_000_000, 3, (13, 18, 26, 64))
    NS = ("ns", 1_000_000_000, 4, (17, 25, 36, 64))

    def __init__(
        self, name_: str, ticks_per_s: int, codec_id: int, widths: tuple[int, int, int, int]
    ) -> None:
        w1, w2, w3, w4 = widths
        # 39: a timestamp code and a value header must fit one 56-bit put (kernels.put_value).
        # 17: bounds how far a decoder reads past the end of a chunk (kernels.decode_run).
        assert 2 <= w1 < w2 < w3 <= 39
        assert w1 <= 17
        assert w4 in {32, 64}, "the kernels know one last bucket with an escape and one without"
        self.name_ = name_
        self.ticks_per_s = ticks_per_s
        self.codec_id = codec_id
        self.widths = widths

    @property
    def packed_widths(self) -> np.uint64:
        """The four widths as one argument of a kernel, lowest byte first."""
        w1, w2, w3, w4 = self.widths
        return np.uint64(w1 | w2 << 8 | w3 << 16 | w4 << 24)

    @classmethod
    def parse(cls, text: str) -> Resolution:
        """The resolution called `text`; InvalidInput names the choices."""
        for resolution in cls:
            if resolution.name_ == text:
                return resolution
        raise InvalidInput(f"resolution {text!r} is not one of s, ms, us, ns")

    @classmethod
    def of_codec(cls, codec_id: int) -> Resolution | None:
        """The resolution whose chunks carry this id; None for an id we do not know."""
        for resolution in cls:
            if resolution.codec_id == codec_id:
                return resolution
        return None
