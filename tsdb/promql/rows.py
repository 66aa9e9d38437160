"""The series of a vector: what each row of a matrix is called.

    in   label sets, in row order
    out  the label sets; groups of rows; rows renamed or taken

Operators ask here for groups instead of looping over label sets themselves, so that one place
can answer from numbers where the rows come straight from the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tsdb.batch import I64s
from tsdb.index.labels import METRIC_NAME, Labels

__all__ = ["Rows", "dropped", "kept_only"]

EMPTY = Labels()


def kept_only(labels: Labels, names: Iterable[str]) -> Labels:
    """The labels that are named, where present."""
    return Labels.of_sorted((n, labels[n]) for n in sorted(set(names)) if n in labels)


def dropped(labels: Labels, names: Iterable[str]) -> Labels:
    """All labels but those named."""
    gone = frozenset(names)
    return Labels.of_sorted(pair for pair in labels.items() if pair[0] not in gone)


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

    def without_name(self) -> Rows:
        """As functions and arithmetic leave them: the metric name is gone."""
        return self.renamed(lambda labels: dropped(labels, (METRIC_NAME,)))

    def grouped(self, names: Sequence[str], *, without: bool) -> tuple[I64s, list[Labels]]:
        """For each row the number of its group, and each group's labels.

        Groups are numbered in the order in which their first row comes. `without` drops the
        metric name too, as Prometheus does.
        """
        if not without and not names:
            return np.zeros(len(self), np.int64), [EMPTY] if len(self) else []
        numbers: dict[Labels, int] = {}
        groups = np.empty(len(self), np.int64)
        gone = frozenset((*names, METRIC_NAME))
        for row, labels in enumerate(self.labels()):
            key = dropped(labels, gone) if without else kept_only(labels, names)
            groups[row] = numbers.setdefault(key, len(numbers))
        return groups, list(numbers)
