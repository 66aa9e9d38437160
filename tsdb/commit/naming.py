"""From the names that senders use to refs.

    in   Parsed
    out  a ref for each run, NO_REF where there can be none; definitions of the series that are new

Three steps, each for fewer runs: ranges that were seen before are found in a table (Aliases); the
others are made canonical and found in the registry; what is not there begins here. Names of two
parts (`Parsed.tail_starts`) cost one look for the head of a line and one a field: heads get
numbers, and a number and a tail are a short key. Numbers are never used twice, so the table may
forget them at any time.

Keys that a parser made in bulk are believed no more than others: the registry checks each.

Price: 60 ns a known run, 25 ns a field of a known head; a new series 1.5 µs where the parser has
`canonical_many`, else 20 and more for its `canonical`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tsdb.batch import TAIL_MARK, I64s, Parsed, SeriesDefinitions, U8s, U32s
from tsdb.commit import kernels
from tsdb.commit.joining import joined_definitions
from tsdb.commit.request import Refusals
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import parse as parse_labels
from tsdb.index.registry import NO_REF, Aliases, Registry

__all__ = ["CANONICAL", "Naming", "spoken"]

CANONICAL = "canonical"  # the form of keys that are canonical label bytes already
HEADS = "/heads"  # of a form with names of two parts
HEADS_MAX = 1 << 31  # numbers given out before they start again, with nothing remembered
STEP_RUNS = 4096  # made canonical at once: keys may be much longer than what senders wrote
Ranges = tuple[U8s, I64s, I64s]


def spoken(parsed: Parsed, run: int) -> bytes:
    """What the sender calls the series of a run, as `Parsed.canonical` takes it."""
    raw = parsed.key_bytes[parsed.key_starts[run] : parsed.key_ends[run]].tobytes()
    if parsed.tail_starts is None or parsed.tail_ends is None:
        return raw
    return (
        raw
        + TAIL_MARK
        + parsed.key_bytes[parsed.tail_starts[run] : parsed.tail_ends[run]].tobytes()
    )


@dataclass(slots=True)
class _Body:
    """One request on its way through `Naming.resolve`."""

    parsed: Parsed
    ranges: Ranges
    refusals: Refusals
    begun: list[SeriesDefinitions] = field(default_factory=list)
    refused: set[bytes] = field(default_factory=set)  # names and keys: each is told once

    def begin(self, definitions: SeriesDefinitions) -> None:
        if definitions.count:
            self.begun.append(definitions)


class Naming:
    """All series of one database; one thread."""

    def __init__(self, registry: Registry, *, series_max: int) -> None:
        self._registry = registry
        self._aliases = Aliases()
        self._series_max = series_max
        self._heads = 0  # numbers given out

    def known(self, form: str, keys: U8s, starts: I64s, ends: I64s) -> U32s:
        """Refs of key ranges, NO_REF where a range was never seen."""
        with self._registry.lock:
            if form == CANONICAL:
                return self._registry.lookup(keys, starts, ends)
            return self._aliases.lookup(form, keys, starts, ends)

    def known_runs(self, parsed: Parsed) -> U32s:
        """Refs of the runs, NO_REF where a name was never seen."""
        return self.known(parsed.form, *self._short(parsed))

    def resolve(self, parsed: Parsed, refusals: Refusals) -> tuple[U32s, SeriesDefinitions]:
        """A ref for each run. `refusals` says which series cannot be, or may not begin."""
        ranges = self._short(parsed)
        refs = self.known(parsed.form, *ranges)
        unknown = np.flatnonzero(refs == NO_REF)
        if not unknown.size:
            return refs, SeriesDefinitions.none()
        body = _Body(parsed, ranges, refusals)
        with contextlib.ExitStack() as undo:
            # If this request ends here, what it began is never logged and must not be found.
            undo.callback(lambda: self.forget(joined_definitions(body.begun).refs))
            for low in range(0, unknown.size, STEP_RUNS):
                runs = unknown[low : low + STEP_RUNS]
                if low:  # a part before may have had the same names
                    refs[runs] = self.known(parsed.form, *_some(ranges, runs))
                    runs = runs[refs[runs] == NO_REF]
                refs[runs] = self._named(body, runs)
            undo.pop_all()
        return refs, joined_definitions(body.begun)

    def forget(self, refs: U32s) -> None:
        """Forget series that nothing holds points of, and every name senders have for series."""
        with self._registry.lock:
            self._registry.forget(refs)
            self._aliases.clear()

    def _named(self, body: _Body, runs: I64s) -> U32s:
        """Refs of runs whose names are not known."""
        data, offsets = self._canonical(body, runs)
        there = np.diff(offsets) > 0
        found = np.full(runs.size, NO_REF, np.uint32)
        if not there.all():
            offsets = np.append(offsets[:-1][there], offsets[-1])  # an empty key takes no bytes
        found[there] = self._find_or_assign(body, data, offsets)
        if body.parsed.form != CANONICAL:
            with self._registry.lock:
                self._aliases.add_ranges(body.parsed.form, *_some(body.ranges, runs), found)
        return found

    def _short(self, parsed: Parsed) -> Ranges:
        """Ranges that name the runs in the table of aliases."""
        if parsed.tail_starts is None or parsed.tail_ends is None:
            return parsed.key_bytes, parsed.key_starts, parsed.key_ends
        if self._heads > HEADS_MAX:
            self._aliases.clear()  # all that has such a number in it
            self._heads = 0
        runs = parsed.columns.runs
        first, head_of = np.empty(runs, np.int64), np.empty(runs, np.int64)
        first = first[: kernels.heads(parsed.key_starts, parsed.key_ends, first, head_of)]
        numbers = self._numbers_of(
            parsed.form + HEADS,
            parsed.key_bytes,
            parsed.key_starts[first],
            parsed.key_ends[first],
        )
        room = int((parsed.tail_ends - parsed.tail_starts).sum()) + runs * kernels.NUMBER_BYTES
        out, offsets = np.empty(room, np.uint8), np.empty(runs + 1, np.int64)
        kernels.numbered(
            numbers, head_of, parsed.key_bytes, parsed.tail_starts, parsed.tail_ends, out, offsets
        )
        return out, offsets[:-1], offsets[1:]

    def _numbers_of(self, form: str, keys: U8s, starts: I64s, ends: I64s) -> U32s:
        with self._registry.lock:
            numbers = self._aliases.lookup(form, keys, starts, ends)
            unknown = np.flatnonzero(numbers == NO_REF)
            if unknown.size:
                # One head that comes twice gets two numbers; the second is remembered.
                fresh = np.arange(self._heads, self._heads + unknown.size, dtype=np.uint32)
                self._heads += unknown.size
                self._aliases.add_ranges(form, keys, starts[unknown], ends[unknown], fresh)
                numbers[unknown] = fresh
        return numbers

    def _canonical(self, body: _Body, runs: I64s) -> tuple[U8s, I64s]:
        """Canonical keys of runs back to back; an empty one where there can be none."""
        parsed = body.parsed
        slow, keys = list(range(runs.size)), [b""] * runs.size
        if parsed.canonical_many is not None:
            data, offsets = parsed.canonical_many(runs)
            assert offsets.size == runs.size + 1
            slow = np.flatnonzero(np.diff(offsets) <= 0).tolist()
            if not slow:
                return data, offsets
            text = data.tobytes()
            keys = [text[a:b] for a, b in itertools.pairwise(offsets.tolist())]
        known: dict[bytes, bytes] = {}
        for i in slow:
            raw = spoken(parsed, int(runs[i]))
            if raw not in known and raw not in body.refused:
                try:
                    known[raw] = parsed.canonical(raw)
                except InvalidInput as error:
                    body.refused.add(raw)
                    body.refusals.add_error(error)
            keys[i] = known.get(raw, b"")
        return _back_to_back(keys)

    def _find_or_assign(self, body: _Body, data: U8s, offsets: I64s) -> U32s:
        """Refs of canonical keys: of a known series, or of one that begins here."""
        with self._registry.lock:
            room = max(0, self._series_max - self._registry.count)
            if offsets.size - 1 <= room:
                found, definitions = self._registry.assign_many(data, offsets)
                body.begin(definitions)
                return found
            found = self._registry.lookup(data, offsets[:-1], offsets[1:])
            unknown = np.flatnonzero(found == NO_REF)
            missing = [data[offsets[i] : offsets[i + 1]].tobytes() for i in unknown.tolist()]
            new = list(dict.fromkeys(missing))
            definitions = self._registry.assign(new[:room])
        body.begin(definitions)
        self._refuse_series([key for key in new[room:] if key not in body.refused], body.refusals)
        body.refused.update(new[room:])
        refs = dict(zip(new, definitions.refs.tolist(), strict=False))
        found[unknown] = [refs.get(key, NO_REF) for key in missing]
        return found

    def _refuse_series(self, keys: Sequence[bytes], refusals: Refusals) -> None:
        for key in keys:
            refusals.add_error(
                LimitExceeded(
                    f"new series {parse_labels(key)} refused: the database holds all it may; "
                    "series that exist are still written",
                    limit="SERIES_MAX",
                    value=self._series_max,
                )
            )


def _some(ranges: Ranges, runs: I64s) -> Ranges:
    data, starts, ends = ranges
    return data, starts[runs], ends[runs]


def _back_to_back(keys: Sequence[bytes]) -> tuple[U8s, I64s]:
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    return np.frombuffer(b"".join(keys), np.uint8), offsets
