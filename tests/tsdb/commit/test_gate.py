"""tsdb.commit.gate: what is kept of a request, what is refused in which words, against a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from crash.disk import SimulatedDisk
from hypothesis import given
from hypothesis import strategies as st

import tsdb
from tsdb import limits
from tsdb.batch import TAIL_MARK, Batch, Columns, I64s, Parsed, U8s
from tsdb.commit.gate import Gate
from tsdb.commit.naming import CANONICAL
from tsdb.commit.request import Refusals
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import canonical

NOW, FUTURE, HORIZON, SERIES_MAX = 10_000, 500, 1_000, 6
BAD = "bad"  # a name that no series may have
Run = tuple[str, list[int]]

names = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h", BAD])
stamps = st.sampled_from([0, HORIZON - 1, HORIZON, 5_000, NOW + FUTURE, NOW + FUTURE + 1])
runs = st.lists(st.tuples(names, st.lists(stamps, max_size=4)), max_size=5)


def key_of(raw: bytes) -> bytes:
    name = raw.decode()
    if name == BAD:
        raise InvalidInput(f"{name} is no name")
    return canonical({"__name__": name})


def parsed(request: Sequence[Run], form: str) -> Parsed:
    """Of a sender's own form (raw names, in parts, with many at once), or of canonical keys."""
    raw = [name.encode() for name, _ in request]
    if form == CANONICAL:
        raw = [key_of(name) if name != BAD.encode() else b"\xff" for name in raw]
    ends = np.cumsum([len(key) for key in raw], dtype=np.int64)
    starts = np.concatenate(([0], ends)).astype(np.int64)[: len(raw)]
    offsets = np.concatenate(([0], np.cumsum([len(t) for _, t in request]))).astype(np.int64)
    times = np.array([t for _, ts in request for t in ts], np.int64)
    columns = Columns(offsets, times, np.arange(times.size, dtype=np.float64))

    def from_canonical(key: bytes) -> bytes:
        if key == b"\xff":
            raise InvalidInput(f"{BAD} is no name")
        return key

    turned = from_canonical if form == CANONICAL else key_of
    whole = Parsed(form, np.frombuffer(b"".join(raw), np.uint8), starts, ends, columns, turned)
    if form == "parts":  # one head for all, the name is the tail
        none = np.zeros(len(raw), np.int64)
        return replace(
            whole, key_starts=none, key_ends=none, tail_starts=starts, tail_ends=ends,
            canonical=lambda key: key_of(key.removeprefix(TAIL_MARK)),
        )  # fmt: skip
    if form == "many":
        return replace(whole, canonical_many=lambda runs: many([raw[i] for i in runs.tolist()]))
    return whole


def many(raws: list[bytes]) -> tuple[U8s, I64s]:
    keys = [b"" if raw == BAD.encode() else key_of(raw) for raw in raws]
    return np.frombuffer(b"".join(keys), np.uint8), np.cumsum([0, *map(len, keys)])


class Gated:
    """A gate over an empty engine; `now` can be moved."""

    def __init__(self) -> None:
        self.db = tsdb.open(
            "/db", files=SimulatedDisk(), background=False, memory_limit_bytes=1, resolution="s"
        )
        self.db.forget_before(HORIZON)
        engine = self.db.parts.engine
        self.gate = Gate(engine, lambda: NOW, series_max=SERIES_MAX, future_ticks=FUTURE)
        self.registry = engine.registry

    def points(self, batch: Batch) -> list[tuple[str, int, float]]:
        counts = np.diff(batch.columns.offsets)
        refs = np.repeat(batch.refs, counts).tolist()
        return [
            (self.registry.labels(ref)["__name__"], t, v)
            for ref, t, v in zip(
                refs, batch.columns.timestamps.tolist(), batch.columns.values.tolist(), strict=True
            )
        ]


def within(stamp: int) -> bool:
    return HORIZON <= stamp <= NOW + FUTURE


@given(
    requests=st.lists(
        st.tuples(runs, st.sampled_from([CANONICAL, "raw", "parts", "many"])), max_size=6
    )
)
def test_what_is_kept_is_what_a_model_keeps(requests: list[tuple[list[Run], str]]) -> None:
    """Points within time, of series that are known or that there is still room for."""
    gated = Gated()
    series: list[str] = []
    defined: list[int] = []
    try:
        for request, form in requests:
            refusals = Refusals()
            late = sum(not within(t) for _, ts in request for t in ts)
            left = [(name, [t for t in ts if within(t)]) for name, ts in request]
            wanted = [name for name, ts in left if ts or not late]
            for name in dict.fromkeys(wanted):
                if name not in (*series, BAD) and len(series) < SERIES_MAX:
                    series.append(name)

            batch = gated.gate.admit(parsed(request, form), refusals)

            kept = [(name, t) for name, ts in left if name in series for t in ts]
            assert [(name, t) for name, t, _ in gated.points(batch)] == kept
            refused = {name for name in wanted if name not in series}
            assert refusals.count == late + len(refused)
            assert (refusals.limit is not None) == bool(refused - {BAD})
            defined += batch.definitions.refs.tolist()
        assert len(set(defined)) == len(defined) == len(series)
        assert defined == sorted(defined), "refs reach the log in the order they were given out"
    finally:
        gated.db.close()


@given(
    requests=st.lists(runs.filter(bool), min_size=2, max_size=5),
    form=st.sampled_from([CANONICAL, "raw", "parts", "many"]),
)
def test_together_is_as_one_by_one(requests: list[list[Run]], form: str) -> None:
    """Either nothing in them needs a closer look and the batch is the same, or there is none."""
    gated = Gated()
    try:
        first = [(name, [5_000]) for name in ("a", "b", "c")]
        gated.gate.admit(parsed(first, form), Refusals())
        several = [parsed(request, form) for request in requests]

        together = gated.gate.admit_together(several)

        plain = all(name in "abc" and all(map(within, ts)) for r in requests for name, ts in r)
        assert (together is not None) == plain
        if together is not None:
            alone = [gated.gate.admit(one, Refusals()) for one in several]
            assert gated.points(together) == [p for batch in alone for p in gated.points(batch)]
    finally:
        gated.db.close()


@pytest.fixture
def gated():
    made = Gated()
    yield made
    made.db.close()


def test_times_are_refused_in_words_that_name_point_series_and_bound(gated: Gated) -> None:
    refusals = Refusals()
    gated.gate.admit(
        parsed([("a", [5_000, NOW + FUTURE + 1]), ("b", [HORIZON - 1])], "raw"), refusals
    )

    assert refusals.told == [
        f"point 2 of a: timestamp {NOW + FUTURE + 1} is more than {FUTURE} s ahead of the clock",
        f"point 1 of b: timestamp {HORIZON - 1} is older than retention keeps ({HORIZON})",
    ]


def test_a_series_whose_points_are_all_refused_takes_no_room(gated: Gated) -> None:
    gated.gate.admit(parsed([(f"x{n}", [0]) for n in range(100)], "raw"), Refusals())

    assert gated.registry.count == 0


def test_past_the_limit_new_series_are_refused_by_name_and_known_ones_go_on(gated: Gated) -> None:
    known = [(f"s{n}", [5_000]) for n in range(SERIES_MAX)]
    gated.gate.admit(parsed(known, "raw"), Refusals())
    refusals = Refusals()

    batch = gated.gate.admit(parsed([("s0", [5_001]), ("more", [5_001])], "raw"), refusals)

    assert [name for name, _, _ in gated.points(batch)] == ["s0"]
    assert isinstance(refusals.as_error(), LimitExceeded)
    assert refusals.limit is not None
    assert (refusals.limit.limit, refusals.limit.value) == ("SERIES_MAX", SERIES_MAX)
    assert "more" in refusals.told[0]


def test_an_oversized_request_is_refused_whole(gated: Gated) -> None:
    many = limits.POINTS_PER_REQUEST_MAX + 1
    with pytest.raises(LimitExceeded, match="POINTS_PER_REQUEST_MAX"):
        gated.gate.admit(parsed([("a", [5_000] * many)], "raw"), Refusals())

    assert gated.registry.count == 0


def test_a_forgotten_series_is_found_again_under_a_new_ref(gated: Gated) -> None:
    """Aliases of senders must not outlive the series they name."""
    first = gated.gate.admit(parsed([("a", [5_000])], "raw"), Refusals())
    gated.gate.forget(first.refs)

    again = gated.gate.admit(parsed([("a", [5_001])], "raw"), Refusals())

    assert again.refs[0] != first.refs[0]
    assert again.definitions.refs.tolist() == again.refs.tolist()
