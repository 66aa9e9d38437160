"""The head in machine code: append to many streams, copy lines, collect streams and side points.

    in   runs of points; state lines, arena and side columns (tsdb.head.layout)
    out  the same memory, extended; streams as contiguous chunks that the codec decodes

Streams are the codec's, byte for byte: the helpers of `tsdb.codec.kernels` write them. Where
fewer bytes are left in a page than a point may take, the point is written to a scratch buffer
and copied over the border. The line and the arena place of runs ahead are prefetched: without
that, a million series in scrape order cost twice as much.

Price: benchmarks/bench_head.py.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load32, load64, prefetch_write, store8, store32, store64
from tsdb.codec.kernels import (
    NO_WINDOW,
    POINT_BYTES_MAX,
    dod_code,
    inlined,
    put,
    put_first,
    put_long,
    put_second,
    put_value,
)
from tsdb.head import layout
from tsdb.jit import kernel

U, I = np.uint64, np.int64  # noqa: E741
U0, U1, U8 = U(0), U(1), U(8)
U16, U24, U32, U48, U56 = U(16), U(24), U(32), U(48), U(56)
BYTE, LOW_32, LOW_48 = U(0xFF), U(0xFFFFFFFF), U((1 << 48) - 1)
UNIT_SHIFT, LINK = U(5), U(layout.LINK_BYTES)
SMALLEST, DOUBLINGS, SIZE_SHIFT = (
    U(layout.PAGE_BYTES_MIN),
    U(layout.PAGE_DOUBLINGS),
    U(2),
)
POINT_ROOM = U(POINT_BYTES_MAX)
LAST_TS, DELTA, LAST_BITS, FIRST_TS, POS, PACKED, PAGE, CHAIN = (U(i) for i in range(8))
LINE = U(layout.LINE_WORDS)
AHEAD_LINE, AHEAD_ARENA = U(24), U(12)  # runs; measured, flat between 16/8 and 40/20
assert layout.UNIT == 1 << 5
assert layout.PAGES_A_SIZE == 1 << 2

_U32S = types.Array(types.uint32, 1, "C", readonly=True)
_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_U32S = types.Array(types.uint32, 1, "C")
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 1, "C")


@inlined
def page_size(ordinal):
    return SMALLEST << min(ordinal >> SIZE_SHIFT, DOUBLINGS)


@inlined
def next_page(arena, cursors, page_end, ordinal):
    """Link a new page behind the open one; returns (pos, page_end, ordinal)."""
    place = U(cursors[layout.ARENA_END])
    store32(arena, page_end - page_size(ordinal), place >> UNIT_SHIFT)
    size = page_size(ordinal + U1)
    cursors[layout.ARENA_END] += I(size)
    return place + LINK, place + size, ordinal + U1


@kernel(
    types.void(
        _U32S, _I64S, _U64S, _U64S, types.uint64, _OUT_U64S, _OUT_BYTES, _OUT_I64S,
        _OUT_U64S, _OUT_U64S, _OUT_U32S, _OUT_BYTES,
    )
)  # fmt: skip
def append(
    refs, offsets, timestamps, bits, widths, lines, arena, cursors, side_ts, side_bits,
    side_before, scratch,
):  # fmt: skip
    """Append run i, points offsets[i]:offsets[i + 1], to the series refs[i].

    The caller has seen to room: `Head.fits`. scratch: 64 bytes or more.
    """
    runs = U(refs.size)
    for i in range(runs):
        if i + AHEAD_LINE < runs:
            prefetch_write(lines, U(refs[i + AHEAD_LINE]) * U(64))
        if i + AHEAD_ARENA < runs:
            prefetch_write(arena, lines[U(refs[i + AHEAD_ARENA]) * LINE + POS])
        first = U(offsets[i])
        last = U(offsets[i + U1])
        if first == last:
            continue
        line = U(refs[i]) * LINE
        t = lines[line + LAST_TS]
        delta = lines[line + DELTA]
        v = lines[line + LAST_BITS]
        pos = lines[line + POS]
        packed = lines[line + PACKED]
        lead = packed & BYTE
        trail = (packed >> U8) & BYTE
        cnt = (packed >> U16) & BYTE
        acc = (packed >> U24) << U56
        count = packed >> U32
        page_end = lines[line + PAGE] & LOW_48
        ordinal = lines[line + PAGE] >> U48
        for j in range(first, last):
            tj = timestamps[j]
            vj = bits[j]
            if count == U0:
                place = U(cursors[layout.ARENA_END])
                cursors[layout.ARENA_END] += I(SMALLEST)
                chain = lines[line + CHAIN] & ~LOW_32
                lines[line + CHAIN] = chain | (place >> UNIT_SHIFT)
                lines[line + FIRST_TS] = tj
                pos = put_first(arena, place + LINK, tj, vj)
                page_end = place + SMALLEST
                ordinal = U0
                lead, trail, cnt, acc, delta = NO_WINDOW, U0, U0, U0, U0
            elif I(tj) <= I(t):
                # A side point of the same time may have hidden the stream's since.
                if tj == t and vj == v and lines[line + CHAIN] >> U32 == U0:
                    cursors[layout.UNCHANGED] += 1
                    continue
                at = U(cursors[layout.SIDE_END])
                cursors[layout.SIDE_END] += 1
                side_ts[at] = tj
                side_bits[at] = vj
                side_before[at] = np.uint32(lines[line + CHAIN] >> U32)
                first_page = lines[line + CHAIN] & LOW_32
                lines[line + CHAIN] = first_page | ((at + U1) << U32)
                cursors[layout.LATE] += 1
                cursors[layout.MIN_TS] = min(cursors[layout.MIN_TS], I(tj))
                continue
            else:
                d = tj - t
                x = vj ^ v
                room = page_end - pos
                code, n, raw = dod_code(d - delta, widths)
                direct = room >= POINT_ROOM or (room >= U8 and x == U0 and not raw and count > U1)
                out = arena if direct else scratch
                start = pos if direct else U0
                if count == U1:
                    end, acc, cnt, lead, trail = put_second(out, start, d, x)
                else:
                    if raw:
                        start, acc, cnt = put(out, start, acc, cnt, code, n)
                        start, acc, cnt = put_long(out, start, acc, cnt, d - delta, U(64))
                        code = U0
                        n = U0
                    end, acc, cnt, lead, trail = put_value(
                        out, start, acc, cnt, code, n, x, lead, trail
                    )
                delta = d
                if direct:
                    pos = end
                else:
                    for k in range(end):
                        if pos == page_end:
                            pos, page_end, ordinal = next_page(arena, cursors, page_end, ordinal)
                        store8(arena, pos, U(scratch[k]))
                        pos += U1
            t = tj
            v = vj
            count += U1
            cursors[layout.POINTS] += 1
            cursors[layout.MIN_TS] = min(cursors[layout.MIN_TS], I(tj))
            cursors[layout.MAX_TS] = max(cursors[layout.MAX_TS], I(tj))
        lines[line + LAST_TS] = t
        lines[line + DELTA] = delta
        lines[line + LAST_BITS] = v
        lines[line + POS] = pos
        window = lead | (trail << U8) | (cnt << U16) | ((acc >> U56) << U24)
        lines[line + PACKED] = window | (count << U32)
        lines[line + PAGE] = page_end | (ordinal << U48)


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
    total = U0
    for page in range(ordinal):
        total += page_size(page) - LINK
    start = (lines[line + PAGE] & LOW_48) - page_size(ordinal) + LINK
    total += lines[line + POS] - start
    return total + (U1 if (packed >> U16) & BYTE else U0)


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
def copy_bytes(source, at, out, to, size):
    whole = size & ~U(7)
    for k in range(U0, whole, U8):
        store64(out, to + k, load64(source, at + k))
    for k in range(whole, size):
        store8(out, to + k, U(source[at + k]))


@kernel(types.void(_U64S, _BYTES, _I64S, _OUT_BYTES))
def collect_streams(lines, arena, starts, out):
    """Copy stream i, page by page and with its pending bits, to out[starts[i]:]."""
    for i in range(U(starts.size)):
        line = i * LINE
        if lines[line + PACKED] >> U32 == U0:
            continue
        to = U(starts[i])
        page = (lines[line + CHAIN] & LOW_32) << UNIT_SHIFT
        ordinal = lines[line + PAGE] >> U48
        for k in range(ordinal):
            size = page_size(k) - LINK
            copy_bytes(arena, page + LINK, out, to, size)
            to += size
            page = load32(arena, page) << UNIT_SHIFT
        size = lines[line + POS] - (page + LINK)
        copy_bytes(arena, page + LINK, out, to, size)
        if (lines[line + PACKED] >> U16) & BYTE:
            store8(out, to + size, (lines[line + PACKED] >> U24) & BYTE)


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
