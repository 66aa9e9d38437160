"""Where writes enter a cluster: a group is split by shard and handed to the shards' logs.

    in   Pending entries, as the single node's gate prepares them (tsdb/commit)
    out  one record a shard; an answer when a majority has fsynced all of them

One group is under way at a time, and what arrives meanwhile is the next one: the latency of the
logs is the batching window. Records of a shard therefore keep their order, and a retry cannot
overtake. When a record is not acked in time nobody knows whether it will be in the log; the group
is answered so, and a client that sends again changes nothing (the same points win).

Series are named by refs of this process. Each record defines those that no acked record of this
process has defined; after half as many messages of others as make replicas forget it, all are
defined again.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from replication import ledger
from replication.applier import Applier, Own
from replication.record import PART_BYTES_MAX, RECORD_BYTES_MAX, Part, Record
from tsdb import overlay
from tsdb.batch import Batch, Columns, I64s, SeriesDefinitions, U32s
from tsdb.codec.resolution import Resolution
from tsdb.commit.assembly import Pending
from tsdb.commit.commit import Committed
from tsdb.errors import TSDBError, Unavailable
from tsdb.index.placement import place_of, places_of
from tsdb.index.registry import Registry
from tsdb.log.annotations import encode_exemplars, encode_metadata
from tsdb.log.control import encode_delete, key_of
from tsdb.log.points import encode_points
from tsdb.log.protocol import Kind

__all__ = ["Append", "Gateway", "Naming"]

T = TypeVar("T")
DELETE_WAIT_S = 20.0  # for the number of series, which only who applies it knows
Append = Callable[[Sequence[Record]], "list[int | TSDBError]"]
"""Hands records of different shards to their logs, waits for all: positions, or what went wrong."""


def _nowhere(shard: int, seq: int) -> Sequence[int]:
    """All shards are followed here."""
    raise AssertionError(f"shard {shard} at {seq} is not here")


class Naming:
    """This process's series: their refs, shards, and whether a log knows them."""

    def __init__(self, shards: int) -> None:
        self.registry = Registry()
        self.shards = shards
        self._shard_of: U32s = np.zeros(0, np.uint32)
        self._known = np.zeros(0, np.bool_)  # defined by an acked record

    def learn(self, definitions: SeriesDefinitions) -> None:
        """Series that the gate has named for the first time."""
        if not definitions.count:
            return
        room = int(definitions.refs.max()) + 1
        if room > self._shard_of.size:
            more = max(room, 2 * self._shard_of.size) - self._shard_of.size
            self._shard_of = np.concatenate((self._shard_of, np.zeros(more, np.uint32)))
            self._known = np.concatenate((self._known, np.zeros(more, np.bool_)))
        self._shard_of[definitions.refs] = places_of(definitions, self.shards)

    def shards_of(self, refs: U32s) -> U32s:
        return self._shard_of[refs]

    def unknown(self, refs: U32s) -> SeriesDefinitions:
        """Definitions of those that the log may not know yet."""
        new = np.unique(refs[~self._known[refs]])
        if not new.size:
            return SeriesDefinitions.none()
        keys = [self.registry.key(ref) for ref in new.tolist()]
        offsets = np.zeros(new.size + 1, np.int64)
        np.cumsum([len(key) for key in keys], out=offsets[1:])
        return SeriesDefinitions(new, offsets, b"".join(keys))

    def acked(self, refs: U32s) -> None:
        self._known[refs] = True

    def forget(self, shards: Sequence[int]) -> None:
        """The logs of these shards may know nothing of this process any more."""
        self._known[np.isin(self._shard_of, shards)] = False


@dataclass(frozen=True, slots=True)
class Appended:
    """A group that is in the logs of its shards."""

    positions: list[tuple[int, int]]  # of each shard the last one
    deletes: list[list[Own]]  # of each entry

    def committed(self) -> list[Committed]:
        token = ",".join(f"{shard}:{seq}" for shard, seq in self.positions)
        highest = max((seq for _, seq in self.positions), default=0)
        return [
            Committed(highest, sum(own.touched for own in deletes), token)
            for deletes in self.deletes
        ]


class Gateway:
    """A `Commit` over the logs of many shards."""

    def __init__(
        self,
        naming: Naming,
        resolution: Resolution,
        append: Append,
        applier: Applier,
        *,
        touched: Callable[[int, int], Sequence[int]] = _nowhere,
    ) -> None:
        self._touched = touched
        self._naming = naming
        self._resolution = resolution
        self._append = append
        self._applier = applier
        self._sender = int.from_bytes(os.urandom(8), "little")
        self._counts = [0] * naming.shards
        self._unsure: set[int] = set()  # shards whose replicas may have forgotten this process
        self.acked = [0] * naming.shards  # the last position of each shard that was answered

    def commit(self, entries: Sequence[Pending], *, sync: bool) -> list[Committed]:
        steps, outcomes = self.steps(entries), None
        while True:
            try:
                records = steps.send(outcomes)
            except StopIteration as ended:
                done: Appended = ended.value
                break
            outcomes = self._append(records)
        if any(done.deletes):
            self._await_deletes(done)
        return done.committed()

    def _await_deletes(self, done: Appended) -> None:
        """What they hit is known to those who apply them: this node, or replicas elsewhere."""
        here = [(shard, seq) for shard, seq in done.positions if shard in self._applier.followed]
        self._applier.wait(here, DELETE_WAIT_S)
        counts: dict[tuple[int, int], Sequence[int]] = {}
        for own in itertools.chain(*done.deletes):
            if own.shard in self._applier.followed:
                continue
            place = own.shard, own.seq
            if place not in counts:
                counts[place] = self._touched(*place)
            own.touched = counts[place][own.number] if own.number < len(counts[place]) else 0

    def steps(
        self, entries: Sequence[Pending]
    ) -> Generator[list[Record], list[int | TSDBError] | None, Appended]:
        """What `commit` does, without waiting: yields records to append, is sent what became of
        them. Raises Unavailable when that of one is not known."""
        self._forget_silent()
        group = _Group(self._naming, self._resolution)
        for entry in entries:
            group.add(entry)
        positions: dict[int, int] = {}
        while group.parts:
            records = [self._record(shard, group) for shard in sorted(group.parts)]
            outcomes = yield records
            assert outcomes is not None
            acked = self._acked(records, outcomes)
            group.number(acked)
            positions |= acked
        for refs in group.named:
            self._naming.acked(refs)
        return Appended(sorted(positions.items()), group.deletes)

    def idle(self) -> None:
        """Nothing to do: what is acked is durable."""

    def _record(self, shard: int, group: _Group) -> Record:
        """What one message can take of the parts for a shard."""
        self._counts[shard] += 1
        parts = group.take(shard)
        for number, (_, own) in enumerate(parts):
            own.shard, own.number = shard, number
            self._applier.remember(shard, self._sender, self._counts[shard], number, own)
        return Record(shard, self._sender, self._counts[shard], tuple(part for part, _ in parts))

    def _forget_silent(self) -> None:
        """Define all again in shards where others have written much since this process did."""
        far = ledger.EXPIRY_RECORDS // 2
        places = enumerate(zip(self._applier.applied, self.acked, strict=True))
        silent = [s for s, (now, last) in places if last and now - last > far]
        if not self._unsure.issuperset(silent):
            self._naming.forget(silent)
            self._unsure.update(silent)

    def _acked(
        self, records: list[Record], outcomes: Sequence[int | TSDBError]
    ) -> list[tuple[int, int]]:
        """Positions of records of different shards."""
        positions: list[tuple[int, int]] = []
        lost: list[tuple[int, TSDBError]] = []
        for record, outcome in zip(records, outcomes, strict=True):
            shard = record.shard
            if isinstance(outcome, TSDBError):
                lost.append((shard, outcome))
                continue
            last, self.acked[shard] = self.acked[shard], max(self.acked[shard], outcome)
            if last and outcome - last > ledger.EXPIRY_RECORDS and shard not in self._unsure:
                self._naming.forget([shard])
                why = "others wrote so much meanwhile that this one was forgotten"
                lost.append((shard, Unavailable(why, code="unknown")))
                continue
            self._unsure.discard(shard)
            positions.append((shard, outcome))
        if lost:
            shards = ", ".join(str(shard) for shard, _ in lost)
            raise Unavailable(
                f"shards {shards} did not answer in time: whether these points are kept is "
                f"unknown; send them again ({lost[0][1]})",
                code="unknown",
            ) from lost[0][1]
        return positions


class _Group:
    """Parts of records in the making, by shard."""

    def __init__(self, naming: Naming, resolution: Resolution) -> None:
        self._naming = naming
        self._resolution = resolution
        self.parts: dict[int, list[tuple[Part, Own]]] = {}  # by shard, with its points
        self.named: list[U32s] = []  # series that parts have points of
        self.deletes: list[list[Own]] = []  # of each entry, its deletes
        self._sent: dict[int, list[Own]] = {}  # by shard, of the record that was taken last

    def add(self, entry: Pending) -> None:
        """One entry; it goes to every shard that it concerns."""
        own: list[Own] = []
        if entry.batch is not None:
            self._naming.learn(entry.batch.definitions)
            self._add_points(entry.batch)
        elif entry.delete is not None:
            key = key_of(entry.delete.selector)
            shards = range(self._naming.shards)
            for shard in shards if key is None else [place_of(key, self._naming.shards)]:
                part = entry.delete.of_shard(shard, self._naming.shards)
                own.append(self._add(shard, Part(Kind.TOMBSTONE, encode_delete(part))))
        elif entry.horizon is not None:
            for shard in range(self._naming.shards):
                self._add(shard, Part(entry.kind, entry.payload))
        elif entry.metadata:
            self._add_each(
                Kind.METADATA,
                entry.metadata,
                lambda family: place_of(family.family.encode(), self._naming.shards),
                encode_metadata,
            )
        else:
            self._add_each(
                Kind.EXEMPLARS,
                entry.exemplars,
                lambda exemplar: place_of(exemplar.series, self._naming.shards),
                encode_exemplars,
            )
        self.deletes.append(own)

    def take(self, shard: int) -> list[tuple[Part, Own]]:
        """The next parts for a shard, as many as fit a record."""
        parts = self.parts.pop(shard)
        size = 0
        for count, (part, _) in enumerate(parts):
            size += len(part.payload)
            if size > RECORD_BYTES_MAX:
                self.parts[shard] = parts[count:]
                parts = parts[:count]
                break
        self._sent[shard] = [own for _, own in parts]
        return parts

    def number(self, positions: Sequence[tuple[int, int]]) -> None:
        """The records that were taken last are in the logs, there."""
        for shard, seq in positions:
            for own in self._sent[shard]:
                own.seq = seq

    def _add_each(
        self,
        kind: Kind,
        items: Sequence[T],
        place: Callable[[T], int],
        encode: Callable[[Sequence[T]], bytes],
    ) -> None:
        by_shard: dict[int, list[T]] = {}
        for item in items:
            by_shard.setdefault(place(item), []).append(item)
        for shard, mine in by_shard.items():
            self._add(shard, Part(kind, encode(mine)))

    def _add(self, shard: int, part: Part, batch: Batch | None = None) -> Own:
        own = Own(batch)
        self.parts.setdefault(shard, []).append((part, own))
        return own

    def _add_points(self, batch: Batch) -> None:
        if not batch.refs.size:
            return
        shards = self._naming.shards_of(batch.refs)
        order = np.argsort(shards, kind="stable")
        bounds = np.flatnonzero(np.diff(shards[order])) + 1
        for runs in np.split(order, bounds):
            self._add_runs(int(shards[runs[0]]), _runs(batch, runs))

    def _add_runs(self, shard: int, batch: Batch) -> None:
        """Points of one shard, in as many parts as their bytes need."""
        defined = Batch(batch.refs, batch.columns, self._naming.unknown(batch.refs))
        payload = encode_points(defined, self._resolution)
        if len(payload) > PART_BYTES_MAX:
            for half in _halves(batch):
                self._add_runs(shard, half)
            return
        self._add(shard, Part(Kind.POINTS, payload), defined)
        self.named.append(batch.refs)


def _halves(batch: Batch) -> list[Batch]:
    """The same points in two: by runs, or where there is one, by points."""
    if batch.refs.size > 1:
        return [_runs(batch, runs) for runs in np.array_split(np.arange(batch.refs.size), 2)]
    columns, at = batch.columns, batch.points // 2
    bounds = ((0, at), (at, batch.points))
    return [
        Batch(
            batch.refs,
            Columns(np.array([0, b - a]), columns.timestamps[a:b], columns.values[a:b]),
            SeriesDefinitions.none(),
        )
        for a, b in bounds
    ]


def _runs(batch: Batch, runs: I64s) -> Batch:
    """Some runs of a batch, in the order of `runs`."""
    columns = batch.columns
    firsts, counts = columns.offsets[:-1][runs], np.diff(columns.offsets)[runs]
    chosen: Columns = overlay.gather(columns, firsts, counts)
    return Batch(batch.refs[runs], chosen, SeriesDefinitions.none())
