"""api.scrape.labelling: a target's labels on a series, and who wins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape.config import Bounds, Job
from api.scrape.labelling import Labelling, attached
from api.scrape.relabel import Action, Rule
from api.scrape.targets import Target
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index.labels import canonical, parse

TARGET = Target("j", (("instance", "h:1"), ("job", "j")), "http://h:1/metrics", 1_000, 1_000, ())


def key(exposed: dict[str, str], **job: Any) -> dict[str, str] | None:
    found = Labelling(Job("j", **job), TARGET).key(exposed)
    return None if found is None else dict(parse(found))


@pytest.mark.parametrize(
    ("exposed", "of_target", "honor", "expected"),
    [
        ({"a": "1"}, {"b": "2"}, False, {"a": "1", "b": "2"}),
        ({"a": "1"}, {"a": "2"}, False, {"a": "2", "exported_a": "1"}),
        ({"a": "1"}, {"a": "2"}, True, {"a": "1"}),
        ({"a": ""}, {"a": "2"}, False, {"a": "2"}),
        ({"a": ""}, {"a": "2"}, True, {"a": ""}),
        ({"foo": "1", "exported_foo": "2"}, {"foo": "3"}, False,
         {"foo": "3", "exported_foo": "2", "exported_exported_foo": "1"}),
        ({"foo": "1", "exported_foo": "2"}, {"foo": "3", "exported_foo": "4"}, False,
         {"foo": "3", "exported_foo": "4", "exported_exported_foo": "1",
          "exported_exported_exported_foo": "2"}),
    ],
)  # fmt: skip
def test_conflicts(
    exposed: dict[str, str], of_target: dict[str, str], honor: bool, expected: dict[str, str]
) -> None:
    assert attached(exposed, of_target, honor) == expected


def test_a_series_gets_its_targets_labels() -> None:
    assert key({"__name__": "up", "job": "mine"}) == {
        "__name__": "up", "exported_job": "mine", "instance": "h:1", "job": "j",
    }  # fmt: skip
    honored = key({"__name__": "up", "job": "mine", "instance": ""}, honor_labels=True)
    assert honored == {"__name__": "up", "job": "mine"}


def test_rules_rename_and_drop() -> None:
    rules = (
        Rule(Action.DROP, ("__name__",), regex="go_.*"),
        Rule(source_labels=("__name__",), regex="old_(.*)", target_label="__name__"),
        Rule(Action.LABELDROP, regex="pod|job"),
    )
    assert key({"__name__": "go_threads"}, series_rules=rules) is None
    assert key({"__name__": "old_x", "pod": "p"}, series_rules=rules) == {
        "__name__": "x", "instance": "h:1",
    }  # fmt: skip


def test_a_series_keeps_a_name() -> None:
    nameless = Rule(target_label="__name__", replacement="")
    with pytest.raises(InvalidInput, match="no metric name"):
        key({"__name__": "x"}, series_rules=(nameless,))
    everything = Rule(Action.LABELDROP, regex=".*")
    assert key({"__name__": "x"}, series_rules=(everything,)) is None


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(labels=3), "label_limit"),
        (Bounds(name_bytes=9), "label_name_length_limit"),
        (Bounds(value_bytes=6), "label_value_length_limit"),
    ],
)
def test_bounds_of_the_job(bounds: Bounds, said: str) -> None:
    assert key({"__name__": "x"}, bounds=bounds)
    with pytest.raises(InvalidInput, match=said):
        key({"__name__": "x", "much_longer": "and_more"}, bounds=bounds)


def test_external_labels_never_overwrite() -> None:
    outside = (("dc", "eu"), ("job", "never"))
    assert key({"__name__": "x"}, external_labels=outside) == {
        "__name__": "x", "dc": "eu", "instance": "h:1", "job": "j",
    }  # fmt: skip
    labelling = Labelling(Job("j", external_labels=outside), TARGET)
    assert dict(parse(labelling.report_key("up"))) == {
        "__name__": "up", "dc": "eu", "instance": "h:1", "job": "j",
    }  # fmt: skip


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
label_sets = st.dictionaries(
    st.one_of(texts, st.sampled_from(["job", "instance", "dc", "__name__"])), texts, max_size=5
)


@given(label_sets, st.dictionaries(texts, texts, max_size=2), st.booleans())
def test_the_short_way_is_the_long_way(
    exposed: dict[str, str], outside: dict[str, str], honor: bool
) -> None:
    exposed = {"__name__": "x"} | exposed
    job = Job("j", honor_labels=honor, external_labels=tuple(outside.items()))
    labelling = Labelling(job, TARGET)
    short = labelling.plain_key(canonical(exposed))
    if short is not None:
        assert short == labelling.key(exposed)
    conflict = set(exposed) & ({"job", "instance"} | set(outside))
    assert (short is None) == bool(conflict)


def test_the_short_way_is_for_nothing_special() -> None:
    exposed = canonical({"__name__": "x"})
    for special in ({"series_rules": (Rule(target_label="a"),)}, {"bounds": Bounds(labels=9)}):
        assert Labelling(Job("j", **special), TARGET).plain_key(exposed) is None
    many = canonical({"__name__": "x"} | {f"l{i}": "v" for i in range(63)})
    labelling = Labelling(Job("j"), TARGET)
    assert labelling.plain_key(many) is None
    with pytest.raises(LimitExceeded, match="LABELS_PER_SERIES_MAX"):
        labelling.key(dict(parse(many)))
