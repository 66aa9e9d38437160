"""Rows straight from the index: named by refs, so that questions are answered from numbers.

    in   a reader of the index, refs
    out  groups and order without a label set being made; label sets only where asked for

Two series of one reader never have the same labels; without their metric names they may.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsdb.batch import I64s, U8s, U32s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.reader import Reader, Write
from tsdb.promql.rows import EMPTY, Rows

__all__ = ["KnownRows"]


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

    def grouped(self, names: Sequence[str], *, without: bool) -> tuple[I64s, list[Labels]]:
        if not without and not names:
            return np.zeros(len(self), np.int64), [EMPTY] if len(self) else []
        chosen = set(names)
        if without:
            chosen.add(METRIC_NAME)
        elif not self._named:
            chosen.discard(METRIC_NAME)
        groups, firsts = self._index.grouped(self._refs, sorted(chosen), without=without)
        labels = self._index.labels_of_all(self._refs[firsts], chosen, without=without)
        return groups, labels

    @property
    def _left_out(self) -> str:
        return "" if self._named else METRIC_NAME
