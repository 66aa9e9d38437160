"""Copy lines, measure streams, read streams and side points.

    in   state lines, of the head or copied; arena; side columns, marks (tsdb.head.layout)
    out  points of a range, side points laid over the stream's

Reads only what was there when the lines were copied: bytes before a line's POS never change, and
the bits after them are in the line. So a read needs no lock while appends go on.

Price: benchmarks/bench_head.py.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load32, load64, prefetch_read, store8, store64
from tsdb.codec.kernels import decode_rest, decode_within
from tsdb.head import layout
from tsdb.head.kernels import (
    BYTE,
    CHAIN,
    FIRST_TS,
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
    U3,
    U7,
    U8,
    U16,
    U24,
    U32,
    U48,
    UNIT_SHIFT,
    U,
    held_bytes,
    page_size,
)
from tsdb.jit import forced, kernel
from tsdb.overlay.kernels import copy_points, interleave

I = np.int64  # noqa: E741
U64 = U(64)
ORDINAL, AT_PAGE, START, SIZE = (U(i) for i in range(4))  # of a lane: a stream being collected
LANE, COLLECTED = U(layout.LANE_WORDS), U(1 << 32)
LINE_BYTES, PREFETCHED = U(64), U(1024)

_U32S = types.Array(types.uint32, 1, "C", readonly=True)
_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_U32S = types.Array(types.uint32, 1, "C")
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 1, "C")


@kernel(types.void(_U32S, _U64S, _U32S, _OUT_U64S, _OUT_U32S))
def copy_lines(refs, lines, newest, out, out_newest):
    """Line and newest mark of refs[i]; zeros for a ref beyond `lines`. out: uint64[refs * 8]."""
    known = U(lines.size) // LINE
    for i in range(U(refs.size)):
        ref = U(refs[i])
        for w in range(LINE):
            out[i * LINE + w] = lines[ref * LINE + w] if ref < known else U0
        out_newest[i] = newest[ref] if ref < known else np.uint32(0)


@forced
def stream_bytes(lines, line):
    """Bytes of a stream as one chunk, pending bits as a last byte."""
    packed = lines[line + PACKED]
    if packed >> U32 == U0:
        return U0
    held = held_bytes(lines[line + POS], lines[line + PAGE])
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


@forced
def copy_words(source, at, out, to, size):
    """Copy `size` bytes and up to 7 behind them."""
    for k in range(U0, size, U8):
        store64(out, to + k, load64(source, at + k))


@forced
def begin_lane(lines, line, arena, marks, mark, lanes, lane):
    """Where collecting a stream begins: its first page, or the one that `mark` (not 0) is in."""
    page = (lines[line + CHAIN] & LOW_32) << UNIT_SHIFT
    start = page + LINK
    ordinal = U0
    if mark != U0:
        at = (mark - U1) * MARK
        ordinal = marks[at + MARK_PAGE] >> U48
        page = (marks[at + MARK_PAGE] & LOW_48) - page_size(ordinal)
        start = marks[at + MARK_POS]
        prefetch_read(arena, start)
    prefetch_read(arena, page)
    lanes[lane + ORDINAL] = ordinal
    lanes[lane + AT_PAGE] = page
    lanes[lane + START] = start
    lanes[lane + SIZE] = U0


@forced
def collect_page(lines, line, arena, lanes, lane, out, to):
    """Copy what a page holds behind what was copied to out[to:]; False once it was the last."""
    ordinal, page, start = lanes[lane + ORDINAL], lanes[lane + AT_PAGE], lanes[lane + START]
    to += lanes[lane + SIZE]
    if ordinal < lines[line + PAGE] >> U48:
        following = load32(arena, page) << UNIT_SHIFT
        for k in range(U0, min(page_size(ordinal + U1), PREFETCHED), LINE_BYTES):
            prefetch_read(arena, following + k)
        size = page + page_size(ordinal) - start
        copy_words(arena, start, out, to, size)
        lanes[lane + ORDINAL] = ordinal + U1
        lanes[lane + AT_PAGE] = following
        lanes[lane + START] = following + LINK
        lanes[lane + SIZE] += size
        return True
    size = lines[line + POS] - start
    copy_words(arena, start, out, to, size)
    packed = lines[line + PACKED]
    if (packed >> U16) & U7:
        store8(out, to + size, (packed >> U24) & BYTE)
        size += U1
    lanes[lane + ORDINAL] = COLLECTED
    lanes[lane + SIZE] += size
    return False


@forced
def collect(lines, first, count, arena, marks, chosen, start, end, lanes, chunk, stride):
    """Streams of `count` lines as chunks, `stride` bytes apart, from `chosen` marks on.

    Page after page of all by turns: a page is not in the cache, and the way to it leads over the
    page before it; so what one waits for is used to wait for the others too. Without turns
    1,000 streams of 8 KB took 10.3 ns a point to read, with them {NS}.
    """
    left = False
    for k in range(count):
        line = (first + k) * LINE
        lanes[k * LANE + ORDINAL] = COLLECTED
        if meets(lines, line, start, end):
            begin_lane(lines, line, arena, marks, U(chosen[first + k]), lanes, k * LANE)
            left = True
    while left:
        left = False
        for k in range(count):
            if lanes[k * LANE + ORDINAL] != COLLECTED:
                line = (first + k) * LINE
                left |= collect_page(lines, line, arena, lanes, k * LANE, chunk, k * stride)


@kernel(types.int64(_U64S, _BYTES, _OUT_U64S, _OUT_BYTES))
def copy_stream(lines, arena, lane, out):
    """The stream of the first line as a chunk; out: its bytes and 8 more. Returns the bytes."""
    begin_lane(lines, U0, arena, lines, U0, lane, U0)
    while collect_page(lines, U0, arena, lane, U0, out, U0):
        pass
    return I(lane[SIZE])


@forced
def meets(lines, line, start, end):
    count = lines[line + PACKED] >> U32
    return count != U0 and I(lines[line + FIRST_TS]) <= end and I(lines[line + LAST_TS]) >= start


@kernel(
    types.int64(
        _U64S, _U64S, _U32S, _I64S, types.int64, types.int64, _OUT_U32S, _OUT_I64S, _OUT_I64S
    )
)  # fmt: skip
def measure_read(lines, marks, newest, side_at, start, end, chosen, rooms, out):
    """Which mark `read` may begin each stream at, and the room that it needs.

    chosen   index + 1 of the last mark before `start`, or 0
    rooms    room for run i is rooms[i]:rooms[i + 1]
    out      bytes of the largest stream, most points to decode of a stream with side points
    Returns the points that will be decoded.
    """
    decoded = 0
    out[:] = 0
    rooms[0] = 0
    for i in range(U(side_at.size) - U1):
        line = i * LINE
        count = side_at[i + U1] - side_at[i]
        aside = count != 0
        chosen[i] = 0
        if meets(lines, line, start, end):
            mark = U(newest[i])
            while mark != U0 and I(marks[(mark - U1) * MARK + MARK_TS]) >= start:
                mark = marks[(mark - U1) * MARK + MARK_BEFORE] & LOW_32
            chosen[i] = np.uint32(mark)
            left = I(lines[line + PACKED] >> U32)
            if mark != U0:
                left -= I(marks[(mark - U1) * MARK + MARK_PACKED] >> U32)
            decoded += left
            count += left
            out[0] = max(out[0], I(stream_bytes(lines, line)))
            if aside:
                out[1] = max(out[1], left)
        rooms[i + U1] = rooms[i] + count
    return decoded


@forced
def decode_from(
    chunk, at_chunk, size, count, marks, mark, widths, start, end, timestamps, bits, at
):
    """Points start <= t <= end of a stream to index `at`; (a reason or 0, index behind them).

    From `mark` on: bits that waited in the line then are in the arena, or in the line, by now.
    """
    if mark == U0:
        stop = at_chunk + size
        return decode_within(chunk, at_chunk, stop, count, widths, start, end, timestamps, bits, at)
    at_mark = (mark - U1) * MARK
    packed = marks[at_mark + MARK_PACKED]
    trail = (packed >> U8) & BYTE
    reason, at, _ = decode_rest(
        chunk, (at_chunk << U3) + ((packed >> U16) & U7), (at_chunk + size) << U3,
        count - (packed >> U32), False,
        marks[at_mark + MARK_TS], marks[at_mark + MARK_DELTA], marks[at_mark + MARK_BITS],
        U64 - (packed & BYTE) - trail, trail,  # no window yet: the next code sets one
        widths, start, end, timestamps, bits, at,
    )  # fmt: skip
    return reason, at


@kernel(
    types.int64(
        _U64S, _BYTES, _U64S, _U32S, types.uint64, _I64S, _I64S, _I64S, _U64S, _OUT_BYTES,
        _OUT_U64S, _OUT_I64S, _OUT_U64S, _OUT_I64S, _OUT_I64S, _OUT_U64S,
    )
)  # fmt: skip
def read(
    lines, arena, marks, chosen, widths, span, side_at, side_ts, side_bits, chunks, lanes,
    alone_ts, alone_bits, counts, timestamps, bits,
):  # fmt: skip
    """Run i = points of line i from span[0] to span[1], side run i laid over them; one after the
    other, counts[i] of them.

    A stream is decoded to where its points will stay; only one with side points is decoded to
    `alone_*` first. Room: `measure_read`; `chunks` has room for as many streams as `lanes` (LANE
    words each), each with DECODE_SLACK_BYTES more. Returns -1, or the line whose stream is not
    sound.
    """
    at = U0
    start, end = span[0], span[1]
    together = U(lanes.size) // LANE
    stride = U(chunks.size) // together
    for i in range(U(counts.size)):
        place = i % together
        if place == U0:
            count = min(together, U(counts.size) - i)
            collect(lines, i, count, arena, marks, chosen, start, end, lanes, chunks, stride)
        line = i * LINE
        before = at
        side, side_end = U(side_at[i]), U(side_at[i + U1])
        if not meets(lines, line, start, end):
            at = copy_points(side_ts, side_bits, side, side_end, timestamps, bits, at)
            counts[i] = I(at - before)
            continue
        size, points = lanes[place * LANE + SIZE], lines[line + PACKED] >> U32
        if side == side_end:
            reason, at = decode_from(
                chunks, place * stride, size, points, marks, U(chosen[i]), widths, start, end,
                timestamps, bits, at,
            )  # fmt: skip
            if reason != 0:
                return I(i)
        else:
            reason, kept = decode_from(
                chunks, place * stride, size, points, marks, U(chosen[i]), widths, start, end,
                alone_ts, alone_bits, U0,
            )  # fmt: skip
            if reason != 0:
                return I(i)
            at = interleave(
                alone_ts, alone_bits, U0, kept, side_ts, side_bits, side, side_end,
                timestamps, bits, at,
            )  # fmt: skip
        counts[i] = I(at - before)
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
