"""Copy lines, measure streams, read streams and side points.

    in   state lines, of the head or copied; arena; side columns (tsdb.head.layout)
    out  points of a range, side points laid over the stream's

Reads only what was there when the lines were copied: bytes before a line's POS never change, and
the bits after them are in the line. So a read needs no lock while appends go on.

Price: benchmarks/bench_head.py.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load32, load64, store8, store64
from tsdb.codec.kernels import decode_run
from tsdb.head.kernels import (
    BYTE,
    CHAIN,
    FIRST_TS,
    LAST_TS,
    LINE,
    LINK,
    LOW_32,
    LOW_48,
    PACKED,
    PAGE,
    POS,
    U0,
    U1,
    U7,
    U8,
    U16,
    U24,
    U32,
    U48,
    UNIT_SHIFT,
    U,
    inlined,
    page_size,
    pages_before,
)
from tsdb.jit import kernel
from tsdb.overlay.kernels import copy_points, first_above, first_at_least, interleave

I = np.int64  # noqa: E741

_U32S = types.Array(types.uint32, 1, "C", readonly=True)
_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 1, "C")


@kernel(types.void(_U32S, _U64S, _OUT_U64S))
def copy_lines(refs, lines, out):
    """out[i] = line of refs[i]; zeros for a ref beyond `lines`. out: uint64[refs * 8]."""
    known = U(lines.size) // LINE
    for i in range(U(refs.size)):
        ref = U(refs[i])
        for w in range(LINE):
            out[i * LINE + w] = lines[ref * LINE + w] if ref < known else U0


@inlined
def stream_bytes(lines, line):
    """Bytes of a stream as one chunk, pending bits as a last byte."""
    packed = lines[line + PACKED]
    if packed >> U32 == U0:
        return U0
    ordinal = lines[line + PAGE] >> U48
    room = (lines[line + PAGE] & LOW_48) - lines[line + POS]
    held = pages_before(ordinal + U1) - LINK * (ordinal + U1) - room
    return held + (U1 if (packed >> U16) & U7 else U0)


@kernel(types.int64(_U64S, _OUT_I64S))
def measure_streams(lines, sizes):
    """sizes[i] = bytes of stream i; returns their sum."""
    total = 0
    for i in range(U(sizes.size)):
        size = I(stream_bytes(lines, i * LINE))
        sizes[i] = size
        total += size
    return total


@inlined
def copy_words(source, at, out, to, size):
    """Copy `size` bytes and up to 7 behind them."""
    for k in range(U0, size, U8):
        store64(out, to + k, load64(source, at + k))


@inlined
def collect_stream(lines, line, arena, out):
    """Copy the stream of a line, page by page and with its pending bits; returns its bytes."""
    page = (lines[line + CHAIN] & LOW_32) << UNIT_SHIFT
    to = U0
    for k in range(lines[line + PAGE] >> U48):
        size = page_size(k) - LINK
        copy_words(arena, page + LINK, out, to, size)
        to += size
        page = load32(arena, page) << UNIT_SHIFT
    size = lines[line + POS] - (page + LINK)
    copy_words(arena, page + LINK, out, to, size)
    to += size
    packed = lines[line + PACKED]
    if (packed >> U16) & U7:
        store8(out, to, (packed >> U24) & BYTE)
        to += U1
    return to


@kernel(types.int64(_U64S, _BYTES, _OUT_BYTES))
def copy_stream(lines, arena, out):
    """The stream of the first line as a chunk; out: its bytes and 8 more. Returns the bytes."""
    return I(collect_stream(lines, U0, arena, out))


@inlined
def meets(lines, line, start, end):
    count = lines[line + PACKED] >> U32
    return count != U0 and I(lines[line + FIRST_TS]) <= end and I(lines[line + LAST_TS]) >= start


@kernel(types.void(_U64S, _I64S, types.int64, types.int64, _OUT_I64S))
def measure_read(lines, side_at, start, end, out):
    """Room that `read` needs: out = points, bytes of the largest stream, most points of a stream
    that has side points."""
    out[:] = 0
    for i in range(U(side_at.size) - U1):
        line = i * LINE
        if meets(lines, line, start, end):
            count = I(lines[line + PACKED] >> U32)
            out[0] += count
            out[1] = max(out[1], I(stream_bytes(lines, line)))
            if side_at[i + U1] != side_at[i]:
                out[2] = max(out[2], count)
    out[0] += side_at[side_at.size - 1]


@kernel(
    types.int64(
        _U64S, _BYTES, types.uint64, types.int64, types.int64, _I64S, _I64S, _U64S, _OUT_BYTES,
        _OUT_I64S, _OUT_U64S, _OUT_I64S, _OUT_I64S, _OUT_U64S,
    )
)  # fmt: skip
def read(
    lines, arena, widths, start, end, side_at, side_ts, side_bits, chunk, alone_ts, alone_bits,
    offsets, timestamps, bits,
):  # fmt: skip
    """Run i = points of line i with start <= t <= end, side run i laid over them.

    A stream is decoded to where its points will stay, then trimmed there; only one with side
    points is decoded to `alone_*` first. Room: `measure_read`; chunk has
    DECODE_SLACK_BYTES more. Returns -1, or the line whose stream is not sound.
    """
    at = U0
    offsets[0] = 0
    for i in range(U(offsets.size) - U1):
        line = i * LINE
        side, side_end = U(side_at[i]), U(side_at[i + U1])
        if not meets(lines, line, start, end):
            at = copy_points(side_ts, side_bits, side, side_end, timestamps, bits, at)
            offsets[i + U1] = I(at)
            continue
        count = lines[line + PACKED] >> U32
        size = collect_stream(lines, line, arena, chunk)
        aside = side != side_end
        out_ts = alone_ts if aside else timestamps
        out_bits = alone_bits if aside else bits
        to = U0 if aside else at
        if decode_run(chunk, U0, size, count, widths, out_ts, out_bits, to) != 0:
            return I(i)
        first = first_at_least(out_ts, to, to + count, start)
        last = first_above(out_ts, first, to + count, end)
        if aside:
            at = interleave(
                alone_ts, alone_bits, first, last, side_ts, side_bits, side, side_end,
                timestamps, bits, at,
            )  # fmt: skip
        elif first == at:
            at = last
        else:
            at = copy_points(timestamps, bits, first, last, timestamps, bits, at)
        offsets[i + U1] = I(at)
    return -1


@kernel(types.int64(_U64S, _U64S, _U32S, types.int64, types.int64, _OUT_I64S))
def count_side(lines, side_ts, side_before, start, end, counts):
    """counts[i] = side points of line i with start <= timestamp <= end; returns their sum."""
    total = 0
    for i in range(U(counts.size)):
        at = lines[i * LINE + CHAIN] >> U32
        count = 0
        while at:
            count += start <= I(side_ts[at - U1]) <= end
            at = U(side_before[at - U1])
        counts[i] = count
        total += count
    return total


@kernel(
    types.void(_U64S, _U64S, _U64S, _U32S, types.int64, types.int64, _I64S, _OUT_U64S, _OUT_U64S)
)
def collect_side(lines, side_ts, side_bits, side_before, start, end, offsets, out_ts, out_bits):
    """Side points of line i in log order, at offsets[i]:offsets[i + 1]."""
    for i in range(U(offsets.size) - U1):
        at = lines[i * LINE + CHAIN] >> U32
        to = U(offsets[i + U1])
        while at:
            if start <= I(side_ts[at - U1]) <= end:
                to -= U1
                out_ts[to] = side_ts[at - U1]
                out_bits[to] = side_bits[at - U1]
            at = U(side_before[at - U1])
