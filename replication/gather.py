"""Answers from shards wherever they are: this node's own, and those of others.

    in   a Question about shards, the map that says who keeps them
    out  one Found for each node that answered; every shard is in exactly one of them

As few nodes are asked as have all of it. Who does not answer is left out and its shards are asked
of other replicas; who is slow is raced against another (hedging). When a shard has no replica that
answers there is no answer at all: Unavailable names the shards.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from replication.peers import Ask
from replication.questions import NOT_HERE, Found, Question
from replication.shard_map import ShardMap
from replication.shelf import Shelf
from tsdb.errors import InvalidInput, TSDBError, Unavailable

__all__ = ["Gather", "plan"]

HEDGE_S = 0.5  # without an answer for so long, another replica is asked too
MOVED_S = 0.05  # a map that is behind, or ahead: until it is looked at again
DEADLINE_S = 30.0
THREADS = 32


def plan(
    replicas: Mapping[int, Collection[str]], ranked: Sequence[str]
) -> tuple[dict[str, list[int]], list[int]]:
    """Which node is asked about which shards, by as few nodes as a greedy choice finds; and the
    shards that nobody has. Of nodes with as many shards the one that comes first in `ranked`."""
    left, chosen = dict(replicas), dict[str, list[int]]()
    while True:
        having = {node: [s for s, nodes in left.items() if node in nodes] for node in ranked}
        best = max(ranked, key=lambda node: len(having[node]), default=None)
        if best is None or not having[best]:
            return chosen, sorted(left)
        chosen[best] = having[best]
        for shard in having[best]:
            del left[shard]


@dataclass(slots=True)
class _Asking:
    """One question on its way."""

    left: set[int]  # shards without an answer
    avoided: dict[int, set[str]]  # nodes that a shard is not asked of any more
    found: list[Found] = field(default_factory=list)
    pending: dict[Future[Found], tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    slow: set[Future[Found]] = field(default_factory=set)
    failed: str = ""  # why, of the last that did
    moved: set[int] = field(default_factory=set)  # somebody said: not kept any more, or not yet

    def waited_for(self) -> set[int]:
        """Shards that somebody who is not slow was asked about."""
        asked = [shards for one, (_, shards) in self.pending.items() if one not in self.slow]
        return set(itertools.chain(*asked))


class Gather:
    """Of one node. Any thread."""

    def __init__(
        self,
        node: str,
        shelf: Shelf,
        ask: Ask,
        map_of: Callable[[], ShardMap],
        *,
        failed: Callable[[str], bool] = lambda node: False,
    ) -> None:
        self._node = node
        self._shelf = shelf
        self._ask = ask
        self._map_of = map_of
        self._failed = failed
        self._turns = itertools.count()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gather")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def found(self, question: Question) -> list[Found]:
        """Answers for all shards of the question. Raises what the question deserves; Unavailable
        "missing" when a shard has no replica that answers."""
        asking = _Asking(set(question.shards), {shard: set() for shard in question.shards})
        deadline = time.monotonic() + DEADLINE_S
        while asking.left:
            nobody = self._send(question, asking)
            if nobody and not asking.pending:
                self._give_up_or_wait(asking, nobody, deadline)
                continue
            self._receive(asking, deadline)
        return asking.found

    def _send(self, question: Question, asking: _Asking) -> list[int]:
        """Ask about what nobody is asked about; shards that there is nobody left for."""
        shard_map = self._map_of()
        wanted = asking.left - asking.waited_for()
        replicas = {
            shard: set(shard_map.replicas(shard)) - asking.avoided[shard] for shard in wanted
        }
        chosen, nobody = plan(replicas, self._ranked(shard_map))
        for node, shards in chosen.items():
            for shard in shards:  # whatever comes of it: another one next time
                asking.avoided[shard].add(node)
            answering = self._shelf.found if node == self._node else self._of(node)
            future = self._pool.submit(answering, question.of(shards))
            asking.pending[future] = node, tuple(shards)
        return nobody

    def _ranked(self, shard_map: ShardMap) -> list[str]:
        """This node, others in turn, and those that failed lately."""
        others = sorted({n for kept in shard_map.shards for n in kept.replicas} - {self._node})
        at = next(self._turns) % len(others) if others else 0
        return [self._node, *sorted(others[at:] + others[:at], key=self._failed)]

    def _of(self, node: str) -> Callable[[Question], Found]:
        return lambda question: self._ask(node, question)

    def _receive(self, asking: _Asking, deadline: float) -> None:
        """Take the next answer, or find somebody slow."""
        done, others = concurrent.futures.wait(
            asking.pending, timeout=HEDGE_S, return_when=FIRST_COMPLETED
        )
        if not done:
            asking.slow |= others
            if time.monotonic() > deadline:
                names = ", ".join(sorted({node for node, _ in asking.pending.values()}))
                raise Unavailable(f"{names} did not answer in time", code="missing")
        for future in done:
            node, shards = asking.pending.pop(future)
            asking.slow.discard(future)
            try:
                found = future.result()
            except InvalidInput:
                raise
            except TSDBError as error:
                asking.failed = f"{node}: {error}"
                if isinstance(error, Unavailable) and error.code == NOT_HERE:
                    asking.moved.update(shards)
                continue
            if asking.left.issuperset(shards):  # nobody else was faster
                asking.left.difference_update(shards)
                asking.found.append(found)

    def _give_up_or_wait(self, asking: _Asking, nobody: list[int], deadline: float) -> None:
        """A shard may have moved between two looks at the map: ask all again, a few times."""
        if asking.moved.isdisjoint(nobody) or time.monotonic() > deadline:
            shards = ", ".join(map(str, nobody))
            raise Unavailable(
                f"shards {shards} have no replica that answers ({asking.failed or 'none known'})",
                code="missing",
            )
        time.sleep(MOVED_S)
        asking.moved.difference_update(nobody)
        for shard in nobody:
            asking.avoided[shard].clear()
