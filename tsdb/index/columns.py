"""Series as columns: what an index file holds, and what travels between it and the tables.

    in   tables and refs, or the sections of a file
    out  refs, rows of label numbers, and each distinct label once

Labels are numbered by name (in byte order), then by age, so a row in canonical order is an
ascending list of numbers: that is all a reader has to check to know that keys are canonical.

Price: 37 bytes for a series of ten labels of which one is its own; 0.15 µs a series to make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdb.batch import I64s, U8s, U32s
from tsdb.index import kernels as k
from tsdb.index.kernels import columns as column_kernels
from tsdb.index.labels import LENGTH_BYTES
from tsdb.index.tables import Room, Tables


@dataclass(frozen=True, slots=True)
class IndexColumns:
    """Row i is the next `sizes[i]` items of `rows`; label j is `text[offsets[j]:offsets[j+1]]`."""

    refs: U32s  # [series] ascending
    sizes: U8s  # [series] labels, 1 to LABELS_PER_SERIES_MAX
    rows: U32s  # [sum of sizes] label numbers, ascending in a row
    offsets: I64s  # [labels + 1]
    text: U8s  # labels as in a canonical key

    @property
    def count(self) -> int:
        return self.refs.size

    @property
    def room(self) -> Room:
        """What loading takes, and a little more than most lists do."""
        largest = Room()
        pairs = self.offsets.size - 1
        return Room(
            series=self.count + largest.series,
            labels=self.rows.size + largest.labels,
            pairs=pairs + pairs // 8 + largest.pairs,
            text_bytes=self.text.size + k.TEXT_UNIT * pairs + largest.text_bytes,
            cells=self.rows.size + self.rows.size // 4 + largest.cells,
        )

    @classmethod
    def of(cls, tables: Tables, refs: U32s) -> IndexColumns:
        """Columns of series that have rows; `refs` ascend."""
        # Taken once: the arrays may grow meanwhile, what is read of them does not change.
        keys, pairs = tables.keys, tables.pairs
        paired = int(tables.counts[k.PAIRED])
        used = np.zeros(paired, np.uint8)
        sizes = np.empty(refs.size, np.uint8)
        items = column_kernels.mark_pairs(keys, refs, sizes, used)
        chosen = _by_name(np.flatnonzero(used).astype(np.uint32), tables)
        numbers = np.zeros(used.size, np.uint32)
        numbers[chosen] = np.arange(chosen.size, dtype=np.uint32)
        rows = np.empty(items, np.uint32)
        column_kernels.number_rows(keys, refs, numbers, rows)
        offsets = np.zeros(chosen.size + 1, np.int64)
        np.cumsum(pairs[1][chosen, k.SIZE], out=offsets[1:])
        text = np.empty(int(offsets[-1]), np.uint8)
        column_kernels.copy_pairs(pairs, chosen, offsets, text)
        return cls(refs, sizes, rows, offsets, text)

    def fault(self) -> tuple[str, int] | None:
        """Section, and byte in it, that no index file may hold; None if this is series."""
        if np.any(np.diff(self.offsets) < 0) or self.offsets[-1] != self.text.size:
            return "label_sizes", 0
        groups = np.empty(self.offsets.size - 1, np.uint32)
        label = column_kernels.check_labels(self.text, self.offsets, groups)
        if label >= 0:
            return "text", int(self.offsets[label])
        series = column_kernels.check_rows(self.refs, self.sizes, self.rows, self.offsets, groups)
        return ("refs", int(series) * self.refs.itemsize) if series >= 0 else None


def _by_name(pairs: U32s, tables: Tables) -> U32s:
    """Pair ids in the order of their names' bytes, then of age."""
    names, places = np.unique(tables.pairs[1][pairs, k.NAME], return_inverse=True)
    written = [tables.bytes_of(name)[LENGTH_BYTES:] for name in names.tolist()]
    rank = np.empty(names.size, np.int64)
    rank[sorted(range(names.size), key=written.__getitem__)] = np.arange(names.size)
    return pairs[np.lexsort((pairs, rank[places]))]
