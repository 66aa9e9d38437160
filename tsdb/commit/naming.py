"""From the names that senders use to refs.

    in   Parsed
    out  a ref for each run, NO_REF where there can be none; definitions of the series that are new

Three steps, each for fewer runs: ranges that were seen before are found in a table (Aliases); the
others are made canonical and found in the registry; what is not there begins here. Names of two
parts (`Parsed.tail_starts`) cost one look for the head of a line and one a field: heads get
numbers, and a number and a tail are a short key. Numbers are never used twice, so the table may
forget them at any time.

Price: 60 ns a known run, 25 ns a field of a known head; some microseconds a new series where
the parser has `canonical_many`, else 20 and more for its `canonical`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tsdb.batch import TAIL_MARK, I64s, Parsed, SeriesDefinitions, U8s, U32s
from tsdb.commit import kernels
from tsdb.commit.request import Refusals
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import parse as parse_labels
from tsdb.index.registry import NO_REF, Aliases, Registry

__all__ = ["CANONICAL", "Naming", "spoken"]

CANONICAL = "canonical"  # the form of keys that are canonical label bytes already
HEADS = "/heads"  # of a form with names of two parts
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

    def resolve(self, parsed: Parsed, refusals: Refusals) -> tuple[U32s, SeriesDefinitions]:
        """A ref for each run. `refusals` says which series cannot be, or may not begin."""
        keys, starts, ends = self._short(parsed)
        refs = self.known(parsed.form, keys, starts, ends)
        unknown = np.flatnonzero(refs == NO_REF)
        if not unknown.size:
            return refs, SeriesDefinitions.none()
        text = keys.tobytes()
        raws = [text[starts[i] : ends[i]] for i in unknown]
        runs: dict[bytes, int] = {}  # the first of each, in their order: refs are given out so
        for raw, run in zip(raws, unknown.tolist(), strict=True):
            runs.setdefault(raw, run)
        names, canonical = self._canonical(parsed, runs, refusals)
        found, definitions = self._find_or_assign(canonical, refusals)
        if parsed.form != CANONICAL:
            there = found != NO_REF
            with self._registry.lock:
                self._aliases.add_many(
                    parsed.form,
                    [raw for raw, is_there in zip(names, there.tolist(), strict=True) if is_there],
                    found[there],
                )
        by_raw = dict(zip(names, found.tolist(), strict=True))
        refs[unknown] = [by_raw.get(raw, NO_REF) for raw in raws]
        return refs, definitions

    def forget(self, refs: U32s) -> None:
        """Forget series that nothing holds points of, and every name senders have for series."""
        with self._registry.lock:
            self._registry.forget(refs)
            self._aliases.clear()

    def _short(self, parsed: Parsed) -> Ranges:
        """Ranges that name the runs in the table of aliases."""
        if parsed.tail_starts is None or parsed.tail_ends is None:
            return parsed.key_bytes, parsed.key_starts, parsed.key_ends
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
                text = keys.tobytes()
                raws = [text[starts[i] : ends[i]] for i in unknown]
                fresh = {raw: self._heads + n for n, raw in enumerate(dict.fromkeys(raws))}
                self._heads += len(fresh)
                values = np.array(list(fresh.values()), np.uint32)
                self._aliases.add_many(form, list(fresh), values)
                numbers[unknown] = [fresh[raw] for raw in raws]
        return numbers

    def _canonical(
        self, parsed: Parsed, runs: dict[bytes, int], refusals: Refusals
    ) -> tuple[list[bytes], list[bytes]]:
        """Names that can be made canonical, and their canonical keys."""
        quick: list[bytes] = [b""] * len(runs)
        if parsed.canonical_many is not None:
            data, offsets = parsed.canonical_many(np.array(list(runs.values()), np.int64))
            text, at = data.tobytes(), offsets.tolist()
            quick = [text[a:b] for a, b in itertools.pairwise(at)]
        names, keys = [], []
        for (raw, run), key in zip(runs.items(), quick, strict=True):
            try:
                keys.append(key or parsed.canonical(spoken(parsed, run)))
            except InvalidInput as error:
                refusals.add_error(error)
            else:
                names.append(raw)
        return names, keys

    def _find_or_assign(
        self, keys: list[bytes], refusals: Refusals
    ) -> tuple[U32s, SeriesDefinitions]:
        """Refs of canonical keys: of a known series, or of one that begins here."""
        with self._registry.lock:
            found = self._registry.lookup(*_ranges(keys))
            unknown = np.flatnonzero(found == NO_REF)
            missing = [keys[i] for i in unknown.tolist()]
            new = list(dict.fromkeys(missing))
            room = max(0, self._series_max - self._registry.count)
            if len(new) > room:
                self._refuse_series(new[room:], refusals)
                new = new[:room]
            if not new:
                return found, SeriesDefinitions.none()
            definitions = self._registry.assign(new)
        refs = dict(zip(new, definitions.refs.tolist(), strict=True))
        found[unknown] = [refs.get(key, NO_REF) for key in missing]
        return found, definitions

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


def _ranges(keys: Sequence[bytes]) -> Ranges:
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    return np.frombuffer(b"".join(keys), np.uint8), offsets[:-1], offsets[1:]
