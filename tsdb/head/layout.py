"""How a head keeps its series in memory: state lines, pages, side points.

    line    8 words (64 bytes, one cache line) a ref, in one array
    page    a stretch of the arena: u32 link to the next page, then stream bytes
    side    three columns: timestamp, bits, index + 1 of the series' side point before it

Word of a line:

    0 LAST_TS      timestamp of the stream's newest point
    1 DELTA        its distance from the point before
    2 LAST_BITS    value bits of the newest point
    3 FIRST_TS     timestamp of the stream's oldest point
    4 POS          arena byte that the next bit goes to
    5 PACKED       lead | trail << 8 | pending bits << 16 | pending byte << 24 | points << 32
    6 PAGE         end of the open page | its ordinal << 48
    7 CHAIN        first page / UNIT | newest side point + 1 << 32

Pages grow with the series (four each of 32, 64, 128, 256 bytes, then 512), so a short series
wastes little and a long one links rarely: docs/decisions/0005-head-pages.md. A page is filled to
its last byte; bits that do not make a byte yet stay in the line.
"""

from __future__ import annotations

LINE_WORDS = 8
LAST_TS, DELTA, LAST_BITS, FIRST_TS, POS, PACKED, PAGE, CHAIN = range(LINE_WORDS)

UNIT = 32  # pages start at multiples of this; links count in it
LINK_BYTES = 4
PAGE_BYTES_MIN, PAGE_DOUBLINGS, PAGES_A_SIZE = 32, 4, 4
SIDE_POINT_BYTES = 20

# Cursors: counters that the append kernel keeps in one int64 array.
ARENA_END, SIDE_END, POINTS, UNCHANGED, LATE, MIN_TS, MAX_TS = range(7)
CURSORS = 8


def page_bytes(ordinal: int) -> int:
    """Size of a series' page number `ordinal`, link included."""
    return PAGE_BYTES_MIN << min(ordinal // PAGES_A_SIZE, PAGE_DOUBLINGS)


assert LINE_WORDS * 8 == 64
assert page_bytes(0) == 32
assert page_bytes(100) == 512
assert UNIT == PAGE_BYTES_MIN, "every page size is a multiple of the unit"
