"""The index's arrays: one generation of them, and how they grow.

    in   kernels' demands for room
    out  tuples of arrays as `tsdb.index.kernels` names them

Nothing here is an object per series: a million series are some twenty arrays. Arrays grow by
doubling into zeroed memory that the system only backs once it is touched, so the spare half
costs addresses, not memory. Growing copies; readers that still hold an old array keep reading
valid data, because what a visible series needs in it never changes again.

Price: the copy. The largest stall, rehashing a table of a million series, is 20 ms.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tsdb import limits
from tsdb.batch import I64s, U8s, U32s, U64s
from tsdb.index import kernels as k
from tsdb.index.kernels import tables as table_kernels

Array: TypeAlias = npt.NDArray[Any]
Keys: TypeAlias = tuple[U64s, U32s, U8s, U32s]
Pairs: TypeAlias = tuple[U64s, U32s, U8s]

CAPACITY_MIN = 1 << 10
SEED_WORDS = 4


def random_seeds() -> U64s:
    """Hash secrets of this process; odd, so that multiplying by them loses nothing."""
    return np.frombuffer(os.urandom(8 * SEED_WORDS), np.uint64) | np.uint64(1)


def grown(array: Array, used: int, wanted: int) -> Array:
    """`array` with room for `wanted` items at least, zeros past `used`; itself if it has that."""
    if wanted <= len(array):
        return array
    larger = np.zeros((_capacity(wanted), *array.shape[1:]), array.dtype)
    kept = min(used, len(array))
    larger[:kept] = array[:kept]
    return larger


def _capacity(wanted: int) -> int:
    return max(CAPACITY_MIN, 1 << (wanted - 1).bit_length())


def rehashed(slots: U64s, entries: int) -> U64s:
    """A hash table with room for `entries`; itself if it has that."""
    if entries * 3 <= slots.size * 2:
        return slots
    larger = np.zeros(1 << (entries * 3 // 2).bit_length(), np.uint64)
    table_kernels.rehash(slots, larger)
    return larger


@dataclass(frozen=True, slots=True)
class Room:
    """How much is to come; by default one series of the largest size."""

    series: int = 1
    labels: int = table_kernels.LABELS_MAX  # of all series
    pairs: int = 2 * table_kernels.LABELS_MAX  # distinct labels and names
    text_bytes: int = table_kernels.TEXT_MAX
    cells: int = table_kernels.CELLS_MAX


class Tables:
    """Arrays of one generation. The owner's locks decide who may call what, and when."""

    def __init__(self, seeds: U64s) -> None:
        self.seeds = seeds
        self.counts = np.zeros(k.COUNTS, np.int64)
        self.counts[k.PAIRED] = 1  # id 0 is the list of all names
        self.state: U8s = np.zeros(0, np.uint8)
        self.keys: Keys = (_slots(), _u32s(), np.zeros(0, np.uint8), _u32s())
        self.pairs: Pairs = (
            _slots(),
            np.zeros((0, k.FIELDS), np.uint32),
            np.zeros(0, np.uint8),
        )
        self.cells: U32s = _u32s()
        self.scratch: U8s = np.zeros(table_kernels.KEY_MAX + table_kernels.WORD, np.uint8)
        self._stops = np.zeros(limits.LABELS_PER_SERIES_MAX, np.int64)
        self.make_room(0)

    @property
    def next_ref(self) -> int:
        return int(self.counts[k.NEXT_REF])

    @property
    def memory_bytes(self) -> int:
        """Bytes in use; spare room is not backed by memory until it is."""
        counts = self.counts
        refs = sum(array.itemsize for array in (*self.keys[1:3], self.state))
        return (
            self.keys[0].nbytes
            + self.pairs[0].nbytes
            + refs * int(counts[k.NEXT_REF])
            + 4 * k.FIELDS * int(counts[k.PAIRED])
            + self.keys[3].itemsize * int(counts[k.ROWED])
            + self.cells.itemsize * int(counts[k.CELLED])
            + int(counts[k.TEXTED])
        )

    def make_room(self, ref: int) -> None:
        """Room for one more series of any size under `ref`: what the kernel `has_room` asks."""
        self.reserve(ref, Room())

    def reserve(self, ref: int, room: Room) -> None:
        """Room for what is to come, so that it does not grow arrays step by step."""
        counts = self.counts
        refs, rowed = int(counts[k.NEXT_REF]), int(counts[k.ROWED])
        slots, row_start, row_count, row_pairs = self.keys
        self.keys = (
            rehashed(slots, int(counts[k.KEYED]) + room.series),
            grown(row_start, refs, ref + 1),
            grown(row_count, refs, ref + 1),
            grown(row_pairs, rowed, rowed + room.labels),
        )
        self.state = grown(self.state, refs, ref + 1)
        paired, texted = int(counts[k.PAIRED]), int(counts[k.TEXTED])
        pair_slots, records, text = self.pairs
        self.pairs = (
            rehashed(pair_slots, paired + room.pairs),
            grown(records, paired, paired + room.pairs),
            grown(text, texted, texted + room.text_bytes),
        )
        celled = int(counts[k.CELLED])
        self.cells = grown(self.cells, celled, celled + room.cells)

    @property
    def all(self) -> tuple[Keys, Pairs, U32s, U8s, I64s, U64s]:
        """What kernels that change the tables begin their arguments with."""
        return self.keys, self.pairs, self.cells, self.state, self.counts, self.seeds

    def place(self, data: U8s, offsets: I64s, refs: U32s, begin: int, mode: int) -> int:
        """See the kernel; returns where it stopped, and counts[STATUS] says why."""
        stopped: int = table_kernels.place(*self.all, data, offsets, refs, self._stops, begin, mode)
        return stopped

    def forget(self, refs: U32s) -> None:
        """See the kernel."""
        table_kernels.forget(*self.all, np.ascontiguousarray(refs, np.uint32), self.scratch)

    def find(self, label: bytes) -> int:
        """Id of a label's bytes, or of a name's; -1 if unknown."""
        found: int = table_kernels.find(self.pairs, self.seeds, np.frombuffer(label, np.uint8))
        return found

    def bytes_of(self, pair: int) -> bytes:
        """Bytes of a label as in a canonical key; of a name, the first half of one."""
        _, records, text = self.pairs
        at = int(records[pair, k.AT]) * k.TEXT_UNIT
        return text[at : at + int(records[pair, k.SIZE])].tobytes()


def _slots() -> U64s:
    return np.zeros(CAPACITY_MIN, np.uint64)


def _u32s() -> U32s:
    return np.zeros(0, np.uint32)
