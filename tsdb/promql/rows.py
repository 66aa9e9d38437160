"""The series of a vector: what each row of a matrix is called.

    in   label sets, in row order
    out  the label sets; groups of rows; rows renamed or taken

Operators ask here for groups instead of looping over label sets themselves, so that one place
can answer from numbers where the rows come straight from the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from tsdb.batch import I64s, U8s
from tsdb.index.labels import METRIC_NAME, Labels
from tsdb.index.reader import Write
from tsdb.promql.errors import QueryFailed

__all__ = ["SAME_LABELS", "Rows", "dropped", "kept_only"]

SAME_LABELS = "vector cannot contain metrics with the same labelset"

EMPTY = Labels()


def kept_only(labels: Labels, names: Iterable[str]) -> Labels:
    """The labels that are named, where present."""
    return labels.only(sorted(set(names)))


def dropped(labels: Labels, names: Iterable[str]) -> Labels:
    """All labels but those named."""
    return labels.without(names)


class Rows:
    """Label sets in row order; immutable."""

    def __init__(self, labels: Sequence[Labels]) -> None:
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self) -> Sequence[Labels]:
        return self._labels

    def taken(self, rows: I64s) -> Rows:
        """Some rows, in the order given."""
        labels = self.labels()
        return Rows([labels[row] for row in rows.tolist()])

    def renamed(self, change: Callable[[Labels], Labels]) -> Rows:
        return Rows([change(labels) for labels in self.labels()])

    def followed_by(self, others: Rows) -> Rows:
        return Rows([*self.labels(), *others.labels()])

    def without_name(self) -> Rows:
        """As functions and arithmetic leave them: the metric name is gone. Rows may be equal then.

        `Vector.nameless` merges those; range functions refuse them with `distinct`.
        """
        return self.renamed(lambda labels: dropped(labels, (METRIC_NAME,)))

    def twins(self) -> tuple[I64s, I64s] | None:
        """Where rows are equal: for each row its group, for each group its first row; else None."""
        numbers: dict[Labels, int] = {}
        labels = self.labels()
        groups = np.fromiter(
            (numbers.setdefault(each, len(numbers)) for each in labels), np.int64, len(labels)
        )
        if len(numbers) == len(labels):
            return None
        return groups, np.unique(groups, return_index=True)[1]

    def distinct(self) -> Rows:
        """Itself. Raises QueryFailed if two rows have equal labels."""
        if self.twins() is not None:
            raise QueryFailed(SAME_LABELS)
        return self

    def written(self, write: Write, head: bytes, tail: bytes) -> tuple[U8s, I64s]:
        """Each row as `head`, its labels with commas between, `tail`; where each begins.

        `write` is asked once for each distinct label.
        """
        known = cache(write)
        texts = [
            head + b",".join([known(*pair) for pair in labels.items()]) + tail
            for labels in self.labels()
        ]
        begins = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=begins[1:])
        return np.frombuffer(b"".join(texts), np.uint8), begins

    def order(self) -> I64s:
        """Rows sorted by names and values of their labels, as Prometheus orders a matrix."""
        pairs = [list(labels.items()) for labels in self.labels()]
        return np.array(sorted(range(len(pairs)), key=pairs.__getitem__), np.int64)

    def joined(self, others: Rows) -> tuple[I64s, Rows]:
        """For each of `others` its place among these rows and, behind them, those they lack.

        No two of these rows are equal; places are told in what is returned with them.
        """
        numbers = {each: number for number, each in enumerate(self.labels())}
        places = [numbers.setdefault(each, len(numbers)) for each in others.labels()]
        return np.array(places, np.int64), Rows(list(numbers))

    def grouped(self, names: Sequence[str], *, without: bool) -> tuple[I64s, Rows]:
        """For each row the number of its group, and each group's labels.

        Groups are numbered in the order in which their first row comes. `without` drops the
        metric name too, as Prometheus does.
        """
        if not without and not names:
            return np.zeros(len(self), np.int64), Rows([EMPTY] if len(self) else [])
        if without:
            return self._grouped_without(frozenset((*names, METRIC_NAME)))
        wanted = sorted(set(names))
        numbers: dict[tuple[str | None, ...], int] = {}
        groups = np.fromiter(
            (
                numbers.setdefault(tuple(map(labels.get, wanted)), len(numbers))
                for labels in self.labels()
            ),
            np.int64,
            len(self),
        )
        return groups, Rows(
            [
                Labels.of_sorted((n, v) for n, v in zip(wanted, key, strict=True) if v is not None)
                for key in numbers
            ]
        )

    def _grouped_without(self, gone: frozenset[str]) -> tuple[I64s, Rows]:
        numbers: dict[tuple[tuple[str, str], ...], int] = {}
        groups = np.fromiter(
            (
                numbers.setdefault(
                    tuple([pair for pair in labels.items() if pair[0] not in gone]), len(numbers)
                )
                for labels in self.labels()
            ),
            np.int64,
            len(self),
        )
        return groups, Rows([Labels.of_sorted(key) for key in numbers])
