"""The database as a library user and the server see it.

    in   points by series, selectors, ranges
    out  Written, Selection

Thread-safe. Writers wait for the commit pipeline (`write`) or are called back (`submit`);
readers run on their own threads. The clock lives here, outside the engine.
"""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from tsdb import limits
from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed, U32s
from tsdb.commit.naming import CANONICAL
from tsdb.commit.request import Ack, Done, Request, Written
from tsdb.database.stats import Stats, collect
from tsdb.errors import InvalidInput, StorageFailed, TSDBError, Unavailable
from tsdb.index.labels import Labels, canonical
from tsdb.index.matchers import Matcher
from tsdb.index.selector import parse_selector, parse_series
from tsdb.log.control import Delete, Horizon

if TYPE_CHECKING:
    from tsdb.codec.resolution import Resolution
    from tsdb.commit.pipeline import Pipeline
    from tsdb.database.upkeep import Upkeep
    from tsdb.engine.engine import Engine
    from tsdb.engine.store import Store
    from tsdb.engine.weight import Weight
    from tsdb.index.reader import Reader
    from tsdb.log.protocol import Log
    from tsdb.promql.matrix import Matrix
    from tsdb.query.selection import Selection
    from tsdb.vfs import Lock

SeriesName: TypeAlias = str | Mapping[str, str]
Selector: TypeAlias = str | Sequence[Matcher]
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@dataclass(slots=True)
class Parts:
    """What a database is made of; put together by `tsdb.database.opening`."""

    store: Store
    engine: Engine
    log: Log
    lock: Lock
    pipeline: Pipeline | None  # None when opened read-only
    upkeep: Upkeep | None


class Database:
    """One open data directory. Use `tsdb.open`; close it, or use it in a `with` block."""

    def __init__(self, path: Path, parts: Parts, now_ticks: Callable[[], int]) -> None:
        self.path = path
        self._parts = parts
        self._now_ticks = now_ticks
        self._closed = False
        self._closing = threading.Lock()

    # --- writing ---------------------------------------------------------------------------

    def write(
        self,
        series: SeriesName,
        timestamps: npt.ArrayLike,
        values: npt.ArrayLike,
        *,
        ack: Ack = Ack.DISK,
    ) -> Written:
        """Append or overwrite points of one series; returns when they are fsynced and visible.

        `series` is a name (`sensors/kitchen/temp`), a full form (`cpu{host="a"}`) or a mapping of
        labels. Timestamps are int64 ticks of the database's resolution, in any order; the last
        point wins where timestamps repeat. Raises InvalidInput, Unavailable, StorageFailed.
        """
        if not isinstance(series, str | Mapping):
            raise InvalidInput("a series is a text or a mapping; write_many takes many of them")
        return self.write_many([series], [timestamps], [values], ack=ack)

    def write_many(
        self,
        series: Sequence[SeriesName],
        timestamps: Sequence[npt.ArrayLike],
        values: Sequence[npt.ArrayLike],
        *,
        ack: Ack = Ack.DISK,
    ) -> Written:
        """Many series at once, atomically: columns i belong to `series[i]`."""
        parsed = _parsed(series, timestamps, values)
        size = parsed.key_bytes.size + 16 * parsed.columns.points
        return self._wait(Request(done=_unset, ack=ack, size_bytes=size, parse=lambda: parsed))

    def submit(
        self, parse: Callable[[], Parsed], *, size_bytes: int, ack: Ack = Ack.DISK, done: Done
    ) -> None:
        """Queue a write without waiting. `parse` runs on the gate's thread, `done` is called once.

        Raises Unavailable (busy, closed, disk_full) or StorageFailed when it is not even queued.
        """
        self._pipeline().submit(Request(done=done, ack=ack, size_bytes=size_bytes, parse=parse))

    def submit_many(self, requests: Sequence[Request]) -> None:
        """Queue writes in this order; each hears through its `done`, also when it is refused."""
        self._pipeline().submit_many(requests)

    def delete(self, selector: Selector, start: int = INT64_MIN, end: int = INT64_MAX) -> int:
        """Delete points of matching series from start to end, inclusive; returns the series hit.

        Durable and visible when it returns. Points written later, in the same range too, live.
        """
        start, end = span_of(start, end)
        text = _text(selector)
        parse_selector(text, allow_empty=True)  # as every replay will: what is logged must apply
        return self._wait(Request(done=_unset, delete=Delete(text, start, end))).series

    def delete_one(
        self, labels: Mapping[str, str], start: int = INT64_MIN, end: int = INT64_MAX
    ) -> int:
        """As `delete`, of the one series with exactly these labels, however many they are."""
        start, end = span_of(start, end)
        return self._wait(
            Request(done=_unset, delete=Delete.of_key(canonical(labels), start, end))
        ).series

    def forget_before(self, ticks: int) -> None:
        """Move the retention horizon: older points vanish and are refused from now on."""
        self._wait(Request(done=_unset, horizon=Horizon(_tick(ticks))))

    def _wait(self, request: Request) -> Written:
        answered = threading.Event()
        outcomes: list[Written | TSDBError] = []

        def done(outcome: Written | TSDBError) -> None:
            outcomes.append(outcome)
            answered.set()

        request.done = done
        self._pipeline().submit(request)
        answered.wait()
        if isinstance(outcomes[0], TSDBError):
            raise outcomes[0]
        return outcomes[0]

    def _pipeline(self) -> Pipeline:
        if self._parts.pipeline is None:
            raise InvalidInput(f"{self.path} is open read-only")
        if self._closed:
            raise Unavailable("the database is closed", code="closed")
        return self._parts.pipeline

    def metadata(self) -> dict[str, FamilyMetadata]:
        """What senders said about metric families, by name."""
        with self._parts.engine.lock:
            return dict(self._parts.engine.annotations.families)

    def exemplars(
        self, selector: Selector, start: int = INT64_MIN, end: int = INT64_MAX
    ) -> list[Exemplar]:
        """Exemplars of matching series from start to end, inclusive, in the order they came."""
        start, end = span_of(start, end)
        index, refs = self.find(self._matchers(selector))
        keys = {index.key(ref) for ref in refs.tolist()}
        with self._parts.engine.lock:
            found = tuple(self._parts.engine.annotations.exemplars)
        return [e for e in found if start <= e.timestamp <= end and e.series in keys]

    # --- reading ---------------------------------------------------------------------------

    def select(
        self,
        selector: Selector,
        start: int = INT64_MIN,
        end: int = INT64_MAX,
        *,
        points_max: int = limits.POINTS_PER_SELECT_MAX,
    ) -> Selection:
        """Series that match, with their points where start <= timestamp <= end, as of one moment.

        Unknown series give an empty selection. Raises InvalidInput for a bad selector or end before
        start, LimitExceeded when more than `points_max` points match.
        """
        start, end = span_of(start, end)
        engine = self._open_engine()
        return engine.select(self._matchers(selector), start, end, points_max=points_max)

    def select_in_groups(
        self,
        selector: Selector,
        start: int = INT64_MIN,
        end: int = INT64_MAX,
        *,
        points_max: int = limits.GROUP_POINTS,
    ) -> Iterator[Selection]:
        """The same points, however many: series after series by the text of their labels, in
        selections of at most `points_max` points. A series of more comes in several."""
        start, end = span_of(start, end)
        engine = self._open_engine()
        return engine.groups(self._matchers(selector), start, end, points_max=points_max)

    def query(
        self,
        promql: str,
        start: int | None = None,
        end: int | None = None,
        step: int | None = None,
        *,
        points_max: int = limits.POINTS_PER_SELECT_MAX,
    ) -> Matrix:
        """What PromQL is worth: at `start` alone (now unless given), or every `step` to `end`.

        Times are ticks; of finer ones than milliseconds the rest is dropped, as PromQL counts in
        those. Raises InvalidInput, LimitExceeded; `tsdb.promql.errors.QueryFailed` where the
        points do not allow the query.
        """
        from tsdb.promql import query
        from tsdb.promql.matrix import matrix_of

        per_s = self.resolution.ticks_per_s
        source = query.Source(self.select, ticks_per_s=per_s, points_max=points_max)
        at = (self._now_ticks() if start is None else _tick(start)) * 1000 // per_s
        if end is None and step is None:
            answer = query.instant(source, promql, at)
        elif end is None or step is None or start is None:
            raise InvalidInput("a range needs start, end and step")
        else:
            until, every = _tick(end) * 1000 // per_s, _tick(step) * 1000 // per_s
            answer = query.over_range(source, promql, at, until, every)
        return matrix_of(answer, self.resolution)

    def series(
        self, selector: Selector = "{}", start: int = INT64_MIN, end: int = INT64_MAX
    ) -> list[Labels]:
        """Label sets of matching series, in order; with a range, those with points in it."""
        start, end = span_of(start, end)
        matchers = self._matchers(selector)
        if (start, end) != (INT64_MIN, INT64_MAX):
            return self.select(matchers, start, end).labels()
        index, refs = self.find(matchers)
        return index.labels_of_all(index.sort_refs(refs))

    def label_names(self) -> list[str]:
        return self._open_engine().registry.label_names()

    def label_values(self, name: str) -> list[str]:
        return self._open_engine().registry.label_values(name)

    # What follows names series by refs, which mean something to the Reader beside them alone.

    def find(self, matchers: Sequence[Matcher]) -> tuple[Reader, U32s]:
        """Matching series, ascending, whether they have points or not; and what names them."""
        index = self._open_engine().registry.reader()
        return index, index.select(matchers)

    def present(self, matchers: Sequence[Matcher], start: int, end: int) -> tuple[Reader, U32s]:
        """Matching series that may have points from start to end (tsdb.engine.presence)."""
        return self._open_engine().present(matchers, start, end)

    def weigh(self, matchers: Sequence[Matcher], start: int, end: int) -> Weight:
        """Bounds of what `select` would return, without reading it (tsdb.engine.weight)."""
        return self._open_engine().weigh(matchers, start, end)

    def holds(self, labels: Labels) -> bool:
        """Whether there is a series with these labels and no other."""
        return bool(self._open_engine().registry.exactly(labels).size)

    def span(self) -> tuple[int, int] | None:
        """The first and the last tick that may hold a point."""
        return self._open_engine().span()

    def _open_engine(self) -> Engine:
        if self._closed:
            raise Unavailable("the database is closed", code="closed")
        return self._parts.engine

    def _matchers(self, selector: Selector) -> tuple[Matcher, ...]:
        if isinstance(selector, str):
            return parse_selector(selector, allow_empty=True)
        return tuple(selector)

    # --- life ----------------------------------------------------------------------------------

    @property
    def resolution(self) -> Resolution:
        return self._parts.engine.resolution

    def now_ticks(self) -> int:
        """The database's clock, in ticks."""
        return self._now_ticks()

    def stats(self) -> Stats:
        """Figures about what is stored and what was done since opening."""
        return collect(self._parts)

    def tick(self) -> None:
        """One round of upkeep now; only needed when opened with background=False."""
        with self._latching():
            assert self._parts.upkeep is not None
            self._parts.upkeep.tick(self._now_ticks())

    @property
    def parts(self) -> Parts:
        """The parts, for the server's own figures and for tools; not a stable interface."""
        return self._parts

    def flush(self) -> int:
        """Turn all points in memory into blocks on disk; returns the number of blocks written."""
        with self._latching():
            parts = self.parts
            return parts.store.flush(parts.engine, parts.log)

    def compact(self) -> int:
        """Merge what is worth merging now; returns the number of merges done."""
        with self._latching():
            return self._parts.store.merge_all(self._parts.engine)

    def clean_tombstones(self) -> int:
        """Take deleted points off the disk; returns the number of blocks rewritten."""
        with self._latching():
            return self._parts.store.clean(self._parts.engine)

    def snapshot(self, path: str | Path) -> Path:
        """A consistent copy at `path` (hard links where possible), a data directory of its own."""
        with self._latching():
            parts = self.parts
            return parts.store.snapshot(parts.engine, parts.log, Path(path))

    @contextlib.contextmanager
    def _latching(self) -> Iterator[None]:
        """Upkeep that a caller asked for: when the disk fails, writes are refused from then on."""
        pipeline = self._pipeline()
        try:
            yield
        except StorageFailed as error:
            pipeline.latch(error)
            raise

    def close(self) -> None:
        """Commit what waits, stop the threads, release the directory. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            parts = self._parts
            with contextlib.ExitStack() as leaving:  # last in, first out; none keeps another away
                leaving.callback(parts.lock.release)
                leaving.callback(parts.store.close, parts.engine)
                leaving.callback(parts.log.close)
                if parts.pipeline is not None:
                    leaving.callback(parts.pipeline.close)
                if parts.upkeep is not None:
                    leaving.callback(parts.upkeep.close)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._parts.engine.registry.count} series"
        return f"<Database {self.path}, {state}>"


def _unset(outcome: Written | TSDBError) -> None:
    raise AssertionError(f"request answered before it had a caller: {outcome}")


def _text(selector: Selector) -> str:
    if isinstance(selector, str):
        return selector
    return "{" + ",".join(str(matcher) for matcher in selector) + "}"


def span_of(start: int, end: int) -> tuple[int, int]:
    """Both as ticks; InvalidInput if the end comes first."""
    start, end = _tick(start), _tick(end)
    if start > end:
        raise InvalidInput(f"end {end} is before start {start}")
    return start, end


def _tick(ticks: int) -> int:
    try:
        tick = operator.index(ticks)
    except TypeError:
        raise InvalidInput(f"a time is a whole number of ticks, not {ticks!r}") from None
    if not INT64_MIN <= tick <= INT64_MAX:
        raise InvalidInput(f"{tick} ticks are beyond int64")
    return tick


def _key(series: SeriesName) -> bytes:
    return canonical(parse_series(series) if isinstance(series, str) else series)


def _parsed(
    series: Sequence[SeriesName],
    timestamps: Sequence[npt.ArrayLike],
    values: Sequence[npt.ArrayLike],
) -> Parsed:
    if not len(series) == len(timestamps) == len(values):
        raise InvalidInput(
            f"{len(series)} series, but {len(timestamps)} columns of timestamps "
            f"and {len(values)} of values"
        )
    stamps = [_ticks(t, name) for t, name in zip(timestamps, series, strict=True)]
    floats = [_floats(v, name) for v, name in zip(values, series, strict=True)]
    for name, t, v in zip(series, stamps, floats, strict=True):
        if t.size != v.size:
            raise InvalidInput(f"{name}: {t.size} timestamps for {v.size} values")
    keys = [_key(name) for name in series]
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum([t.size for t in stamps]))).astype(np.int64)
    nothing = np.empty(0, np.int64)
    columns = Columns(
        offsets,
        np.concatenate([nothing, *stamps]),
        np.concatenate([np.empty(0, np.float64), *floats]),
    )
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))[: len(keys)]
    text = np.frombuffer(b"".join(keys), np.uint8)
    return Parsed(CANONICAL, text, starts, ends, columns, canonical=bytes)


def _ticks(timestamps: npt.ArrayLike, series: SeriesName) -> npt.NDArray[np.int64]:
    stamps = np.atleast_1d(np.asarray(timestamps))
    if stamps.dtype.kind == "M":
        raise InvalidInput(f"{series}: datetime64 timestamps; convert them to ticks first")
    if stamps.size and stamps.dtype.kind not in "iu":
        raise InvalidInput(f"{series}: timestamps must be integers (ticks), got {stamps.dtype}")
    if stamps.ndim != 1 or (stamps.dtype.kind == "u" and stamps.size and stamps.max() > INT64_MAX):
        raise InvalidInput(f"{series}: timestamps must be one column of int64")
    return stamps.astype(np.int64, copy=False)


def _floats(values: npt.ArrayLike, series: SeriesName) -> npt.NDArray[np.float64]:
    floats = np.atleast_1d(np.asarray(values))
    if floats.ndim != 1 or (floats.size and floats.dtype.kind not in "iufb"):
        raise InvalidInput(f"{series}: values must be one column of numbers, got {floats.dtype}")
    return floats.astype(np.float64, copy=False)
