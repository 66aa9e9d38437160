"""Aliases: the bytes by which a sender names a series, remembered, so that they need no parsing.

    in   a form (which parser made the ranges), byte ranges
    out  refs

A scrape names the same series in the same bytes every time: the first time they are parsed into
a canonical key, afterwards found here. Bounded: when all forms together pass ALIAS_BYTES_MAX,
everything is forgotten at once, which costs one trip through the parser for each series. A
least-recently-used order would cost a write for every point that is read.

One thread at a time, the one that resolves batches. Price: 60 ns a lookup, cached.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsdb import limits
from tsdb.batch import I64s, U8s, U32s, U64s
from tsdb.index.kernels import aliases as alias_kernels
from tsdb.index.tables import grown, random_seeds, rehashed

__all__ = ["Aliases"]

NO_REF = 0xFFFFFFFF


class Aliases:
    """Known ranges of every form, and the refs they stand for."""

    def __init__(self, *, bytes_max: int = limits.ALIAS_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._seeds = random_seeds()
        self._forms: dict[str, _Form] = {}

    @property
    def memory_bytes(self) -> int:
        return sum(form.memory_bytes for form in self._forms.values())

    def lookup(self, form: str, key_bytes: U8s, starts: I64s, ends: I64s) -> U32s:
        """Ref of each range, NO_REF where it is not known."""
        known = self._forms.get(form)
        if known is None:
            return np.full(starts.size, NO_REF, np.uint32)
        return known.lookup(self._seeds, key_bytes, starts, ends)

    def add(self, form: str, raw: bytes, ref: int) -> None:
        """Remember one range; a known one gets the new ref."""
        self.add_many(form, [raw], np.array([ref], np.uint32))

    def add_many(self, form: str, raws: Sequence[bytes], refs: U32s) -> None:
        """Remember ranges that are bytes of their own."""
        offsets = np.zeros(len(raws) + 1, np.int64)
        np.cumsum([len(raw) for raw in raws], out=offsets[1:])
        self.add_ranges(
            form, np.frombuffer(b"".join(raws), np.uint8), offsets[:-1], offsets[1:], refs
        )

    def add_ranges(self, form: str, data: U8s, starts: I64s, ends: I64s, refs: U32s) -> None:
        """Remember `data[starts[i]:ends[i]]` as refs[i], where that is not NO_REF.

        A range longer than an entry can hold is left out: it is parsed every time.
        """
        assert starts.size == ends.size == refs.size
        known = self._forms.setdefault(form, _Form())
        known.add(self._seeds, data, starts, ends, refs)
        if self.memory_bytes > self._bytes_max:
            self.clear()

    def clear(self) -> None:
        """Forget everything: after `Registry.forget`, or when full."""
        self._forms.clear()


class _Form:
    """The ranges of one form."""

    def __init__(self) -> None:
        self._used = np.zeros(2, np.int64)  # entries, bytes of text
        self._slots: U64s = np.zeros(1 << 10, np.uint64)
        self._at: U64s = np.zeros(0, np.uint64)
        self._refs: U32s = np.zeros(0, np.uint32)
        self._text: U8s = np.zeros(0, np.uint8)

    @property
    def memory_bytes(self) -> int:
        entries, text = self._used.tolist()
        return self._slots.nbytes + entries * 12 + text

    def lookup(self, seeds: U64s, data: U8s, starts: I64s, ends: I64s) -> U32s:
        out = np.empty(starts.size, np.uint32)
        arrays = (self._slots, self._at, self._refs, self._text)
        entries = int(self._used[0])
        alias_kernels.lookup_aliases(arrays, seeds, entries, data, starts, ends, out)
        return out

    def add(self, seeds: U64s, data: U8s, starts: I64s, ends: I64s, refs: U32s) -> None:
        entries, text = self._used.tolist()
        size = int((ends - starts).sum())
        self._slots = rehashed(self._slots, entries + refs.size)
        self._at = grown(self._at, entries, entries + refs.size)
        self._refs = grown(self._refs, entries, entries + refs.size)
        self._text = grown(self._text, text, text + size)
        arrays = (self._slots, self._at, self._refs, self._text)
        alias_kernels.add_aliases(arrays, seeds, self._used, data, starts, ends, refs)
