"""Bodies of Prometheus remote_write, 1.0 and 2.0.

    in   a decoded body followed by PAD_BYTES zeros; the names this database's senders used so far
    out  Parsed: a run for each series with points; its key is the number of its label set (u32)

    parse_1   prometheus.WriteRequest
    parse_2   io.prometheus.write.v2.Request

Kernels read the body; only names that are new, metadata and exemplars see Python. What proto3
leaves out is 0: a value, a time. Times no tick can be, references to symbols that are not there and
native histograms cost themselves, in words; bytes that are no such message cost the body.

Price: tsdb.parse.kernels.remote_write, _2; 5 µs an exemplar, 3 µs a family's metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsdb import limits
from tsdb.batch import Columns, F64s, I64s, Parsed, U8s, U32s, U64s
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.parse.kernels import remote_write as kernels
from tsdb.parse.kernels import remote_write_2 as kernels_2
from tsdb.parse.kernels.protobuf import PAD_BYTES
from tsdb.parse.remote_keys import ListKeys, RangeKeys
from tsdb.parse.remote_names import KnownNames, Names
from tsdb.parse.remote_notes import Notes, read_notes_1, read_notes_2
from tsdb.parse.text_buffer import padded

__all__ = ["parse_1", "parse_2"]

MESSAGE_1, MESSAGE_2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
SERIES_BYTES_MIN = 4  # a series with a point, of which all is left out
SAMPLE_BYTES_MIN = 2
COLUMNS_BYTES_MIN, COLUMNS_BYTES_KEPT = 1 << 16, 4 << 20  # of bodies
REFS_MAX = 4 * limits.LABELS_PER_SERIES_MAX
NAME_NUMBER = 0  # of the symbol __name__
_NAME: U8s = padded(b"\x22\x08__name__", 0)
_NONE: U8s = np.zeros(0, np.uint8)


def parse_1(data: U8s, resolution: Resolution, known: KnownNames) -> Parsed:
    """A prometheus.WriteRequest. InvalidInput if it is none, LimitExceeded past a bound."""
    size = data.size - PAD_BYTES
    spill = _NONE
    with known.lock:
        known.begin()
        while True:
            walk = _Walk(size, resolution, known)
            status = kernels.series(
                data, size, walk.scale, known.ranges.arrays, known.seeds, spill, *walk.out
            )
            if status == kernels.NO_SPILL:
                spill = np.empty(size, np.uint8)
            elif not _made_room(status, known.ranges, size):
                break
        walk.check(status, MESSAGE_1)
        walk.take()
        if size and not walk.state[kernels.MESSAGES]:
            raise InvalidInput(f"the body holds nothing of {MESSAGE_1}; is it {MESSAGE_2}?")
        keys = RangeKeys(known.ranges, walk.numbers)
    notes = read_notes_1(data, walk.asides, keys, resolution)
    return walk.parsed(known.range_form, keys, notes)


def parse_2(data: U8s, resolution: Resolution, known: KnownNames) -> Parsed:
    """An io.prometheus.write.v2.Request. The same errors."""
    size = data.size - PAD_BYTES
    with known.lock:
        known.begin()
        symbols = _symbols(data, size, known)
        scratch = np.empty(4 * REFS_MAX, np.uint8)
        while True:
            walk = _Walk(size, resolution, known)
            status = kernels_2.series(
                data, size, walk.scale, known.lists.arrays, known.seeds,
                symbols, symbols.size, scratch, NAME_NUMBER, known.said(), *walk.out,
            )  # fmt: skip
            if not _made_room(status, known.lists, size + scratch.size):
                break
        walk.check(status, MESSAGE_2)
        walk.take()
        keys = ListKeys(known.lists, walk.numbers, known.symbols)
    notes = read_notes_2(data, walk.asides, keys, resolution, symbols)
    return walk.parsed(known.list_form, keys, notes, _left_out(walk.state))


def _symbols(data: U8s, size: int, known: KnownNames) -> U32s:
    """Numbers of the body's symbols."""
    if not known.symbols.count:  # so that its number is NAME_NUMBER
        _walk_symbols(_NAME, _NAME.size - PAD_BYTES, known)
    status, numbers, state = _walk_symbols(data, size, known)
    if status == kernels.WRONG:
        raise _wrong(MESSAGE_2, int(state[kernels.AT]))
    count, series = int(state[kernels.RUNS]), int(state[kernels.SERIES])
    if size and not count and not series:
        raise InvalidInput(f"the body holds nothing of {MESSAGE_2}; is it {MESSAGE_1}?")
    if count and known.symbols.text(int(numbers[0])):
        raise InvalidInput('the first symbol of a body must be ""')
    return numbers[:count]


def _walk_symbols(data: U8s, size: int, known: KnownNames) -> tuple[int, U32s, I64s]:
    numbers: U32s = np.empty(size // 2 + 1, np.uint32)
    while True:
        state: I64s = np.zeros(kernels.STATE_SIZE, np.int64)
        status = kernels_2.symbols(data, size, known.symbols.arrays, known.seeds, state, numbers)
        if not _made_room(status, known.symbols, size):
            return status, numbers, state


def _made_room(status: int, names: Names, text_bytes: int) -> bool:
    if status != kernels.NO_ROOM:
        return False
    names.grow(text_bytes)
    return True


class _Columns:
    """Where a walk puts what it finds; kept from body to body, as fresh memory costs time."""

    def __init__(self, size: int) -> None:
        points = min(size // SAMPLE_BYTES_MIN, limits.POINTS_PER_REQUEST_MAX) + 1
        runs = min(size // SERIES_BYTES_MIN, limits.POINTS_PER_REQUEST_MAX) + 1
        rows = min(size // SAMPLE_BYTES_MIN, limits.ASIDES_PER_REQUEST_MAX)
        self.size = size  # of the largest body they are for
        self.runs: U32s = np.empty(runs, np.uint32)
        self.offsets: I64s = np.empty(runs + 1, np.int64)
        self.stamps: I64s = np.empty(points, np.int64)
        self.values: U64s = np.empty(points, np.uint64)
        self.asides: I64s = np.empty((rows, kernels.ASIDE_SIZE), np.int64)


class _Walk:
    """What one walk over a body fills."""

    def __init__(self, size: int, resolution: Resolution, known: KnownNames) -> None:
        columns = known.columns
        if not isinstance(columns, _Columns) or columns.size < size:
            columns = _Columns(max(size, COLUMNS_BYTES_MIN))
            if size <= COLUMNS_BYTES_KEPT:
                known.columns = columns
        self._columns = columns
        ticks_per_s = resolution.ticks_per_s
        self.scale = ticks_per_s // 1000 if ticks_per_s >= 1000 else -(1000 // ticks_per_s)
        self.state: I64s = np.zeros(kernels.STATE_SIZE, np.int64)

    @property
    def out(self) -> tuple[Any, ...]:
        c = self._columns
        return self.state, c.runs, c.offsets, (c.stamps, c.values), c.asides

    def check(self, status: int, message: str) -> None:
        if status == kernels.WRONG:
            raise _wrong(message, int(self.state[kernels.AT]))
        if status == kernels.FULL or self.state[kernels.POINTS] > limits.POINTS_PER_REQUEST_MAX:
            raise LimitExceeded(
                "too many points in one request: split it",
                limit="POINTS_PER_REQUEST_MAX",
                value=limits.POINTS_PER_REQUEST_MAX,
            )
        assert status == kernels.DONE

    def take(self) -> None:
        """Copy what is kept; the next body may have the rest."""
        c = self._columns
        runs, points = int(self.state[kernels.RUNS]), int(self.state[kernels.POINTS])
        self.numbers: U32s = c.runs[:runs].copy()
        self.asides: I64s = c.asides[: int(self.state[kernels.ASIDES])].copy()
        values: F64s = c.values[:points].view(np.float64).copy()
        self.columns = Columns(c.offsets[: runs + 1].copy(), c.stamps[:points].copy(), values)

    def parsed(
        self,
        form: str,
        keys: RangeKeys | ListKeys,
        notes: Notes,
        refused: tuple[_Refusal, ...] = (),
    ) -> Parsed:
        numbers = self.numbers
        starts = np.arange(numbers.size, dtype=np.int64) * 4
        refused = (*refused, *_refusals(self.state, keys.named), *map(_Refusal, notes.refused))
        return Parsed(
            form,
            numbers.view(np.uint8),
            starts,
            starts + 4,
            self.columns,
            keys.canonical,
            tuple(one.sentence for one in refused),
            sum(one.count - 1 for one in refused),
            canonical_many=keys.canonical_many,
            metadata=notes.metadata,
            exemplars=notes.exemplars,
        )


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One sentence for `count` things that are not kept."""

    sentence: str
    count: int = 1


def _refusals(state: I64s, named: Callable[[int], str]) -> list[_Refusal]:
    found = []
    late = int(state[kernels.LATE])
    if late:
        series, ms = named(int(state[kernels.LATE_OF])), int(state[kernels.LATE_MS])
        more = f", and {late - 1:,} more such points" if late > 1 else ""
        sentence = f"{series}: timestamp {ms} ms is outside int64 ticks{more}"
        found.append(_Refusal(sentence, late))
    histograms = int(state[kernels.HISTOGRAMS])
    if histograms:
        series = named(int(state[kernels.HISTOGRAM_OF]))
        sentence = f"{histograms:,} native histograms are not kept, the first of {series}"
        found.append(_Refusal(f"{sentence}: send classic ones", histograms))
    more_asides = int(state[kernels.ASIDES_MORE])
    if more_asides:
        told = f"{more_asides:,} exemplars or metadata beyond the first are not kept"
        limit = f"(limit ASIDES_PER_REQUEST_MAX = {limits.ASIDES_PER_REQUEST_MAX:,})"
        found.append(_Refusal(f"{told} {limit}", more_asides))
    return found


def _left_out(state: I64s) -> tuple[_Refusal, ...]:
    """Series of 2.0 whose references lead nowhere."""
    count, points = int(state[kernels_2.BAD]), int(state[kernels_2.BAD_POINTS])
    if not count:
        return ()
    why = {
        kernels_2.ODD: "has a label name without a value",
        kernels_2.OUTSIDE: "refers to a symbol that is not there",
        kernels_2.MANY: f"has more than {REFS_MAX // 2} labels",
    }[int(state[kernels_2.BAD_WHY])]
    more = f", and {count - 1:,} more such series" if count > 1 else ""
    sentence = f"series {int(state[kernels_2.BAD_SERIES]) + 1} of the body {why}{more}"
    return (_Refusal(sentence, max(points, count)),)


def _wrong(message: str, at: int) -> InvalidInput:
    return InvalidInput(f"the body is no {message}: what begins at byte {at:,} cannot be read")
