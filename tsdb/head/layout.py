"""How a head keeps its series in memory: state lines, pages, side points.

    line    8 words (64 bytes, one cache line) a ref, in one array
    page    a stretch of the arena: u32 link to the next page, then stream bytes
    side    three columns: timestamp, bits, index + 1 of the series' side point before it
    mark    7 words (56 bytes): where a stream can be read from its middle on

Word of a line:

    0 LAST_TS      timestamp of the stream's newest point
    1 DELTA        its distance from the point before
    2 LAST_BITS    value bits of the newest point
    3 FIRST_TS     timestamp of the stream's oldest point
    4 POS          arena byte that the next bit goes to
    5 PACKED       lead | trail << 8 | pending bits << 16 | HIDDEN | pending byte << 24
                   | points << 32; HIDDEN: a side point lies over the newest point
    6 PAGE         end of the open page | its ordinal << 48
    7 CHAIN        first page / UNIT | newest side point + 1 << 32

Page number n of a series has 32 * max(n // 4, 1) bytes: a short series wastes little, a long one
links rarely, and how much a stream holds follows from the ordinal of its open page alone. A page
is filled to its last byte; bits that do not make a byte yet stay in the line. Why these sizes:
docs/decisions/0005-head-pages.md.

A mark is what the words of the same names in the line were at that moment, and MARK_BEFORE: index
+ 1 of the series' mark before it | bytes of the stream up to here << 32. A stream gets one after
every MARK_POINTS points, if MARK_BYTES or more have been written since the last: a read decodes
few points that it does not want, and marks take at most a ninth of what streams take.
"""

from __future__ import annotations

LINE_WORDS = 8
LINE_BYTES = LINE_WORDS * 8
LAST_TS, DELTA, LAST_BITS, FIRST_TS, POS, PACKED, PAGE, CHAIN = range(LINE_WORDS)
MARK_WORDS = 7
MARK_TS, MARK_DELTA, MARK_BITS, MARK_POS, MARK_PACKED, MARK_PAGE, MARK_BEFORE = range(MARK_WORDS)
LANE_WORDS = 4  # of a stream that is being collected
MARK_POINTS = 128  # a power of two
MARK_BYTES = 512
HIDDEN = 1 << 23

UNIT = 32  # pages start at multiples of this; links count in it
LINK_BYTES = 4
PAGES_A_SIZE = 4
SIDE_POINT_BYTES = 20

# Cursors: counters that the append kernel keeps in one int64 array.
ARENA_END, SIDE_END, POINTS, UNCHANGED, LATE, MIN_TS, MAX_TS, MARKS_END = range(8)
CURSORS = 8


def page_bytes(ordinal: int) -> int:
    """Size of a series' page number `ordinal`, link included."""
    return UNIT * max(ordinal // PAGES_A_SIZE, 1)


def pages_before_bytes(ordinal: int) -> int:
    """Sizes of a series' pages before page `ordinal`, links included."""
    if ordinal < PAGES_A_SIZE:
        return UNIT * ordinal
    full, rest = divmod(ordinal, PAGES_A_SIZE)
    return UNIT * (PAGES_A_SIZE + PAGES_A_SIZE * full * (full - 1) // 2 + rest * full)


assert LINE_BYTES == 64
assert pages_before_bytes(1 << 16) > 1 << 33, "the ordinal has 16 bits: more than any arena"
