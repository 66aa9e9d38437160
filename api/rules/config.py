"""What rule files say, as values.

in   made by `api.rules.reading`
out  groups of rules; all times are milliseconds
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Alerting", "Group", "Pairs", "Recording", "Rule"]

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """`record: name`: what `expression` is worth becomes a series."""

    name: str
    expression: str
    labels: Pairs = ()


@dataclass(frozen=True, slots=True)
class Alerting:
    """`alert: name`: each series that `expression` gives is an alert."""

    name: str
    expression: str
    hold_ms: int = 0  # `for`
    keep_firing_ms: int = 0
    labels: Pairs = ()  # templates
    annotations: Pairs = ()  # templates


Rule: TypeAlias = Recording | Alerting


@dataclass(frozen=True, slots=True)
class Group:
    """Rules evaluated one after another at the same moment, every `interval_ms`."""

    file: str
    name: str
    interval_ms: int
    rules: tuple[Rule, ...] = ()
    limit: int = 0  # series or alerts a rule may give; 0 is any
    offset_ms: int = 0  # how far in the past rules look

    @property
    def key(self) -> tuple[str, str]:
        return self.file, self.name
