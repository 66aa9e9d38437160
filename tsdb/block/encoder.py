"""Runs of points to checked chunks: the hot half of writing a block.

    in   Columns: one run a series, ascending strictly; any number of points
    out  Encoded: bytes of chunks, and one row of the chunk table for each

Runs are cut into chunks of equal size, at most CHUNK_POINTS_MAX points: two hours at 10 s are
two chunks of 360 points, so a question for one of the hours decodes one of them.

Every chunk is decoded again from the bytes just made and compared bit by bit with what went in:
a fault of the processor, of memory or of the codec stops here, while the log still has the
points. Work goes in slices that stay in the cache, through memory that is used again.
Price: benchmarks/bench_block.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, I64s, U8s, U64s
from tsdb.block import kernels
from tsdb.codec import kernels as codec
from tsdb.codec.gorilla import encode_bound_bytes
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

__all__ = ["Encoded", "Encoder", "cut"]

SLICE_POINTS = 1 << 16
"""Points encoded, decoded and compared at a time: 1 MiB of columns."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some chunks. `data` is memory of the encoder: use it before the next slice is made."""

    data: U8s
    sizes: I64s  # [chunks] bytes
    numbers: I64s  # [kernels.STALE + 1, chunks]
    aggregates: U64s  # [kernels.LAST + 1, chunks] float64 bits


def cut(columns: Columns) -> tuple[I64s, I64s]:
    """Chunks of each run, and offsets[chunks + 1] of all chunks. Runs without points get none."""
    points = np.diff(columns.offsets)
    chunks = -(-points // limits.CHUNK_POINTS_MAX)
    owner = np.repeat(np.arange(columns.runs), chunks)
    number = np.arange(owner.size) - (np.cumsum(chunks) - chunks)[owner]
    offsets = np.empty(owner.size + 1, np.int64)
    offsets[:-1] = columns.offsets[owner] + points[owner] * number // chunks[owner]
    offsets[-1] = columns.points
    return chunks, offsets


class Encoder:
    """Memory for encoding, shared by the blocks of one flush or merge. Not thread-safe."""

    def __init__(self, resolution: Resolution, *, check: bool = True) -> None:
        self.resolution = resolution
        self._check = check
        self._out = np.empty(encode_bound_bytes(SLICE_POINTS, SLICE_POINTS), np.uint8)
        self._timestamps = np.empty(SLICE_POINTS, np.uint64)
        self._bits = np.empty(SLICE_POINTS, np.uint64)

    def encode(self, columns: Columns, offsets: I64s) -> Iterator[Encoded]:
        """The chunks with borders `offsets`, slice by slice."""
        at = 0
        while at < offsets.size - 1:
            limit = int(offsets[at]) + SLICE_POINTS
            end = int(np.searchsorted(offsets, limit, side="right")) - 1
            assert end > at, "a chunk larger than a slice"
            yield self._encode_slice(columns, offsets[at : end + 1])
            at = end

    def _encode_slice(self, columns: Columns, offsets: I64s) -> Encoded:
        first, last = int(offsets[0]), int(offsets[-1])
        timestamps = columns.timestamps[first:last]
        bits = columns.values[first:last].view(np.uint64)
        offsets = offsets - first
        chunks = offsets.size - 1
        numbers = np.empty((int(kernels.STALE) + 1, chunks), np.int64)
        aggregates = np.empty((int(kernels.LAST) + 1, chunks), np.uint64)
        unordered = kernels.summarize(offsets, timestamps, bits, numbers, aggregates)
        assert unordered == -1, f"chunk {unordered} of the slice does not ascend strictly"
        ends = np.empty(chunks + 1, np.int64)
        words = timestamps.view(np.uint64)
        widths = self.resolution.packed_widths
        size = codec.encode_runs(offsets, words, bits, widths, self._out, ends)
        if self._check:
            self._compare(ends, numbers[kernels.COUNT], words, bits)
        return Encoded(self._out[:size], np.diff(ends), numbers, aggregates)

    def _compare(self, ends: I64s, counts: I64s, timestamps: U64s, bits: U64s) -> None:
        back_timestamps, back_bits = self._timestamps[: bits.size], self._bits[: bits.size]
        widths = self.resolution.packed_widths
        verdict = codec.decode_chunks(
            self._out, ends[:-1], ends[1:], counts, widths, back_timestamps, back_bits
        )
        if verdict != codec.SOUND:
            raise CorruptionError(None, 0, "a chunk just encoded does not decode")
        for what, back in ((timestamps, back_timestamps), (bits, back_bits)):
            if kernels.first_difference(what, back) != -1:
                raise CorruptionError(None, 0, "a chunk just encoded decodes to other points")
