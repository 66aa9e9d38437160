"""The k largest or smallest rows of each group at each step.

    in   for each row the number of its group; values and presence, [rows, steps]
    out  which rows were chosen at which steps; of one step, in which order

One heap a group and step, kept as Go's container/heap keeps it, so that among equal values the
same rows win as in Prometheus. A NaN is worse than any number, for the largest and the smallest.
"""

import math

from numba import types

from tsdb.jit import inlined, kernel

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_VALUES = types.Array(types.float64, 2, "C", readonly=True)
_BOOLS = types.Array(types.boolean, 2, "C", readonly=True)
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_F64S = types.Array(types.float64, 1, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")
_SIZES = types.Array(types.int64, 2, "C")


@inlined
def worse(one, other, largest):
    """The order of the heap, whose root is the worst of those kept."""
    if math.isnan(one):
        return True
    return one < other if largest else one > other


@inlined
def swap(values, rows, i, j):
    values[i], values[j] = values[j], values[i]
    rows[i], rows[j] = rows[j], rows[i]


@inlined
def rise(values, rows, first, at, largest):
    while at > 0:
        parent = (at - 1) // 2
        if not worse(values[first + at], values[first + parent], largest):
            break
        swap(values, rows, first + at, first + parent)
        at = parent


@inlined
def sink(values, rows, first, size, largest):
    """From the root."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        other = child + 1
        if other < size and worse(values[first + other], values[first + child], largest):
            child = other
        if not worse(values[first + child], values[first + at], largest):
            break
        swap(values, rows, first + at, first + child)
        at = child


@kernel(
    types.void(
        _I64S, _VALUES, _BOOLS, _I64S, types.boolean, _I64S, _I64S, _OUT_F64S, _OUT_I64S, _SIZES
    )
)
def choose(groups, values, present, k, largest, begins, room, heap_values, heap_rows, sizes):
    """Fill the heaps. That of group g at step s begins at begins[g] + s * room[g].

    `k` is for each step; `sizes` [groups, steps] starts as zeros. A group's `room` is at least
    the lesser of its rows and any k.
    """
    for row in range(groups.size):
        group = groups[row]
        for step in range(values.shape[1]):
            if not present[row, step] or k[step] < 1:
                continue
            value = values[row, step]
            first = begins[group] + step * room[group]
            size = sizes[group, step]
            if size < k[step]:
                heap_values[first + size] = value
                heap_rows[first + size] = row
                rise(heap_values, heap_rows, first, size, largest)
                sizes[group, step] = size + 1
                continue
            root = heap_values[first]
            better = root < value if largest else root > value
            if better or (math.isnan(root) and not math.isnan(value)):
                heap_values[first] = value
                heap_rows[first] = row
                sink(heap_values, heap_rows, first, size, largest)


@kernel(types.void(_I64S, _I64S, _OUT_I64S, _SIZES, _OUT_BOOLS))
def mark(begins, room, heap_rows, sizes, chosen):
    """Say of each row at which steps it was chosen; `chosen` starts all false."""
    for group in range(sizes.shape[0]):
        for step in range(sizes.shape[1]):
            first = begins[group] + step * room[group]
            for at in range(first, first + sizes[group, step]):
                chosen[heap_rows[at], step] = True


@kernel(types.int64(_I64S, _BOOLS, _I64S, _SIZES, _OUT_BOOLS))
def first_ones(groups, present, k, sizes, chosen):
    """Choose the first k rows of each group; zeros as above. Returns how many were chosen."""
    found = 0
    for row in range(groups.size):
        group = groups[row]
        for step in range(present.shape[1]):
            if present[row, step] and sizes[group, step] < k[step]:
                sizes[group, step] += 1
                chosen[row, step] = True
                found += 1
    return found
