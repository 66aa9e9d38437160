"""What an answer says about itself: warnings that it may be wrong, infos that it may surprise.

in   sentences from the evaluation
out  each once, in the order they came; bounded
"""

from __future__ import annotations

import numpy as np

from tsdb.batch import F64s
from tsdb.promql import spoken

__all__ = ["Annotations"]

SENTENCES_MAX = 10  # of a kind, as Prometheus' API returns them


class Annotations:
    """Sentences of both kinds, without repetition."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    def warn(self, sentence: str) -> None:
        self._warnings[f"PromQL warning: {sentence}"] = None

    def warn_of_quantiles(self, fractions: F64s) -> None:
        """Of those that are no fractions, each once."""
        for value in fractions[~((fractions >= 0) & (fractions <= 1))].tolist():
            self.warn(spoken.bad_quantile(value))

    def warn_of_extreme_quantiles(self, fractions: F64s) -> None:
        """As `warn_of_quantiles`, but only the largest above 1 and the smallest below 0; a NaN
        hides both."""
        largest, smallest = fractions.max(), fractions.min()
        extremes = [largest if not largest <= 1 else 1.0, smallest if smallest < 0 else 0.0]
        self.warn_of_quantiles(np.array(extremes))

    def tell(self, sentence: str) -> None:
        self._infos[f"PromQL info: {sentence}"] = None

    def damage(self, sentence: str) -> None:
        """Stored points are missing; not about the query."""
        self._warnings[sentence] = None

    @property
    def warnings(self) -> list[str]:
        return _bounded(list(self._warnings), "warning")

    @property
    def infos(self) -> list[str]:
        return _bounded(list(self._infos), "info")


def _bounded(sentences: list[str], kind: str) -> list[str]:
    more = len(sentences) - SENTENCES_MAX
    if more <= 0:
        return sentences
    return [*sentences[:SENTENCES_MAX], f"{more} more {kind} annotations omitted"]
