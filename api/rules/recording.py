"""Recording rules: what an expression is worth becomes a series of another name.

in   the rule, the samples its expression gave
out  the points to write; InvalidInput where two would be the same series
"""

from __future__ import annotations

from api.rules.config import Recording
from tsdb.errors import InvalidInput
from tsdb.index.labels import METRIC_NAME, Labels

__all__ = ["Sample", "recorded"]

Sample = tuple[Labels, float]


def recorded(rule: Recording, samples: list[Sample]) -> list[Sample]:
    """The samples under the rule's name, with its labels over their own; empty ones go."""
    found: dict[Labels, float] = {}
    for labels, value in samples:
        renamed = Labels({**labels, METRIC_NAME: rule.name, **dict(rule.labels)})
        if renamed in found:
            raise InvalidInput(
                "vector contains metrics with the same labelset after applying rule labels: "
                f"{renamed}"
            )
        found[renamed] = value
    return list(found.items())
