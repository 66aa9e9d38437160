"""Bugs planted in production, one at a time, for the simulation to find.

in   BUGS: what is wrong, and the edit that makes it so (crash.mutants)
out  `seeds_to_find`: after how many lives it is found
"""

from __future__ import annotations

from cluster import simulation
from crash.mutants import mutant

RELOAD = ("tsdb.engine", "tsdb.database", "tsdb.commit")
SEEDS_MAX = 200

BUGS = {
    "a group is acked when any of its shards did": (
        "replication/gateway.py",
        "        if lost:",
        "        if lost and not positions:",
    ),
    "an append whose outcome is unknown counts as acked": (
        "replication/gateway.py",
        "lost.append((shard, outcome))",
        "positions.append((shard, self.acked[shard] + 1))",
    ),
    "a gap in the log is passed over": (
        "replication/arrivals.py",
        "if received.seq != place.seq + 1:",
        "if received.seq <= place.seq:",
    ),
    "a message offered twice is taken for the next": (
        "replication/applier.py",
        "if received.seq <= at[shard] or shard in self.stopped or shard not in self.followed:",
        "if shard in self.stopped:",
    ),
    "what is applied is called durable": (
        "replication/applier.py",
        "kept = list(self._replica.ledger.kept)\n",
        "kept = self.applied\n",
    ),
    "what is written is called durable without a sync": (
        "replication/applier.py",
        "self._log.barrier()",
        "pass",
    ),
    "positions of now in a checkpoint": (
        "replication/ledger.py",
        "self._base = then._packed()",
        "self._base = self._packed()",
    ),
    "senders' marks of now in a checkpoint": (
        "replication/ledger.py",
        "        then.forget()",
        "        then.high = dict(self.high)",
    ),
    "the position moves with the first part of a record": (
        "replication/arrivals.py",
        "0 if arrived.is_last else arrived.number + 1",
        "0",
    ),
    "a checkpoint between parts forgets that it is": (
        "replication/ledger.py",
        "place.parts = step.parts",
        "place.parts = 0",
    ),
    "a hole in the node's own log is passed over": (
        "replication/replica.py",
        "if arrived.shard in self.stopped or not self._follows(arrived):",
        "if arrived.shard in self.stopped:",
    ),
    "series are not defined again after a group that failed": (
        "replication/gateway.py",
        "            outcomes = yield records",
        "            [self._naming.acked(refs) for refs in group.named]; outcomes = yield records",
    ),
    "duplicates are applied": (
        "replication/arrivals.py",
        "if done or not record.parts:",
        "if not record.parts:",
    ),
    "duplicates within a group are applied": (
        "replication/arrivals.py",
        "self._ledger.move(step_of(0, arrived[-1]))",
        "place.seq, place.chain = received.seq, chain",
    ),
    "refs of senders are not in a checkpoint": (
        "replication/replica.py",
        "Ledger.restored(state[SIZES.size : at]), Senders.restored(state[at:])",
        "Ledger.restored(state[SIZES.size : at]), Senders()",
    ),
    "senders are forgotten at every checkpoint": (
        "replication/ledger.py",
        "return {sender for sender, _ in (*high, *self.high)}",
        "return set()",
    ),
    "a sender is forgotten by what others write to another log": (
        "replication/ledger.py",
        "return mark is None or mark.at < seq - EXPIRY_RECORDS",
        "return mark is None or mark.at < max(p.seq for p in self.places) - EXPIRY_RECORDS",
    ),
    "a delete is not limited to its shard": (
        "replication/gateway.py",
        "part = entry.delete.of_shard(shard, self._naming.shards)",
        "part = entry.delete",
    ),
    "a delete goes to one shard only": (
        "replication/gateway.py",
        "for shard in shards if key is None else [place_of(key, self._naming.shards)]:",
        "for shard in [0] if key is None else [place_of(key, self._naming.shards)]:",
    ),
    "a delete is applied before it is durable": (
        "replication/applier.py",
        "SYNCED_FIRST = frozenset({Kind.TOMBSTONE, Kind.METADATA, Kind.EXEMPLARS})",
        "SYNCED_FIRST = frozenset()",
    ),
    "own parts are mistaken for each other": (
        "replication/gateway.py",
        "self._applier.remember(shard, self._sender, self._counts[shard], number, own)",
        "self._applier.remember(shard, self._sender, self._counts[shard], 0, own)",
    ),
    "a full disk costs the group it hits": (
        "replication/applier.py",
        "        self._take(group)\n        with self._lock:",
        "        try:\n            self._take(group)\n        except Unavailable:\n"
        "            pass\n        with self._lock:",
    ),
    "a copy is taken for whole where it began": (
        "replication/copying.py",
        "standing.place.whole_at = _settled(shard, standing_of).place.seq",
        "pass",
    ),
    "a copy does not clear what was there": (
        "replication/copying.py",
        "    yield _clearing(shard, shards)\n",
        "",
    ),
    "a copy without the refs of senders": (
        "replication/replica.py",
        "self._senders.of(number).define(theirs, copy.ours(refs))",
        "copy.ours(refs)",
    ),
    "a copy without the marks of senders": (
        "replication/replica.py",
        "standing.place, standing.marks))",
        "standing.place))",
    ),
    "half of a copy is taken for the shard after a restart": (
        "replication/replica.py",
        "Place(whole_at=NEVER)",
        "Place()",
    ),
    "a checkpoint forgets the names of a copy under way": (
        "replication/replica.py",
        "self.ledger.senders() | self._copies.keys()",
        "self.ledger.senders()",
    ),
    "a landing is not known at checkpoints": (
        "replication/replica.py",
        "self.ledger.take(Landing(entry_seq, copied.shard",
        "self.ledger.move(Landing(entry_seq, copied.shard",
    ),
    "records have another digest on the node that wrote them": (
        "replication/arrivals.py",
        "chain = self._ledger.chained(place.chain, check)",
        "chain = self._ledger.chained(place.chain, check + len(self._ledger.high))",
    ),
}


def seeds_to_find(bug: str, seeds_max: int = SEEDS_MAX) -> tuple[int, str]:
    """Lives until one breaks a promise, and how; 0 when none does."""
    file, old, new = BUGS[bug]
    with mutant(file, old, new, module="replication.node", reload=RELOAD):
        for seed in range(seeds_max):
            try:
                simulation.run(seed)
            except AssertionError as error:
                return seed + 1, str(error)
    return 0, ""
