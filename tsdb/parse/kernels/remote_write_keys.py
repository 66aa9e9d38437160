"""Canonical keys of series as remote_write names them, many at once.

    in   numbers of series, the texts they stand for (remote_write_names), bounds of labels
    out  canonical label bytes back to back, their offsets; an empty key where Python must look

What is left to Python: names out of order, given twice or empty, texts that are not UTF-8 or past
a bound, no label at all, a label that is no message of name and value. Empty values are dropped.

Price: 150 to 250 ns a series of ten labels.
"""

import numpy as np
from numba import types

from tsdb.codec.bits import load32, load64, store16, store64
from tsdb.index.kernels.hashing import is_utf8, order_bytes
from tsdb.jit import inlined, kernel
from tsdb.parse.kernels import protobuf
from tsdb.parse.kernels.remote_write import BYTES, LABEL_KEY, NAMES, OUT_INT64S

NAME_KEY, VALUE_KEY = np.uint64(0x0A), np.uint64(0x12)
# Places in `bounds`.
LABELS_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX, KEY_BYTES_MAX, BOUNDS = 0, 1, 2, 3, 4
NO_ROOM = 1


@inlined
def put_text(text, start, size, out, used):
    store16(out, used, np.uint64(size))
    used += 2
    k = np.int64(0)
    while k + 8 <= size:
        store64(out, used + k, load64(text, start + k))
        k += 8
    while k < size:
        out[used + k] = text[start + k]
        k += 1
    return used + size


@inlined
def may_follow(text, name, name_size, value, value_size, previous, previous_size, bounds):
    """Whether the label may follow the one named before it."""
    return (
        name_size > 0
        and name_size <= bounds[NAME_BYTES_MAX]
        and value_size <= bounds[VALUE_BYTES_MAX]
        and order_bytes(text, previous, previous_size, text, name, name_size) < 0
        and is_utf8(text, name, name + name_size)
        and is_utf8(text, value, value + value_size)
    )


@inlined
def label_parts(text, p, end):
    """(name, its size, value, its size, next position) of the Label whose length stands at p."""
    p, stop = protobuf.length_delimited(text, p, end)
    name, name_size, value, value_size = p, np.int64(0), p, np.int64(0)
    if stop < 0:
        return name, name_size, value, value_size, stop
    while p < stop:
        key, p = protobuf.varint(text, p, stop)
        if p < 0:
            return name, name_size, value, value_size, p
        start = p
        p = protobuf.skip(text, p, stop, key)
        if p < 0:
            return name, name_size, value, value_size, p
        if key in (NAME_KEY, VALUE_KEY):
            start, _ = protobuf.length_delimited(text, start, stop)
            if key == NAME_KEY:
                name, name_size = start, p - start
            else:
                value, value_size = start, p - start
    return name, name_size, value, value_size, p


@kernel(
    types.int64(
        OUT_INT64S, types.Array(types.uint32, 1, "C", readonly=True), NAMES, OUT_INT64S,
        BYTES, OUT_INT64S,
    )
)  # fmt: skip
def of_ranges(indices, numbers, names, bounds, out, offsets):
    """Keys of 1.0's ranges of labels; NO_ROOM when `out` is too small."""
    at, text = names[1], names[3]
    used = np.int64(0)
    offsets[0] = 0
    for i in range(indices.size):
        number = numbers[indices[i]]
        p, end = np.int64(at[number]), np.int64(at[number + 1])
        if used + end - p > out.size:
            return NO_ROOM
        begin, labels, good = used, 0, True
        previous, previous_size = p, np.int64(0)
        while good and p < end:
            key, p = protobuf.varint(text, p, end)
            if p < 0 or key != LABEL_KEY:
                good = False
                break
            name, name_size, value, value_size, p = label_parts(text, p, end)
            good = p >= 0 and may_follow(
                text, name, name_size, value, value_size, previous, previous_size, bounds
            )
            if good and value_size > 0:
                used = put_text(text, name, name_size, out, used)
                used = put_text(text, value, value_size, out, used)
                labels += 1
            previous, previous_size = name, name_size
        if not good or labels > bounds[LABELS_MAX] or used - begin > bounds[KEY_BYTES_MAX]:
            used = begin
        offsets[i + 1] = used
    return 0


@kernel(
    types.int64(
        OUT_INT64S, types.Array(types.uint32, 1, "C", readonly=True), NAMES, NAMES, OUT_INT64S,
        BYTES, OUT_INT64S,
    )
)  # fmt: skip
def of_symbols(indices, numbers, names, symbols, bounds, out, offsets):
    """Keys of 2.0's lists of symbols; NO_ROOM when `out` is too small."""
    at, refs = names[1], names[3]
    text = symbols[3]
    places = symbols[1]
    used = np.int64(0)
    offsets[0] = 0
    for i in range(indices.size):
        number = numbers[indices[i]]
        p, end = np.int64(at[number]), np.int64(at[number + 1])
        begin, labels, good = used, 0, True
        previous, previous_size = np.int64(0), np.int64(0)
        while good and p < end:
            name_number = np.int64(load32(refs, p))
            value_number = np.int64(load32(refs, p + 4))
            p += 8
            name = np.int64(places[name_number])
            name_size = np.int64(places[name_number + 1]) - name
            value = np.int64(places[value_number])
            value_size = np.int64(places[value_number + 1]) - value
            good = may_follow(
                text, name, name_size, value, value_size, previous, previous_size, bounds
            )
            if good and value_size > 0:
                if used + name_size + value_size + 4 > out.size:
                    return NO_ROOM
                used = put_text(text, name, name_size, out, used)
                used = put_text(text, value, value_size, out, used)
                labels += 1
            previous, previous_size = name, name_size
        if not good or labels > bounds[LABELS_MAX] or used - begin > bounds[KEY_BYTES_MAX]:
            used = begin
        offsets[i + 1] = used
    return 0
