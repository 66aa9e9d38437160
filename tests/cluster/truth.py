"""What must be in the cluster, told twice: by the logs, and by what clients were answered.

in   messages of a shard's log; requests with when they began and ended
out  points at each position; for each point, the values it may have in the end

The first is a slow replica of dicts: it says exactly what every copy must hold. The second knows
nothing of logs or records: an acked write is there unless something later undid it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from replication.record import decode_record
from tsdb.index.labels import canonical
from tsdb.index.placement import place_of
from tsdb.log.annotations import decode_metadata
from tsdb.log.control import decode_delete
from tsdb.log.points import decode_points
from tsdb.log.protocol import Kind

Held = dict[str, dict[int, int]]  # series -> timestamp -> value bits


def key_of(series: str) -> bytes:
    return canonical({"__name__": series})


def names_hit(selector: str, names: Any) -> list[str]:
    """Series that a delete of the simulation means: one by key, or some by name."""
    if selector.startswith("="):
        wanted = bytes.fromhex(selector[1:])
        return [name for name in names if key_of(name) == wanted]
    found = re.fullmatch(r'\{__name__=~"(.*)"\}', selector)
    assert found, selector
    return [name for name in names if re.fullmatch(found[1], name)]


class ShardTruth:
    """The log of a shard, followed from its beginning by whoever has all the time."""

    def __init__(self, shard: int, shards: int, names: list[str], expiry: int) -> None:
        self.expiry = expiry
        self.seq = 0
        self.mine = [n for n in names if place_of(key_of(n), shards) == shard]
        self.by_key = {key_of(n): n for n in names}
        self.held: Held = {}
        self.families: dict[str, Any] = {}
        self.high: dict[int, tuple[int, int]] = {}
        self.refs: dict[tuple[int, int], str] = {}
        self.records = 0  # that had an effect
        self.applied: set[tuple[int, int]] = set()

    def follow(self, payload: bytes) -> None:
        record = decode_record(payload)
        self.seq += 1
        if not record.parts:
            return
        last, at = self.high.get(record.sender, (0, -(1 << 62)))
        is_new = at < self.seq - self.expiry
        if not is_new and record.sender_seq <= last:
            return
        assert (record.sender, record.sender_seq) not in self.applied, "applied twice"
        self.applied.add((record.sender, record.sender_seq))
        self.high[record.sender] = (record.sender_seq, self.seq)
        self.records += 1
        for part in record.parts:
            self.apply(record.sender, part.kind, part.payload, is_new)

    def apply(self, sender: int, kind: Kind, payload: bytes, is_new: bool) -> None:
        if kind == Kind.POINTS:
            batch = decode_points(payload)
            defined, ends = batch.definitions, batch.definitions.offsets.tolist()
            for n, ref in enumerate(defined.refs.tolist()):
                self.refs[sender, ref] = self.by_key[defined.keys[ends[n] : ends[n + 1]]]
            if is_new and not {*batch.refs.tolist()} <= {*defined.refs.tolist()}:
                return
            columns = batch.columns
            for n, ref in enumerate(batch.refs.tolist()):
                a, b = columns.offsets[n], columns.offsets[n + 1]
                stamps = columns.timestamps[a:b].tolist()
                bits = columns.values[a:b].view(np.uint64).tolist()
                name = self.refs[sender, ref]
                assert name in self.mine, f"{name} in the log of another shard"
                self.held.setdefault(name, {}).update(zip(stamps, bits, strict=True))
        elif kind == Kind.TOMBSTONE:
            delete = decode_delete(payload)
            selector = delete.selector.partition(":")[2] or delete.selector
            for name in names_hit(selector, list(self.mine)):
                points = self.held.get(name, {})
                self.held[name] = {
                    t: b for t, b in points.items() if not delete.start <= t <= delete.end
                }
        elif kind == Kind.METADATA:
            self.families |= {family.family: family for family in decode_metadata(payload)}

    def points(self) -> Held:
        return {name: points for name, points in self.held.items() if points}


@dataclass(eq=False)
class Asked:
    """One request of a client. `ended` stays infinite when it never heard whether it is kept."""

    began: int
    points: dict[tuple[str, int], int] = field(default_factory=dict)  # (series, time) -> bits
    delete: tuple[str, int, int] | None = None
    ended: float = math.inf

    def removes(self, series: str, stamp: int) -> bool:
        if self.delete is None or not self.delete[1] <= stamp <= self.delete[2]:
            return False
        return bool(names_hit(self.delete[0], [series]))


def check_answers(history: list[Asked], held: Held) -> int:
    """Each point is what some client may expect to be there; returns the points looked at."""
    stamps = {key for asked in history for key in asked.points}
    there = {(s, t) for s, points in held.items() for t in points}
    assert there <= stamps, f"nobody wrote {sorted(there - stamps)[:3]}"
    for series, stamp in stamps:
        writes = [asked for asked in history if (series, stamp) in asked.points]
        deletes = [asked for asked in history if asked.removes(series, stamp)]
        touching = writes + deletes
        may_be = {
            a.points[series, stamp]
            for a in writes
            if not any(b.began > a.ended and b.ended < math.inf for b in touching)
        }
        may_be_gone = all(a.ended == math.inf for a in writes) or any(
            not any(b.began > d.ended and b.ended < math.inf for b in writes) for d in deletes
        )
        found = held.get(series, {}).get(stamp)
        if found is None:
            assert may_be_gone, f"acked and lost: {series} at {stamp}"
        else:
            assert found in may_be, f"{series} at {stamp} is {found:#x}, not {may_be}"
    return len(stamps)
