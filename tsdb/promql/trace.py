"""What a query did, node by node: for `explain`.

    in   steps entered and left while an evaluation runs
    out  a tree of steps with their time, series, values and points read

Times include what is inside a step. A step that took its value from an equal one before it is
`reused` and has nothing inside. Reads of points are steps of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tsdb.batch import Decoded
from tsdb.index.matchers import Matcher
from tsdb.promql.ast import Node
from tsdb.promql.values import Value, Vector

__all__ = ["Step", "Trace"]


@dataclass(slots=True)
class Step:
    """`what` is a node, or the matchers of a read."""

    what: Node | tuple[Matcher, ...]
    steps: int  # of the grid; 0 for a read
    took_s: float = 0.0
    series: int = 0
    values: int = 0  # present ones; points of a read
    reused: bool = False
    did: Decoded | None = None  # of a read, where it is known
    inside: list[Step] = field(default_factory=list)


class Trace:
    """Give one to an evaluation; `root` is filled afterwards."""

    def __init__(self) -> None:
        self.root: Step | None = None
        self._open: list[Step] = []

    @contextmanager
    def step(self, what: Node | Sequence[Matcher], steps: int) -> Iterator[Step]:
        """A step under way; what is entered meanwhile is inside it."""
        entered = Step(tuple(what) if isinstance(what, Sequence) else what, steps)
        if self._open:
            self._open[-1].inside.append(entered)
        elif self.root is None:
            self.root = entered
        self._open.append(entered)
        began = time.perf_counter()
        try:
            yield entered
        finally:
            entered.took_s = time.perf_counter() - began
            self._open.pop()


def measured(step: Step, value: Value) -> None:
    """Note how large a value is."""
    if isinstance(value, Vector):
        step.series = len(value.rows)
        step.values = int(value.present.sum())
