"""Rows straight from the index: named by refs, so that questions are answered from numbers.

    in   a reader of the index, refs; or some of the labels of such series (PairRows)
    out  groups and order without a label set being made; label sets only where asked for

Two series of one reader never have the same labels; without their metric names they may.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsdb.batch import I64s, U8s, U32s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.reader import Reader, Write
from tsdb.promql.rows import Rows

__all__ = ["KnownRows", "PairRows"]


class KnownRows(Rows):
    """Rows of series of the index, all with or all without their metric name."""

    def __init__(self, index: Reader, refs: U32s, *, named: bool = True) -> None:
        self._index = index
        self._refs = refs
        self._named = named
        self._made: list[Labels] | None = None

    def __len__(self) -> int:
        return self._refs.size

    def labels(self) -> Sequence[Labels]:
        if self._made is None:
            left_out = () if self._named else (METRIC_NAME,)
            self._made = self._index.labels_of_all(self._refs, left_out)
        return self._made

    def taken(self, rows: I64s) -> Rows:
        return KnownRows(self._index, self._refs[rows], named=self._named)

    def without_name(self) -> Rows:
        return KnownRows(self._index, self._refs, named=False) if self._named else self

    def twins(self) -> tuple[I64s, I64s] | None:
        if self._named:
            return None
        groups, firsts = self._index.grouped(self._refs, (METRIC_NAME,), without=True)
        return None if firsts.size == self._refs.size else (groups, firsts)

    def written(self, write: Write, head: bytes, tail: bytes) -> tuple[U8s, I64s]:
        return self._index.written(self._refs, write, head, tail, without=self._left_out)

    def order(self) -> I64s:
        return self._index.text_order(self._refs, without=self._left_out)

    def grouped(self, names: Sequence[str], *, without: bool) -> tuple[I64s, Rows]:
        if not without and not names:
            return super().grouped(names, without=without)
        chosen = set(names)
        if without:
            chosen.add(METRIC_NAME)
        elif not self._named:
            chosen.discard(METRIC_NAME)
        groups, firsts = self._index.grouped(self._refs, sorted(chosen), without=without)
        pairs = self._index.pairs_of(self._refs[firsts], chosen, without=without)
        return groups, PairRows(self._index, *pairs)

    @property
    def _left_out(self) -> str:
        return "" if self._named else METRIC_NAME


class PairRows(Rows):
    """Rows of any labels that series of one index have, as that index' numbers of labels."""

    def __init__(self, index: Reader, pairs: U32s, ends: I64s) -> None:
        self._index = index
        self._pairs = pairs
        self._ends = ends
        self._made: list[Labels] | None = None

    def __len__(self) -> int:
        return self._ends.size - 1

    def labels(self) -> Sequence[Labels]:
        if self._made is None:
            self._made = self._index.labels_of_pairs(self._pairs, self._ends)
        return self._made

    def taken(self, rows: I64s) -> Rows:
        sizes = np.diff(self._ends)[rows]
        ends = np.zeros(rows.size + 1, np.int64)
        np.cumsum(sizes, out=ends[1:])
        places = np.repeat(self._ends[:-1][rows] - ends[:-1], sizes) + np.arange(ends[-1])
        return PairRows(self._index, self._pairs[places], ends)

    def without_name(self) -> Rows:
        kept = self._index.kept_pairs(self._pairs, self._ends, (METRIC_NAME,), without=True)
        return PairRows(self._index, *kept)

    def twins(self) -> tuple[I64s, I64s] | None:
        groups, firsts = self._index.group_pairs(self._pairs, self._ends, (), without=True)
        return None if firsts.size == len(self) else (groups, firsts)

    def written(self, write: Write, head: bytes, tail: bytes) -> tuple[U8s, I64s]:
        return self._index.written_pairs(self._pairs, self._ends, write, head, tail)

    def order(self) -> I64s:
        return self._index.order_of_pairs(self._pairs, self._ends)

    def grouped(self, names: Sequence[str], *, without: bool) -> tuple[I64s, Rows]:
        chosen = {*names, METRIC_NAME} if without else set(names)
        if not chosen:
            return super().grouped(names, without=without)
        own = self._pairs, self._ends
        groups, firsts = self._index.group_pairs(*own, sorted(chosen), without=without)
        rows = self.taken(firsts)
        assert isinstance(rows, PairRows)
        kept = self._index.kept_pairs(rows._pairs, rows._ends, chosen, without=without)
        return groups, PairRows(self._index, *kept)

    def joined(self, others: Rows) -> tuple[I64s, Rows]:
        if not isinstance(others, PairRows) or others._index is not self._index:
            return super().joined(others)
        pairs = np.concatenate((self._pairs, others._pairs))
        ends = np.concatenate((self._ends, self._ends[-1] + others._ends[1:]))
        groups, firsts = self._index.group_pairs(pairs, ends, (), without=True)
        return groups[len(self) :], PairRows(self._index, pairs, ends).taken(firsts)
