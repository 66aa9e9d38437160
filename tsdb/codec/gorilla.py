"""Runs of points to Gorilla chunks and back.

    in   Columns (any int64 timestamps in any order, all 2^64 value bit patterns)
    out  bytes, one chunk a run, docs/format/chunk.md; and back

Delta of deltas with prefix codes for timestamps, XOR with a remembered window for values
(Pelkonen et al., VLDB 2015, section 4.1). A chunk does not hold its count or its length: whoever
stores it does, and a decoder is told both and checks them against each other.

Pure: no I/O, no clock. A chunk carries no checksum; a flipped bit that still decodes to the
right length is found by the checksum of the file around it. Slow twin: `tsdb.codec.reference`.
"""

from __future__ import annotations

import numpy as np

from tsdb.batch import Columns, F64s, I64s, U8s
from tsdb.codec import kernels
from tsdb.codec.resolution import Resolution
from tsdb.errors import CorruptionError

__all__ = [
    "DECODE_SLACK_BYTES",
    "decode",
    "decode_chunks",
    "encode",
    "encode_bound_bytes",
    "encode_runs",
]

DECODE_SLACK_BYTES: int = kernels.DECODE_SLACK_BYTES
"""Decoders may read (never interpret) this far past a chunk's end: buffers are padded."""

_REASONS = {
    kernels.TRUNCATED: "chunk ends before its last point",
    kernels.LEFTOVER: "chunk goes on after its last point",
    kernels.VARINT: "chunk starts with a broken varint",
    kernels.WINDOW: "chunk has a value window wider than 64 bits",
}


def encode_bound_bytes(points: int, runs: int) -> int:
    """Bytes that `encode_runs` never passes, the spill of its last store included."""
    assert points >= 0
    assert runs >= 0
    # Points 0 and 1 of a run, varints included, are smaller than POINT_BITS_MAX.
    return points * kernels.POINT_BITS_MAX // 8 + runs + kernels.POINT_BYTES_MAX


def encode_runs(columns: Columns, resolution: Resolution) -> tuple[U8s, I64s]:
    """Each run as one chunk: all bytes, and offsets[runs + 1] of the chunks in them."""
    out = np.empty(encode_bound_bytes(columns.points, columns.runs), np.uint8)
    offsets = np.empty(columns.runs + 1, np.int64)
    size_bytes = kernels.encode_runs(
        columns.offsets,
        columns.timestamps.view(np.uint64),
        columns.values.view(np.uint64),
        resolution.packed_widths,
        out,
        offsets,
    )
    assert size_bytes <= out.size
    return out[:size_bytes].copy(), offsets


def encode(timestamps: I64s, values: F64s, resolution: Resolution) -> bytes:
    """One run as one chunk; no points give no bytes."""
    one_run = Columns(np.array([0, timestamps.size], np.int64), timestamps, values)
    return encode_runs(one_run, resolution)[0].tobytes()


def decode_chunks(
    data: U8s, starts: I64s, ends: I64s, counts: I64s, resolution: Resolution
) -> Columns:
    """Chunk i, data[starts[i]:ends[i]] of counts[i] points, becomes run i.

    `data` must have DECODE_SLACK_BYTES after the last end. CorruptionError carries the start of
    the first chunk that is not exactly its count of points.
    """
    assert starts.size == ends.size == counts.size
    offsets = np.zeros(counts.size + 1, np.int64)
    if counts.size:
        assert starts.min() >= 0
        assert counts.min() >= 0
        assert (starts <= ends).all()
        assert ends.max() + DECODE_SLACK_BYTES <= data.size
        # A point takes two bits or more: a wrong count must not become a wish for memory.
        absurd = np.flatnonzero(counts > (ends - starts) * 4)
        if absurd.size:
            start = int(starts[absurd[0]])
            raise CorruptionError(None, start, _REASONS[kernels.TRUNCATED])
        np.cumsum(counts, out=offsets[1:])
    timestamps = np.empty(offsets[-1], np.int64)
    values = np.empty(offsets[-1], np.float64)
    verdict = kernels.decode_chunks(
        data,
        starts,
        ends,
        counts,
        resolution.packed_widths,
        timestamps.view(np.uint64),
        values.view(np.uint64),
    )
    if verdict != kernels.SOUND:
        chunk, reason = divmod(verdict, kernels.REASONS)
        raise CorruptionError(None, int(starts[chunk]), _REASONS[reason])
    return Columns(offsets, timestamps, values)


def decode(data: bytes, points: int, resolution: Resolution) -> tuple[I64s, F64s]:
    """The points of one chunk; CorruptionError when `data` is not exactly `points` points."""
    padded = np.zeros(len(data) + DECODE_SLACK_BYTES, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    start, end, count = (np.array([n], np.int64) for n in (0, len(data), points))
    columns = decode_chunks(padded, start, end, count, resolution)
    return columns.timestamps, columns.values
