"""The head in machine code: append to many streams, copy lines, read streams and side points.

    in   runs of points; state lines, arena and side columns (tsdb.head.layout)
    out  the same memory, extended; points of a range, side points laid over the stream's

Streams are the codec's, byte for byte: `dod_code` and `decode_run` of `tsdb.codec.kernels` write
and read them, and its encoder is the oracle of the tests. Bits go out eight bytes at a time while
the page has room for that, else byte by byte and over the border into a new page. The line and
the arena place of runs ahead are prefetched: without that, a million series in scrape order cost
twice as much.

Price: benchmarks/bench_head.py, docs/decisions/0005-head-pages.md.
"""

import numpy as np
from numba import types

from tsdb import jit
from tsdb.codec.bits import (
    bswap64,
    clz64,
    ctz64,
    load32,
    load64,
    prefetch_write,
    store8,
    store32,
    store64,
)
from tsdb.codec.kernels import NO_WINDOW, decode_run, dod_code, inlined, put_first
from tsdb.head import layout
from tsdb.jit import kernel
from tsdb.overlay.kernels import copy_points, first_above, first_at_least, interleave

U, I = np.uint64, np.int64  # noqa: E741
U0, U1, U2, U3, U5, U6, U7, U8 = U(0), U(1), U(2), U(3), U(5), U(6), U(7), U(8)
U13, U16, U24, U31, U32, U48 = U(13), U(16), U(24), U(31), U(32), U(48)
U56, U63, U64, U127 = U(56), U(63), U(64), U(127)
BYTE, LOW_32, LOW_48 = U(0xFF), U(0xFFFFFFFF), U((1 << 48) - 1)
HIDDEN = U(layout.HIDDEN)
UNIT_SHIFT, LINK, UNIT, SIZE_SHIFT = U5, U(layout.LINK_BYTES), U(layout.UNIT), U2
LAST_TS, DELTA, LAST_BITS, FIRST_TS, POS, PACKED, PAGE, CHAIN = (U(i) for i in range(8))
LINE, LINE_BYTES = U(layout.LINE_WORDS), U(layout.LINE_BYTES)
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
    return max(ordinal >> SIZE_SHIFT, U1) << UNIT_SHIFT


@inlined
def pages_before(ordinal):
    """`layout.pages_before_bytes`."""
    full = ordinal >> SIZE_SHIFT
    if full == U0:
        return ordinal << UNIT_SHIFT
    units = U2 * full * (full - U1) + (ordinal & U3) * full
    return (units << UNIT_SHIFT) + (UNIT << SIZE_SHIFT)


@jit.inlined
def put_over_border(arena, cursors, pos, page_end, ordinal, word, size):
    """Put the first `size` bytes of `word`, opening a page when one is full."""
    for _ in range(size):
        if pos == page_end:
            place = U(cursors[layout.ARENA_END])
            store32(arena, page_end - page_size(ordinal), place >> UNIT_SHIFT)
            ordinal += U1
            page_end = place + page_size(ordinal)
            cursors[layout.ARENA_END] = I(page_end)
            pos = place + LINK
        store8(arena, pos, word >> U56)
        word <<= U8
        pos += U1
    return pos, page_end, ordinal


@inlined
def put(arena, cursors, pos, page_end, ordinal, acc, cnt, v, n):
    """`codec.kernels.put` into pages: append n <= 56 bits of v."""
    word = acc | (v << (U64 - cnt - n))
    cnt += n
    full = cnt >> U3
    if pos + U8 <= page_end:
        store64(arena, pos, bswap64(word))
        pos += full
    elif full != U0:
        pos, page_end, ordinal = put_over_border(arena, cursors, pos, page_end, ordinal, word, full)
    return pos, page_end, ordinal, word << (full << U3), cnt & U7


@jit.inlined
def put_halves(arena, cursors, pos, page_end, ordinal, acc, cnt, v, n):
    """Append 33 <= n <= 64 bits of v."""
    low = n - U32
    pos, page_end, ordinal, acc, cnt = put(
        arena, cursors, pos, page_end, ordinal, acc, cnt, v >> low, U32
    )
    return put(arena, cursors, pos, page_end, ordinal, acc, cnt, v & ((U1 << low) - U1), low)


@jit.inlined
def put_delta(arena, cursors, pos, page_end, ordinal, delta):
    """Append the uvarint of the second point."""
    while delta > U127:
        byte = (delta & U127) | U(128)
        pos, page_end, ordinal = put_over_border(
            arena, cursors, pos, page_end, ordinal, byte << U56, U1
        )
        delta >>= U7
    return put_over_border(arena, cursors, pos, page_end, ordinal, delta << U56, U1)


@jit.inlined
def put_aside(lines, line, cursors, side_ts, side_bits, side_before, t, v):
    """Take a point that is not newer than its stream; False when it changes nothing."""
    newest = lines[line + LAST_TS]
    hidden = lines[line + PACKED] & HIDDEN
    if t == newest and v == lines[line + LAST_BITS] and hidden == U0:
        return False
    chain = lines[line + CHAIN]
    before = chain >> U32
    if before != U0 and side_ts[before - U1] == t and side_bits[before - U1] == v:
        return False
    at = U(cursors[layout.SIDE_END])
    cursors[layout.SIDE_END] += 1
    side_ts[at] = t
    side_bits[at] = v
    side_before[at] = np.uint32(before)
    lines[line + CHAIN] = (chain & LOW_32) | ((at + U1) << U32)
    if t == newest:
        lines[line + PACKED] |= HIDDEN
    return True


@inlined
def open_stream(lines, line, arena, cursors, t, v):
    """First point of a series; returns (pos, page_end)."""
    place = U(cursors[layout.ARENA_END])
    cursors[layout.ARENA_END] = I(place + UNIT)
    lines[line + CHAIN] = (lines[line + CHAIN] & ~LOW_32) | (place >> UNIT_SHIFT)
    lines[line + FIRST_TS] = t
    return put_first(arena, place + LINK, t, v), place + UNIT


@kernel(
    types.void(
        _U32S, _I64S, _U64S, _U64S, types.uint64, _OUT_U64S, _OUT_BYTES, _OUT_I64S,
        _OUT_U64S, _OUT_U64S, _OUT_U32S,
    )
)  # fmt: skip
def append(
    refs, offsets, timestamps, bits, widths, lines, arena, cursors, side_ts, side_bits,
    side_before,
):  # fmt: skip
    """Append run i, points offsets[i]:offsets[i + 1], to the series refs[i].

    The caller has seen to room: `Head.fits`. An identical newest point changes nothing; another
    point that is not newer than its stream goes to the side.
    """
    runs = U(refs.size)
    lowest = cursors[layout.MIN_TS]
    highest = cursors[layout.MAX_TS]
    streamed = U0
    unchanged = 0
    late = 0
    for i in range(runs):
        if i + AHEAD_LINE < runs:
            prefetch_write(lines, U(refs[i + AHEAD_LINE]) * LINE_BYTES)
        if i + AHEAD_ARENA < runs:
            prefetch_write(arena, lines[U(refs[i + AHEAD_ARENA]) * LINE + POS])
        line = U(refs[i]) * LINE
        j = U(offsets[i])
        last = U(offsets[i + U1])
        while j < last:
            t = lines[line + LAST_TS]
            packed = lines[line + PACKED]
            count = packed >> U32
            if count != U0 and I(timestamps[j]) <= I(t):
                tj = timestamps[j]
                if put_aside(lines, line, cursors, side_ts, side_bits, side_before, tj, bits[j]):
                    late += 1
                    lowest = min(lowest, I(tj))
                else:
                    unchanged += 1
                j += U1
                continue
            delta = lines[line + DELTA]
            v = lines[line + LAST_BITS]
            pos = lines[line + POS]
            lead = packed & BYTE
            trail = (packed >> U8) & BYTE
            cnt = (packed >> U16) & U7
            acc = (packed >> U24) << U56
            page_end = lines[line + PAGE] & LOW_48
            ordinal = lines[line + PAGE] >> U48
            streamed -= count
            if count == U0:
                t = timestamps[j]
                v = bits[j]
                pos, page_end = open_stream(lines, line, arena, cursors, t, v)
                ordinal, acc, cnt, delta, lead, trail = U0, U0, U0, U0, NO_WINDOW, U0
                lowest = min(lowest, I(t))
                count = U1
                j += U1
            while j < last and I(timestamps[j]) > I(t):
                d = timestamps[j] - t
                t += d
                x = bits[j] ^ v
                v ^= x
                code, n, raw = dod_code(d - delta, widths)
                if count == U1:
                    pos, page_end, ordinal = put_delta(arena, cursors, pos, page_end, ordinal, d)
                    code, n, raw = U0, U0, False
                if raw:
                    pos, page_end, ordinal, acc, cnt = put(
                        arena, cursors, pos, page_end, ordinal, acc, cnt, code, n
                    )
                    pos, page_end, ordinal, acc, cnt = put_halves(
                        arena, cursors, pos, page_end, ordinal, acc, cnt, d - delta, U64
                    )
                    code, n = U0, U0
                size = U0
                if x == U0:
                    code <<= U1
                    n += U1
                else:
                    lz = min(clz64(x), U31)
                    tz = ctz64(x)
                    if lz >= lead and tz >= trail:
                        code = (code << U2) | U2
                        n += U2
                    else:
                        lead = lz
                        trail = tz
                        code = (((code << U2) | U3) << U5 | lz) << U6 | ((U64 - lz - tz) & U63)
                        n += U13
                    size = U64 - lead - trail
                    x >>= trail
                if n + size > U56:
                    pos, page_end, ordinal, acc, cnt = put(
                        arena, cursors, pos, page_end, ordinal, acc, cnt, code, n
                    )
                    code, n = U0, U0
                if n + size > U56:
                    pos, page_end, ordinal, acc, cnt = put_halves(
                        arena, cursors, pos, page_end, ordinal, acc, cnt, x, size
                    )
                else:
                    pos, page_end, ordinal, acc, cnt = put(
                        arena, cursors, pos, page_end, ordinal, acc, cnt,
                        (code << size) | x, n + size,
                    )  # fmt: skip
                delta = d
                count += U1
                j += U1
            streamed += count
            highest = max(highest, I(t))
            lines[line + LAST_TS] = t
            lines[line + DELTA] = delta
            lines[line + LAST_BITS] = v
            lines[line + POS] = pos
            window = lead | (trail << U8) | (cnt << U16) | ((acc >> U56) << U24)
            lines[line + PACKED] = window | (count << U32)
            lines[line + PAGE] = page_end | (ordinal << U48)
    cursors[layout.POINTS] += I(streamed)
    cursors[layout.UNCHANGED] += unchanged
    cursors[layout.LATE] += late
    cursors[layout.MIN_TS] = lowest
    cursors[layout.MAX_TS] = highest


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
