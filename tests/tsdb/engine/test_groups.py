"""Series in groups: the same points as one selection, in order, never more at once than asked."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tsdb
from tsdb.engine.presence import points_at_most
from tsdb.index.selector import parse_selector

runs = st.lists(st.integers(0, 300), min_size=1, max_size=8)
names = st.sampled_from(["a", "b", "bb", "c", "é"])
steps_of = st.lists(st.tuples(names, runs) | st.none(), min_size=1, max_size=8)
spans = st.tuples(st.integers(-10, 310), st.integers(0, 200)).map(lambda s: (s[0], s[0] + s[1]))


@given(steps_of, spans | st.just((-(2**63), 2**63 - 1)), st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_groups_are_the_selection(
    steps: list[tuple[str, list[int]] | None], span: tuple[int, int], points_max: int
) -> None:
    matchers = parse_selector("m")
    with (
        tempfile.TemporaryDirectory() as folder,
        tsdb.open(Path(folder) / "db", background=False) as database,
    ):
        for i, step in enumerate(steps):
            if step is None:
                database.flush()
            else:
                name, times = step
                database.write({"__name__": "m", "s": name}, times, np.full(len(times), i))

        found: dict[str, list[tuple[int, float]]] = {}
        order = []
        for group in database.select_in_groups(matchers, *span, points_max=points_max):
            assert group.points <= points_max
            for one in group:
                label = one.labels["s"]
                points = zip(one.timestamps.tolist(), one.values.tolist(), strict=True)
                found.setdefault(label, []).extend(points)
                order += [] if order[-1:] == [label] else [label]

        engine = database.parts.engine
        exact = {
            one.labels["s"]: list(zip(one.timestamps.tolist(), one.values.tolist(), strict=True))
            for one in engine.select(matchers, *span)
        }
        assert found == exact
        assert order == sorted(exact)
        refs = engine.registry.select(matchers)
        views = [g.head.view(refs) for g in (*engine.version.frozen, engine.active)]
        most = points_at_most(refs, engine.version, views, *span)
        for ref, at_most in zip(refs.tolist(), most.tolist(), strict=True):
            label = engine.registry.reader().labels(ref)["s"]
            assert at_most >= len(exact.get(label, []))


def test_what_is_written_while_groups_are_read_takes_no_answer_away(tmp_path: Path) -> None:
    with tsdb.open(tmp_path / "db", background=False) as database:
        names = [{"__name__": "m", "s": str(i)} for i in range(6)]
        database.write_many(names, [[0, 10]] * 6, [[1.0, 1.0]] * 6)
        found = []
        groups = database.select_in_groups("m", points_max=4)
        for at, group in enumerate(groups, 1):
            found += [one.labels["s"] for one in group]
            stamps = list(range(at * 3))
            database.write_many(names, [stamps] * 6, [[2.0] * len(stamps)] * 6)
        assert list(dict.fromkeys(found)) == list("012345")
