"""What regexes said about label values, so that none is asked about the same value twice.

    in   a pattern and ids of values of one label name
    out  which of them match

A table of one byte a value and pattern, indexed by the value's rank among the values of its
name: 0 not asked yet, then NO or YES. New values find a 0. The least recently used tables go
when there are PATTERNS_KEPT of them or all together pass VERDICT_BYTES_MAX.

Threads: two readers may ask the same question at once and write the same answer. A table that
grows meanwhile may lose an answer to the next question, never to this one: each reader goes on
with the table in which it wrote.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from tsdb.batch import I64s, U8s, U32s
from tsdb.index import kernels as k
from tsdb.index.kernels import rows as row_kernels
from tsdb.index.pattern import PATTERNS_KEPT, Pattern
from tsdb.index.tables import Tables, grown

VERDICT_BYTES_MAX = 32 << 20


class Verdicts:
    """One pattern on the values of one name."""

    __slots__ = ("_pattern", "_tables", "table")

    def __init__(self, tables: Tables, pattern: Pattern) -> None:
        self._tables = tables
        self._pattern = pattern
        self.table: U8s = np.empty(0, np.uint8)

    def judge(self, values: U32s) -> U8s:
        """Verdicts by rank; those on `values` are among them."""
        if not values.size:
            return self.table
        ranks = self._tables.pairs[1][values, k.RANK]
        table = grown(self.table, self.table.size, int(ranks.max()) + 1)
        self.table = table
        unknown = values[table[ranks] == 0]
        if unknown.size:
            self._ask(unknown, table)
        return table

    def matching(self, values: U32s) -> U32s:
        """Those of `values` that match."""
        table = self.judge(values)
        matching: U32s = values[table[self._tables.pairs[1][values, k.RANK]] == row_kernels.YES]
        return matching

    def _ask(self, values: U32s, table: U8s) -> None:
        pairs = self._tables.pairs
        affixes = self._pattern.affixes
        if affixes is not None:
            prefix, infix, suffix = (
                np.frombuffer(part, np.uint8)
                for part in (affixes.prefix, affixes.infix, affixes.suffix)
            )
            row_kernels.judge_affixes(pairs, values, prefix, infix, suffix, affixes.size_min, table)
            return
        matched = self._pattern.judge(*joined(self._tables, values))
        table[pairs[1][values, k.RANK]] = np.where(matched, row_kernels.YES, row_kernels.NO)


class VerdictCache:
    """Tables of verdicts on the labels of one generation of tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], Verdicts] = OrderedDict()

    def of(self, name: int, pattern: Pattern) -> Verdicts:
        """Verdicts of a pattern on the values of the name with list id `name`."""
        with self._lock:
            verdicts = self._kept.pop((name, pattern.text), None)
            if verdicts is None:
                verdicts = Verdicts(self._tables, pattern)
                while len(self._kept) >= PATTERNS_KEPT or self.memory_bytes > VERDICT_BYTES_MAX:
                    self._kept.popitem(last=False)
            self._kept[name, pattern.text] = verdicts
            return verdicts

    @property
    def memory_bytes(self) -> int:
        return sum(verdicts.table.nbytes for verdicts in self._kept.values())

    def joined(self, values: U32s) -> tuple[bytes, I64s]:
        return joined(self._tables, values)


def joined(tables: Tables, values: U32s) -> tuple[bytes, I64s]:
    """The values' bytes with a newline after each, and their offsets."""
    pairs = tables.pairs
    offsets = np.empty(values.size + 1, np.int64)
    text = np.empty(row_kernels.measure_values(pairs, values, offsets), np.uint8)
    row_kernels.copy_values(pairs, values, offsets, text)
    return text.tobytes(), offsets
