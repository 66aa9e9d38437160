"""From a sender's own bytes to a ref, without making them canonical.

    in   byte ranges in whatever form a sender uses
    out  refs

Entries: slots u64 (as in `tsdb.index.kernels`), at u64 (offset << 16 | size), refs u32, text u8.
used i64: entries, bytes of text.

Senders repeat themselves, and entries lie in the order in which they came: the range after the one
that was found is first compared with the entry after it, and where that holds nothing is hashed and
no slot is looked at. Where it does not, one range is found by hash; then, as long as guesses fail,
two, four, up to AHEAD at once, so an order that never comes again costs one compare more every
AHEAD ranges.

Price: 60 ns a lookup of 250 cached bytes by hash; 5 ns for 20 bytes, 15 for 250, in the order of
the entries.
"""

import numpy as np

from tsdb.codec.bits import prefetch_read
from tsdb.index.kernels import I64S_IN, U8S_IN, U32S_IN
from tsdb.index.kernels.hashing import HALF, LOW, same_bytes, tag_range
from tsdb.index.kernels.tables import ABSENT, slot_of
from tsdb.jit import forced, kernel

ALIASES = "Tuple((u8[::1], u8[::1], u4[::1], u1[::1]))"
AHEAD = 32
SIZE_MAX = 0xFFFF


@forced
def find_alias(aliases, tag, data, start, size):
    slots, at, _, text = aliases
    mask = np.int64(slots.size - 1)
    i = tag & mask
    while True:
        slot = slots[i]
        if slot == np.uint64(0):
            return i, np.int64(-1)
        if np.int64(slot >> HALF) == tag:
            entry = np.int64(slot & LOW) - 1
            place = at[entry]
            if np.int64(place & np.uint64(0xFFFF)) == size and same_bytes(
                text, np.int64(place >> np.uint64(16)), data, start, size
            ):
                return i, entry
        i = (i + 1) & mask


@forced
def is_entry(aliases, entry, data, start, size):
    """Whether the range is what this entry holds."""
    _, at, _, text = aliases
    place = at[entry]
    return np.int64(place & np.uint64(0xFFFF)) == size and same_bytes(
        text, np.int64(place >> np.uint64(16)), data, start, size
    )


@forced
def is_range(data, start, end):
    return 0 <= start <= end <= data.size and end - start <= SIZE_MAX


@kernel(f"void({ALIASES}, u8[::1], i8, {U8S_IN}, {I64S_IN}, {I64S_IN}, u4[::1])")
def lookup_aliases(aliases, seeds, entries, data, starts, ends, out):
    """Refs of the ranges `data[starts[i]:ends[i]]`; ABSENT where none is known."""
    slots, _, refs, _ = aliases
    mask = np.int64(slots.size - 1)
    guess, i, ahead = np.int64(0), np.int64(0), np.int64(1)
    while i < starts.size:
        first = i
        while (
            i < starts.size
            and guess < entries
            and is_range(data, starts[i], ends[i])
            and is_entry(aliases, guess, data, starts[i], ends[i] - starts[i])
        ):
            out[i] = refs[guess]
            guess += 1
            i += 1
        ahead = np.int64(1) if i > first else min(2 * ahead, np.int64(AHEAD))
        top = min(i + ahead, starts.size)
        for k in range(i, top):
            tag = np.int64(0)
            if is_range(data, starts[k], ends[k]):
                tag = tag_range(data, starts[k], ends[k] - starts[k], seeds)
            out[k] = np.uint32(tag)
            prefetch_read(slots, (tag & mask) * 8)
        for k in range(i, top):
            entry = np.int64(-1)
            if is_range(data, starts[k], ends[k]):
                tag = np.int64(out[k])
                _, entry = find_alias(aliases, tag, data, starts[k], ends[k] - starts[k])
            out[k] = ABSENT if entry < 0 else refs[entry]
            if entry >= 0:
                guess = entry + 1
        i = top


@kernel(f"void({ALIASES}, u8[::1], i8[::1], {U8S_IN}, {I64S_IN}, {I64S_IN}, {U32S_IN})")
def add_aliases(aliases, seeds, used, data, starts, ends, refs):
    """Entries for `data[starts[i]:ends[i]]`; a known range gets the new ref.

    The caller made room for all of them. Left out: what has no ref, and what no entry can hold.
    """
    slots, at, known, text = aliases
    for i in range(refs.size):
        start = starts[i]
        size = ends[i] - start
        if refs[i] == ABSENT or size < 0 or size > SIZE_MAX:
            continue
        tag = tag_range(data, start, size, seeds)
        place, entry = find_alias(aliases, tag, data, start, size)
        if entry < 0:
            entry = used[0]
            at[entry] = np.uint64(used[1]) << np.uint64(16) | np.uint64(size)
            for k in range(size):
                text[used[1] + k] = data[start + k]
            slots[place] = slot_of(tag, entry)
            used[0] = entry + 1
            used[1] += size
        known[entry] = refs[i]
