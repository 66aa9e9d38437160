"""Metadata and exemplars live as long as points do: through flushes, kills and snapshots."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash.disk import SimulatedDisk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import tsdb
from tsdb import limits
from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed
from tsdb.engine import annotations as module
from tsdb.index.labels import canonical

T = 1_700_000_000_000
SERIES = [canonical({"__name__": "requests", "host": host}) for host in "ab"]
families = st.builds(
    FamilyMetadata,
    st.sampled_from(["up", "requests"]),
    st.sampled_from(["gauge", "counter"]),
    st.sampled_from(["", "how many"]),
    st.just(""),
)
exemplars = st.builds(
    Exemplar,
    st.sampled_from(SERIES),
    st.sampled_from([b"", canonical({"trace_id": "1"})]),
    st.integers(T, T + 20),
    st.sampled_from([0.0, 1.5]),
)


def body(
    metadata: Any = (), exemplars: Any = (), *, at: int = T, refused: tuple[str, ...] = ()
) -> Parsed:
    """A request of one point and what is said beside it."""
    key = np.frombuffer(SERIES[0], np.uint8)
    columns = Columns(np.array([0, 1]), np.array([at], np.int64), np.ones(1))
    starts, ends = np.zeros(1, np.int64), np.array([key.size])
    return Parsed(
        "canonical", key, starts, ends, columns, bytes, refused,
        metadata=tuple(metadata), exemplars=tuple(exemplars),
    )  # fmt: skip


def write(db: tsdb.Database, parsed: Parsed) -> Any:
    answered, outcome = threading.Event(), []

    def done(found: Any) -> None:
        outcome.append(found)
        answered.set()

    db.submit(lambda: parsed, size_bytes=1, done=done)
    answered.wait()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


class Model(RuleBasedStateMachine):
    """The last word on each family; each exemplar younger than those before it of its series."""

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.path, self.snapshots = SimulatedDisk(), Path("/db"), 0
        self.families: dict[str, FamilyMetadata] = {}
        self.exemplars: list[Exemplar] = []

    @initialize()
    def open(self) -> None:
        self.db = tsdb.open(self.path, files=self.disk, background=False)
        for host in "ab":
            self.db.write({"__name__": "requests", "host": host}, [T], [0.0])

    def teardown(self) -> None:
        self.db.close()

    @rule(metadata=st.lists(families, max_size=3), found=st.lists(exemplars, max_size=4))
    def say(self, metadata: list[FamilyMetadata], found: list[Exemplar]) -> None:
        write(self.db, body(metadata, found))
        self.families |= {f.family: f for f in metadata}
        for exemplar in found:
            before = [e.timestamp for e in self.exemplars if e.series == exemplar.series]
            if not before or exemplar.timestamp > max(before):
                self.exemplars.append(exemplar)

    @rule()
    def flush(self) -> None:
        self.db.flush()

    @rule()
    def kill(self) -> None:
        left_behind = self.disk.copy()
        self.db.close()
        self.disk = left_behind
        self.db = tsdb.open(self.path, files=self.disk, background=False)

    @rule()
    def restore_a_snapshot(self) -> None:
        self.snapshots += 1
        self.path = Path(f"/snapshot-{self.snapshots}")
        self.db.snapshot(self.path)
        self.db.close()
        self.db = tsdb.open(self.path, files=self.disk, background=False)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.db.metadata() == self.families
        assert self.db.exemplars("requests") == self.exemplars


def test_annotations_are_a_dictionary_and_a_list() -> None:
    run_state_machine_as_test(
        Model, settings=settings(max_examples=40, stateful_step_count=15, deadline=None)
    )


def test_only_news_is_logged() -> None:
    """Senders repeat their metadata every minute."""
    disk = SimulatedDisk()
    with tsdb.open("/db", files=disk, background=False) as db:
        up = FamilyMetadata("up", "gauge")
        write(db, body([up]))
        before = db.stats().applied_seq

        write(db, body([up], at=T + 1))

        assert db.stats().applied_seq == before + 1  # the point


def test_the_oldest_exemplars_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXEMPLARS_MAX", 3)
    with tsdb.open("/db", files=SimulatedDisk(), background=False) as db:
        db.write({"__name__": "requests", "host": "b"}, [T], [0.0])
        write(db, body(exemplars=[Exemplar(SERIES[1], b"", T, 0.0)]))
        for i in range(1, 4):
            write(db, body(exemplars=[Exemplar(SERIES[0], b"", T + i, 0.0)]))

        assert [e.timestamp for e in db.exemplars("requests")] == [T + 1, T + 2, T + 3]
        assert [e.timestamp for e in db.exemplars("requests", T + 2, T + 2)] == [T + 2]
        # Forgotten wholly: an exemplar of the same time is new again.
        write(db, body(exemplars=[Exemplar(SERIES[1], b"", T, 0.0)]))
        assert db.exemplars("requests")[-1].series == SERIES[1]


def test_too_many_families_and_too_long_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAMILIES_MAX", 1)
    with tsdb.open("/db", files=SimulatedDisk(), background=False) as db:
        write(db, body([FamilyMetadata("up", "gauge", "é" * limits.HELP_BYTES_MAX)]))
        write(db, body([FamilyMetadata("down", "gauge")]))

        assert list(db.metadata()) == ["up"]
        assert len(db.metadata()["up"].help.encode()) <= limits.HELP_BYTES_MAX


def test_metadata_comes_with_points_that_are_refused() -> None:
    with tsdb.open("/db", files=SimulatedDisk(), background=False) as db:
        with pytest.raises(tsdb.InvalidInput, match="ahead of the clock"):
            write(db, body([FamilyMetadata("up", "gauge")], at=2**60))
        write(db, body())

        assert list(db.metadata()) == ["up"]


@pytest.mark.parametrize("at", [3, 50, -3])
def test_a_damaged_file_is_a_hole_not_an_end(at: int) -> None:
    disk = SimulatedDisk()
    with tsdb.open("/db", files=disk, background=False) as db:
        write(db, body([FamilyMetadata("up", "gauge")], [Exemplar(SERIES[0], b"", T, 1.0)]))
        db.flush()
    path = next(p for p in disk.tree() if module.ANNOTATIONS in p)
    data = bytearray(disk.tree()[path] or b"")
    data[at] ^= 1
    disk.poke(path, bytes(data))

    with tsdb.open("/db", files=disk, background=False) as db:
        assert db.metadata() == {}
        assert db.stats().holes == 1
        assert db.select("requests")[0].values.tolist() == [1.0]
        write(db, body([FamilyMetadata("up", "gauge")]))
        db.flush()
    with tsdb.open("/db", files=disk, background=False) as db:
        assert list(db.metadata()) == ["up"]
