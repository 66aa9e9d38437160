"""Which series agree in some of their labels.

    in   refs, names of labels that count or do not, as ids
    out  for each series the number of its group; for each group its first series

Labels are compared by pair id: one id is one name and one value.

Price: about 10 ns a label; a table of eight bytes for each two series.
"""

import numpy as np

from tsdb.index.kernels import I64S_IN, KEYS, NAME, PAIRS, U32S_IN
from tsdb.jit import forced, kernel

MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@forced
def counts(records, pair, names, named):
    """Whether a label counts: those `named`, or all others."""
    found = np.int64(0)
    name = np.int64(records[pair, NAME])
    for k in range(names.size):
        found |= np.int64(names[k] == name)
    return found == named


@forced
def hash_of(keys, records, ref, names, named):
    _, row_start, row_count, row_pairs = keys
    mixed = np.uint64(0)
    row = np.int64(row_start[ref])
    for k in range(row, row + np.int64(row_count[ref])):
        if counts(records, row_pairs[k], names, named):
            mixed = (mixed + np.uint64(row_pairs[k])) * MIX_1
            mixed ^= mixed >> np.uint64(29)
    mixed *= MIX_2
    return mixed ^ (mixed >> np.uint64(32))


@forced
def agree(keys, records, a, b, names, named):
    """Two series have the same labels among those that count."""
    _, row_start, row_count, row_pairs = keys
    i, k = np.int64(row_start[a]), np.int64(row_start[b])
    stop_a, stop_b = i + np.int64(row_count[a]), k + np.int64(row_count[b])
    while True:
        while i < stop_a and not counts(records, row_pairs[i], names, named):
            i += 1
        while k < stop_b and not counts(records, row_pairs[k], names, named):
            k += 1
        if i == stop_a or k == stop_b:
            return i == stop_a and k == stop_b
        if row_pairs[i] != row_pairs[k]:
            return False
        i += 1
        k += 1


@kernel(f"i8({KEYS}, {PAIRS}, {U32S_IN}, {I64S_IN}, i8, u4[::1], i8[::1], i8[::1])")
def group_rows(keys, pairs, refs, names, named, slots, groups, firsts):
    """Number the groups in the order of their first series; returns how many there are.

    `named` 1: labels called `names` count; 0: all others. `slots` are zeros, a power of two
    and more than there are refs.
    """
    records = pairs[1]
    mask = np.uint64(slots.size - 1)
    found = np.int64(0)
    for i in range(refs.size):
        at = hash_of(keys, records, refs[i], names, named) & mask
        while True:
            group = np.int64(slots[at]) - 1
            if group < 0:
                group = found
                slots[at] = found + 1
                firsts[found] = i
                found += 1
                break
            if agree(keys, records, refs[firsts[group]], refs[i], names, named):
                break
            at = (at + np.uint64(1)) & mask
        groups[i] = group
    return found
