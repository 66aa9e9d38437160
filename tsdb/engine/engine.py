"""The engine: a deterministic state machine over an ordered log.

    in   entries in seq order (`apply`), matchers and a range (`select`)
    out  Selection

It reads no clock, no random, no socket and no local setting: the same entries make the same
answers anywhere. One thread applies; any number of threads read. A reader takes its views
under the lock (copying 64 bytes a series) and decodes without it.

Turning heads into blocks is `tsdb.engine.flush`; coming back after a crash `tsdb.engine.recovery`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from tsdb import limits, overlay
from tsdb.batch import (
    Batch,
    Columns,
    Decoded,
    Exemplar,
    FamilyMetadata,
    I64s,
    SeriesDefinitions,
    U32s,
)
from tsdb.block.reader import Block, Damage
from tsdb.codec.resolution import Resolution
from tsdb.engine.annotations import Annotations
from tsdb.engine.groups import in_groups
from tsdb.engine.presence import points_at_most, present
from tsdb.engine.version import INT64_MIN, Generation, Tombstone, Version, truth_order
from tsdb.engine.weight import Weight, weigh
from tsdb.errors import LimitExceeded
from tsdb.head.head import Head, HeadView
from tsdb.index.labels import parse as parse_labels
from tsdb.index.matchers import Matcher
from tsdb.index.reader import Reader
from tsdb.index.registry import Registry
from tsdb.index.selector import parse_selector
from tsdb.log.annotations import decode_exemplars, decode_metadata
from tsdb.log.control import Delete, Horizon, decode_control, decode_delete, key_of, shard_of
from tsdb.log.points import decode_points
from tsdb.log.protocol import Entry, Kind
from tsdb.query.selection import Selection, ordered

Keep: TypeAlias = Callable[[U32s], U32s]
"""Of ascending refs some, in their order."""


@dataclass(slots=True)
class Counters:
    """Totals since the engine was opened; ints that only grow."""

    points_applied: int = 0
    points_unchanged: int = 0
    points_out_of_order: int = 0
    points_below_horizon: int = 0
    points_orphaned: int = 0
    points_selected: int = 0
    points_decoded: int = 0  # by reads, also by those that came to nothing
    selects: int = 0
    deletes: int = 0


class Engine:
    """One shard of the database, in one process."""

    def __init__(
        self,
        resolution: Resolution,
        registry: Registry,
        version: Version,
        *,
        head_bytes: int,
        annotations: Annotations | None = None,
    ) -> None:
        self.resolution = resolution
        self.registry = registry
        self.annotations = annotations or Annotations()
        self.counters = Counters()
        self._counting = threading.Lock()  # of reads
        self.applied_seq = 0
        self.lock = threading.Lock()  # guards version, active, registry definitions
        self._definitions = 0  # entries applied that defined series
        self._last = threading.local()  # selection of each thread
        self._head_bytes = head_bytes
        self._version = version
        self._active = self._new_generation(1)

    # --- writing: one thread ---------------------------------------------------------------

    def start_at(self, seq: int) -> None:
        """State is as of `seq` (blocks hold everything up to it); the next entry follows it."""
        assert self.applied_seq == 0
        self.applied_seq = seq
        self._active = self._new_generation(seq + 1)

    def apply(self, entry: Entry) -> None:
        """One entry in seq order, as it is read from the log. An accepted entry always applies."""
        if entry.kind in (Kind.POINTS, Kind.SERIES):
            self.apply_batch(entry.seq, decode_points(entry.payload))
        elif entry.kind == Kind.TOMBSTONE:
            self.apply_delete(entry.seq, decode_delete(entry.payload))
        elif entry.kind == Kind.CONTROL:
            self.apply_horizon(entry.seq, decode_control(entry.payload))
        elif entry.kind == Kind.METADATA:
            self.apply_metadata(entry.seq, decode_metadata(entry.payload))
        elif entry.kind == Kind.EXEMPLARS:
            self.apply_exemplars(entry.seq, decode_exemplars(entry.payload))
        else:
            self._advance(entry.seq)

    def apply_batch(self, seq: int, batch: Batch) -> None:
        with self.lock:
            if batch.definitions.count:
                self._definitions += 1
                self.registry.define(batch.definitions)
            if self._version.horizon > INT64_MIN:
                batch = self._above_horizon(batch)
            if not self._active.head.fits(batch):
                self._freeze()
            appended = self._active.head.append(batch)
            self.counters.points_applied += batch.points
            self.counters.points_unchanged += appended.unchanged
            self.counters.points_out_of_order += appended.out_of_order
            self._advance(seq)

    def apply_delete(self, seq: int, delete: Delete) -> int:
        """Points vanish for readers at once, also from blocks; returns the series touched."""
        with self.lock:
            refs = series_hit(self.registry, delete.selector)
            if not self._active.head.fits_drop():
                self._freeze()
            self._active.head.drop(refs, delete.start, delete.end)
            known = {t.seq for t in self._version.tombstones}
            if refs.size and seq not in known and (self._version.blocks or self._version.frozen):
                tombstone = Tombstone(seq, delete.selector, delete.start, delete.end, refs)
                tombstones = (*self._version.tombstones, tombstone)
                self._version = replace(self._version, tombstones=tombstones)
            self.counters.deletes += 1
            self._advance(seq)
        return int(refs.size)

    def apply_horizon(self, seq: int, horizon: Horizon) -> None:
        with self.lock:
            at = max(self._version.horizon, horizon.ticks)
            self._version = replace(self._version, horizon=at)
            self._advance(seq)

    def apply_metadata(self, seq: int, families: Sequence[FamilyMetadata]) -> None:
        with self.lock:
            self.annotations.apply_metadata(seq, families)
            self._advance(seq)

    def apply_exemplars(self, seq: int, exemplars: Sequence[Exemplar]) -> None:
        with self.lock:
            self.annotations.apply_exemplars(seq, exemplars)
            self._advance(seq)

    def _advance(self, seq: int) -> None:
        assert seq > self.applied_seq, f"seq {seq} after {self.applied_seq}"
        self.applied_seq = seq
        self._active.seq_hi = seq

    def _above_horizon(self, batch: Batch) -> Batch:
        keep = batch.columns.timestamps >= self._version.horizon
        if keep.all():
            return batch
        self.counters.points_below_horizon += int(keep.size - np.count_nonzero(keep))
        return kept(batch, keep)

    def _new_generation(self, seq_lo: int) -> Generation:
        hint = self.registry.next_ref
        head = Head(self.resolution, arena_bytes=self._head_bytes, refs_hint=hint)
        return Generation(head, seq_lo, seq_lo - 1)

    def _freeze(self) -> None:
        if self._active.seq_hi >= self._active.seq_lo:
            frozen = (*self._version.frozen, self._active)
            self._version = replace(self._version, frozen=frozen)
        self._active = self._new_generation(self.applied_seq + 1)

    # --- flush and merge: one maintenance thread ----------------------------------------------

    def head_is_full(self) -> bool:
        """Whether the active head has used the memory or the side buffer it should."""
        head = self._active.head
        return (
            head.arena_used_bytes > self._head_bytes // 2
            or head.side_bytes > limits.SIDE_BYTES_MAX // 2
        )

    def freeze(self) -> tuple[Generation, ...]:
        """Stop filling the active head; returns all generations that wait to become blocks."""
        with self.lock:
            self._freeze()
            return self._version.frozen

    def install(
        self,
        *,
        added: Sequence[Block] = (),
        removed: Sequence[str] = (),
        flushed: Generation | None = None,
        spent: Sequence[int] = (),
    ) -> None:
        """Swap sources in one step; readers see the old set or the new one.

        `spent` are seqs of tombstones that hide nothing in the new set.
        """
        with self.lock:
            version = self._version
            blocks = [b for b in version.blocks if b.meta.name not in set(removed)]
            self._version = Version(
                tuple(sorted([*blocks, *added], key=truth_order)),
                tuple(g for g in version.frozen if g is not flushed),
                tuple(t for t in version.tombstones if t.seq not in set(spent)),
                version.horizon,
            )

    # --- reading: any thread ------------------------------------------------------------------

    @property
    def version(self) -> Version:
        return self._version

    @property
    def active(self) -> Generation:
        return self._active

    def select(
        self,
        matchers: Sequence[Matcher],
        start: int,
        end: int,
        *,
        points_max: int = limits.POINTS_PER_SELECT_MAX,
        keep: Keep | None = None,
    ) -> Selection:
        """Points of every matching series with start <= timestamp <= end, as of one position.

        `keep` chooses among the matching series. Raises LimitExceeded when more than `points_max`
        points would have to be decoded.
        """
        index, refs, version, views = self._views(matchers, keep)
        read = self._read(refs, version, views, (start, end), points_max)
        present = np.flatnonzero(np.diff(read.columns.offsets) > 0)
        order = present[np.argsort(index.rank(refs[present]), kind="stable")]
        return self._selection(index, *ordered(refs, read.columns, order), read)

    def clipped(self, start: int, end: int) -> tuple[int, int]:
        """The part of the range that may hold points: halving an endless one would take long."""
        low, high = self.span() or (start, end)
        return max(start, low), min(end, high)

    def span(self) -> tuple[int, int] | None:
        """The first and the last tick that may hold a point."""
        version = self._version
        heads = [g.head for g in (*version.frozen, self._active) if g.head.points]
        metas = [block.meta for block in version.blocks]
        lows = [h.min_ts for h in heads] + [m.min_ts for m in metas]
        highs = [h.max_ts for h in heads] + [m.max_ts for m in metas]
        return (min(lows), max(highs)) if lows else None

    def present(
        self, matchers: Sequence[Matcher], start: int, end: int, *, keep: Keep | None = None
    ) -> tuple[Reader, U32s]:
        """Matching series that may have points from start to end (tsdb.engine.presence), and what
        names them."""
        index, refs, version, views = self._views(matchers, keep)
        return index, present(refs, version, views, start, end)

    def counted(
        self, matchers: Sequence[Matcher], start: int, end: int, *, keep: Keep | None = None
    ) -> tuple[Reader, U32s, I64s]:
        """Matching series with points in the range, and how many a read of each decodes at most."""
        index, refs, version, views = self._views(matchers, keep)
        points = points_at_most(refs, version, views, start, end)
        return index, refs[points > 0], points[points > 0]

    def weigh(
        self, matchers: Sequence[Matcher], start: int, end: int, *, keep: Keep | None = None
    ) -> Weight:
        """Bounds of what `select` would return (tsdb.engine.weight)."""
        _, refs, version, views = self._views(matchers, keep)
        return weigh(refs, version, views, start, end)

    def groups(
        self,
        matchers: Sequence[Matcher],
        start: int,
        end: int,
        *,
        points_max: int,
        keep: Keep | None = None,
    ) -> Iterator[Selection]:
        """The same series with the same points, ordered by names and values of labels as text,
        in selections of `points_max` points or less; a longer series comes in several, one range
        after the other. A series' points are those of the moment its group is read."""
        with self.lock:
            version = self._version
            heads = [g.head for g in (*version.frozen, self._active)]
            start, end = self.clipped(start, end)
        index = self.registry.reader()

        def views_of(refs: U32s) -> list[HeadView]:
            with self.lock:
                return [head.view(refs) for head in heads]

        def selected(refs: U32s, span: tuple[int, int], points_max: int) -> Selection:
            read = self._read(refs, version, views_of(refs), span, points_max)
            present = np.flatnonzero(np.diff(read.columns.offsets) > 0)
            order = present[index.text_order(refs[present])]
            return self._selection(index, *ordered(refs, read.columns, order), read)

        refs = _kept(index.select(matchers), keep)
        points = points_at_most(refs, version, views_of(refs), start, end)
        order = index.text_order(refs)
        order = order[points[order] > 0]
        return in_groups(refs[order], points[order], (start, end), points_max, selected)

    def _selection(self, index: Reader, refs: U32s, columns: Columns, read: _Read) -> Selection:
        with self._counting:
            self.counters.selects += 1
            self.counters.points_selected += columns.points
        return Selection(
            refs,
            columns,
            labels_of=index.labels,
            named_by=index,
            resolution=self.resolution,
            warnings=tuple(read.warnings),
            did=read.did,
        )

    def _views(
        self, matchers: Sequence[Matcher], keep: Keep | None = None
    ) -> tuple[Reader, U32s, Version, list[HeadView]]:
        """Index, series, sources and head states that belong to one position of the log."""
        known, index = self._definitions, self.registry.reader()
        refs = _kept(self._found(known, index, matchers), keep)
        with self.lock:
            if known != self._definitions:  # a request must be seen whole or not at all
                index = self.registry.reader()
                refs = _kept(index.select(matchers), keep)
            version = self._version
            views = [g.head.view(refs) for g in (*version.frozen, self._active)]
        return index, refs, version, views

    def _found(self, known: int, index: Reader, matchers: Sequence[Matcher]) -> U32s:
        """Matching series; remembered, as a query is weighed right before it is read."""
        last = getattr(self._last, "found", None)
        if last is not None and last[:3] == (known, index, matchers):
            return last[3]  # type: ignore[no-any-return]
        refs = index.select(matchers)
        self._last.found = known, index, tuple(matchers), refs
        return refs

    def _read(
        self,
        refs: U32s,
        version: Version,
        views: Sequence[HeadView],
        span: tuple[int, int],
        points_max: int,
    ) -> _Read:
        did = Decoded()
        try:
            return self._read_all(refs, version, views, span, points_max=points_max, did=did)
        finally:
            with self._counting:
                self.counters.points_decoded += did.points + did.memory_points

    def _read_all(
        self,
        refs: U32s,
        version: Version,
        views: Sequence[HeadView],
        span: tuple[int, int],
        *,
        points_max: int,
        did: Decoded,
    ) -> _Read:
        start, end = max(span[0], version.horizon), span[1]
        sources: list[Columns] = []
        warnings: list[str] = []
        points = 0
        for block in version.blocks:
            if start > end or block.meta.max_ts < start or block.meta.min_ts > end:
                did.blocks_skipped += 1
                continue
            sources.append(read_block(block, refs, (start, end), warnings, did))
            sources[-1] = without_deleted(
                sources[-1], refs, version.tombstones, block.meta.deleted_through, (start, end)
            )
            points = bounded(points + sources[-1].points, points_max)
        for i, view in enumerate(views if start <= end else ()):
            columns = view.read(start, end)
            did.memory_points += columns.points
            if i < len(version.frozen):
                seq_hi = version.frozen[i].seq_hi
                columns = without_deleted(columns, refs, version.tombstones, seq_hi, (start, end))
            sources.append(columns)
            points = bounded(points + columns.points, points_max)
        sources = [s for s in sources if s.points]
        if not sources:
            return _Read(overlay.empty(refs.size), warnings, did)
        return _Read(overlay.overlay(sources), warnings, did)


@dataclass(frozen=True, slots=True)
class _Read:
    """Points of series, what is missing, and what it took."""

    columns: Columns
    warnings: list[str]
    did: Decoded


def _kept(refs: U32s, keep: Keep | None) -> U32s:
    return refs if keep is None else keep(refs)


def series_hit(registry: Registry, selector: str) -> U32s:
    """Refs that a stored selector means. Series younger than the delete have nothing to lose."""
    key = key_of(selector)
    if key is not None:
        return registry.exactly(parse_labels(key))
    place = shard_of(selector)
    if place is None:
        return registry.select(parse_selector(selector, allow_empty=True))
    shard, shards, within = place
    refs = registry.select(parse_selector(within, allow_empty=True))
    return registry.places(shards).within(refs, [shard])


def bounded(points: int, points_max: int) -> int:
    """`points`. Raises LimitExceeded when they are more than a selection may decode."""
    if points > points_max:
        raise LimitExceeded(
            "the selection decodes too many points: narrow the range or the selector",
            limit="POINTS_PER_SELECT_MAX",
            value=points_max,
        )
    return points


def read_block(
    block: Block, refs: U32s, span: tuple[int, int], warnings: list[str], did: Decoded
) -> Columns:
    """What a block holds, around its damage; each damaged stretch becomes a warning."""
    damaged: list[Damage] = []
    columns = block.read(refs, *span, damaged=damaged, did=did)
    warnings += [str(damage) for damage in damaged]
    return columns


def without_deleted(
    columns: Columns,
    refs: U32s,
    tombstones: Sequence[Tombstone],
    deleted_through: int,
    span: tuple[int, int],
) -> Columns:
    """Points of a source that knows the deletes up to one seq, less those that later ones hit."""
    for tombstone in tombstones:
        if columns.points and tombstone.hides_from(deleted_through, *span):
            hit = overlay.mask(refs, tombstone.refs)
            columns = overlay.without(columns, hit, tombstone.start, tombstone.end)
    return columns


def kept(batch: Batch, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Batch:
    """The points of `batch` where `keep` holds; runs that lose all their points stay, empty."""
    columns = batch.columns
    kept_before = np.concatenate(([0], np.cumsum(keep)))
    offsets = kept_before[columns.offsets].astype(np.int64)
    points = Columns(offsets, columns.timestamps[keep], columns.values[keep])
    return Batch(batch.refs, points, batch.definitions)


def definitions_only(definitions: SeriesDefinitions) -> Batch:
    """A batch that defines series and holds no points."""
    return Batch(np.empty(0, np.uint32), overlay.empty(0), definitions)
