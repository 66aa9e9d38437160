"""Columns of an index file and the tables: one out of the other (docs/format/index.md).

    in   rows of pair ids and the pairs' bytes
    out  columns whose labels are numbered by name, then by age; or tables filled from such columns

Loading hashes each distinct label once, however many series carry it.

Price: 0.3 µs a series of ten labels to load, most of it cache misses.
"""

import numpy as np

from tsdb.codec.bits import load16
from tsdb.index.kernels import (
    AT,
    CELLS,
    CONFLICT,
    DONE,
    FORGOTTEN,
    FULL,
    I64S_IN,
    KEYS,
    PAIRS,
    REVIVED,
    ROWED,
    SIZE,
    STATUS,
    TEXT_UNIT,
    U8S_IN,
    U32S_IN,
    UNKNOWN,
    VISIBLE,
)
from tsdb.index.kernels.hashing import HALF, LOW, is_utf8, order_bytes, pair_end, tag_range
from tsdb.index.kernels.tables import (
    KEY_MAX,
    LABELS_MAX,
    NAME_MAX,
    VALUE_MAX,
    enter_key,
    find_or_add_pair,
    has_room,
    new_row,
    publish,
    write_key,
)
from tsdb.jit import forced, kernel


@kernel(f"i8({KEYS}, {U32S_IN}, u1[::1], u1[::1])")
def mark_pairs(keys, refs, sizes, used):
    """used[pair] = 1 for every label of `refs`; sizes[i] = labels of refs[i]. Returns their sum."""
    _, row_start, row_count, row_pairs = keys
    total = np.int64(0)
    for i in range(refs.size):
        row = np.int64(row_start[refs[i]])
        sizes[i] = row_count[refs[i]]
        total += np.int64(sizes[i])
        for k in range(row, row + np.int64(sizes[i])):
            used[row_pairs[k]] = 1
    return total


@kernel(f"void({KEYS}, u4[::1], u4[::1], u4[::1])")
def number_rows(keys, refs, numbers, rows):
    """The rows of `refs` back to back, with numbers[pair] for each pair."""
    _, row_start, row_count, row_pairs = keys
    filled = np.int64(0)
    for i in range(refs.size):
        row = np.int64(row_start[refs[i]])
        for k in range(row, row + np.int64(row_count[refs[i]])):
            rows[filled] = numbers[row_pairs[k]]
            filled += 1


@kernel(f"void({PAIRS}, u4[::1], i8[::1], u1[::1])")
def copy_pairs(pairs, chosen, offsets, out):
    """Bytes of the chosen pairs, each at its offset."""
    _, records, text = pairs
    for i in range(chosen.size):
        at = np.int64(records[chosen[i], AT]) * TEXT_UNIT
        for k in range(np.int64(records[chosen[i], SIZE])):
            out[offsets[i] + k] = text[at + k]


@kernel(f"i8({U8S_IN}, {I64S_IN}, u4[::1])")
def check_labels(text, offsets, groups):
    """Number of the first label that no index file may hold, or -1; groups[i] numbers its name.

    Labels lie back to back, are canonical and grouped by name, names ascending.
    """
    for i in range(offsets.size - 1):
        start = offsets[i]
        end = offsets[i + 1]
        if pair_end(text, start, end) != end:
            return i
        size = np.int64(load16(text, start))
        value_size = end - start - 4 - size
        if size < 1 or size > NAME_MAX or value_size < 1 or value_size > VALUE_MAX:
            return i
        value = start + 2 + size
        if not is_utf8(text, start + 2, value) or not is_utf8(text, value + 2, end):
            return i
        groups[i] = 0
        if i > 0:
            before = offsets[i - 1]
            order = order_bytes(
                text, before + 2, np.int64(load16(text, before)), text, start + 2, size
            )
            if order > 0:
                return i
            groups[i] = groups[i - 1] + (order < 0)
    return np.int64(-1)


@kernel(f"i8({U32S_IN}, {U8S_IN}, {U32S_IN}, {I64S_IN}, u4[::1])")
def check_rows(refs, sizes, rows, offsets, groups):
    """Number of the first series that no index file may hold, or -1.

    Refs ascend; a row names labels that exist, one a name, in order; its key is not too long.
    """
    place = np.int64(0)
    for i in range(refs.size):
        size = np.int64(sizes[i])
        if size < 1 or size > LABELS_MAX or place + size > rows.size:
            return i
        if i > 0 and refs[i] <= refs[i - 1]:
            return i
        total = np.int64(0)
        for k in range(place, place + size):
            label = np.int64(rows[k])
            if label >= groups.size:
                return i
            if k > place and groups[label] <= groups[rows[k - 1]]:
                return i
            total += offsets[label + 1] - offsets[label]
        if total > KEY_MAX:
            return i
        place += size
    return np.int64(-1) if place == rows.size else np.int64(refs.size)


@kernel(
    f"i8({KEYS}, {PAIRS}, {CELLS}, u1[::1], i8[::1], u8[::1], {U8S_IN}, {I64S_IN}, u4[::1], i8)"
)
def load_labels(keys, pairs, cells, state, counts, seeds, text, offsets, numbers, begin):
    """Pair id of each label of the file. Returns where it stopped for want of room."""
    counts[STATUS] = DONE
    for i in range(begin, numbers.size):
        if not has_room(keys, pairs, cells, state, counts, np.int64(0)):
            counts[STATUS] = FULL
            return i
        size = offsets[i + 1] - offsets[i]
        numbers[i] = find_or_add_pair(pairs, counts, seeds, text, offsets[i], size)
    return numbers.size


@forced
def same_row(keys, ref, start, labels):
    """The row of `ref` is the pair ids at `row_pairs[start:]`: equal pairs have equal ids."""
    _, row_start, row_count, row_pairs = keys
    if np.int64(row_count[ref]) != labels:
        return False
    row = np.int64(row_start[ref])
    k = np.int64(0)
    while k < labels and row_pairs[row + k] == row_pairs[start + k]:
        k += 1
    return k == labels


@forced
def find_row(keys, tag, start, labels):
    """`find_key` for a key given by pair ids at `row_pairs[start:]`."""
    slots = keys[0]
    mask = np.int64(slots.size - 1)
    i = tag & mask
    while True:
        slot = slots[i]
        if slot == np.uint64(0):
            return i, np.int64(-1)
        if np.int64(slot >> HALF) == tag:
            ref = np.int64(slot & LOW) - 1
            if same_row(keys, ref, start, labels):
                return i, ref
        i = (i + 1) & mask


@kernel(
    f"i8({KEYS}, {PAIRS}, {CELLS}, u1[::1], i8[::1], u8[::1],"
    f" {U32S_IN}, i8[::1], {U32S_IN}, u4[::1], u1[::1], i8)"
)
def load_rows(
    keys, pairs, cells, state, counts, seeds, refs, places, rows, numbers, scratch, begin
):
    """Series from `begin` on become visible; row i is `rows[places[i]:places[i + 1]]`.

    `scratch` holds a key and a word.
    """
    slots, _, _, row_pairs = keys
    counts[STATUS] = DONE
    for i in range(begin, refs.size):
        ref = np.int64(refs[i])
        if not has_room(keys, pairs, cells, state, counts, ref):
            counts[STATUS] = FULL
            return i
        row = counts[ROWED]
        labels = places[i + 1] - places[i]
        for k in range(labels):
            row_pairs[row + k] = numbers[rows[places[i] + k]]
        size = write_key(pairs, row_pairs, row, labels, scratch, np.int64(0))
        tag = tag_range(scratch, np.int64(0), size, seeds)
        at, found = find_row(keys, tag, row, labels)
        if state[ref] == UNKNOWN:
            new_row(keys, state, counts, ref, labels)
        elif not same_row(keys, ref, row, labels):
            counts[STATUS] = REVIVED if state[ref] == FORGOTTEN else CONFLICT
            return i
        if state[ref] != VISIBLE:
            publish(keys, pairs, cells, state, counts, ref)
        enter_key(slots, counts, at, found, tag, ref)
    return refs.size
