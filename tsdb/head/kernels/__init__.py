"""The head in machine code; tsdb.head.layout is the memory it works on.

    append   points to streams and side
    read     streams and side points of a range, from copied lines

Words of lines and what follows from them, shared by both:
"""

import numpy as np

from tsdb.head import layout
from tsdb.jit import forced

U = np.uint64
U0, U1, U2, U3, U5, U7, U8 = U(0), U(1), U(2), U(3), U(5), U(7), U(8)
U16, U24, U32, U48 = U(16), U(24), U(32), U(48)
BYTE, LOW_32, LOW_48 = U(0xFF), U(0xFFFFFFFF), U((1 << 48) - 1)
UNIT_SHIFT, LINK, UNIT, SIZE_SHIFT = U5, U(layout.LINK_BYTES), U(layout.UNIT), U2
LAST_TS, DELTA, LAST_BITS, FIRST_TS, POS, PACKED, PAGE, CHAIN = (U(i) for i in range(8))
LINE = U(layout.LINE_WORDS)
MARK = U(layout.MARK_WORDS)
MARK_TS, MARK_DELTA, MARK_BITS, MARK_POS, MARK_PACKED, MARK_PAGE, MARK_BEFORE = (
    U(i) for i in range(layout.MARK_WORDS)
)
assert layout.UNIT == 1 << 5
assert layout.PAGES_A_SIZE == 1 << 2


@forced
def page_size(ordinal):
    return max(ordinal >> SIZE_SHIFT, U1) << UNIT_SHIFT


@forced
def pages_before(ordinal):
    """`layout.pages_before_bytes`."""
    full = ordinal >> SIZE_SHIFT
    if full == U0:
        return ordinal << UNIT_SHIFT
    units = U2 * full * (full - U1) + (ordinal & U3) * full
    return (units << UNIT_SHIFT) + (UNIT << SIZE_SHIFT)


@forced
def held_bytes(pos, page):
    """Whole bytes of a stream whose next bit goes to arena byte `pos` of an open page."""
    ordinal = page >> U48
    return pages_before(ordinal + U1) - LINK * (ordinal + U1) - ((page & LOW_48) - pos)
