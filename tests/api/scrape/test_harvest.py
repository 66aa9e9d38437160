"""api.scrape.harvest: a history of scrapes against the obvious model of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape import harvest as harvests
from api.scrape.config import Bounds, Job
from api.scrape.harvest import STALE_BITS, Memory, Moment
from api.scrape.relabel import Action, Rule
from api.scrape.targets import Target
from tsdb.batch import Columns, Exemplar, FamilyMetadata, Parsed
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.selector import parse_series

TARGET = Target("j", (("instance", "h:1"), ("job", "j")), "http://h:1/metrics", 1_000, 500, ())
RULES = (Rule(Action.DROP, ("__name__",), regex="d.*"),
         Rule(source_labels=("__name__",), regex="same.*", target_label="__name__",
              replacement="same"))  # fmt: skip
REPORTS = {"up", "scrape_duration_seconds", "scrape_samples_scraped",
           "scrape_samples_post_metric_relabeling", "scrape_series_added"}  # fmt: skip


def answer(points: list[tuple[str, int, float]], **more: Any) -> Parsed:
    """Series in any text, one run a point."""
    raws = [series.encode() for series, _, _ in points]
    offsets = np.cumsum([0, *map(len, raws)]).astype(np.int64)
    return Parsed(
        "text",
        np.frombuffer(b"".join(raws), np.uint8),
        offsets[:-1],
        offsets[1:],
        Columns(
            np.arange(len(points) + 1, dtype=np.int64),
            np.array([t for _, t, _ in points], np.int64),
            np.array([v for _, _, v in points], np.float64),
        ),
        lambda raw: labels.canonical(parse_series(raw.decode())),
        **more,
    )


def moment(ticks: int) -> Moment:
    return Moment(ticks, lambda: 0.25, 7)


def written(parsed: Parsed) -> dict[str, tuple[int, float | str]]:
    """Name -> (time, value or "stale"); every series is the target's."""
    found = {}
    for run in range(parsed.columns.runs):
        raw = parsed.key_bytes[parsed.key_starts[run] : parsed.key_ends[run]].tobytes()
        series = dict(labels.parse(raw))
        assert (series["job"], series["instance"]) == ("j", "h:1")
        at = int(parsed.columns.offsets[run])
        bits = int(parsed.columns.values[at : at + 1].view(np.uint64)[0])
        value = "stale" if bits == STALE_BITS else float(parsed.columns.values[at])
        found[series["__name__"]] = (int(parsed.columns.timestamps[at]), value)
    return found


names = st.sampled_from(["a", "b", "c", "d1", "d2", "same1", "same2"])
bodies = st.dictionaries(names, st.tuples(st.booleans(), st.integers(0, 9)), max_size=7)
steps = st.one_of(st.tuples(st.just("good"), bodies), st.tuples(st.just("lost"), bodies),
                  st.just(("failed", {})), st.just(("broken", {})), st.just(("reload", {})),
                  st.just(("renew", {})))  # fmt: skip


@given(st.lists(steps, max_size=10), st.booleans(), st.booleans())
def test_any_history(history: list[Any], honor: bool, track: bool) -> None:
    """What is live, what is new, what goes stale: at every step as a set of names says it."""
    job = Job("j", series_rules=RULES, honor_timestamps=honor, track_timestamps_staleness=track)
    memory = Memory(job, TARGET)
    live: set[str] = set()
    seen: set[str] = set()
    for i, (kind, body) in enumerate(history):
        now = 1_000 * (i + 1)
        if kind == "reload":
            memory = memory.reconfigured(job, TARGET)
            seen = set()
            continue
        if kind == "renew":
            memory._renew()
            continue
        if kind in ("good", "lost"):
            points = [(n, now - 5 if own and honor else now, float(v))
                      for n, (own, v) in body.items()]  # fmt: skip
            found = memory.succeeded(lambda points=points: answer(points), moment(now))
            kept = {"same" if n.startswith("same") else n: (t, v)
                    for n, t, v in points if n[0] != "d"}  # fmt: skip
            stale = live - set(kept)
            said = written(found.parsed)
            assert said["up"] == (now, 1.0)
            assert {n: said[n] for n in kept} == kept
            assert found.scraped == len(points)
            assert found.kept == sum(n[0] != "d" for n, _, _ in points)
            assert found.added == len(set(kept) - seen)
            if kind == "good":
                memory.commit(found)
                own = {n for n, t, _ in points if t != now and not track}
                explicit = {"same" if n.startswith("same") else n for n in own}
                plain = {"same" if n.startswith("same") else n for n in set(body) - own}
                live = {n for n in kept if n not in explicit or n in plain}
                seen = set(kept)
        else:
            if kind == "failed":
                found = memory.failed("why", moment(now))
            else:
                found = memory.succeeded(broken, moment(now))
                assert found.error == "line 1: broken"
            stale = set(live)
            said = written(found.parsed)
            assert said["up"] == (now, 0.0)
            kept = {}
            memory.commit(found)
            live = set()
        assert {n for n, (_, v) in said.items() if v == "stale"} == stale
        assert {n: said[n] for n in stale} == dict.fromkeys(stale, (now, "stale"))
        assert set(said) == REPORTS | set(kept) | stale
        assert said["scrape_duration_seconds"] == (now, 0.25)


def broken() -> Parsed:
    raise InvalidInput("line 1: broken")


def test_the_end_of_a_target() -> None:
    memory, other = Memory(Job("j"), TARGET), Memory(Job("j"), TARGET)
    memory.commit(memory.succeeded(lambda: answer([("a", 5, 1.0), ("b", 5, 1.0)]), moment(5)))

    ended = written(memory.ended(9, []))
    assert ended == dict.fromkeys({"a", "b"} | REPORTS, (9, "stale"))

    other.commit(other.succeeded(lambda: answer([("b", 6, 1.0)]), moment(6)))
    assert written(memory.ended(9, [other])) == {"a": (9, "stale")}


def test_bounds_that_are_set_are_reported() -> None:
    job = Job("j", bounds=Bounds(samples=2, body_bytes=9))
    memory = Memory(job, TARGET)
    found = memory.succeeded(lambda: answer([("a", 5, 1.0)] * 3), moment(5))
    said = {name: value for name, (_, value) in written(found.parsed).items()}
    assert "sample_limit exceeded: 3 points (limit 2)" in found.error
    assert (said["up"], said["scrape_samples_scraped"], said["scrape_sample_limit"]) == (0, 3, 2)
    assert (said["scrape_timeout_seconds"], said["scrape_body_size_bytes"]) == (0.5, 7)
    assert "a" not in said


def test_metadata_goes_on_only_when_it_changed() -> None:
    told = (FamilyMetadata("a", "counter", "help"),)
    memory = Memory(Job("j"), TARGET)
    first = memory.succeeded(lambda: answer([("a", 5, 1.0)], metadata=told), moment(5))
    assert first.parsed.metadata == told
    memory.commit(first)
    again = memory.succeeded(lambda: answer([("a", 6, 1.0)], metadata=told), moment(6))
    assert again.parsed.metadata == ()
    assert memory.metadata == told


def test_exemplars_belong_to_the_series_as_it_is_kept() -> None:
    shown = [Exemplar(labels.canonical({"__name__": n}), b"trace", 5, 1.0) for n in ("a", "d")]
    memory = Memory(Job("j", series_rules=RULES), TARGET)
    found = memory.succeeded(
        lambda: answer([("a", 5, 1.0), ("d", 5, 1.0)], exemplars=tuple(shown)), moment(5)
    )
    [kept] = found.parsed.exemplars
    assert dict(labels.parse(kept.series)) == {"__name__": "a", "job": "j", "instance": "h:1"}
    assert kept.labels == b"trace"


def test_a_label_exposed_as_empty_keeps_the_targets_away() -> None:
    memory = Memory(Job("j", honor_labels=True), TARGET)
    text = '{"a.b",instance="",x="1=\\"\\"", job = "" }'
    found = memory.succeeded(lambda: answer([(text, 5, 1.0)]), moment(5))
    starts, ends = found.parsed.key_starts, found.parsed.key_ends
    key = found.parsed.key_bytes[starts[0] : ends[0]].tobytes()
    assert dict(labels.parse(key)) == {"__name__": "a.b", "x": '1=""'}


def test_a_table_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvests, "SPARE_ENTRIES", 20)
    memory = Memory(Job("j"), TARGET)
    most = 0
    for i in range(100):
        points = [(f'a{{n="{i + k}"}}', i, 1.0) for k in range(10)]
        found = memory.succeeded(lambda points=points: answer(points), moment(i))
        assert found.added == (10 if i == 0 else 1)
        assert sum(bits == STALE_BITS for bits in found.parsed.columns.values.view(np.uint64)) == (
            i > 0
        )
        memory.commit(found)
        most = max(most, memory._table.entries)
    assert most < 60
