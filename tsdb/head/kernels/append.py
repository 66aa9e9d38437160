"""Append points to many streams.

    in   runs of points; state lines, arena, side columns and marks (tsdb.head.layout)
    out  the same memory, extended

Streams are the codec's, byte for byte: `tsdb.codec.kernels.dod_code` says which bits, and its
encoder is the oracle of the tests. Bits go out eight bytes at a time; at a page's end the eight
bytes are its last ones, and what is left opens the next page. The line and the arena place of
runs ahead are prefetched: without that, a million series in scrape order cost twice as much. A
run of one point, as scrapes bring them, has a path of its own.

Price: benchmarks/bench_head.py, docs/decisions/0005-head-pages.md.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import bswap64, clz64, ctz64, load64, prefetch_write, store32, store64
from tsdb.codec.kernels import NO_WINDOW, dod_code, put_first
from tsdb.head import layout
from tsdb.head.kernels import (
    BYTE,
    CHAIN,
    DELTA,
    FIRST_TS,
    LAST_BITS,
    LAST_TS,
    LINE,
    LINK,
    LOW_32,
    LOW_48,
    MARK,
    MARK_BEFORE,
    MARK_BITS,
    MARK_DELTA,
    MARK_PACKED,
    MARK_PAGE,
    MARK_POS,
    MARK_TS,
    PACKED,
    PAGE,
    POS,
    U0,
    U1,
    U2,
    U3,
    U7,
    U8,
    U16,
    U24,
    U32,
    U48,
    UNIT,
    UNIT_SHIFT,
    U,
    held_bytes,
    page_size,
)
from tsdb.jit import forced, kernel

I = np.int64  # noqa: E741
U6, U13, U31, U56, U63, U64, U65, U127 = (U(i) for i in (6, 13, 31, 56, 63, 64, 65, 127))
ALL = U((1 << 64) - 1)
HIDDEN = U(layout.HIDDEN)
NEW_WINDOW = U(0b11 << 11)  # then 5 bits of leading zeros, 6 of size
LINE_BYTES = U(layout.LINE_BYTES)
MARK_BYTES, BETWEEN_MARKS = U(layout.MARK_BYTES), U(layout.MARK_POINTS - 1)
assert layout.MARK_POINTS & (layout.MARK_POINTS - 1) == 0
AHEAD_LINE, AHEAD_ARENA = U(24), U(12)  # runs; measured, flat between 16/8 and 40/20

_U32S = types.Array(types.uint32, 1, "C", readonly=True)
_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_U32S = types.Array(types.uint32, 1, "C")
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 1, "C")


@forced
def put_at_border(arena, cursors, pos, page, word, full):
    """Put the first `full` bytes of `word` where a page has less than 8 bytes left."""
    page_end = page & LOW_48
    room = page_end - pos
    if room != U0:
        at = page_end - U8
        shift = (pos - at) << U3
        kept = bswap64(load64(arena, at)) & ~(ALL >> shift)
        store64(arena, at, bswap64(kept | (word >> shift)))
    if full <= room:
        return pos + full, page, word << (full << U3)
    ordinal = page >> U48
    place = U(cursors[layout.ARENA_END])
    store32(arena, page_end - page_size(ordinal), place >> UNIT_SHIFT)
    page_end = place + page_size(ordinal + U1)
    cursors[layout.ARENA_END] = I(page_end)
    store64(arena, place + LINK, bswap64(word << (room << U3)))
    pos = place + LINK + full - room
    return pos, page_end | ((ordinal + U1) << U48), word << (full << U3)


@forced
def put(arena, cursors, pos, page, acc, cnt, v, n):
    """`codec.kernels.put` into pages: append n <= 56 bits of v."""
    word = acc | (v << (U64 - cnt - n))
    cnt += n
    full = cnt >> U3
    if pos + U8 <= page & LOW_48:
        store64(arena, pos, bswap64(word))
        return pos + full, page, word << (full << U3), cnt & U7
    pos, page, acc = put_at_border(arena, cursors, pos, page, word, full)
    return pos, page, acc, cnt & U7


@forced
def put_halves(arena, cursors, pos, page, acc, cnt, v, n):
    """Append 33 <= n <= 64 bits of v."""
    low = n - U32
    pos, page, acc, cnt = put(arena, cursors, pos, page, acc, cnt, v >> low, U32)
    return put(arena, cursors, pos, page, acc, cnt, v & ((U1 << low) - U1), low)


@forced
def put_delta(arena, cursors, pos, page, delta):
    """Append the uvarint of the second point."""
    while delta > U127:
        byte = (delta & U127) | U(128)
        pos, page, _, _ = put(arena, cursors, pos, page, U0, U0, byte, U8)
        delta >>= U7
    pos, page, _, _ = put(arena, cursors, pos, page, U0, U0, delta, U8)
    return pos, page


@forced
def value_code(x, lead, trail):
    """(header, its bits, bits of x >> trail that follow, lead, trail)."""
    if x == U0:
        return U0, U1, U0, lead, trail
    lz = min(clz64(x), U31)
    tz = ctz64(x)
    if lz >= lead and tz >= trail:
        return U2, U2, U64 - lead - trail, lead, trail
    size = U64 - lz - tz
    return NEW_WINDOW | (lz << U6) | (size & U63), U13, size, lz, tz


@forced
def put_point(arena, cursors, pos, page, acc, cnt, code, n, x, lead, trail):
    """Append n <= 43 bits of `code` and the value code of x."""
    header, width, size, lead, trail = value_code(x, lead, trail)
    code = (code << width) | header
    n += width
    x >>= trail
    if n + size > U56:
        pos, page, acc, cnt = put(arena, cursors, pos, page, acc, cnt, code, n)
        if size > U56:
            pos, page, acc, cnt = put_halves(arena, cursors, pos, page, acc, cnt, x, size)
            return pos, page, acc, cnt, lead, trail
        code = U0
        n = U0
    pos, page, acc, cnt = put(arena, cursors, pos, page, acc, cnt, (code << size) | x, n + size)
    return pos, page, acc, cnt, lead, trail


@forced
def delta_code(dod, widths):
    """`dod_code`, without a branch between no change and the first width."""
    w = widths & BYTE
    less = dod - U1
    if clz64(less ^ U(I(less) >> 63)) + w >= U(65):
        same = dod == U0
        code = U0 if same else (U2 << w) | (dod & ((U1 << w) - U1))
        return code, (U1 if same else w + U2), False
    return dod_code(dod, widths)


@forced
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


@forced
def set_mark(lines, line, cursors, marks, newest):
    """The stream may be read from here on, if the last mark is far enough behind."""
    ref = line // LINE
    before = U(newest[ref])
    marked = U0 if before == U0 else marks[(before - U1) * MARK + MARK_BEFORE] >> U32
    held = held_bytes(lines[line + POS], lines[line + PAGE])
    if held - marked < MARK_BYTES:
        return
    at = U(cursors[layout.MARKS_END])
    cursors[layout.MARKS_END] = I(at + U1)
    newest[ref] = np.uint32(at + U1)
    mark = at * MARK
    marks[mark + MARK_TS] = lines[line + LAST_TS]
    marks[mark + MARK_DELTA] = lines[line + DELTA]
    marks[mark + MARK_BITS] = lines[line + LAST_BITS]
    marks[mark + MARK_POS] = lines[line + POS]
    marks[mark + MARK_PACKED] = lines[line + PACKED]
    marks[mark + MARK_PAGE] = lines[line + PAGE]
    marks[mark + MARK_BEFORE] = before | (held << U32)


@forced
def open_stream(lines, line, arena, cursors, t, v):
    """First point of a series."""
    place = U(cursors[layout.ARENA_END])
    cursors[layout.ARENA_END] = I(place + UNIT)
    cursors[layout.MIN_TS] = min(cursors[layout.MIN_TS], I(t))
    lines[line + CHAIN] = (lines[line + CHAIN] & ~LOW_32) | (place >> UNIT_SHIFT)
    lines[line + FIRST_TS] = t
    lines[line + LAST_TS] = t
    lines[line + DELTA] = U0
    lines[line + LAST_BITS] = v
    lines[line + POS] = put_first(arena, place + LINK, t, v)
    lines[line + PAGE] = place + UNIT
    lines[line + PACKED] = NO_WINDOW | (U1 << U32)


@forced
def append_run(
    lines, line, arena, cursors, side_ts, side_bits, side_before, marks, newest, timestamps, bits,
    j, last, widths,
):  # fmt: skip
    """Append the points j:last to one series."""
    while j < last:
        t = lines[line + LAST_TS]
        packed = lines[line + PACKED]
        count = packed >> U32
        if count == U0:
            open_stream(lines, line, arena, cursors, timestamps[j], bits[j])
            cursors[layout.POINTS] += 1
            j += U1
            continue
        if I(timestamps[j]) <= I(t):
            if put_aside(
                lines, line, cursors, side_ts, side_bits, side_before, timestamps[j], bits[j]
            ):
                cursors[layout.LATE] += 1
                cursors[layout.MIN_TS] = min(cursors[layout.MIN_TS], I(timestamps[j]))
            else:
                cursors[layout.UNCHANGED] += 1
            j += U1
            continue
        delta = lines[line + DELTA]
        v = lines[line + LAST_BITS]
        pos = lines[line + POS]
        page = lines[line + PAGE]
        lead = packed & BYTE
        trail = (packed >> U8) & BYTE
        cnt = (packed >> U16) & U7
        acc = (packed >> U24) << U56
        first = j
        stop = min(last, j + BETWEEN_MARKS - (count & BETWEEN_MARKS) + U1)  # a mark may be due
        while j < stop and I(timestamps[j]) > I(t):
            d = timestamps[j] - t
            x = bits[j] ^ v
            if count == U1:
                pos, page = put_delta(arena, cursors, pos, page, d)
                code, n = U0, U0
            else:
                code, n, raw = dod_code(d - delta, widths)
                if raw:
                    pos, page, acc, cnt = put(arena, cursors, pos, page, acc, cnt, code, n)
                    pos, page, acc, cnt = put_halves(
                        arena, cursors, pos, page, acc, cnt, d - delta, U64
                    )
                    code, n = U0, U0
            pos, page, acc, cnt, lead, trail = put_point(
                arena, cursors, pos, page, acc, cnt, code, n, x, lead, trail
            )
            t += d
            v ^= x
            delta = d
            count += U1
            j += U1
        cursors[layout.POINTS] += I(j - first)
        lines[line + LAST_TS] = t
        lines[line + DELTA] = delta
        lines[line + LAST_BITS] = v
        lines[line + POS] = pos
        window = lead | (trail << U8) | (cnt << U16) | ((acc >> U56) << U24)
        lines[line + PACKED] = window | (count << U32)
        lines[line + PAGE] = page
        if count & BETWEEN_MARKS == U0:
            set_mark(lines, line, cursors, marks, newest)
    cursors[layout.MAX_TS] = max(cursors[layout.MAX_TS], I(lines[line + LAST_TS]))


@kernel(
    types.void(
        _U32S, _I64S, _U64S, _U64S, types.uint64, _OUT_U64S, _OUT_BYTES, _OUT_I64S,
        _OUT_U64S, _OUT_U64S, _OUT_U32S, _OUT_U64S, _OUT_U32S,
    )
)  # fmt: skip
def append(
    refs, offsets, timestamps, bits, widths, lines, arena, cursors, side_ts, side_bits,
    side_before, marks, newest,
):  # fmt: skip
    """Append run i, points offsets[i]:offsets[i + 1], to the series refs[i].

    The caller has seen to room: `Head.fits`. An identical newest point changes nothing; another
    point that is not newer than its stream goes to the side.
    """
    runs = U(refs.size)
    highest = cursors[layout.MAX_TS]
    streamed = 0
    for i in range(runs):
        if i + AHEAD_LINE < runs:
            prefetch_write(lines, U(refs[i + AHEAD_LINE]) * LINE_BYTES)
        if i + AHEAD_ARENA < runs:
            prefetch_write(arena, lines[U(refs[i + AHEAD_ARENA]) * LINE + POS])
        line = U(refs[i]) * LINE
        j = U(offsets[i])
        last = U(offsets[i + U1])
        if j + U1 == last:
            packed = lines[line + PACKED]
            t = timestamps[j]
            d = t - lines[line + LAST_TS]
            code, n, raw = delta_code(d - lines[line + DELTA], widths)
            if packed >> U(33) != U0 and I(t) > I(lines[line + LAST_TS]) and not raw:
                v = bits[j]
                pos, page, acc, cnt, lead, trail = put_point(
                    arena,
                    cursors,
                    lines[line + POS],
                    lines[line + PAGE],
                    (packed >> U24) << U56,
                    (packed >> U16) & U7,
                    code,
                    n,
                    v ^ lines[line + LAST_BITS],
                    packed & BYTE,
                    (packed >> U8) & BYTE,
                )
                lines[line + LAST_TS] = t
                lines[line + DELTA] = d
                lines[line + LAST_BITS] = v
                lines[line + POS] = pos
                window = lead | (trail << U8) | (cnt << U16) | ((acc >> U56) << U24)
                lines[line + PACKED] = window | (((packed >> U32) + U1) << U32)
                lines[line + PAGE] = page
                if ((packed >> U32) + U1) & BETWEEN_MARKS == U0:
                    set_mark(lines, line, cursors, marks, newest)
                streamed += 1
                highest = max(highest, I(t))
                continue
        if j < last:
            append_run(
                lines,
                line,
                arena,
                cursors,
                side_ts,
                side_bits,
                side_before,
                marks,
                newest,
                timestamps,
                bits,
                j,
                last,
                widths,
            )
    cursors[layout.POINTS] += streamed
    cursors[layout.MAX_TS] = max(highest, cursors[layout.MAX_TS])
