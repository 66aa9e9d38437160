"""The labels a scraped series gets: its target's, and what the job's rules make of them.

    in   labels as a target exposed them
    out  canonical label bytes, or None where the rules drop the series; InvalidInput fails a scrape

A target's labels win and what they displace becomes `exported_<name>`; with honor_labels it is the
other way round, and a label exposed as empty keeps the target's away (so the Pushgateway says that
its series have no instance).
"""

from __future__ import annotations

from collections.abc import Mapping

from api.scrape.config import Bounds, Job
from api.scrape.label_fields import fields, joined
from api.scrape.relabel import relabel
from api.scrape.targets import Target
from tsdb.errors import InvalidInput
from tsdb.index import labels as label_bytes
from tsdb.index.quoting import shown
from tsdb.limits import LABELS_PER_SERIES_MAX, SERIES_KEY_BYTES_MAX

__all__ = ["NAME", "Labelling", "attached"]

NAME = "__name__"
EXPORTED = "exported_"


class Labelling:
    """What happens to every series of one target under one configuration."""

    def __init__(self, job: Job, target: Target) -> None:
        self._honor = job.honor_labels
        self._rules = job.series_rules
        self._bounds = job.bounds
        self._external = job.external_labels
        self._of_target = dict(target.labels)
        added = {n: text for n, text in (dict(self._external) | self._of_target).items() if text}
        self._added = [(name.encode(), text.encode()) for name, text in added.items()]
        self._plain = not self._rules and not self._bounds.of_labels

    def plain_key(self, key: bytes) -> bytes | None:
        """`key` with the target's labels where nothing else is to be done; else None.

        Six times as fast as the long way, for the thousands of series of a target's first scrape.
        """
        if not self._plain:
            return None
        labels = dict(fields(key))
        if NAME.encode() not in labels or any(name in labels for name, _ in self._added):
            return None
        labels.update(self._added)
        found = joined(labels)
        fits = len(labels) <= LABELS_PER_SERIES_MAX and len(found) <= SERIES_KEY_BYTES_MAX
        return found if fits else None

    def key(self, exposed: Mapping[str, str]) -> bytes | None:
        """Canonical bytes of the series; `exposed` may hold empty labels."""
        labels = attached(exposed, self._of_target, self._honor)
        if self._rules:
            relabelled = relabel(labels, self._rules)
            if not relabelled:
                return None
            labels = relabelled
        if not labels.get(NAME):
            raise InvalidInput(f"the rules leave no metric name on {_shown(exposed)}")
        if self._bounds.of_labels:
            _check(labels, self._bounds)
        return self._canonical(labels)

    def report_key(self, name: str) -> bytes:
        """A series about the target itself: no rule touches it."""
        return self._canonical({NAME: name} | self._of_target)

    def _canonical(self, labels: Mapping[str, str]) -> bytes:
        if self._external:
            labels = dict(self._external) | {n: text for n, text in labels.items() if text}
        return label_bytes.canonical(labels)


def attached(
    exposed: Mapping[str, str], of_target: Mapping[str, str], honor: bool
) -> dict[str, str]:
    """Both sets of labels in one."""
    if honor:
        return dict(of_target) | dict(exposed)
    result = dict(exposed) | dict(of_target)
    displaced = [name for name in of_target if exposed.get(name)]
    for name in sorted(displaced, key=lambda name: (len(name), name)):
        renamed = EXPORTED + name
        while result.get(renamed):
            renamed = EXPORTED + renamed
        result[renamed] = exposed[name]
    return result


def _check(labels: Mapping[str, str], bounds: Bounds) -> None:
    kept = {name: text for name, text in labels.items() if text}
    if bounds.labels and len(kept) > bounds.labels:
        raise InvalidInput(
            f"label_limit exceeded: {_shown(kept)} has {len(kept)} labels (limit {bounds.labels})"
        )
    for name, text in kept.items():
        if bounds.name_bytes and len(name.encode()) > bounds.name_bytes:
            raise InvalidInput(
                f"label_name_length_limit exceeded by {shown(name)} (limit {bounds.name_bytes})"
            )
        if bounds.value_bytes and len(text.encode()) > bounds.value_bytes:
            raise InvalidInput(
                f"label_value_length_limit exceeded by label {shown(name)} "
                f"(limit {bounds.value_bytes})"
            )


def _shown(labels: Mapping[str, str]) -> str:
    return shown(labels.get(NAME) or str(dict(labels)))
