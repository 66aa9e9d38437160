"""What a push to a group of the Pushgateway changes: its points, and stale markers for the rest.

    in   a body that was read with the group's labels; what the group held before
    out  Parsed, all at one time; what the group holds then

A PUT replaces the group, a POST the families it names, a DELETE everything. A series that is gone
gets Prometheus' stale marker, so that queries do not see its last value any longer. Pushed points
bring no times: the sender of a batch job is the wrong one to say when it was scraped.

Price: 5 µs a series: groups are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse.exposition import Extra, Reading
from tsdb.parse.json_text import STALE

__all__ = ["Families", "Inconsistent", "Push", "failure_of", "push_of", "removal_of"]

FORM = "canonical"  # tsdb.commit.gate: keys need no treatment
NAME = labels.METRIC_NAME.encode()
PUSHED, FAILED = "push_time_seconds", "push_failure_time_seconds"
ABOUT = (
    FamilyMetadata(
        PUSHED, "gauge", "Last Unix time when changing this group in the Pushgateway succeeded."
    ),
    FamilyMetadata(
        FAILED, "gauge", "Last Unix time when changing this group in the Pushgateway failed."
    ),
)
SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum", "_created"),
    "info": ("_info",),
}

Families = Mapping[str, frozenset[bytes]]  # canonical keys of a group's series by family


class Inconsistent(InvalidInput):
    """The text is one, but no Pushgateway takes it."""


@dataclass(frozen=True, slots=True)
class Push:
    parsed: Parsed
    families: Families


def push_of(
    reading: Reading, group: Extra, before: Families, now: tuple[int, float], *, replace: bool
) -> Push:
    """`now` is in ticks and in seconds. Raises Inconsistent."""
    if reading.stamped:
        raise Inconsistent("pushed metrics must not have timestamps")
    parsed = reading.parsed
    text = parsed.key_bytes.tobytes()
    ranges = zip(parsed.key_starts.tolist(), parsed.key_ends.tolist(), strict=True)
    keys = [parsed.canonical(text[start:end]) for start, end in ranges]
    if len(set(keys)) < len(keys):
        seen: set[bytes] = set()
        twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Inconsistent(f"{labels.parse(twice)} is pushed twice")
    about = _about(group)
    pushed = _families(keys, parsed.metadata)
    pushed |= {name: frozenset([key]) for name, key in zip((PUSHED, FAILED), about, strict=True)}
    replaced = before if replace else {name: before.get(name, frozenset()) for name in pushed}
    gone = frozenset().union(*replaced.values()) - {*keys, *about}
    kept = {} if replace else before
    ticks, seconds = now
    columns = _points(parsed.columns.values, [STALE] * len(gone), [seconds, 0.0], ticks)
    metadata = (*parsed.metadata, *ABOUT)
    made = _parsed([*keys, *sorted(gone), *about], columns, metadata, parsed.exemplars)
    return Push(made, {**kept, **pushed})


def removal_of(before: Families, ticks: int) -> Parsed:
    """Everything of the group goes, and what was said about it."""
    gone = sorted(frozenset().union(*before.values()))
    return _parsed(gone, _points([STALE] * len(gone), [], [], ticks), ())


def failure_of(group: Extra, now: tuple[int, float]) -> Parsed:
    """A push that was refused."""
    ticks, seconds = now
    return _parsed(_about(group)[1:], _points([], [], [seconds], ticks), ABOUT[1:])


def _about(group: Extra) -> list[bytes]:
    return [labels.canonical_pairs([(NAME, n.encode()), *group]) for n in (PUSHED, FAILED)]


def _families(
    keys: Iterable[bytes], metadata: Iterable[FamilyMetadata]
) -> dict[str, frozenset[bytes]]:
    """Keys by family. A family that is named and has no series counts: it is emptied."""
    kinds = {family.family: family.kind for family in metadata}
    found: dict[str, set[bytes]] = {name: set() for name in kinds}
    for key in keys:
        name = labels.parse(key).name
        found.setdefault(_family(name, kinds), set()).add(key)
    return {name: frozenset(of_it) for name, of_it in found.items()}


def _family(name: str, kinds: Mapping[str, str]) -> str:
    if name in kinds:
        return name
    head, mark, tail = name.rpartition("_")
    if mark and mark + tail in SUFFIXES.get(kinds.get(head, ""), ()):
        return head
    return name


def _points(
    values: Iterable[float], more: Iterable[float], about: Iterable[float], ticks: int
) -> Columns:
    found = np.concatenate([np.asarray(part, np.float64) for part in (values, more, about)])
    stamps = np.full(found.size, ticks, np.int64)
    return Columns(np.arange(found.size + 1, dtype=np.int64), stamps, found)


def _parsed(
    keys: list[bytes],
    columns: Columns,
    metadata: tuple[FamilyMetadata, ...],
    exemplars: tuple[Exemplar, ...] = (),
) -> Parsed:
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    text = np.frombuffer(b"".join(keys), np.uint8)
    return Parsed(FORM, text, starts, ends, columns, bytes, metadata=metadata, exemplars=exemplars)
