"""One scrape as one write: what the target said, what is gone, and how the scrape went.

    in   the answer, or why there is none; what was live after the scrape before
    out  Parsed: its points, stale markers for series that are gone, `up` and the others

All points of a scrape that bring no timestamp of their own share the scrape's. A failed scrape
writes a stale marker for everything that was live, so that queries do not go on with old values
for five minutes. Series with timestamps of their own are left out of that, unless the job says
track_timestamps_staleness: they end by themselves.

Runs on the gate's thread, one scrape of a target at a time. `Memory` only changes when `commit`
says that the write was kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from api.scrape.bucket_bounds import normalised
from api.scrape.config import Bounds, Job
from api.scrape.labelling import Labelling
from api.scrape.table import DROPPED, SeriesTable
from api.scrape.targets import Target
from tsdb.batch import Columns, Exemplar, FamilyMetadata, I64s, Parsed, U32s
from tsdb.errors import InvalidInput
from tsdb.index import labels as label_bytes

__all__ = ["STALE_BITS", "Harvest", "Memory", "Moment"]

Bools = npt.NDArray[np.bool_]

STALE_BITS: Final = 0x7FF0000000000002
STALE: Final = np.array([STALE_BITS], np.uint64).view(np.float64)
CANONICAL: Final = "canonical"  # tsdb.commit.gate: keys need no treatment
SPARE_ENTRIES = 10_000  # ranges a table may know beyond twice the live ones
REPORTS = (
    "up", "scrape_duration_seconds", "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling", "scrape_series_added",
)  # fmt: skip
# A label exposed as empty, in text that was parsed already: canonical keys do not have it.
_EMPTY = re.compile(rb'([^\s{},"=]+)\s*=\s*""')
BOUND_REPORTS = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a scrape is, and how long it took so far."""

    ticks: int
    took_s: Callable[[], float]
    body_bytes: int = 0


@dataclass(slots=True)
class Harvest:
    """What one scrape came to."""

    parsed: Parsed
    error: str
    live: U32s  # ids that get a stale marker when they are gone
    seen: U32s | None  # ids of a scrape that went well
    scraped: int = 0
    kept: int = 0
    added: int = 0
    metadata: tuple[FamilyMetadata, ...] | None = None
    refused: tuple[str, ...] = ()


@dataclass(slots=True)
class _Counts:
    scraped: int = 0
    kept: int = 0
    added: int = 0


@dataclass(slots=True)
class _Points:
    """What is left of an answer."""

    ids: U32s
    columns: Columns
    counts: _Counts


class Memory:
    """What is known of one target from one scrape to the next."""

    def __init__(self, job: Job, target: Target) -> None:
        self.job = job
        self.target = target
        self.metadata: tuple[FamilyMetadata, ...] = ()
        self._answer: Parsed | None = None  # while it is treated
        self._kinds: dict[str, str] | None = None
        self._labelling = Labelling(job, target)
        self._report_names = _reports_of(job.bounds)
        self._report_keys = [self._labelling.report_key(name) for name in self._report_names]
        self._table = SeriesTable(self._key_of)
        self._about = self._table.ids_of_keys(self._report_keys)
        # Of the last scrape that was kept, and of the last good one, as they came. Where all that
        # came is live they are one array, and where the same comes again nothing is computed.
        self._live: U32s = np.zeros(0, np.uint32)
        self._seen: U32s = self._live

    def reconfigured(self, job: Job, target: Target) -> Memory:
        """The same target under other rules: what is live stays so, nothing else is known."""
        fresh = Memory(job, target)
        fresh._live = fresh._table.ids_of_keys(self._table.keys(np.unique(self._live)))
        return fresh

    def succeeded(self, parse: Callable[[], Parsed], moment: Moment) -> Harvest:
        """An answer came. What is wrong with it makes a failed scrape of it."""
        if self._table.entries > 2 * self._seen.size + SPARE_ENTRIES:
            self._renew()
        counts = _Counts()
        try:
            answer = parse()
            points = self._treated(answer, counts)
        except InvalidInput as error:
            return self._failed(str(error), moment, counts)
        explicit = self._explicit(points, moment.ticks)
        live = points.ids if explicit is None else points.ids[~explicit]
        gone = self._beyond(self._live, points.ids)
        parsed = self._written(points.ids, points.columns, gone, moment, points.counts)
        metadata = answer.metadata if answer.metadata != self.metadata else ()
        exemplars = self._exemplars(answer.exemplars)
        told, self._table.refused = self._table.refused, []
        return Harvest(
            replace(parsed, metadata=metadata, exemplars=exemplars),
            "",
            live,
            points.ids,
            counts.scraped,
            counts.kept,
            counts.added,
            answer.metadata,
            (*answer.skipped, *told),
        )

    def failed(self, error: str, moment: Moment) -> Harvest:
        """No answer came."""
        return self._failed(error, moment, _Counts())

    def ended(self, ticks: int, others: Iterable[Memory]) -> Parsed:
        """Stale markers for everything, when the target is no more.

        Not for what another target has by now: it may have come back under another name.
        """
        ids = np.concatenate([np.unique(self._live), self._about])
        keys = self._table.keys(ids)
        taken = np.zeros(ids.size, np.bool_)
        for other in others:
            taken |= other._has(keys)
        ids = ids[~taken]
        return self._parsed(ids, _single(ticks, np.repeat(STALE, ids.size)))

    def _has(self, keys: Sequence[bytes]) -> Bools:
        live = np.concatenate([self._live, self._about])
        return np.isin(self._table.find(keys), live)

    def commit(self, harvest: Harvest) -> None:
        """The write of this harvest was kept."""
        self._live = harvest.live
        if harvest.seen is not None:
            self._seen = harvest.seen
        if harvest.metadata is not None:
            self.metadata = harvest.metadata

    def _failed(self, error: str, moment: Moment, counts: _Counts) -> Harvest:
        nothing = Columns(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))
        none = np.zeros(0, np.uint32)
        gone = np.unique(self._live)
        parsed = self._written(none, nothing, gone, moment, counts, failed=True)
        return Harvest(parsed, error, none, None, counts.scraped, counts.kept, counts.added)

    def _treated(self, answer: Parsed, counts: _Counts) -> _Points:
        """Labels attached, rules applied, bounds held."""
        columns = answer.columns
        counts.scraped = columns.points
        self._answer, self._kinds = answer, None
        try:
            ids = self._table.ids(answer.key_bytes, answer.key_starts, answer.key_ends)
        finally:
            self._answer = self._kinds = None
        dropped = ids == DROPPED
        if dropped.any():
            ids, columns = _without_runs(ids, columns, dropped)
        counts.kept = columns.points
        counts.added = int(self._beyond(ids, self._seen).size)
        limit = self.job.bounds.samples
        if limit and counts.kept > limit:
            raise InvalidInput(f"sample_limit exceeded: {counts.kept:,} points (limit {limit:,})")
        return _Points(ids, columns, counts)

    def _explicit(self, points: _Points, ticks: int) -> Bools | None:
        """Runs that brought timestamps; None where that makes no difference."""
        if self.job.track_timestamps_staleness or not self.job.honor_timestamps:
            return None
        own = points.columns.timestamps != ticks
        if not own.any():
            return None
        starts = points.columns.offsets[:-1]
        return np.logical_or.reduceat(own, starts) if starts.size else None

    def _written(
        self,
        ids: U32s,
        columns: Columns,
        gone: U32s,
        moment: Moment,
        counts: _Counts,
        *,
        failed: bool = False,
    ) -> Parsed:
        values = self._values(moment, counts, failed=failed)
        own = np.array([values[name] for name in self._report_names], np.float64)
        extra = np.concatenate([np.repeat(STALE, gone.size), own])
        all_ids = np.concatenate([ids, gone, self._about])
        return self._parsed(all_ids, _joined(columns, _single(moment.ticks, extra)))

    def _values(self, moment: Moment, counts: _Counts, *, failed: bool) -> Mapping[str, float]:
        return {
            "up": 0.0 if failed else 1.0,
            "scrape_duration_seconds": moment.took_s(),
            "scrape_samples_scraped": float(counts.scraped),
            "scrape_samples_post_metric_relabeling": float(counts.kept),
            "scrape_series_added": float(counts.added),
            "scrape_timeout_seconds": self.target.timeout_ms / 1_000,
            "scrape_sample_limit": float(self.job.bounds.samples),
            "scrape_body_size_bytes": float(moment.body_bytes),
        }

    def _parsed(self, ids: U32s, columns: Columns) -> Parsed:
        starts, ends = self._table.ranges(ids)
        return Parsed(CANONICAL, self._table.text, starts, ends, columns, bytes)

    def _exemplars(self, found: tuple[Exemplar, ...]) -> tuple[Exemplar, ...]:
        kept = []
        for exemplar in found:
            key = self._labelling.key(label_bytes.parse(exemplar.series))
            if key is not None:
                kept.append(replace(exemplar, series=key))
        return tuple(kept)

    def _renew(self) -> None:
        """Forget ranges that no longer come: a target's series may change for ever."""
        live, seen = (self._table.keys(np.unique(ids)) for ids in (self._live, self._seen))
        self._table = SeriesTable(self._key_of)
        self._about = self._table.ids_of_keys(self._report_keys)
        self._live, self._seen = self._table.ids_of_keys(live), self._table.ids_of_keys(seen)

    def _beyond(self, ids: U32s, others: U32s) -> U32s:
        """Ids that are not among the others, each once."""
        if ids is others or np.array_equal(ids, others):
            return np.zeros(0, np.uint32)
        mask = np.zeros(self._table.count, np.bool_)
        mask[ids] = True
        mask[others] = False
        return np.flatnonzero(mask).astype(np.uint32)

    def _key_of(self, raw: bytes) -> bytes | None:
        assert self._answer is not None
        if self._kinds is None:
            self._kinds = {family.family: family.kind for family in self._answer.metadata}
        canonical = normalised(self._answer.canonical(raw), self._kinds)
        if b'""' not in raw:
            plain = self._labelling.plain_key(canonical)
            if plain is not None:
                return plain
        exposed = dict(label_bytes.parse(canonical))
        for name in _EMPTY.findall(raw) if b'""' in raw else ():
            exposed.setdefault(name.decode(), "")
        return self._labelling.key(exposed)


def _reports_of(bounds: Bounds) -> tuple[str, ...]:
    """Bounds that are set are reported beside what is always."""
    wanted = (bounds.samples or bounds.body_bytes, bounds.samples, bounds.body_bytes)
    extra = zip(BOUND_REPORTS, wanted, strict=True)
    return REPORTS + tuple(name for name, is_wanted in extra if is_wanted)


def _single(ticks: int, values: npt.NDArray[np.float64]) -> Columns:
    """One point a run, all at one time."""
    offsets = np.arange(values.size + 1, dtype=np.int64)
    return Columns(offsets, np.full(values.size, ticks, np.int64), values)


def _joined(first: Columns, second: Columns) -> Columns:
    return Columns(
        np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
        np.concatenate([first.timestamps, second.timestamps]),
        np.concatenate([first.values, second.values]),
    )


def _without_runs(ids: U32s, columns: Columns, drop: Bools) -> tuple[U32s, Columns]:
    counts = np.diff(columns.offsets)
    points = np.repeat(~drop, counts)
    offsets: I64s = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[~drop])])
    left = Columns(offsets, columns.timestamps[points], columns.values[points])
    return ids[~drop], left
