"""A database's questions, answered from all shards of the cluster.

    in   selectors, ranges; positions that must have been reached
    out  what a single node with all the points would say, bit for bit

Used where a node does not keep every shard itself. One question goes to each node that is needed;
series come back with their points and are put in order here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from replication.gather import Gather
from replication.merging import Names
from replication.questions import Found, Question, What
from tsdb.batch import Exemplar, FamilyMetadata, U32s
from tsdb.codec.resolution import Resolution
from tsdb.engine.groups import in_groups
from tsdb.index.labels import Labels, canonical
from tsdb.index.matchers import Matcher, Op
from tsdb.index.placement import place_of
from tsdb.index.reader import Reader
from tsdb.query.selection import Selection

__all__ = ["Reading"]

Positions = Sequence[tuple[int, int]]


class Reading:
    """`after` says which positions an answer must include, when it is asked. Any thread."""

    def __init__(
        self, gather: Gather, shards: int, resolution: Resolution, after: Callable[[], Positions]
    ) -> None:
        self._gather = gather
        self._shards = shards
        self._resolution = resolution
        self._after = after
        self._names = Names()

    def select(
        self, matchers: Sequence[Matcher], start: int, end: int, *, points_max: int
    ) -> Selection:
        question = Question(What.SELECT, (), (), tuple(matchers), start, end, points_max=points_max)
        return self._selected(question, as_text=False)

    def groups(
        self, matchers: Sequence[Matcher], start: int, end: int, *, points_max: int
    ) -> Iterator[Selection]:
        """As `Engine.groups`."""
        span = self.span()
        if span is None:
            return
        start, end = max(start, span[0]), min(end, span[1])
        question = Question(What.COUNTS, (), (), tuple(matchers), start, end)
        index, refs, counts = self._names.counted(self.ask(question))

        def read(refs: U32s, span: tuple[int, int], points_max: int) -> Selection:
            keys = tuple(index.key(ref) for ref in refs.tolist())
            one = Question(What.SELECT, (), (), (), *span, points_max=points_max, keys=keys)
            return self._selected(one, as_text=True)

        yield from in_groups(refs, counts, (start, end), points_max, read)

    def find(self, matchers: Sequence[Matcher]) -> tuple[Reader, U32s]:
        return self._series(Question(What.FIND, matchers=tuple(matchers)))

    def present(self, matchers: Sequence[Matcher], start: int, end: int) -> tuple[Reader, U32s]:
        return self._series(Question(What.PRESENT, (), (), tuple(matchers), start, end))

    def holds(self, labels: Labels) -> bool:
        """Asks the one shard in which it lies."""
        key = canonical(labels)
        matchers = tuple(Matcher(name, Op.EQUAL, value) for name, value in labels.items())
        question = Question(What.FIND, matchers=matchers, keys=(key,))
        found = self.ask(question, (place_of(key, self._shards),))
        return any(one.series.count for one in found)

    def label_names(self) -> list[str]:
        return sorted(self._texts(Question(What.NAMES)))

    def label_values(self, name: str) -> list[str]:
        return sorted(self._texts(Question(What.VALUES, label=name)))

    def span(self) -> tuple[int, int] | None:
        spans = [one.span for one in self.ask(Question(What.SPAN)) if one.span is not None]
        if not spans:
            return None
        return min(low for low, _ in spans), max(high for _, high in spans)

    def metadata(self) -> dict[str, FamilyMetadata]:
        found = self.ask(Question(What.METADATA))
        return {family.family: family for one in found for family in one.families}

    def exemplars(self, matchers: Sequence[Matcher], start: int, end: int) -> list[Exemplar]:
        found = self.ask(Question(What.EXEMPLARS, (), (), tuple(matchers), start, end))
        return [exemplar for one in found for exemplar in one.exemplars]

    def touched(self, shard: int, seq: int) -> Sequence[int]:
        """Series that each delete in a record hit."""
        found = self._gather.found(Question(What.TOUCHED, (shard,), ((shard, seq),)))
        return found[0].counts

    def _selected(self, question: Question, *, as_text: bool) -> Selection:
        found = self.ask(question)
        return self._names.selection(found, self._resolution, question.points_max, as_text=as_text)

    def _series(self, question: Question) -> tuple[Reader, U32s]:
        return self._names.series(self.ask(question))

    def _texts(self, question: Question) -> set[str]:
        return {text for one in self.ask(question) for text in one.texts}

    def ask(self, question: Question, shards: Sequence[int] = ()) -> list[Found]:
        """Of some shards, or all; after what this thread has to see."""
        asked = replace(question, after=tuple(self._after())).of(shards or range(self._shards))
        return self._gather.found(asked)
