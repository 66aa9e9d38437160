"""The gate: everything that may be refused is refused here, before the log.

    in   Parsed (series named in the sender's own bytes)
    out  Batch (series named by ref, new ones defined), and what was refused, in words

An accepted entry always applies, so cardinality, label and time bounds are checked here and
nowhere later. The clock is read here: the engine behind it has none.

Price: one kernel call a body for all names it knows (tsdb/commit/naming.py), and a look at the
smallest and the largest time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from tsdb import limits
from tsdb.batch import Batch, Columns, I64s, Parsed, SeriesDefinitions, U32s
from tsdb.commit.joining import joined_columns
from tsdb.commit.naming import Naming, spoken
from tsdb.commit.request import REFUSALS_TOLD_MAX, Refusals
from tsdb.engine.engine import Engine
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import parse as parse_labels
from tsdb.index.registry import NO_REF, Registry


class Gate:
    """Resolves and checks requests in arrival order; one thread."""

    def __init__(
        self,
        engine: Engine,
        now_ticks: Callable[[], int],
        *,
        series_max: int,
        future_ticks: int,
        naming: Registry | None = None,
    ) -> None:
        self._engine = engine
        self._naming = Naming(naming or engine.registry, series_max=series_max)
        self._now_ticks = now_ticks
        self._future_ticks = future_ticks

    def admit(self, parsed: Parsed, refusals: Refusals) -> Batch:
        """The part of `parsed` that is kept; it may be empty. `refusals` says what is not."""
        if parsed.columns.points > limits.POINTS_PER_REQUEST_MAX:
            raise LimitExceeded(
                f"{parsed.columns.points:,} points in one request: split it",
                limit="POINTS_PER_REQUEST_MAX",
                value=limits.POINTS_PER_REQUEST_MAX,
            )
        for why in parsed.skipped:
            refusals.add(why)
        refusals.count += parsed.skipped_more
        parsed = self._within_time(parsed, refusals)  # a series without points needs no ref
        refs, definitions = self._naming.resolve(parsed, refusals)
        batch = Batch(refs, parsed.columns, definitions)
        unknown = refs == NO_REF
        return _without_runs(batch, unknown) if unknown.any() else batch

    def admit_together(self, parsed: Sequence[Parsed]) -> Batch | None:
        """Several small requests as one batch, if nothing in them is new or refused; else None."""
        form = parsed[0].form
        parts = parsed[0].tail_starts is not None
        if any(
            p.form != form or p.skipped or p.skipped_more or (p.tail_starts is not None) != parts
            for p in parsed
        ):
            return None
        bases = np.cumsum([0, *[p.key_bytes.size for p in parsed]]).tolist()
        whole = replace(
            parsed[0],
            key_bytes=np.concatenate([p.key_bytes for p in parsed]),
            key_starts=_moved([p.key_starts for p in parsed], bases),
            key_ends=_moved([p.key_ends for p in parsed], bases),
            tail_starts=_moved([p.tail_starts for p in parsed], bases),
            tail_ends=_moved([p.tail_ends for p in parsed], bases),
            columns=joined_columns([p.columns for p in parsed]),
        )
        refs = self._naming.known_runs(whole)
        if (refs == NO_REF).any() or not self._is_within_time(whole.columns.timestamps):
            return None
        return Batch(refs, whole.columns, SeriesDefinitions.none())

    def forget(self, refs: U32s) -> None:
        """Forget series that nothing holds points of, and every name senders have for series."""
        self._naming.forget(refs)

    def _is_within_time(self, stamps: I64s) -> bool:
        if not stamps.size:
            return True
        newest = self._now_ticks() + self._future_ticks
        return int(stamps.max()) <= newest and int(stamps.min()) >= self._engine.version.horizon

    def _within_time(self, parsed: Parsed, refusals: Refusals) -> Parsed:
        stamps = parsed.columns.timestamps
        if self._is_within_time(stamps):
            return parsed
        newest = self._now_ticks() + self._future_ticks
        oldest = self._engine.version.horizon
        keep = (stamps <= newest) & (stamps >= oldest)
        for i in np.flatnonzero(~keep).tolist():
            if len(refusals.told) < REFUSALS_TOLD_MAX:
                bound = (
                    f"more than {self._future_ticks // self._engine.resolution.ticks_per_s} s "
                    "ahead of the clock"
                    if stamps[i] > newest
                    else f"older than retention keeps ({oldest})"
                )
                refusals.add(f"{_named(parsed, i)}: timestamp {stamps[i]} is {bound}")
            else:
                refusals.count += 1
        return _only(parsed, keep)


@overload
def _moved(places: Sequence[I64s], bases: Sequence[int]) -> I64s: ...
@overload
def _moved(places: Sequence[I64s | None], bases: Sequence[int]) -> I64s | None: ...
def _moved(places: Sequence[I64s | None], bases: Sequence[int]) -> I64s | None:
    """Places in texts that now lie one behind the other; None if there are none."""
    moved = [at + base for at, base in zip(places, bases, strict=False) if at is not None]
    return np.concatenate(moved) if moved else None


def _named(parsed: Parsed, point: int) -> str:
    """Which point of which series that is, as the sender knows it."""
    run = int(np.searchsorted(parsed.columns.offsets, point, side="right")) - 1
    try:
        series = str(parse_labels(parsed.canonical(spoken(parsed, run))))
    except InvalidInput as error:
        series = f"a series that cannot be ({error})"
    return f"point {point - int(parsed.columns.offsets[run]) + 1} of {series}"


def _only(parsed: Parsed, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Parsed:
    """Some points of `parsed`, and the runs that have any."""
    columns = parsed.columns
    offsets = np.concatenate(([0], np.cumsum(keep)))[columns.offsets].astype(np.int64)
    runs = np.flatnonzero(np.diff(offsets))
    left = Columns(
        np.append(offsets[runs], offsets[-1]), columns.timestamps[keep], columns.values[keep]
    )
    tails, tail_ends, many = parsed.tail_starts, parsed.tail_ends, parsed.canonical_many
    return replace(
        parsed,
        key_starts=parsed.key_starts[runs],
        key_ends=parsed.key_ends[runs],
        tail_starts=None if tails is None else tails[runs],
        tail_ends=None if tail_ends is None else tail_ends[runs],
        # The parser knows its runs by the numbers they had.
        canonical_many=None if many is None else lambda indices: many(runs[indices]),
        columns=left,
        skipped=(),
        skipped_more=0,
    )


def _without_runs(batch: Batch, drop: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Batch:
    counts = np.diff(batch.columns.offsets)
    keep = np.repeat(~drop, counts)
    offsets = np.zeros(int(np.count_nonzero(~drop)) + 1, np.int64)
    np.cumsum(counts[~drop], out=offsets[1:])
    columns = Columns(offsets, batch.columns.timestamps[keep], batch.columns.values[keep])
    return Batch(batch.refs[~drop], columns, batch.definitions)
