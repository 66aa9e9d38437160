"""Compiled loops of the index; docs/decisions/0004-postings.md has the layout they share.

Arrays travel in tuples, so that one argument names one part of the index:

    KEYS    slots u64, row_start u32, row_count u8, row_pairs u32
    PAIRS   pair_slots u64, records u32[pairs, FIELDS], text u8
    cells   u32, what lists are made of (`lists`)
    counts  i64, indexed by the constants below

Everything about one label is one record of 32 bytes: half a cache line.

Hash tables are open-addressed, powers of two, at most two thirds full. A slot holds the upper
half of a 64-bit hash and a number plus one; zero is free. The lower bits of that half are the
slot's home, so tables grow without looking at what they index.
"""

# Arrays that are only read may belong to a log entry or a file, which nobody may write.
U8S_IN, U32S_IN, I64S_IN = (f"Array({item}, 1, 'C', True)" for item in ("u1", "u4", "i8"))

KEYS = "Tuple((u8[::1], u4[::1], u1[::1], u4[::1]))"
PAIRS = "Tuple((u8[::1], u4[:, ::1], u1[::1]))"
CELLS = "u4[::1]"

# fields of a record: one for each label (pair), one for each name, 0 for the list of all names
FIRST = 0  # its list: the only item, or the first cell
TAIL = 1  # the cell of the next item
COUNT = 2  # items: refs of a label, labels of a name
LIVE = 3  # visible series that have it
RANK = 4  # place of a label in the list of its name
NAME = 5  # record of a label's name; 0 for a name
AT = 6  # where its bytes begin in `text`, in units of TEXT_UNIT
SIZE = 7  # bytes: a whole label as in a canonical key, or its first half, a name
FIELDS = 8
TEXT_UNIT = 8  # so that 32 bits reach 32 GiB

# counts
TEXTED = 0  # bytes of `text` in use
PAIRED = 1  # pair ids given out; 0 is the list of all names
ROWED = 2  # items of `row_pairs` in use
CELLED = 3  # cells in use
KEYED = 4  # series in the key table
NEXT_REF = 5
DEFINED = 6  # series that select may see
LAST_REF = 7  # highest ref ever defined
UNSORTED = 8  # 1 once a ref was defined after a higher one: lists are not ascending then
DEAD = 9  # forgotten series that lists still hold
STATUS = 10
COUNTS = 11

# status of a kernel that may stop early
DONE = 0
FULL = 1  # some array has no room for one more series of any size
MALFORMED = 2  # bytes that are no canonical key
CONFLICT = 3  # a ref that belongs to another series
REVIVED = 4  # a forgotten ref is defined anew with other labels: rebuild first

# state of a ref
UNKNOWN = 0
ASSIGNED = 1  # in the key table, not visible to select
VISIBLE = 2
FORGOTTEN = 3

# modes of `place`
ASSIGN = 0  # choose refs
RESERVE = 1  # refs are given, not visible yet
DEFINE = 2  # refs are given, visible

SLICE_CELLS_MAX = 1024
