"""Gorilla chunks in machine code: the append helpers, and kernels over many chunks at once.

    in   timestamps and values as uint64 words (int64 and float64 seen as bits)
    out  bytes of chunks, docs/format/chunk.md; and back

For kernels elsewhere that write the same stream point by point (the head's append), all
arguments uint64 unless said, `out` a uint8 array, `widths` = Resolution.packed_widths:

    put_first(out, pos, t, v) -> pos                 point 0; ends at a byte border
    put_second(out, pos, delta, x) -> state          point 1, from that byte border
    put_point(out, pos, acc, cnt, dod, x, lead, trail, widths) -> state         points 2, 3, ...
        state = (pos, acc, cnt, lead, trail);  x = bits ^ previous bits;  dod = delta - last delta
    put(out, pos, acc, cnt, v, n) -> (pos, acc, cnt) n <= 56 bits of v, whose higher bits are 0
    dod_code(dod, widths) -> (code, n, raw)          raw: 64 more bits, the dod itself, follow
    put_value(out, pos, acc, cnt, code, n, x, lead, trail) -> state        after n pending code bits

`pos` is the byte that holds the next bit, `cnt` (0 to 7) the bits already used in it, `acc` those
bits at the top of a word. Each put stores 8 bytes at `pos`, so what is in memory is always the
whole stream, padded with zero bits: the chunk ends at pos + (cnt > 0), acc is byte `pos` << 56,
and `out` needs POINT_BYTES_MAX from `pos` before a put_*. The window starts unset: lead
NO_WINDOW, trail 0.

Source: Pelkonen et al., VLDB 2015, section 4.1; slow twin: `tsdb.codec.reference`.
Price: benchmarks/bench_codec.py. Level with gcc -O3 once indexes are unsigned (numba tests
signed ones for wrap-around), one 8-byte window serves the timestamp code and the value header,
and the code that jitter makes common is tested first.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import bswap64, clz64, ctz64, load8, load64, store8, store64
from tsdb.jit import forced, kernel

U = np.uint64
U0, U1, U2, U3, U4, U5, U6, U7, U8 = (U(i) for i in range(9))
U10, U13, U14, U15, U31, U32, U36 = (U(i) for i in (10, 13, 14, 15, 31, 32, 36))
U56, U57, U58, U59, U60, U61, U62, U63, U64 = (U(i) for i in range(56, 65))
LOW_32 = U(0xFFFFFFFF)
TOP_BIT_32 = U(0x80000000)
NO_WINDOW = U64  # above every leading-zero count, so `lz >= lead` is false until a window is set

FIRST_BYTES_MAX = 10 + 8  # zigzag varint of t0, then v0
POINT_BITS_MAX = 4 + 32 + 64 + 2 + 5 + 6 + 64  # an escaped second, a new window of 64 bits
POINT_BYTES_MAX = (7 + POINT_BITS_MAX + 7) // 8 + 8  # from `pos`, with what the last store spills
DECODE_SLACK_BYTES = 16

EVER_LOW, EVER_HIGH = np.int64(-(2**63)), np.int64(2**63 - 1)

# Why a chunk is not one; `decode_chunks` returns chunk * REASONS + reason, or SOUND.
SOUND, REASONS = -1, 8
TRUNCATED, LEFTOVER, VARINT, WINDOW = 1, 2, 3, 4

# Read-only element types accept writable arrays too.
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_INT64S = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_OUT_BYTES = types.Array(types.uint8, 1, "C")
_OUT_INT64S = types.Array(types.int64, 1, "C")
_OUT_WORDS = types.Array(types.uint64, 1, "C")
_OUT_COUNTS = types.Array(types.int64, 2, "C")


@forced
def put(out, pos, acc, cnt, v, n):
    """Append n <= 56 bits of v (higher bits of v are 0). Stores 8 bytes at `pos`."""
    acc |= v << (U64 - cnt - n)
    cnt += n
    store64(out, pos, bswap64(acc))
    full = cnt >> U3
    return pos + full, acc << (full << U3), cnt & U7


@forced
def put_long(out, pos, acc, cnt, v, n):
    """Append 1 <= n <= 64 bits of v (higher bits of v are 0). Stores 9 bytes at `pos`."""
    left = v << (U64 - n)
    acc |= left >> cnt
    spill = (left << U1) << (U63 - cnt)  # what of 71 bits did not fit; cnt may be 0
    cnt += n
    store64(out, pos, bswap64(acc))
    store8(out, pos + U8, spill >> U56)
    full = cnt >> U3
    acc = spill if full == U8 else acc << (full << U3)
    return pos + full, acc, cnt & U7


@forced
def put_uvarint(out, pos, v):
    """LEB128, 1 to 10 bytes, at a byte border."""
    while v >= U(128):
        store8(out, pos, (v & U(127)) | U(128))
        v >>= U7
        pos += U1
    store8(out, pos, v)
    return pos + U1


@forced
def dod_code(dod, widths):
    """(code, bits, raw) of a delta of deltas; `raw`: the dod itself follows in 64 bits.

    x fits width w when -(2^(w-1) - 1) <= x <= 2^(w-1), that is when x - 1 fits w bits of two's
    complement; one count of leading zeros answers that for all widths.
    """
    if dod == U0:
        return U0, U1, False
    less = dod - U1
    size = U(65) - clz64(less ^ U(np.int64(less) >> 63))
    w = widths & U(255)
    if size <= w:
        return (U2 << w) | (dod & ((U1 << w) - U1)), w + U2, False
    w = (widths >> U8) & U(255)
    if size <= w:
        return (U6 << w) | (dod & ((U1 << w) - U1)), w + U3, False
    w = (widths >> U(16)) & U(255)
    if size <= w:
        return (U14 << w) | (dod & ((U1 << w) - U1)), w + U4, False
    if (widths >> U(24)) == U64:
        return U15, U4, True
    # Resolution s: 32 bits, whose pattern 2^31 announces 64 raw bits.
    if size <= U32 and dod != TOP_BIT_32:
        return (U15 << U32) | (dod & LOW_32), U36, False
    return (U15 << U32) | TOP_BIT_32, U36, True


@forced
def put_value(out, pos, acc, cnt, code, n, x, lead, trail):
    """Append n <= 43 bits of `code`, then the value code of x (value bits XOR the ones before)."""
    if x == U0:
        pos, acc, cnt = put(out, pos, acc, cnt, code << U1, n + U1)
        return pos, acc, cnt, lead, trail
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
    if n + size <= U56:
        pos, acc, cnt = put(out, pos, acc, cnt, (code << size) | x, n + size)
    else:
        pos, acc, cnt = put(out, pos, acc, cnt, code, n)
        pos, acc, cnt = put_long(out, pos, acc, cnt, x, size)
    return pos, acc, cnt, lead, trail


@forced
def put_point(out, pos, acc, cnt, dod, x, lead, trail, widths):
    """Append point 2 or later."""
    code, n, raw = dod_code(dod, widths)
    if raw:
        pos, acc, cnt = put(out, pos, acc, cnt, code, n)
        pos, acc, cnt = put_long(out, pos, acc, cnt, dod, U64)
        code = U0
        n = U0
    return put_value(out, pos, acc, cnt, code, n, x, lead, trail)


@forced
def put_first(out, pos, t, v):
    """Append point 0 at a byte border: zigzag varint of t, 64 bits of v."""
    pos = put_uvarint(out, pos, (t << U1) ^ U(np.int64(t) >> 63))
    store64(out, pos, bswap64(v))
    return pos + U8


@forced
def put_second(out, pos, delta, x):
    """Append point 1 at a byte border: uvarint of the delta, then the value code."""
    pos = put_uvarint(out, pos, delta)
    return put_value(out, pos, U0, U0, U0, U0, x, NO_WINDOW, U0)


@forced
def encode_run(timestamps, values, first, last, out, pos, widths):
    """Append the points first <= i < last as one chunk; returns the byte after it."""
    if first == last:
        return pos
    t = timestamps[first]
    v = values[first]
    pos = put_first(out, pos, t, v)
    if first + U1 == last:
        return pos
    delta = timestamps[first + U1] - t
    pos, acc, cnt, lead, trail = put_second(out, pos, delta, values[first + U1] ^ v)
    t += delta
    v = values[first + U1]
    for i in range(first + U2, last):
        d = timestamps[i] - t
        x = values[i] ^ v
        pos, acc, cnt, lead, trail = put_point(
            out, pos, acc, cnt, d - delta, x, lead, trail, widths
        )
        t += d
        delta = d
        v ^= x
    return pos + (cnt + U7 >> U3)


@kernel(
    types.uint64(_INT64S, _WORDS, _WORDS, types.uint64, _OUT_BYTES, _OUT_INT64S),
)
def encode_runs(offsets, timestamps, values, widths, out, ends):
    """Encode run i to out[ends[i]:ends[i + 1]]; returns the bytes written.

    out   >= gorilla.encode_bound_bytes(points, runs)
    ends  int64[runs + 1], fully overwritten
    """
    pos = U0
    ends[U0] = 0
    for i in range(U(offsets.size - 1)):
        first = U(offsets[i])
        last = U(offsets[i + U1])
        pos = encode_run(timestamps, values, first, last, out, pos, widths)
        ends[i + U1] = np.int64(pos)
    return pos


@forced
def get_uvarint(data, pos, end):
    """(value, byte after it); the byte is 0 when the varint ends too late or is too large."""
    v = U0
    shift = U0
    while pos < end and shift < U(70):
        byte = load8(data, pos)
        pos += U1
        if shift == U63 and byte > U1:
            return U0, U0
        v |= (byte & U(127)) << shift
        if byte < U(128):
            return v, pos
        shift += U7
    return U0, U0


@forced
def window(data, p):
    """The 57 or more bits from bit p on, at the top of a word."""
    return bswap64(load64(data, p >> U3)) << (p & U7)


@forced
def window_long(data, p):
    """The 64 bits from bit p on. Reads 9 bytes."""
    byte = p >> U3
    shift = p & U7
    return (bswap64(load64(data, byte)) << shift) | (load8(data, byte + U8) >> (U8 - shift))


@forced
def check_end(data, p, end):
    """Reason why a chunk whose last bit is p - 1 does not end at byte `end`, or 0."""
    if p > end << U3:
        return TRUNCATED
    rest = (end << U3) - p
    if rest >= U8:
        return LEFTOVER
    if rest and load8(data, end - U1) & ((U1 << rest) - U1):
        return LEFTOVER
    return 0


@forced
def decode_run(data, start, end, count, widths, timestamps, values, at):
    """Decode the chunk data[start:end] of `count` points to index `at`; returns a reason or 0."""
    reason, _ = decode_within(
        data, start, end, count, widths, EVER_LOW, EVER_HIGH, timestamps, values, at
    )
    return reason


@forced
def decode_within(data, start, end, count, widths, low, high, timestamps, values, at):
    """The points low <= t <= high of the chunk data[start:end] to index `at`, which moves on.

    Returns (a reason or 0, index behind them). Timestamps ascend, or the borders are the least
    and the greatest: what follows a point beyond `high` is not looked at. Room is for all points.
    """
    if count == U0:
        return (0 if start == end else LEFTOVER), at
    zigzag, pos = get_uvarint(data, start, end)
    if pos == U0:
        return VARINT, at
    if pos + U8 > end:
        return TRUNCATED, at
    t = (zigzag >> U1) ^ (U0 - (zigzag & U1))
    v = bswap64(load64(data, pos))
    pos += U8
    if np.int64(t) > high:
        return 0, at
    timestamps[at] = t
    values[at] = v
    at += U(np.int64(t) >= low)
    if count == U1:
        return check_end(data, pos << U3, end), at
    d, pos = get_uvarint(data, pos, end)
    if pos == U0:
        return VARINT, at
    reason, at, p = decode_rest(
        *(data, pos << U3, end << U3, count - U1, True, t, d, v, U64, U0, widths, low, high),
        *(timestamps, values, at),
    )
    if reason != 0 or p == U0:
        return reason, at
    return check_end(data, p, end), at


@forced
def decode_rest(
    data, p, limit, count, bare, t, d, v, size, trail, widths, low, high, timestamps, values, at
):
    """Decode `count` points from bit p on, as `decode_within`. Returns (reason, index, bit).

    t, d, v      timestamp, delta and value bits before; `bare`: the first has no timestamp code
    size, trail  window of value bits; before the first it is the whole word, as Prometheus reads
    bit          behind the last point, or 0 when one was beyond `high`

    Safe for any bytes with one compare a point: where p <= limit is known, the codes read next end
    at most 36 bits on (1111 and 32 bits; or 10, w1 <= 17 bits and a value header), and the last
    load starts there and takes 9 bytes: 14 in all, DECODE_SLACK_BYTES is 16.
    """
    s1 = U64 - (widths & U(255))
    s2 = U64 - ((widths >> U8) & U(255))
    s3 = U64 - ((widths >> U(16)) & U(255))
    w = window(data, p)
    first = at
    left_out = U0
    for i in range(first, first + count):
        if i != first or not bare:
            if p > limit:
                return TRUNCATED, i, p
            w = window(data, p)
            if w >> U63 == U0:
                p += U1
                w <<= U1
            elif w >> U62 == U2:
                # Width w holds x - 1 in two's complement: subtract, extend the sign, add.
                d += U(np.int64((w << U2) - (U1 << s1)) >> s1) + U1
                p += U2 + U64 - s1
                w <<= U2 + U64 - s1
            else:
                if w >> U61 == U6:
                    d += U(np.int64((w << U3) - (U1 << s2)) >> s2) + U1
                    p += U3 + U64 - s2
                elif w >> U60 == U14:
                    d += U(np.int64((w << U4) - (U1 << s3)) >> s3) + U1
                    p += U4 + U64 - s3
                else:
                    p += U4
                    raw = True
                    if widths >> U(24) == U32:
                        field = (w << U4) >> U32
                        p += U32
                        raw = field == TOP_BIT_32
                        if not raw:
                            d += U(np.int64(field << U32) >> 32)
                    if raw:
                        d += window_long(data, p)
                        p += U64
                if p > limit:
                    return TRUNCATED, i, p
                w = window(data, p)
        t += d
        if np.int64(t) > high:
            return 0, i - left_out, U0
        timestamps[i - left_out] = t
        if w >> U63 == U0:
            p += U1
        else:
            if w >> U62 == U2:
                p += U2
            else:
                size = (w << U7) >> U58
                size += U64 if size == U0 else U0
                trail = U64 - ((w << U2) >> U59) - size
                p += U13
                if trail > U63:
                    return WINDOW, i, p
            if size <= U57:
                v ^= (window(data, p) >> (U64 - size)) << trail
            else:
                v ^= (window_long(data, p) >> (U64 - size)) << trail
            p += size
        values[i - left_out] = v
        left_out += U(np.int64(t) < low)
    return 0, first + count - left_out, p


@kernel(
    types.int64(_BYTES, _INT64S, _INT64S, _INT64S, types.uint64, _OUT_WORDS, _OUT_WORDS),
)
def decode_chunks(data, starts, ends, counts, widths, timestamps, values):
    """Decode chunk i, data[starts[i]:ends[i]] of counts[i] points, one after another.

    data        DECODE_SLACK_BYTES readable after the last end
    timestamps, values   uint64[sum of counts], overwritten up to the first chunk that is not sound
    Returns SOUND, or chunk * REASONS + reason of that chunk.
    """
    at = U0
    for i in range(U(counts.size)):
        count = U(counts[i])
        reason = decode_run(data, U(starts[i]), U(ends[i]), count, widths, timestamps, values, at)
        if reason != 0:
            return np.int64(i) * REASONS + reason
        at += count
    return SOUND


@forced
def account_point(dod, x, lead, trail, widths, counts, bits, run):
    """Count the codes of point 2 or later, columns as `reference.Code`; returns the window."""
    code, n, raw = dod_code(dod, widths)
    if raw and n == U36:
        kind = U7
    else:
        kind = U2 + min(clz64(~(code << (U64 - n))), U4)  # ones that lead the code
    counts[run, kind] += 1
    bits[run, kind] += np.int64(n + U64 if raw else n)
    return account_value(x, lead, trail, counts, bits, run)


@forced
def account_value(x, lead, trail, counts, bits, run):
    """Count the value code of x; returns the window it leaves."""
    if x == U0:
        counts[run, 9] += 1
        bits[run, 9] += 1
        return lead, trail
    lz = min(clz64(x), U31)
    tz = ctz64(x)
    if lz >= lead and tz >= trail:
        counts[run, 10] += 1
        bits[run, 10] += np.int64(U2 + U64 - lead - trail)
        return lead, trail
    counts[run, 11] += 1
    bits[run, 11] += np.int64(U13 + U64 - lz - tz)
    return lz, tz


@forced
def uvarint_bits(v):
    return np.int64(max(U64 - clz64(v), U1) + U6) // 7 * 8


@kernel(
    types.void(_INT64S, _WORDS, _WORDS, types.uint64, _OUT_COUNTS, _OUT_COUNTS),
)
def account_runs(offsets, timestamps, values, widths, counts, bits):
    """Add to counts[run, code] and bits[run, code] what `encode_runs` would write for each run.

    counts, bits   int64[runs, codes], zero when called
    """
    for run in range(U(offsets.size - 1)):
        first = U(offsets[run])
        last = U(offsets[run + U1])
        lead = NO_WINDOW
        trail = U0
        delta = U0
        for i in range(first, last):
            t = timestamps[i]
            v = values[i]
            if i == first:
                counts[run, 0] += 1
                bits[run, 0] += uvarint_bits((t << U1) ^ U(np.int64(t) >> 63))
                counts[run, 8] += 1
                bits[run, 8] += 64
                continue
            d = t - timestamps[i - U1]
            x = v ^ values[i - U1]
            if i == first + U1:
                counts[run, 1] += 1
                bits[run, 1] += uvarint_bits(d)
                lead, trail = account_value(x, lead, trail, counts, bits, run)
            else:
                lead, trail = account_point(d - delta, x, lead, trail, widths, counts, bits, run)
            delta = d
        odd = bits[run].sum() % 8
        if odd:
            counts[run, 12] = 1
            bits[run, 12] = 8 - odd
