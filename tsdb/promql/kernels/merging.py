"""Rows of a matrix that belong together become one.

    in   for each row the number of its group; values as bits, presence; [rows, steps]
    out  [groups, steps]; where two rows of a group have a value at the same step

Both loops run over rows, so memory is read and written in order.
"""

from numba import types

from tsdb.jit import kernel

_I64S = types.Array(types.int64, 1, "C", readonly=True)
_U64S = types.Array(types.uint64, 2, "C", readonly=True)
_BOOLS = types.Array(types.boolean, 2, "C", readonly=True)
_OUT_I64S = types.Array(types.int64, 1, "C")
_OUT_U64S = types.Array(types.uint64, 2, "C")
_OUT_BOOLS = types.Array(types.boolean, 2, "C")


@kernel(types.void(_I64S, _U64S, _BOOLS, _OUT_U64S, _OUT_BOOLS, _OUT_I64S))
def merge(groups, bits, present, out, out_present, clash):
    """The first value of a group at a step counts; `clash` gets the first step that has two.

    `out_present` starts all false. `clash` is step and row: of the earliest such step the
    first row that came second; step -1 if there is none.
    """
    steps = present.shape[1]
    clash[0] = -1
    clash[1] = -1
    for row in range(groups.size):
        group = groups[row]
        for step in range(steps):
            if not present[row, step]:
                continue
            if not out_present[group, step]:
                out_present[group, step] = True
                out[group, step] = bits[row, step]
            elif clash[0] < 0 or step < clash[0]:
                clash[0] = step
                clash[1] = row


@kernel(types.void(_I64S, _BOOLS, _OUT_BOOLS))
def any_present(groups, present, out):
    """Whether a group has any value at a step; `out` starts all false."""
    for row in range(groups.size):
        group = groups[row]
        for step in range(present.shape[1]):
            out[group, step] |= present[row, step]


@kernel(types.void(_I64S, _BOOLS, _OUT_BOOLS, _OUT_I64S))
def first_clash(groups, present, seen, clash):
    """As `merge`, of rows that stay apart; `seen` is [groups, steps] and starts all false."""
    clash[0] = -1
    clash[1] = -1
    for row in range(groups.size):
        group = groups[row]
        for step in range(present.shape[1]):
            if not present[row, step]:
                continue
            if not seen[group, step]:
                seen[group, step] = True
            elif clash[0] < 0 or step < clash[0]:
                clash[0] = step
                clash[1] = row
