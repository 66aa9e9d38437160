"""Seeded hashing and comparing of byte ranges.

    in   bytes, a range in them, four secret words drawn at start
    out  64-bit hashes; equality, order

Multiply and fold (128-bit products, halves xored): 16 bytes a step. The seeds keep a sender from
choosing label values that collide; the full bytes are compared on every hit all the same. A zero
in seeds[3] makes every hash zero: tests use it to make every key collide.

Price: about 5 ns for a 25-byte label, 25 ns for a 250-byte key.
"""

import numpy as np

from tsdb.codec.bits import bswap64, load8, load16, load32, load64, mulhi64
from tsdb.jit import forced

HALF = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@forced
def fold(a, b):
    return mulhi64(a, b) ^ (a * b)


@forced
def hash_range(data, start, size, seeds):
    """Hash of `data[start : start + size]`."""
    state = seeds[0] ^ np.uint64(size)
    position = start
    left = size
    while left > 16:
        state = fold(load64(data, position) ^ seeds[1], load64(data, position + 8) ^ state)
        position += 16
        left -= 16
    a = np.uint64(0)
    b = np.uint64(0)
    if left >= 8:
        a = load64(data, position)
        b = load64(data, position + left - 8)
    elif left >= 4:
        a = load32(data, position)
        b = load32(data, position + left - 4)
    elif left > 0:
        a = load8(data, position)
        b = load8(data, position + left // 2) | (load8(data, position + left - 1) << np.uint64(8))
    return fold(fold(a ^ seeds[1], b ^ state), seeds[3])


@forced
def tag_range(data, start, size, seeds):
    """What a table keeps of a hash: its upper half."""
    return np.int64(hash_range(data, start, size, seeds) >> HALF)


@forced
def difference(a, i, b, j, size):
    """0 if a[i : i + size] == b[j : j + size]; reads nothing outside them. Labels only: size >= 4.

    Up to 48 bytes without a branch that depends on the size: sizes vary from label to label,
    and a branch guessed wrong costs more than the loads it saves (145 -> 40 ns for ten labels).
    """
    if size < 8:
        return (load32(a, i) ^ load32(b, j)) | (load32(a, i + size - 4) ^ load32(b, j + size - 4))
    last = size - 8
    second = min(np.int64(8), last)
    third = min(np.int64(16), last)
    fourth = min(np.int64(24), last)
    fifth = min(np.int64(32), last)
    found = (
        (load64(a, i) ^ load64(b, j))
        | (load64(a, i + second) ^ load64(b, j + second))
        | (load64(a, i + third) ^ load64(b, j + third))
        | (load64(a, i + fourth) ^ load64(b, j + fourth))
        | (load64(a, i + fifth) ^ load64(b, j + fifth))
        | (load64(a, i + last) ^ load64(b, j + last))
    )
    k = np.int64(40)
    while k < last:
        found |= load64(a, i + k) ^ load64(b, j + k)
        k += 8
    return found


@forced
def same_bytes(a, i, b, j, size):
    """a[i : i + size] == b[j : j + size]; reads nothing outside them."""
    if size >= 8:
        last = size - 8
        k = np.int64(0)
        while k < last:
            if load64(a, i + k) != load64(b, j + k):
                return False
            k += 8
        return load64(a, i + last) == load64(b, j + last)
    if size >= 4:
        return load32(a, i) == load32(b, j) and load32(a, i + size - 4) == load32(b, j + size - 4)
    k = np.int64(0)
    while k < size and load8(a, i + k) == load8(b, j + k):
        k += 1
    return k == size


@forced
def order_bytes(a, i, size_a, b, j, size_b):
    """-1, 0 or 1, as memcmp of the two ranges."""
    size = min(size_a, size_b)
    k = np.int64(0)
    while k + 8 <= size:
        x = load64(a, i + k)
        y = load64(b, j + k)
        if x != y:
            return np.int64(-1) if bswap64(x) < bswap64(y) else np.int64(1)
        k += 8
    while k < size:
        x = load8(a, i + k)
        y = load8(b, j + k)
        if x != y:
            return np.int64(-1) if x < y else np.int64(1)
        k += 1
    if size_a == size_b:
        return np.int64(0)
    return np.int64(-1) if size_a < size_b else np.int64(1)


@forced
def pair_end(data, start, end):
    """Where the label at `start` of a canonical key ends; -1 if it runs past `end`."""
    if start + 2 > end:
        return np.int64(-1)
    value = start + 2 + np.int64(load16(data, start))
    if value + 2 > end:
        return np.int64(-1)
    stop = value + 2 + np.int64(load16(data, value))
    return stop if stop <= end else np.int64(-1)


@forced
def is_utf8(data, start, end):
    """Well-formed UTF-8 as Python decodes it: no surrogates, no overlong forms."""
    i = start
    while i < end:
        if i + 8 <= end and load64(data, i) & np.uint64(0x8080808080808080) == np.uint64(0):
            i += 8
            continue
        lead = np.int64(load8(data, i))
        i += 1
        if lead < 0x80:
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
        if i + more > end:
            return False
        second = np.int64(load8(data, i))
        if lead == 0xE0 and second < 0xA0:
            return False
        if lead == 0xED and second > 0x9F:
            return False
        if lead == 0xF0 and second < 0x90:
            return False
        if lead == 0xF4 and second > 0x8F:
            return False
        for k in range(more):
            if np.int64(load8(data, i + k)) & 0xC0 != 0x80:
                return False
        i += more
    return True
