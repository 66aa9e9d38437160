"""What an answer says about itself: warnings that it may be wrong, infos that it may surprise.

in   sentences from the evaluation, each about a node
out  each once, in the order they came, ending in where that node begins; bounded

A sentence about several places names the last of them, as Prometheus does.
"""

from __future__ import annotations

import numpy as np

from tsdb.batch import F64s
from tsdb.promql import ast, spoken
from tsdb.promql.ast import Node

__all__ = ["Annotations"]

SENTENCES_MAX = 10  # of a kind, as Prometheus' API returns them


class Annotations:
    """Sentences of both kinds, without repetition."""

    def __init__(self) -> None:
        self._warnings: dict[str, Node | None] = {}
        self._infos: dict[str, Node | None] = {}
        self.said: list[tuple[bool, str, Node]] = []  # all of it: whether it warns, what, of what

    def warn(self, sentence: str, about: Node) -> None:
        self._say(True, f"PromQL warning: {sentence}", about)

    def tell(self, sentence: str, about: Node) -> None:
        self._say(False, f"PromQL info: {sentence}", about)

    def _say(self, warns: bool, sentence: str, about: Node) -> None:
        self.said.append((warns, sentence, about))
        (self._warnings if warns else self._infos)[sentence] = about

    def again(self, since: int, until: int, first: Node, second: Node) -> None:
        """What was said about parts of a node holds for one that is equal to it."""
        for warns, sentence, about in self.said[since:until]:
            self._say(warns, sentence, ast.counterpart(about, first, second))

    def warn_of_quantiles(self, fractions: F64s, about: Node) -> None:
        """Of those that are no fractions, each once."""
        for value in dict.fromkeys(fractions[~((fractions >= 0) & (fractions <= 1))].tolist()):
            self.warn(spoken.bad_quantile(value), about)

    def warn_of_extreme_quantiles(self, fractions: F64s, about: Node) -> None:
        """As `warn_of_quantiles`, but only the largest above 1 and the smallest below 0; a NaN
        hides both."""
        largest, smallest = fractions.max(), fractions.min()
        extremes = [largest if not largest <= 1 else 1.0, smallest if smallest < 0 else 0.0]
        self.warn_of_quantiles(np.array(extremes), about)

    def damage(self, sentence: str) -> None:
        """Stored points are missing; not about the query."""
        self._warnings[sentence] = None

    @property
    def warnings(self) -> list[str]:
        return _bounded(self._warnings, "warning")

    @property
    def infos(self) -> list[str]:
        return _bounded(self._infos, "info")


def _bounded(said: dict[str, Node | None], kind: str) -> list[str]:
    sentences = [
        f"{sentence} ({place})" if about and (place := _place(about)) else sentence
        for sentence, about in said.items()
    ]
    more = len(sentences) - SENTENCES_MAX
    if more <= 0:
        return sentences
    return [*sentences[:SENTENCES_MAX], f"{more} more {kind} annotations omitted"]


def _place(about: Node) -> str:
    """Prometheus forgets where a subquery stood before it evaluates what is around it."""
    place = ast.place_of(about)
    return "1:1" if place and isinstance(ast.unwrapped(about), ast.Subquery) else place
