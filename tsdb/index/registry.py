"""The registry: which ref a label set has, which label set a ref has, which refs matchers find.

    in   canonical keys, definitions, matchers
    out  refs; labels; names and values

Two steps make a series. `assign` gives a new key the next ref: lookup finds it at once, so the
next batch need not define it again. `define`, when the log entry that carries the definition is
applied, makes it visible to `select`. Definitions that `assign` returned must reach the log, or
be taken back with `forget`: else points would be logged under a ref that nothing defines.

Threads. `lock` orders those who change the registry or look keys up: lookup, assign, define,
forget take it; hold it (it is re-entrant) to do several of them as one. Readers never wait for
it: select, labels and the like only share a short lock with single steps of define.

Price (docs/decisions/0004-postings.md): 150 ns a lookup, 0.7 µs a new series, about 200 bytes a
series of ten labels; a select costs what its most selective matcher finds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tsdb import limits
from tsdb.batch import I64s, SeriesDefinitions, U8s, U32s, U64s
from tsdb.errors import CorruptionError, InvalidInput
from tsdb.index import kernels as k
from tsdb.index.aliases import Aliases
from tsdb.index.census import Census, census
from tsdb.index.columns import IndexColumns
from tsdb.index.kernels import columns as column_kernels
from tsdb.index.kernels import tables as table_kernels
from tsdb.index.labels import Labels
from tsdb.index.matchers import Matcher
from tsdb.index.placement import Places
from tsdb.index.reader import Reader, keys_of
from tsdb.index.tables import Room, Tables, random_seeds

__all__ = ["NO_REF", "Aliases", "Reader", "Registry"]

NO_REF = 0xFFFFFFFF
STEP_SERIES = 1024  # defined under one hold of the readers' lock: about 1 ms
REBUILD_DEAD_MIN = 4096


class Registry:
    """All series of one database."""

    def __init__(self, *, seeds: U64s | None = None) -> None:
        self.lock = threading.RLock()
        self._reading = threading.Lock()
        self._seeds = random_seeds() if seeds is None else seeds
        self._places: dict[int, Places] = {}
        self._use(Tables(self._seeds))

    def _use(self, tables: Tables) -> None:
        self._tables = tables
        self._reader = Reader(tables, self._reading)

    # --- counts ---------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Series that lookup finds: assigned or defined, and not forgotten."""
        return int(self._tables.counts[k.KEYED])

    @property
    def next_ref(self) -> int:
        """The ref that the next new series gets."""
        return self._tables.next_ref

    @property
    def next_defined_ref(self) -> int:
        """One more than the highest ref ever defined: from here on, nothing is visible."""
        counts = self._tables.counts
        return int(counts[k.LAST_REF]) + 1 if counts[k.DEFINED] or counts[k.DEAD] else 0

    @property
    def memory_bytes(self) -> int:
        return self._tables.memory_bytes

    # --- series by key --------------------------------------------------------------------

    def lookup(self, keys: U8s, starts: I64s, ends: I64s) -> U32s:
        """Ref of each canonical key `keys[starts[i]:ends[i]]`, NO_REF where there is none."""
        out = np.empty(starts.size, np.uint32)
        with self.lock:
            tables = self._tables
            table_kernels.lookup(tables.keys, tables.pairs, tables.seeds, keys, starts, ends, out)
        return out

    def ref_of(self, key: bytes) -> int:
        """Ref of one canonical key, NO_REF if there is none."""
        data = np.frombuffer(key, np.uint8)
        return int(self.lookup(data, np.zeros(1, np.int64), np.array([len(key)], np.int64))[0])

    def assign(self, keys: Sequence[bytes]) -> SeriesDefinitions:
        """Give new canonical keys the next refs; keys already known are left out."""
        offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum([len(key) for key in keys], out=offsets[1:])
        return self.assign_many(np.frombuffer(b"".join(keys), np.uint8), offsets)[1]

    def assign_many(self, data: U8s, offsets: I64s) -> tuple[U32s, SeriesDefinitions]:
        """Refs of the canonical keys `data[offsets[i]:offsets[i + 1]]`; new ones get the next.

        Every key is checked, whoever made it: InvalidInput, and nothing is assigned, if one is
        not canonical label bytes.
        """
        count = offsets.size - 1
        refs = np.empty(count, np.uint32)
        with self.lock:
            first = self.next_ref
            if first + count > limits.REFS_MAX:
                raise InvalidInput(f"no refs are left for new series (all {first:,} are used)")
            stopped = self._place(data, offsets, refs, k.ASSIGN)
            if stopped is not None:
                self.forget(np.arange(first, self.next_ref, dtype=np.uint32))
                raise InvalidInput(f"key {stopped} of {count} is not canonical label bytes")
        return refs, _first_of_each(data, offsets, refs, first)

    def define(self, definitions: SeriesDefinitions | IndexColumns) -> None:
        """Make series visible, under the refs that the definitions name. Idempotent.

        A key that comes under two refs keeps both series; lookup finds the higher ref.
        CorruptionError if a ref already belongs to another key, or a key is not canonical.
        """
        if not definitions.count:
            return
        highest = int(definitions.refs.max())
        if highest >= limits.REFS_MAX:
            raise CorruptionError(
                None, 0, f"a series is defined under the impossible ref {highest}"
            )
        with self.lock:
            if isinstance(definitions, IndexColumns):
                self._load(definitions)
                return
            data = np.frombuffer(definitions.keys, np.uint8)
            refs = definitions.refs.astype(np.uint32)  # the kernel writes them
            stopped = self._place(data, definitions.offsets, refs, k.DEFINE)
            if stopped is not None:
                self._refuse(definitions.refs, stopped)

    def forget(self, refs: U32s) -> None:
        """Series that nothing refers to any more: lookup and select find them no longer.

        Also takes back refs that were assigned and whose definition never reached the log.
        Aliases must be cleared afterwards. Callers see to it that no batch on its way to the
        log holds these refs. Of several refs of one key the lower ones go first, or with it.
        """
        with self.lock:
            tables = self._tables
            with self._reading:
                tables.forget(refs)
            wanted = max(REBUILD_DEAD_MIN, int(tables.counts[k.DEFINED]))
        if tables.counts[k.DEAD] > wanted:
            self._rebuild()

    def skip_to(self, ref: int) -> None:
        """New series get refs from `ref` on, although not all below are defined here."""
        assert 0 <= ref <= limits.REFS_MAX
        with self.lock:
            counts = self._tables.counts
            counts[k.NEXT_REF] = max(int(counts[k.NEXT_REF]), ref)

    # --- reading: see Reader --------------------------------------------------------------

    def reader(self) -> Reader:
        """What is known now, for answers that must not lose a series half way."""
        return self._reader

    def key(self, ref: int) -> bytes:
        return self._reader.key(ref)

    def labels(self, ref: int) -> Labels:
        return self._reader.labels(ref)

    def sort_refs(self, refs: U32s) -> U32s:
        return self._reader.sort_refs(refs)

    def rank(self, refs: U32s) -> I64s:
        return self._reader.rank(refs)

    def select(self, matchers: Sequence[Matcher]) -> U32s:
        return self._reader.select(matchers)

    def exactly(self, labels: Labels) -> U32s:
        return self._reader.exactly(labels)

    def label_names(self, refs: U32s | None = None) -> list[str]:
        return self._reader.label_names(refs)

    def label_values(self, name: str, refs: U32s | None = None) -> list[str]:
        return self._reader.label_values(name, refs)

    def keys(self, refs: U32s) -> tuple[U8s, I64s]:
        """Canonical keys of `refs` back to back, and their offsets."""
        return self._reader.keys(refs)

    def places(self, shards: int) -> Places:
        """In which of so many shards each series lies."""
        return self._places.setdefault(shards, Places(shards, self.keys))

    def census(self, most: int) -> Census:
        """How series spread over names and labels, at most `most` lines a list."""
        return census(self._tables, most)

    def definitions_from(self, ref: int) -> IndexColumns:
        """All visible series with refs from `ref` on, as an index file holds them."""
        tables = self._tables
        with self._reading:
            state = tables.state[: tables.next_ref]
            refs = np.flatnonzero(state[ref:] == k.VISIBLE).astype(np.uint32) + np.uint32(ref)
        return IndexColumns.of(tables, refs)

    # --- how ------------------------------------------------------------------------------

    def _place(self, data: U8s, offsets: I64s, refs: U32s, mode: int) -> int | None:
        """Place all series; the number of the first that could not be, or None."""
        for low in range(0, refs.size, STEP_SERIES):
            part = refs[low : low + STEP_SERIES]
            ends = offsets[low : low + STEP_SERIES + 1]
            begin = 0
            while True:
                tables = self._tables
                with self._reading:
                    begin = tables.place(data, ends, part, begin, mode)
                status = int(tables.counts[k.STATUS])
                if status == k.DONE:
                    break
                if status == k.FULL:
                    tables.make_room(self.next_ref if mode == k.ASSIGN else int(part[begin]))
                elif status == k.REVIVED:
                    self._rebuild()
                else:
                    return low + begin
        return None

    def _load(self, columns: IndexColumns) -> None:
        tables = self._tables
        numbers = np.empty(columns.offsets.size - 1, np.uint32)
        places = np.zeros(columns.count + 1, np.int64)
        np.cumsum(columns.sizes, out=places[1:])
        tables.reserve(int(columns.refs.max()), columns.room)
        begin = 0
        while begin < numbers.size:
            begin = column_kernels.load_labels(
                *tables.all, columns.text, columns.offsets, numbers, begin
            )
            if tables.counts[k.STATUS] == k.FULL:
                tables.make_room(0)
        begin = 0
        while begin < columns.count:
            with self._reading:
                begin = column_kernels.load_rows(
                    *tables.all,
                    columns.refs,
                    places,
                    columns.rows,
                    numbers,
                    tables.scratch,
                    begin,
                )
            status = int(tables.counts[k.STATUS])
            if status == k.FULL:
                tables.make_room(int(columns.refs[begin]))
            elif status == k.REVIVED:
                self._rebuild()
                self._load(columns)
                return
            elif status == k.CONFLICT:
                self._refuse(columns.refs, begin)

    def _refuse(self, refs: U32s, number: int) -> None:
        ref = int(refs[number])
        if self._tables.counts[k.STATUS] == k.CONFLICT:
            reason = f"ref {ref} is defined anew, but it belongs to {self.labels(ref)}"
        else:
            reason = f"the key of ref {ref} is not canonical label bytes"
        raise CorruptionError(None, 0, reason)

    def _rebuild(self) -> None:
        """New tables without the forgotten series; most of the work is done without the lock."""
        old = self._tables
        fresh = Tables(self._seeds)
        fresh.reserve(old.next_ref, Room())  # stale refs find empty rows there, not the end
        with self.lock:
            state = old.state[: old.next_ref].copy()
        self._copy(old, fresh, np.flatnonzero(state == k.VISIBLE), k.DEFINE)
        self._copy(old, fresh, np.flatnonzero(state == k.ASSIGNED), k.RESERVE)
        with self.lock:
            if self._tables is not old:
                return  # somebody else was faster
            now = old.state[: old.next_ref]
            before = np.zeros(now.size, np.uint8)
            before[: state.size] = state
            changed = now != before
            self._copy(old, fresh, np.flatnonzero(changed & (now == k.VISIBLE)), k.DEFINE)
            self._copy(old, fresh, np.flatnonzero(changed & (now == k.ASSIGNED)), k.RESERVE)
            gone = np.flatnonzero(changed & (now != k.VISIBLE) & (now != k.ASSIGNED))
            fresh.forget(gone.astype(np.uint32))
            fresh.counts[k.NEXT_REF] = old.next_ref
            with self._reading:
                self._use(fresh)

    def _copy(self, old: Tables, fresh: Tables, places: npt.NDArray[np.intp], mode: int) -> None:
        for low in range(0, places.size, STEP_SERIES):
            refs = places[low : low + STEP_SERIES].astype(np.uint32)
            data, offsets = keys_of(old, refs)
            begin = 0
            while begin < refs.size:
                begin = fresh.place(data, offsets, refs, begin, mode)
                if fresh.counts[k.STATUS] == k.FULL:
                    fresh.make_room(int(refs[begin]))
                assert fresh.counts[k.STATUS] in (k.DONE, k.FULL)


def _first_of_each(data: U8s, offsets: I64s, refs: U32s, first: int) -> SeriesDefinitions:
    """The series with refs from `first` on, each once, in the order of their refs."""
    if not refs.size:
        return SeriesDefinitions.none()
    if refs[0] == first and (refs.size == 1 or bool((np.diff(refs) == 1).all())):
        return SeriesDefinitions(refs.copy(), offsets - offsets[0], _between(data, offsets))
    found, places = np.unique(refs, return_index=True)
    places = places[found >= first]  # refs were given out in the order of the keys
    chosen = np.zeros(refs.size, np.bool_)
    chosen[places] = True
    sizes = np.diff(offsets)
    kept = np.zeros(places.size + 1, np.int64)
    np.cumsum(sizes[chosen], out=kept[1:])
    text = data[offsets[0] : offsets[-1]][np.repeat(chosen, sizes)]
    return SeriesDefinitions(refs[chosen], kept, text.tobytes())


def _between(data: U8s, offsets: I64s) -> bytes:
    return data[int(offsets[0]) : int(offsets[-1])].tobytes()
