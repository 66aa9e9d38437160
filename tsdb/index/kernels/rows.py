"""Reading series by their rows: filters, values of a label, keys, order.

    in   refs, and the append-only arrays of keys and pairs as a reader found them
    out  refs that pass, pair ids, bytes

Rows and label bytes of a series never change once it is visible, so these kernels need no lock.

Price: 10 to 60 ns a series for a filter (its row's cache miss); 5 ms to sort 10,000 series.
"""

import numpy as np

from tsdb.codec.bits import prefetch_read
from tsdb.index.kernels import (
    AT,
    I64S_IN,
    KEYS,
    NAME,
    PAIRS,
    RANK,
    SIZE,
    TEXT_UNIT,
    U8S_IN,
    U32S_IN,
)
from tsdb.index.kernels.hashing import order_bytes
from tsdb.index.kernels.tables import write_key
from tsdb.jit import forced, kernel

AHEAD = 8  # rows fetched before they are read
NO, YES = np.uint8(1), np.uint8(2)  # verdicts on a value; 0 is not judged yet


@forced
def value_in_row(keys, records, ref, name):
    """Pair id of the label called `name`; 0 if the series has none."""
    _, row_start, row_count, row_pairs = keys
    row = np.int64(row_start[ref])
    for k in range(row, row + np.int64(row_count[ref])):
        pair = row_pairs[k]
        if np.int64(records[pair, NAME]) == name:
            return np.int64(pair)
    return np.int64(0)


@kernel(f"void({KEYS}, {PAIRS}, {U32S_IN}, i8, u4[::1])")
def values_of(keys, pairs, refs, name, out):
    """Pair id of each series' label called `name`; 0 where it has none."""
    for i in range(refs.size):
        if i + AHEAD < refs.size:
            prefetch_read(keys[3], np.int64(keys[1][refs[i + AHEAD]]) * 4)
        out[i] = value_in_row(keys, pairs[1], refs[i], name)


@kernel(f"i8({KEYS}, {U32S_IN}, i8, i8, u4[::1])")
def keep_pair(keys, refs, pair, wanted, out):
    """Refs whose row holds `pair` (wanted 1) or does not (0). Returns how many."""
    _, row_start, row_count, row_pairs = keys
    filled = np.int64(0)
    for i in range(refs.size):
        if i + AHEAD < refs.size:
            prefetch_read(row_pairs, np.int64(row_start[refs[i + AHEAD]]) * 4)
        ref = refs[i]
        row = np.int64(row_start[ref])
        found = np.int64(0)
        for k in range(row, row + np.int64(row_count[ref])):
            found |= np.int64(row_pairs[k]) == pair
        out[filled] = ref
        filled += found == wanted
    return filled


@kernel(f"i8({PAIRS}, {U32S_IN}, u4[::1], u1[::1], i8, i8, u4[::1])")
def keep_values(pairs, refs, values, verdicts, inside, missing, out):
    """Refs whose label value passes; `values` are its pair ids, 0 where the label is missing.

    A value passes if (verdicts[rank] == YES) == inside, a missing label if `missing`. Values
    that are younger than the verdicts were judged as not YES.
    """
    filled = np.int64(0)
    for i in range(refs.size):
        value = values[i]
        if value == 0:
            passes = missing
        else:
            place = np.int64(pairs[1][value, RANK])
            yes = place < verdicts.size and verdicts[place] == YES
            passes = np.int64(yes == (inside == 1))
        out[filled] = refs[i]
        filled += passes
    return filled


@forced
def starts_with(text, start, part):
    k = np.int64(0)
    while k < part.size and text[start + k] == part[k]:
        k += 1
    return k == part.size


@forced
def holds(text, start, end, part):
    """`part` occurs in text[start:end]."""
    last = end - part.size
    while start <= last and not starts_with(text, start, part):
        start += 1
    return start <= last


@forced
def value_range(records, text, pair):
    start = np.int64(records[pair, AT]) * TEXT_UNIT
    name_size = np.int64(text[start]) | (np.int64(text[start + 1]) << 8)
    return start + name_size + 4, start + np.int64(records[pair, SIZE])


@kernel(f"void({PAIRS}, u4[::1], {U8S_IN}, {U8S_IN}, {U8S_IN}, i8, u1[::1])")
def judge_affixes(pairs, numbers, prefix, infix, suffix, size_min, verdicts):
    """Verdicts (1 no, 2 yes) on the values of `numbers` for tsdb.index.pattern.Affixes."""
    _, records, text = pairs
    for i in range(numbers.size):
        start, end = value_range(records, text, numbers[i])
        yes = (
            end - start >= size_min
            and starts_with(text, start, prefix)
            and starts_with(text, end - suffix.size, suffix)
            and holds(text, start + prefix.size, end - suffix.size, infix)
        )
        verdicts[records[numbers[i], RANK]] = YES if yes else NO


@kernel(f"i8({PAIRS}, u4[::1], i8[::1])")
def measure_values(pairs, numbers, offsets):
    """offsets[i] and offsets[i + 1]: where value i lies if each is followed by one byte."""
    _, records, text = pairs
    total = np.int64(0)
    for i in range(numbers.size):
        offsets[i] = total
        start, end = value_range(records, text, numbers[i])
        total += end - start + 1
    offsets[numbers.size] = total
    return total


@kernel(f"void({PAIRS}, u4[::1], i8[::1], u1[::1])")
def copy_values(pairs, numbers, offsets, out):
    """The values' bytes, a newline after each."""
    _, records, text = pairs
    for i in range(numbers.size):
        start, end = value_range(records, text, numbers[i])
        place = offsets[i]
        for k in range(end - start):
            out[place + k] = text[start + k]
        out[place + end - start] = 10


@kernel(f"i8({KEYS}, {PAIRS}, u4[::1], i8[::1])")
def measure_keys(keys, pairs, refs, offsets):
    """Offsets of the keys of `refs` back to back; returns their size."""
    _, row_start, row_count, row_pairs = keys
    records = pairs[1]
    total = np.int64(0)
    offsets[0] = 0
    for i in range(refs.size):
        row = np.int64(row_start[refs[i]])
        for k in range(row, row + np.int64(row_count[refs[i]])):
            total += np.int64(records[row_pairs[k], SIZE])
        offsets[i + 1] = total
    return total


@kernel(f"void({KEYS}, {PAIRS}, u4[::1], i8[::1], u1[::1])")
def copy_keys(keys, pairs, refs, offsets, out):
    """The canonical keys of `refs`, back to back; `out` has a word to spare."""
    _, row_start, row_count, row_pairs = keys
    for i in range(refs.size):
        row = np.int64(row_start[refs[i]])
        write_key(pairs, row_pairs, row, np.int64(row_count[refs[i]]), out, offsets[i])


@kernel(f"void({I64S_IN}, {I64S_IN}, {I64S_IN}, {U8S_IN}, {U8S_IN}, {U8S_IN}, {I64S_IN}, u1[::1])")
def write_rows(ends, numbers, starts, parts, head, tail, begins, out):
    """Row i: head, parts numbers[ends[i]:ends[i + 1]] with commas between, tail.

    Part n is parts[starts[n]:starts[n + 1]]; row i fills out[begins[i]:begins[i + 1]].
    """
    for i in range(ends.size - 1):
        at = begins[i]
        for k in range(head.size):
            out[at + k] = head[k]
        at += head.size
        for item in range(ends[i], ends[i + 1]):
            if item > ends[i]:
                out[at] = 44
                at += 1
            start = starts[numbers[item]]
            size = starts[numbers[item] + 1] - start
            for k in range(size):
                out[at + k] = parts[start + k]
            at += size
        for k in range(tail.size):
            out[at + k] = tail[k]


@forced
def order_text(records, text, x, y):
    """-1, 0 or 1: labels x and y by name, then by value, as the text that people read."""
    at_x = np.int64(records[x, AT]) * TEXT_UNIT
    at_y = np.int64(records[y, AT]) * TEXT_UNIT
    size_x = np.int64(text[at_x]) | (np.int64(text[at_x + 1]) << 8)
    size_y = np.int64(text[at_y]) | (np.int64(text[at_y + 1]) << 8)
    if records[x, NAME] != records[y, NAME]:
        return order_bytes(text, at_x + 2, size_x, text, at_y + 2, size_y)
    return order_bytes(
        text,
        at_x + size_x + 4,
        np.int64(records[x, SIZE]) - size_x - 4,
        text,
        at_y + size_y + 4,
        np.int64(records[y, SIZE]) - size_y - 4,
    )


@forced
def precedes(keys, pairs, a, b, without):
    """Series a sorts before b, or they are equal; by key, or by text if a name is left out.

    `without` is the name's id: 0, which no name has, leaves none out; -1 means by key.
    """
    _, row_start, row_count, row_pairs = keys
    _, records, text = pairs
    i, k = np.int64(row_start[a]), np.int64(row_start[b])
    stop_a, stop_b = i + np.int64(row_count[a]), k + np.int64(row_count[b])
    while True:
        while i < stop_a and np.int64(records[row_pairs[i], NAME]) == without:
            i += 1
        while k < stop_b and np.int64(records[row_pairs[k], NAME]) == without:
            k += 1
        if i == stop_a or k == stop_b:
            return i == stop_a
        x = row_pairs[i]
        y = row_pairs[k]
        if x != y and without >= 0:
            return order_text(records, text, x, y) <= 0
        if x != y:
            return (
                order_bytes(
                    text,
                    np.int64(records[x, AT]) * TEXT_UNIT,
                    np.int64(records[x, SIZE]),
                    text,
                    np.int64(records[y, AT]) * TEXT_UNIT,
                    np.int64(records[y, SIZE]),
                )
                <= 0
            )
        i += 1
        k += 1


@kernel(f"void({KEYS}, {PAIRS}, {U32S_IN}, i8, i8[::1], i8[::1])")
def sort_rows(keys, pairs, refs, without, order, spare):
    """Fill `order` with the places of `refs` sorted; stable. `spare` is as long.

    By key (`without` -1), or by names and values as text without the label `without`, if not 0.
    """
    count = refs.size
    for i in range(count):
        order[i] = i
    # Runs of 8 by insertion, then merged pairwise, back and forth between the two arrays.
    for base in range(0, count, 8):
        for i in range(base + 1, min(base + 8, count)):
            item = order[i]
            k = i
            while k > base and not precedes(keys, pairs, refs[order[k - 1]], refs[item], without):
                order[k] = order[k - 1]
                k -= 1
            order[k] = item
    width = np.int64(8)
    source, target = order, spare
    swapped = False
    while width < count:
        for base in range(0, count, 2 * width):
            middle = min(base + width, count)
            stop = min(base + 2 * width, count)
            i, k = base, middle
            for place in range(base, stop):
                if i < middle and (
                    k >= stop or precedes(keys, pairs, refs[source[i]], refs[source[k]], without)
                ):
                    target[place] = source[i]
                    i += 1
                else:
                    target[place] = source[k]
                    k += 1
        source, target = target, source
        swapped = not swapped
        width *= 2
    if swapped:
        for place in range(count):
            order[place] = spare[place]
