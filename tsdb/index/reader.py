"""Reading the registry: one generation of it, for as long as an answer takes.

    in   refs, matchers
    out  labels, keys, refs, names and values

Forgetting many series makes new tables (tsdb.index.registry). A reader goes on with those it
began with: a series that it found keeps its labels to the end of the answer, although it was
forgotten meanwhile. New series are seen as long as the tables are the current ones.

Price: a selection, tsdb.index.postings; labels 3 µs a series, decoded strings are shared.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from tsdb.batch import I64s, U8s, U32s, U64s
from tsdb.index.kernels import NAME, PAIRED
from tsdb.index.kernels import groups as group_kernels
from tsdb.index.kernels import rows as row_kernels
from tsdb.index.kernels import tables as table_kernels
from tsdb.index.labels import LENGTH_BYTES, Labels
from tsdb.index.matchers import Matcher, Op
from tsdb.index.postings import Postings, name_field
from tsdb.index.tables import Tables

BY_KEY = -1  # sort_rows: the order of canonical keys
Keys: TypeAlias = tuple[U64s, U32s, U8s, U32s]
Write: TypeAlias = Callable[[str, str], bytes]
DENSE = 8  # ids in all per id asked for, up to which a table beats sorting
STRINGS_KEPT = 1 << 16  # decoded labels, shared by the Labels that hold them


class Reader:
    """Names and selections of one generation. Any number of threads."""

    def __init__(self, tables: Tables, lock: threading.Lock) -> None:
        self._tables = tables
        self._lock = lock
        self._postings = Postings(tables, lock)
        self._strings: dict[int, tuple[str, str]] = {}

    def key(self, ref: int) -> bytes:
        """Canonical label bytes of a series."""
        keys, _ = keys_of(self._tables, self._known(np.array([ref], np.uint32)))
        assert keys.size, f"ref {ref} names no series"
        return keys.tobytes()

    def keys(self, refs: U32s) -> tuple[U8s, I64s]:
        """Canonical keys of `refs` back to back, and their offsets."""
        return keys_of(self._tables, self._known(refs))

    def labels(self, ref: int) -> Labels:
        """Label set of a series."""
        _, row_start, row_count, row_pairs = self._tables.keys
        row, size = int(row_start[ref]), int(row_count[ref])
        assert size, f"ref {ref} names no series"
        strings = self._strings
        pairs = []
        for pair in row_pairs[row : row + size].tolist():
            text = strings.get(pair)
            if text is None:
                if len(strings) >= STRINGS_KEPT:
                    strings.clear()
                text = strings[pair] = self._decoded(pair)
            pairs.append(text)
        return Labels.of_sorted(pairs)

    def labels_of_all(
        self, refs: U32s, names: Iterable[str] = (), *, without: bool = True
    ) -> list[Labels]:
        """Label sets of many series, without some labels or of these alone.

        A quarter of the time of `labels`.
        """
        return self.labels_of_pairs(*self.pairs_of(refs, names, without=without))

    def labels_of_pairs(self, pairs: U32s, ends: I64s) -> list[Labels]:
        """Label sets given as numbers (`pairs_of`)."""
        known = self._texts(self._numbered(pairs)[0])
        texts = list(map(known.__getitem__, pairs.tolist()))
        return [Labels.of_sorted(texts[start:end]) for start, end in pairwise(ends.tolist())]

    def written(
        self, refs: U32s, write: Write, head: bytes, tail: bytes, *, without: str = ""
    ) -> tuple[U8s, I64s]:
        """Each series as `head`, its labels with commas between, `tail`; where each begins.

        `write` is asked once for each distinct label, so that 10,000 series are few labels.
        """
        pairs, ends = self.pairs_of(refs, (without,) if without else (), without=True)
        return self.written_pairs(pairs, ends, write, head, tail)

    def written_pairs(
        self, pairs: U32s, ends: I64s, write: Write, head: bytes, tail: bytes
    ) -> tuple[U8s, I64s]:
        """As `written`, label sets given as numbers (`pairs_of`)."""
        distinct, numbers = self._numbered(pairs)
        texts = self._texts(distinct)
        parts = [write(*texts[pair]) for pair in distinct.tolist()]
        sizes = np.array([len(part) for part in parts], np.int64)
        starts = np.zeros(sizes.size + 1, np.int64)
        np.cumsum(sizes, out=starts[1:])
        counts = np.diff(ends)
        begins = np.zeros(ends.size, np.int64)
        filled = np.concatenate(([0], np.cumsum(sizes[numbers])))[ends]
        around = (len(head) + len(tail)) * np.arange(ends.size)
        begins[1:] = np.cumsum(np.maximum(counts - 1, 0))
        begins += filled + around
        out = np.empty(int(begins[-1]), np.uint8)
        row_kernels.write_rows(
            *(ends, numbers, starts, _bytes(b"".join(parts))),
            *(_bytes(head), _bytes(tail), begins, out),
        )
        return out, begins

    def _numbered(self, pairs: U32s) -> tuple[U32s, I64s]:
        """Each pair id once, ascending; for each of `pairs` its place there."""
        paired = int(self._tables.counts[PAIRED])
        if pairs.size * DENSE < paired:
            distinct, places = np.unique(pairs, return_inverse=True)
            return distinct, places.astype(np.int64)
        table = np.zeros(paired, np.int64)
        table[pairs] = 1
        found = np.flatnonzero(table)
        table[found] = np.arange(found.size)
        return found.astype(np.uint32), table[pairs]

    def pairs_of(self, refs: U32s, names: Iterable[str], *, without: bool) -> tuple[U32s, I64s]:
        """Label sets as numbers, less some names or of these alone: back to back, and the ends.

        A number stands for one name and value; two sets are equal if their numbers are.
        """
        _, row_start, row_count, row_pairs = self._tables.keys
        refs = self._known(refs)
        sizes = row_count[refs].astype(np.int64)
        begins = np.zeros(refs.size + 1, np.int64)
        np.cumsum(sizes, out=begins[1:])
        places = np.repeat(row_start[refs] - begins[:-1], sizes) + np.arange(begins[-1])
        return self.kept_pairs(row_pairs[places], begins, names, without=without)

    def kept_pairs(
        self, pairs: U32s, ends: I64s, names: Iterable[str], *, without: bool
    ) -> tuple[U32s, I64s]:
        """Of label sets given as numbers the labels not named, or these alone."""
        known = [self._name(name) for name in names]
        if known or not without:
            kept = np.isin(self._tables.pairs[1][pairs, NAME], known) != without
            ends = np.concatenate(([0], np.cumsum(kept)))[ends].astype(np.int64)
            pairs = pairs[kept]
        return pairs, ends

    def group_pairs(
        self, pairs: U32s, ends: I64s, names: Sequence[str], *, without: bool
    ) -> tuple[I64s, I64s]:
        """As `grouped`, label sets given as numbers (`pairs_of`)."""
        return self._grouped(*self._as_rows(pairs, ends), names, without=without)

    def order_of_pairs(self, pairs: U32s, ends: I64s) -> I64s:
        """As `text_order`, label sets given as numbers (`pairs_of`)."""
        return self._sorted(*self._as_rows(pairs, ends), 0)

    def _as_rows(self, pairs: U32s, ends: I64s) -> tuple[Keys, U32s]:
        """As kernels read the table of series, and the number of each row there."""
        starts, counts = ends[:-1].astype(np.uint32), np.diff(ends).astype(np.uint8)
        return (self._tables.keys[0], starts, counts, pairs), np.arange(
            counts.size, dtype=np.uint32
        )

    def grouped(self, refs: U32s, names: Sequence[str], *, without: bool) -> tuple[I64s, I64s]:
        """Series that agree in these labels, or in all others: numbers of groups, their firsts.

        Groups are numbered in the order in which their first series comes; a label that is
        missing agrees with one that is missing.
        """
        return self._grouped(self._tables.keys, self._known(refs), names, without=without)

    def _grouped(
        self, keys: Keys, refs: U32s, names: Sequence[str], *, without: bool
    ) -> tuple[I64s, I64s]:
        known = np.array([i for i in map(self._name, names) if i], np.int64)
        slots = np.zeros(1 << (refs.size * 2).bit_length(), np.uint32)
        groups, firsts = np.empty(refs.size, np.int64), np.empty(refs.size, np.int64)
        count = group_kernels.group_rows(
            *(keys, self._tables.pairs, refs, known, int(not without), slots, groups, firsts)
        )
        return groups, firsts[:count]

    def text_order(self, refs: U32s, *, without: str = "") -> I64s:
        """Places of `refs` by names and values as text, one label left out: PromQL's order."""
        return self._order(refs, self._name(without) if without else 0)

    def sort_refs(self, refs: U32s) -> U32s:
        """`refs` in the order of their canonical keys: the order of answers."""
        return refs[self._order(refs)]

    def rank(self, refs: U32s) -> I64s:
        """Place of each ref in `sort_refs(refs)`."""
        rank = np.empty(refs.size, np.int64)
        rank[self._order(refs)] = np.arange(refs.size)
        return rank

    def select(self, matchers: Sequence[Matcher]) -> U32s:
        """Refs of the defined series that fulfil all matchers, ascending."""
        return self._postings.select(matchers)

    def exactly(self, labels: Labels) -> U32s:
        """Refs of the defined series with these labels and no other; mostly one or none."""
        refs = self.select([Matcher(name, Op.EQUAL, value) for name, value in labels.items()])
        found: U32s = refs[self._tables.keys[2][refs] == len(labels)]
        return found

    def label_names(self, refs: U32s | None = None) -> list[str]:
        """Names of all labels, or of those that the given series have; sorted."""
        return self._postings.names(None if refs is None else self._known(refs))

    def label_values(self, name: str, refs: U32s | None = None) -> list[str]:
        """Values of a label, or of those that the given series have; sorted."""
        return self._postings.values(name, None if refs is None else self._known(refs))

    def _order(self, refs: U32s, without: int = BY_KEY) -> I64s:
        return self._sorted(self._tables.keys, self._known(refs), without)

    def _sorted(self, keys: Keys, refs: U32s, without: int) -> I64s:
        order, spare = np.empty(refs.size, np.int64), np.empty(refs.size, np.int64)
        row_kernels.sort_rows(keys, self._tables.pairs, refs, without, order, spare)
        return order

    def _name(self, name: str) -> int:
        """Id of a label's name; 0, which no name has, if there is none."""
        with self._lock:
            return max(0, self._tables.find(name_field(name)))

    def _texts(self, pairs: U32s) -> dict[int, tuple[str, str]]:
        """Name and value of each pair."""
        strings = self._strings
        found = {pair: strings.get(pair) or self._decoded(pair) for pair in pairs.tolist()}
        if len(strings) + len(found) <= STRINGS_KEPT:
            strings.update(found)
        return found

    def _known(self, refs: U32s) -> U32s:
        """`refs` as kernels take them; kernels do not look for the end of an array."""
        refs = np.ascontiguousarray(refs, np.uint32)
        assert not refs.size or int(refs.max()) < self._tables.state.size, "a ref never given out"
        return refs

    def _decoded(self, pair: int) -> tuple[str, str]:
        label = self._tables.bytes_of(pair)
        end = LENGTH_BYTES + int.from_bytes(label[:LENGTH_BYTES], "little")
        return label[LENGTH_BYTES:end].decode(), label[end + LENGTH_BYTES :].decode()


def _bytes(data: bytes) -> U8s:
    return np.frombuffer(data, np.uint8)


def keys_of(tables: Tables, refs: U32s) -> tuple[U8s, I64s]:
    """Canonical keys of `refs` back to back, and their offsets."""
    offsets = np.empty(refs.size + 1, np.int64)
    keys, pairs = tables.keys, tables.pairs
    size = row_kernels.measure_keys(keys, pairs, refs, offsets)
    data = np.empty(size + table_kernels.WORD, np.uint8)
    row_kernels.copy_keys(keys, pairs, refs, offsets, data)
    return data[:size], offsets
