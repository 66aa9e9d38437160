"""The database of a node, as its server and its library user see it.

    in   the parts of an open database, a gateway, an applier
    out  a Database whose writes go through the logs of the shards

What this node has acked is visible here at once: a read waits until that is applied, which as a
rule it is. `after` makes the reads inside wait for more: for a token, or for everything acked
anywhere. A node that keeps all shards reads its own engine, as a single node does; others gather
what they do not keep (replication/reading.py).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from replication.applier import Applier
from replication.gateway import Gateway
from replication.gather import Gather
from replication.lease import Lease
from replication.questions import Question, What
from replication.reading import Reading
from replication.shelf import Shelf
from replication.shell import Shell
from tsdb import limits
from tsdb.database.database import INT64_MAX, INT64_MIN, Database, Parts, Selector, span_of
from tsdb.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from replication.keeping import Keeping
    from tsdb.batch import Exemplar, FamilyMetadata, U32s
    from tsdb.engine.engine import Engine
    from tsdb.index.labels import Labels
    from tsdb.index.matchers import Matcher
    from tsdb.index.reader import Reader
    from tsdb.query.selection import Selection

__all__ = ["ClusterDatabase", "parse_token"]

READ_WAIT_S = 20.0
Positions: TypeAlias = Sequence[tuple[int, int]]


class ClusterDatabase(Database):
    """Use `replication.node.open_node`."""

    def __init__(
        self,
        path: Path,
        parts: Parts,
        now_ticks: Callable[[], int],
        *,
        gateway: Gateway,
        applier: Applier,
        shell: Shell,
        kept: Callable[[], Collection[int]],
    ) -> None:
        super().__init__(path, parts, now_ticks)
        self.gateway = gateway
        self.applier = applier
        self.shell = shell
        self._kept = kept
        self._everything = len(gateway.acked)
        self.shelf = Shelf(parts.engine, applier, self._everything, kept)
        self.keeping: Keeping | None = None  # of a member of a cluster
        self.lease = Lease("duties", "")
        self._gather: Gather | None = None
        self._reading: Reading | None = None
        self._floor = [0] * self._everything  # positions that `wait_for` has seen
        self._floor_lock = threading.Lock()
        self._reads = threading.local()
        self._joined: Unavailable | None = Unavailable("the node is joining", code="starting")

    def gather_with(self, gather: Gather) -> None:
        """Shards that this node does not keep are asked of others from now on."""
        self._gather = gather
        self._reading = Reading(gather, self._everything, self.resolution, self._positions)

    def kept(self) -> Collection[int]:
        """Shards that this node answers for."""
        return self._kept()

    def digests(self, shard: int, end: int) -> dict[str, tuple[int, int] | None]:
        """Of each copy of a shard, of its points up to `end`: digest and number; None where a
        node does not answer. All have applied what was acked before the call."""
        assert self.keeping is not None
        after = tuple(self.shell.barrier([shard]))
        question = Question(What.DIGEST, (shard,), after, end=end)
        found: dict[str, tuple[int, int] | None] = {}
        for node in self.keeping.map_of().replicas(shard):
            try:
                here = node == self.keeping.me
                said = (
                    self.shelf.found(question) if here else self.keeping.peers.ask(node, question)
                )
            except Unavailable:
                found[node] = None
            else:
                digest, points = map(int, said.texts)
                found[node] = digest, points
        return found

    @property
    def elsewhere(self) -> Reading | None:
        """What answers when this node does not keep all shards; None while it does."""
        if self._reading is None or len(self._kept()) == self._everything:
            return None
        return self._reading

    # --- how new an answer is -------------------------------------------------------------------

    @property
    def acked(self) -> list[int]:
        """The last position in each shard's log that a write was answered with here."""
        return list(self.gateway.acked)

    def check_joined(self) -> None:
        """Raises Unavailable while this node has not come up to what was acked when it began."""
        self._check_whole()
        if self._joined is not None:
            raise self._joined

    def join(self) -> None:
        """Try until every log has answered and all before is applied; in a thread of its own."""
        threading.Thread(target=self._join, name="joining", daemon=True).start()

    def _join(self) -> None:
        while not self._closed:
            try:
                self.applier.wait(self._here(self.barrier()), READ_WAIT_S)
            except Unavailable as error:
                if error.code == "closed":
                    return
                self._joined = Unavailable(f"the node is joining: {error}", code="starting")
            else:
                self._joined = None
                return

    def barrier(self) -> Positions:
        """Positions before which lies everything that was acked anywhere before the call."""
        return self.shell.barrier(range(self._everything))

    @contextlib.contextmanager
    def after(self, positions: Positions) -> Iterator[None]:
        """Inside, reads of this thread see what lies before these positions.

        Raises Unavailable when this node does not reach one in time.
        """
        self.applier.wait(self._here(positions), READ_WAIT_S)
        before = self._wanted()
        self._reads.after = [*before, *positions]
        try:
            yield
        finally:
            self._reads.after = before

    @contextlib.contextmanager
    def stale(self) -> Iterator[None]:
        """Inside, reads of this thread wait for nothing."""
        self._reads.stale = True
        try:
            yield
        finally:
            self._reads.stale = False

    def wait_for(self, token: str) -> None:
        """Return once what a write's token names is seen by the reads that follow.

        Raises InvalidInput for what is no token, Unavailable when it takes too long.
        """
        self._reach(parse_token(token, self._everything))

    def wait_for_all(self) -> None:
        """Return once reads see everything that was acked anywhere before the call."""
        self._reach(self.barrier())

    def _reach(self, positions: Positions) -> None:
        with self.after(positions):
            if self.elsewhere is not None:
                shards = tuple(shard for shard, _ in positions)
                self.elsewhere.ask(Question(What.SPAN), shards)
        with self._floor_lock:
            for shard, seq in positions:
                self._floor[shard] = max(self._floor[shard], seq)

    def _wanted(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = getattr(self._reads, "after", [])
        return found

    def _positions(self) -> Positions:
        """What reads of this thread have to see."""
        if getattr(self._reads, "stale", False):
            return []
        pairs = zip(self.gateway.acked, self._floor, strict=True)
        least = dict(enumerate(map(max, pairs)))
        for shard, seq in self._wanted():
            least[shard] = max(least[shard], seq)
        return [(shard, seq) for shard, seq in least.items() if seq]

    def _here(self, positions: Positions) -> Positions:
        """Those in logs that this node follows."""
        return [(shard, seq) for shard, seq in positions if shard in self.applier.followed]

    def _wait_for_own(self) -> None:
        if getattr(self._reads, "stale", False):
            return
        if self._reading is None:
            self._check_whole()
        stopped = self.applier.stopped
        here = self._here(self._positions())
        self.applier.wait([place for place in here if place[0] not in stopped], READ_WAIT_S)

    def _check_whole(self) -> None:
        for shard, why in self.applier.stopped.items():
            raise Unavailable(
                f"shard {shard} has stopped on this node ({why}): ask another node, and start "
                "this one again: it will copy the data of another",
                code="damaged",
            )

    # --- reading --------------------------------------------------------------------------------

    def select(
        self,
        selector: Selector,
        start: int = INT64_MIN,
        end: int = INT64_MAX,
        *,
        points_max: int = limits.POINTS_PER_SELECT_MAX,
    ) -> Selection:
        there = self.elsewhere
        if there is None:
            return super().select(selector, start, end, points_max=points_max)
        start, end = span_of(start, end)
        return there.select(self._matchers(selector), start, end, points_max=points_max)

    def select_in_groups(
        self,
        selector: Selector,
        start: int = INT64_MIN,
        end: int = INT64_MAX,
        *,
        points_max: int = limits.GROUP_POINTS,
    ) -> Iterator[Selection]:
        there = self.elsewhere
        if there is None:
            return super().select_in_groups(selector, start, end, points_max=points_max)
        start, end = span_of(start, end)
        return there.groups(self._matchers(selector), start, end, points_max=points_max)

    def label_names(self) -> list[str]:
        there = self.elsewhere
        return super().label_names() if there is None else there.label_names()

    def label_values(self, name: str) -> list[str]:
        there = self.elsewhere
        return super().label_values(name) if there is None else there.label_values(name)

    def find(self, matchers: Sequence[Matcher]) -> tuple[Reader, U32s]:
        there = self.elsewhere
        return super().find(matchers) if there is None else there.find(matchers)

    def present(self, matchers: Sequence[Matcher], start: int, end: int) -> tuple[Reader, U32s]:
        there = self.elsewhere
        if there is None:
            return super().present(matchers, start, end)
        return there.present(matchers, start, end)

    def holds(self, labels: Labels) -> bool:
        there = self.elsewhere
        return super().holds(labels) if there is None else there.holds(labels)

    def span(self) -> tuple[int, int] | None:
        there = self.elsewhere
        return super().span() if there is None else there.span()

    def metadata(self) -> dict[str, FamilyMetadata]:
        there = self.elsewhere
        return super().metadata() if there is None else there.metadata()

    def exemplars(
        self, selector: Selector, start: int = INT64_MIN, end: int = INT64_MAX
    ) -> list[Exemplar]:
        there = self.elsewhere
        if there is None:
            return super().exemplars(selector, start, end)
        return there.exemplars(self._matchers(selector), *span_of(start, end))

    def _open_engine(self) -> Engine:
        self._wait_for_own()
        return super()._open_engine()

    @property
    def parts(self) -> Parts:
        self._wait_for_own()
        return super().parts

    def close(self) -> None:
        with contextlib.ExitStack() as leaving:  # last in, first out
            leaving.callback(super().close)
            leaving.callback(self.applier.close)
            leaving.callback(self.shell.close)
            if self._gather is not None:
                leaving.callback(self._gather.close)
            pipeline = self._parts.pipeline
            if pipeline is not None:
                leaving.callback(pipeline.close)


def parse_token(token: str, shards: int) -> list[tuple[int, int]]:
    """Positions of a token: `shard:seq,shard:seq`."""
    return list(_positions(token, shards))


def _positions(token: str, shards: int) -> Iterator[tuple[int, int]]:
    pieces: Sequence[str] = token.split(",") if token else ()
    for piece in pieces:
        shard, _, seq = piece.partition(":")
        if not (shard.isdecimal() and seq.isdecimal() and int(shard) < shards):
            raise InvalidInput(f"{piece[:40]!r} is no position: shard:number of 0 to {shards - 1}")
        yield int(shard), int(seq)
