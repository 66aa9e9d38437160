"""Which series fulfil matchers, and what values a label has.

    in   matchers
    out  refs, ascending; names and values, sorted

A label's list holds the refs of all series that carry it. The cheapest demand of a selector, a
label or a set of them, gives the candidates; every other matcher looks at the candidates' rows.
So a selection costs what its most selective matcher finds, and no set of a million refs is
built to be thrown away (docs/decisions/0004-postings.md).

A regex is asked once for each distinct value, and only for values that matter: those of the
candidates, or all values of its label where those are fewer. Verdicts are remembered; a value
that is new has none yet and is asked then.

Threads: `lock` is held while lists and states are read or changed. Rows and label bytes of
visible series never change, so filtering needs no lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tsdb.batch import U8s, U32s
from tsdb.index import kernels as k
from tsdb.index.kernels import columns as column_kernels
from tsdb.index.kernels import lists as list_kernels
from tsdb.index.kernels import rows as row_kernels
from tsdb.index.labels import LENGTH_BYTES
from tsdb.index.matchers import Matcher, Op
from tsdb.index.pattern import Pattern
from tsdb.index.tables import Tables
from tsdb.index.verdicts import VerdictCache

ROOT = 0  # the list of all names
ANYTHING = ".+"
DENSE = 256  # refs per found one up to which marking bits beats sorting
NOTHING: U32s = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Condition:
    """A matcher on a label name that exists.

    A value passes if (it is one of `values`) == inside, a missing label if `missing`. A pattern
    that was not put to its label's values yet has `values` None.
    """

    name: int  # list id
    inside: bool
    missing: bool
    values: U32s | None
    pattern: Pattern | None

    @property
    def demanding(self) -> bool:
        """Its lists hold all series that fulfil it."""
        return self.inside and not self.missing


class Postings:
    """Reads one generation of tables."""

    def __init__(self, tables: Tables, lock: threading.Lock) -> None:
        self._tables = tables
        self._lock = lock
        self._verdicts = VerdictCache(tables)

    def select(self, matchers: Sequence[Matcher]) -> U32s:
        """Refs of visible series that fulfil all matchers, ascending."""
        judged: dict[Matcher, U32s] = {}
        while True:
            with self._lock:
                conditions = self._resolve(matchers, judged)
                if conditions is None:
                    return NOTHING
                driver, total = self._cheapest(list(conditions.values()))
                open_ = {
                    matcher: self._list(condition.name)
                    for matcher, condition in conditions.items()
                    if condition.values is None
                    and condition.demanding
                    and int(self._tables.pairs[1][condition.name, k.COUNT]) <= total
                }
                if not open_:
                    refs = self._candidates(driver, total)
                    break
            # Without the lock: a regex over many values takes its time.
            for matcher, values in open_.items():
                pattern = conditions[matcher].pattern
                assert pattern is not None
                verdicts = self._verdicts.of(conditions[matcher].name, pattern)
                judged[matcher] = verdicts.matching(values)
        refs = self._ascending(refs, driver)
        for condition in conditions.values():
            if condition is not driver and refs.size:
                refs = self._filter(refs, condition)
        return refs

    def names(self, refs: U32s | None) -> list[str]:
        """Label names of visible series, or of `refs`."""
        if refs is None:
            with self._lock:
                names = self._living(self._list(ROOT))
        else:
            keys, records = self._tables.keys, self._tables.pairs[1]
            used = np.zeros(len(records), np.uint8)
            column_kernels.mark_pairs(keys, refs, np.empty(refs.size, np.uint8), used)
            names = np.unique(records[np.flatnonzero(used), k.NAME])
        return sorted(
            self._tables.bytes_of(name)[LENGTH_BYTES:].decode() for name in names.tolist()
        )

    def values(self, name: str, refs: U32s | None) -> list[str]:
        """Values that the label has in visible series, or in `refs`."""
        with self._lock:
            number = self._tables.find(name_field(name))
            if number < 0:
                return []
            if refs is None:
                found = self._living(self._list(number))
        if refs is not None:
            found = _distinct(self.value_ids(number, refs), self._tables)
        return sorted(self.texts(found))

    def value_ids(self, number: int, refs: U32s) -> U32s:
        """For each ref, the id of its value of the label with list id `number`; 0 for none."""
        ids = np.empty(refs.size, np.uint32)
        row_kernels.values_of(self._tables.keys, self._tables.pairs, refs, number, ids)
        return ids

    def texts(self, values: U32s) -> list[str]:
        """Values by id."""
        text, offsets = self._verdicts.joined(values)
        ends = offsets.tolist()
        return [text[start : end - 1].decode() for start, end in pairwise(ends)]

    def _resolve(
        self, matchers: Sequence[Matcher], judged: dict[Matcher, U32s]
    ) -> dict[Matcher, Condition] | None:
        """Conditions on labels that exist; None if no series can fulfil them all."""
        conditions = {}
        for matcher in matchers:
            name = self._tables.find(name_field(matcher.name))
            if name < 0:
                if not matcher.matches_empty:
                    return None
                continue
            condition = self._condition(name, matcher, judged.get(matcher))
            if condition.demanding and condition.values is not None and not condition.values.size:
                return None
            conditions[matcher] = condition
        return conditions

    def _condition(self, name: int, matcher: Matcher, judged: U32s | None) -> Condition:
        missing = matcher.matches_empty
        if matcher.op is Op.NOT_EQUAL and not matcher.value:
            return Condition(name, True, False, judged, Pattern.of(ANYTHING))
        pattern = matcher.pattern if matcher.op.regex else None
        if pattern is not None and pattern.literals is None:
            return Condition(name, not matcher.op.negative, missing, judged, pattern)
        literals = [matcher.value.encode()]
        if pattern is not None and pattern.literals is not None:
            literals = list(pattern.literals)
        field = name_field(matcher.name)
        pairs = [
            self._tables.find(field + len(value).to_bytes(LENGTH_BYTES, "little") + value)
            for value in literals
            if 0 < len(value) < 1 << 16
        ]
        # A label of series that are only assigned is in no list yet, and has no rank.
        records = self._tables.pairs[1]
        listed = [pair for pair in pairs if pair >= 0 and records[pair, k.COUNT]]
        values = np.array(listed, np.uint32)
        return Condition(name, not matcher.op.negative, missing, values, None)

    def _cheapest(self, conditions: Sequence[Condition]) -> tuple[Condition | None, int]:
        """The demand with the fewest series, and how many; all series if there is none."""
        driver, total = None, int(self._tables.counts[k.DEFINED])
        for condition in conditions:
            if condition.demanding and condition.values is not None:
                held = int(self._tables.pairs[1][condition.values, k.COUNT].sum(dtype=np.int64))
                if driver is None or held < total:
                    driver, total = condition, held
        return driver, total

    def _candidates(self, driver: Condition | None, total: int) -> U32s:
        tables = self._tables
        if driver is None:
            refs = np.empty(total, np.uint32)
            list_kernels.all_visible(tables.state, refs)
            return refs
        assert driver.values is not None
        refs = np.empty(total, np.uint32)
        list_kernels.read_lists(tables.pairs, tables.cells, driver.values, refs)
        if tables.counts[k.DEAD]:
            refs = refs[: list_kernels.keep_visible(refs, tables.state, refs)]
        return refs

    def _ascending(self, refs: U32s, driver: Condition | None) -> U32s:
        if driver is None or driver.values is None:
            return refs
        if driver.values.size == 1 and not self._tables.counts[k.UNSORTED]:
            return refs
        if refs.size * DENSE < self._tables.state.size:
            return np.sort(refs)
        words = np.zeros(self._tables.state.size // 64 + 1, np.uint64)
        return refs[: list_kernels.ascending(refs, words, refs)]

    def _filter(self, refs: U32s, condition: Condition) -> U32s:
        tables = self._tables
        values = condition.values
        kept = np.empty(refs.size, np.uint32)
        if values is not None and values.size == 1 and condition.missing != condition.inside:
            wanted = int(condition.inside)
            held = row_kernels.keep_pair(tables.keys, refs, int(values[0]), wanted, kept)
            return kept[:held]
        if values is not None and not values.size and not condition.inside and condition.missing:
            return refs  # != a value that no series has
        ids = self.value_ids(condition.name, refs)
        if values is None:
            assert condition.pattern is not None
            verdicts = self._verdicts.of(condition.name, condition.pattern)
            table = verdicts.judge(_distinct(ids, tables))
        else:
            table = _table(tables.pairs[1][values, k.RANK])
        held = row_kernels.keep_values(
            tables.pairs, refs, ids, table, condition.inside, condition.missing, kept
        )
        return kept[:held]

    def _list(self, number: int) -> U32s:
        tables = self._tables
        items = np.empty(int(tables.pairs[1][number, k.COUNT]), np.uint32)
        list_kernels.read_lists(tables.pairs, tables.cells, np.array([number], np.uint32), items)
        return items

    def _living(self, numbers: U32s) -> U32s:
        """Of pairs or names, those that some visible series has."""
        living: U32s = numbers[self._tables.pairs[1][numbers, k.LIVE] > 0]
        return living


def name_field(text: str) -> bytes:
    encoded = text.encode()
    # A name too long for its length field is no series' label; it finds nothing.
    return min(len(encoded), 0xFFFF).to_bytes(LENGTH_BYTES, "little") + encoded


def _distinct(ids: U32s, tables: Tables) -> U32s:
    """Each id once, without 0, ascending; marking beats sorting where ids are many."""
    pairs = len(tables.pairs[1])
    if ids.size * 8 < pairs:
        found: U32s = np.unique(ids)
        return found[np.searchsorted(found, 1) :]
    seen = np.zeros(pairs, np.bool_)
    seen[ids] = True
    seen[0] = False
    return np.flatnonzero(seen).astype(np.uint32)


def _table(ranks: U32s) -> U8s:
    """Verdicts by rank with YES for the given ones."""
    table = np.zeros(int(ranks.max()) + 1 if ranks.size else 0, np.uint8)
    table[ranks] = row_kernels.YES
    return table
