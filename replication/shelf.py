"""What this node keeps, read shard by shard: for itself, and for others that ask.

    in   Question
    out  Found, of the shards that the question names and of no other

A node's engine may hold more than it serves: a shard that is on its way here, one that has left. Of
those nothing is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np

from replication.applier import Applier
from replication.comparing import digest_of
from replication.copying import parts_of
from replication.questions import NOT_HERE, Found, Question, What, series_of
from replication.record import Part
from tsdb import limits
from tsdb.batch import SeriesDefinitions, U32s
from tsdb.engine.engine import Engine
from tsdb.errors import Unavailable
from tsdb.index.placement import place_of
from tsdb.index.reader import Reader
from tsdb.index.registry import NO_REF

__all__ = ["Shelf"]

WAIT_S = 20.0


class Shelf:
    """`kept` says which shards this node serves now. Any thread."""

    def __init__(
        self, engine: Engine, applier: Applier, shards: int, kept: Callable[[], Collection[int]]
    ) -> None:
        self.engine = engine
        self._applier = applier
        self._standing = applier.standing
        self._shards = shards
        self._kept = kept
        self._answers: dict[What, Callable[[Question], Found]] = {
            What.SELECT: self._select,
            What.FIND: self._find,
            What.PRESENT: self._present,
            What.COUNTS: self._counts,
            What.NAMES: self._names,
            What.VALUES: self._values,
            What.SPAN: self._span,
            What.METADATA: self._metadata,
            What.EXEMPLARS: self._exemplars,
            What.DIGEST: self._digest,
            What.TOUCHED: self._touched,
        }

    def found(self, question: Question) -> Found:
        """Raises Unavailable NOT_HERE for shards of others, "behind" for positions not reached;
        InvalidInput, LimitExceeded as a database does."""
        self._check_kept(question.shards)
        self._applier.wait(question.after, WAIT_S)
        return self._answers[question.what](question)

    def copy(self, shard: int) -> Iterator[Part]:
        """All of a shard, for a node that shall keep it. Raises Unavailable NOT_HERE."""
        self._check_kept((shard,))
        return parts_of(self.engine, shard, self._shards, self._standing)

    def _check_kept(self, shards: Iterable[int]) -> None:
        kept = self._kept()
        for shard in shards:
            if shard not in kept:
                raise Unavailable(f"shard {shard} is not kept here", code=NOT_HERE)

    def _chosen(self, question: Question) -> Callable[[U32s], U32s]:
        """Narrows series to those that the question is about."""
        places = self.engine.registry.places(self._shards)
        shards = np.array(question.shards, np.uint32)
        if not question.keys:
            return lambda refs: places.within(refs, shards)
        wanted = series_of(question.keys)
        data = np.frombuffer(wanted.keys, np.uint8)
        known = self.engine.registry.lookup(data, wanted.offsets[:-1], wanted.offsets[1:])
        named = np.unique(known[known != NO_REF])
        return lambda refs: places.within(np.intersect1d(refs, named, assume_unique=True), shards)

    def _select(self, question: Question) -> Found:
        most = question.points_max or limits.POINTS_PER_SELECT_MAX
        selection = self.engine.select(
            question.matchers,
            question.start,
            question.end,
            points_max=most,
            keep=self._chosen(question),
        )
        assert selection.named_by is not None
        return Found(
            _series(selection.named_by, selection.refs),
            selection.columns(),
            warnings=selection.warnings,
        )

    def _find(self, question: Question) -> Found:
        return Found(_series(*self._matching(question)))

    def _present(self, question: Question) -> Found:
        return Found(
            _series(
                *self.engine.present(
                    question.matchers,
                    question.start,
                    question.end,
                    keep=self._chosen(question),
                )
            )
        )

    def _counts(self, question: Question) -> Found:
        index, refs, points = self.engine.counted(
            question.matchers, question.start, question.end, keep=self._chosen(question)
        )
        return Found(_series(index, refs), counts=tuple(points.tolist()))

    def _names(self, question: Question) -> Found:
        index, refs = self._matching(question)
        return Found(texts=tuple(index.label_names(refs)))

    def _values(self, question: Question) -> Found:
        index, refs = self._matching(question)
        return Found(texts=tuple(index.label_values(question.label, refs)))

    def _matching(self, question: Question) -> tuple[Reader, U32s]:
        index = self.engine.registry.reader()
        return index, self._chosen(question)(index.select(question.matchers))

    def _span(self, question: Question) -> Found:
        return Found(span=self.engine.span())

    def _metadata(self, question: Question) -> Found:
        wanted = set(question.shards)
        with self.engine.lock:
            families = tuple(self.engine.annotations.families.values())
        return Found(
            families=tuple(
                f for f in families if place_of(f.family.encode(), self._shards) in wanted
            )
        )

    def _exemplars(self, question: Question) -> Found:
        index, refs = self._matching(question)
        keys = {index.key(ref) for ref in refs.tolist()}
        with self.engine.lock:
            found = tuple(self.engine.annotations.exemplars)
        return Found(
            exemplars=tuple(
                e
                for e in found
                if question.start <= e.timestamp <= question.end and e.series in keys
            )
        )

    def _digest(self, question: Question) -> Found:
        groups = self.engine.groups(
            question.matchers,
            question.start,
            question.end,
            points_max=limits.GROUP_POINTS,
            keep=self._chosen(question),
        )
        return Found(texts=tuple(map(str, digest_of(groups))))

    def _touched(self, question: Question) -> Found:
        (place,) = question.after
        return Found(counts=self._applier.touched(*place))


def _series(index: Reader, refs: U32s) -> SeriesDefinitions:
    keys, offsets = index.keys(refs)
    return SeriesDefinitions(np.arange(refs.size, dtype=np.uint32), offsets, keys.tobytes())
