/* The kernels of tsdb/codec/kernels.py said again in C, line by line where that is natural: the
   baseline of benchmarks/bench_codec.py. Same stream, same checks, same reads past the end.

   gcc -O3 -march=native -shared -fPIC -fwrapv gorilla.c -o gorilla.so */
#include <stdint.h>
#include <string.h>

typedef uint64_t u64;
typedef int64_t i64;
#define INLINE static inline __attribute__((always_inline))
enum { TRUNCATED = 1, LEFTOVER = 2, VARINT = 3, WINDOW = 4, REASONS = 8 };

INLINE u64 load(const uint8_t *b, u64 at) { u64 w; memcpy(&w, b + at, 8); return __builtin_bswap64(w); }
INLINE void store(uint8_t *b, u64 at, u64 w) { w = __builtin_bswap64(w); memcpy(b + at, &w, 8); }
/* 63 for 0, where the kernel has 64: no width is so small that it matters, and gcc branches else. */
INLINE u64 clz(u64 x) { return (u64)__builtin_clzll(x | 1); }

typedef struct { uint8_t *out; u64 pos, acc, cnt, lead, trail; } Stream;

INLINE void put(Stream *s, u64 v, u64 n) {
    s->acc |= v << (64 - s->cnt - n);
    s->cnt += n;
    store(s->out, s->pos, s->acc);
    u64 full = s->cnt >> 3;
    s->pos += full;
    s->acc <<= full << 3;
    s->cnt &= 7;
}

INLINE void put_long(Stream *s, u64 v, u64 n) {
    u64 left = v << (64 - n);
    s->acc |= left >> s->cnt;
    u64 spill = (left << 1) << (63 - s->cnt);
    s->cnt += n;
    store(s->out, s->pos, s->acc);
    s->out[s->pos + 8] = spill >> 56;
    u64 full = s->cnt >> 3;
    s->acc = full == 8 ? spill : s->acc << (full << 3);
    s->pos += full;
    s->cnt &= 7;
}

INLINE void put_uvarint(Stream *s, u64 v) {
    for (; v >= 128; v >>= 7) s->out[s->pos++] = v | 128;
    s->out[s->pos++] = v;
}

INLINE void put_value(Stream *s, u64 code, u64 n, u64 x) {
    if (!x) { put(s, code << 1, n + 1); return; }
    u64 lz = clz(x), tz = (u64)__builtin_ctzll(x);
    if (lz > 31) lz = 31;
    if (lz >= s->lead && tz >= s->trail) {
        code = code << 2 | 2;
        n += 2;
    } else {
        s->lead = lz;
        s->trail = tz;
        code = ((code << 2 | 3) << 5 | lz) << 6 | ((64 - lz - tz) & 63);
        n += 13;
    }
    u64 size = 64 - s->lead - s->trail;
    x >>= s->trail;
    if (n + size <= 56) put(s, code << size | x, n + size);
    else { put(s, code, n); put_long(s, x, size); }
}

INLINE void put_point(Stream *s, u64 dod, u64 x, u64 widths) {
    u64 code, n, w, less = dod - 1, size = 65 - clz(less ^ (u64)((i64)less >> 63));
    int raw = 0;
    if (!dod) { code = 0; n = 1; }
    else if (size <= (w = widths & 255)) { code = 2ull << w | (dod & ((1ull << w) - 1)); n = w + 2; }
    else if (size <= (w = widths >> 8 & 255)) { code = 6ull << w | (dod & ((1ull << w) - 1)); n = w + 3; }
    else if (size <= (w = widths >> 16 & 255)) { code = 14ull << w | (dod & ((1ull << w) - 1)); n = w + 4; }
    else if (widths >> 24 == 64) { code = 15; n = 4; raw = 1; }
    else {
        raw = !(size <= 32 && dod != 0x80000000ull);
        code = 15ull << 32 | (raw ? 0x80000000ull : (dod & 0xffffffffull));
        n = 36;
    }
    if (raw) { put(s, code, n); put_long(s, dod, 64); code = 0; n = 0; }
    put_value(s, code, n, x);
}

u64 encode_runs(const i64 *offsets, i64 runs, const u64 *ts, const u64 *vs, u64 widths, uint8_t *out, i64 *ends) {
    u64 pos = 0;
    ends[0] = 0;
    for (i64 r = 0; r < runs; ends[++r] = pos) {
        u64 first = offsets[r], last = offsets[r + 1];
        if (first == last) continue;
        Stream s = {out, pos, 0, 0, 64, 0};
        u64 t = ts[first], v = vs[first], delta = 0;
        put_uvarint(&s, t << 1 ^ (u64)((i64)t >> 63));
        store(out, s.pos, v);
        s.pos += 8;
        if (first + 1 < last) {
            delta = ts[first + 1] - t;
            put_uvarint(&s, delta);
            put_value(&s, 0, 0, vs[first + 1] ^ v);
            t += delta;
            v = vs[first + 1];
        }
        for (u64 i = first + 2; i < last; i++) {
            u64 d = ts[i] - t, x = vs[i] ^ v;
            put_point(&s, d - delta, x, widths);
            t += d;
            delta = d;
            v ^= x;
        }
        pos = s.pos + ((s.cnt + 7) >> 3);
    }
    return pos;
}

INLINE int get_uvarint(const uint8_t *b, u64 *pos, u64 end, u64 *v) {
    *v = 0;
    for (u64 shift = 0; *pos < end && shift < 70; shift += 7) {
        u64 byte = b[(*pos)++];
        if (shift == 63 && byte > 1) return 0;
        *v |= (byte & 127) << shift;
        if (byte < 128) return 1;
    }
    return 0;
}

INLINE u64 window(const uint8_t *b, u64 p) { return load(b, p >> 3) << (p & 7); }
INLINE u64 window_long(const uint8_t *b, u64 p) {
    return load(b, p >> 3) << (p & 7) | (u64)b[(p >> 3) + 8] >> (8 - (p & 7));
}

INLINE int check_end(const uint8_t *b, u64 p, u64 end) {
    if (p > end << 3) return TRUNCATED;
    u64 rest = (end << 3) - p;
    if (rest >= 8) return LEFTOVER;
    return rest && (b[end - 1] & ((1u << rest) - 1)) ? LEFTOVER : 0;
}

INLINE int decode_run(const uint8_t *b, u64 start, u64 end, u64 count, u64 widths, u64 *ts, u64 *vs) {
    if (!count) return start == end ? 0 : LEFTOVER;
    u64 pos = start, zigzag, d;
    if (!get_uvarint(b, &pos, end, &zigzag)) return VARINT;
    if (pos + 8 > end) return TRUNCATED;
    u64 t = zigzag >> 1 ^ -(zigzag & 1), v = load(b, pos);
    pos += 8;
    ts[0] = t;
    vs[0] = v;
    if (count == 1) return check_end(b, pos << 3, end);
    if (!get_uvarint(b, &pos, end, &d)) return VARINT;
    u64 p = pos << 3, limit = end << 3, trail = 0, size = 64;
    u64 s1 = 64 - (widths & 255), s2 = 64 - (widths >> 8 & 255), s3 = 64 - (widths >> 16 & 255);
    u64 w = window(b, p);
    for (u64 i = 1; i < count; i++) {
        if (i != 1) {
            if (p > limit) return TRUNCATED;
            w = window(b, p);
            if (!(w >> 63)) { p += 1; w <<= 1; }
            else if (w >> 62 == 2) {
                d += (u64)((i64)((w << 2) - (1ull << s1)) >> s1) + 1;
                p += 66 - s1;
                w <<= 66 - s1;
            } else {
                if (w >> 61 == 6) { d += (u64)((i64)((w << 3) - (1ull << s2)) >> s2) + 1; p += 67 - s2; }
                else if (w >> 60 == 14) { d += (u64)((i64)((w << 4) - (1ull << s3)) >> s3) + 1; p += 68 - s3; }
                else {
                    p += 4;
                    int raw = 1;
                    if (widths >> 24 == 32) {
                        u64 field = w << 4 >> 32;
                        p += 32;
                        raw = field == 0x80000000ull;
                        if (!raw) d += (u64)((i64)(field << 32) >> 32);
                    }
                    if (raw) { d += window_long(b, p); p += 64; }
                }
                if (p > limit) return TRUNCATED;
                w = window(b, p);
            }
        }
        t += d;
        ts[i] = t;
        if (!(w >> 63)) p += 1;
        else {
            if (w >> 62 == 2) p += 2;
            else {
                size = w << 7 >> 58;
                if (!size) size = 64;
                trail = 64 - (w << 2 >> 59) - size;
                p += 13;
                if (trail > 63) return WINDOW;
            }
            v ^= ((size <= 57 ? window(b, p) : window_long(b, p)) >> (64 - size)) << trail;
            p += size;
        }
        vs[i] = v;
    }
    return check_end(b, p, end);
}

i64 decode_chunks(const uint8_t *b, const i64 *starts, const i64 *ends, const i64 *counts, i64 chunks, u64 widths, u64 *ts, u64 *vs) {
    for (i64 c = 0; c < chunks; c++) {
        int reason = decode_run(b, starts[c], ends[c], counts[c], widths, ts, vs);
        if (reason) return c * REASONS + reason;
        ts += counts[c];
        vs += counts[c];
    }
    return -1;
}
