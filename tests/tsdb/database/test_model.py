"""The database against a dictionary: whatever is written, overwritten, deleted, flushed, merged,
killed and reopened in any order, a read answers what the dictionary holds, bit for bit.

On the simulated disk: the real engine, log and blocks, without waiting for a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from crash.disk import SimulatedDisk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import tsdb
from tsdb.database.database import INT64_MAX, INT64_MIN

NAMES = ('cpu{host="a"}', 'cpu{host="b"}', 'cpu{host="c",core="0"}', "rooms/kitchen/temp")
HOUR_MS = 3_600_000
# Few distinct times, spread over several block windows, so that overwriting is common.
times = st.integers(0, 12).map(lambda k: k * HOUR_MS // 2 + 1_700_000_000_000 // HOUR_MS * HOUR_MS)
bits = st.one_of(
    st.integers(0, 2**64 - 1),  # any pattern, NaN payloads too
    st.sampled_from([0, 1 << 63, 0x7FF0000000000002, 0x3FF0000000000000]),
)
points = st.lists(st.tuples(times, bits), min_size=1, max_size=8)


def columns(chosen: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    stamps = np.array([t for t, _ in chosen], np.int64)
    return stamps, np.array([b for _, b in chosen], np.uint64).view(np.float64)


class Model(RuleBasedStateMachine):
    """`held[name][timestamp]` are the bits that a read must find."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.snapshots = 0
        self.held: dict[str, dict[int, int]] = {name: {} for name in NAMES}
        self.horizon = INT64_MIN

    @initialize()
    def open(self) -> None:
        self.db = tsdb.open("/db", files=self.disk, background=False)

    def teardown(self) -> None:
        self.db.close()

    @rule(name=st.sampled_from(NAMES), chosen=points)
    def write(self, name: str, chosen: list[tuple[int, int]]) -> None:
        kept = [(t, b) for t, b in chosen if t >= self.horizon]
        if not kept:
            return
        written = self.db.write(name, *columns(kept))
        assert written.points == len(kept)
        assert written.durable
        self.held[name].update(kept)

    @rule(chosen=st.dictionaries(st.sampled_from(NAMES), points, min_size=1))
    def write_many(self, chosen: dict[str, list[tuple[int, int]]]) -> None:
        kept = {n: [(t, b) for t, b in c if t >= self.horizon] for n, c in chosen.items()}
        if not any(kept.values()):
            return
        pairs = [columns(c) for c in kept.values()]
        self.db.write_many(list(kept), [p[0] for p in pairs], [p[1] for p in pairs])
        for name, c in kept.items():
            self.held[name].update(c)

    @rule(names=st.sets(st.sampled_from(NAMES)), a=times, b=times)
    def delete(self, names: set[str], a: int, b: int) -> None:
        start, end = min(a, b), max(a, b)
        for name in names:
            selector = name if "{" in name else '{__name__="' + name + '"}'
            self.db.delete(selector, start, end)
            self.held[name] = {t: v for t, v in self.held[name].items() if not start <= t <= end}

    @rule(at=times)
    def forget(self, at: int) -> None:
        self.db.forget_before(at)
        self.horizon = max(self.horizon, at)
        for name, held in self.held.items():
            self.held[name] = {t: v for t, v in held.items() if t >= self.horizon}

    @rule()
    def flush(self) -> None:
        self.db.flush()

    @rule()
    def merge(self) -> None:
        self.db.compact()

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = tsdb.open("/db", files=self.disk, background=False)

    @rule()
    def kill(self) -> None:
        """The process ends without a word; what it had written is still there."""
        left_behind = self.disk.copy()
        self.db.close()
        self.disk = left_behind
        self.db = tsdb.open("/db", files=self.disk, background=False)

    @precondition(lambda self: any(self.held.values()))
    @rule()
    def restore_a_snapshot(self) -> None:
        self.snapshots += 1
        target = Path(f"/snapshot-{self.snapshots}")
        self.db.snapshot(target)
        with tsdb.open(target, files=self.disk, read_only=True) as copy:
            self.check(copy, INT64_MIN, INT64_MAX)

    @rule(a=times, b=times)
    def read_a_range(self, a: int, b: int) -> None:
        self.check(self.db, min(a, b), max(a, b))

    @invariant()
    def everything_is_there(self) -> None:
        if hasattr(self, "db"):
            self.check(self.db, INT64_MIN, INT64_MAX)

    def check(self, db: tsdb.Database, start: int, end: int) -> None:
        expected = {}
        for name, held in self.held.items():
            within = {t: v for t, v in held.items() if start <= t <= end}
            if within:
                expected[name] = within
        found = {}
        for series in db.select("{}", start, end):
            values = series.values.view(np.uint64).tolist()
            assert (np.diff(series.timestamps) > 0).all()
            found[str(series.labels)] = dict(zip(series.timestamps.tolist(), values, strict=True))
        wanted = {str(tsdb_labels(name)): v for name, v in expected.items()}
        assert found == wanted


def tsdb_labels(name: str) -> object:
    from tsdb.index.selector import parse_series

    return parse_series(name)


def test_any_history_reads_as_a_dictionary_would() -> None:
    run_state_machine_as_test(
        Model, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
