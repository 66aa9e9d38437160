"""tsdb.index.labels: one key for one label set, and refusals that name the culprit."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.errors import CorruptionError, InvalidInput, LimitExceeded
from tsdb.index.labels import Labels, canonical, canonical_pairs, check, parse

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
label_sets = st.dictionaries(texts, texts, min_size=1, max_size=6)


@given(label_sets)
def test_a_key_holds_exactly_its_labels(labels: dict[str, str]) -> None:
    key = canonical(labels)

    check(key)
    assert dict(parse(key)) == labels
    assert list(parse(key)) == sorted(labels, key=str.encode)


@given(label_sets, st.randoms())
def test_order_and_empty_values_do_not_make_another_series(labels, random) -> None:
    shuffled = [*labels.items(), ("zz-no-such-label", "")]
    random.shuffle(shuffled)

    assert canonical(dict(shuffled)) == canonical(labels)
    assert Labels(shuffled) == Labels(labels) == parse(canonical(labels))
    assert hash(Labels(shuffled)) == hash(Labels(labels))


@given(st.lists(label_sets, min_size=2, max_size=2))
def test_keys_are_equal_exactly_if_the_labels_are(pair: list[dict[str, str]]) -> None:
    first, second = pair

    assert (canonical(first) == canonical(second)) == (first == second)


def test_one_key_by_hand() -> None:
    key = canonical({"host": "a", "__name__": "cpu"})

    assert key == b"\x08\x00__name__\x03\x00cpu\x04\x00host\x01\x00a"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({}, "at least one label"),
        ({"a": ""}, "at least one label"),
        ({"": "v"}, 'label name is empty .its value is "v"'),
        ({"": ""}, "label name is empty"),
        ({"a": "\ud800"}, "UTF-8"),
        ({"\udfff": "b"}, "UTF-8"),
        ({"a": 3}, "not int"),
        ({None: "a"}, "not NoneType"),
    ],
)
def test_impossible_labels_are_refused(labels: Mapping[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        canonical(labels)


def test_senders_pairs_are_checked_too() -> None:
    with pytest.raises(InvalidInput, match='label "a" is given twice'):
        canonical_pairs([(b"a", b"1"), (b"b", b"1"), (b"a", b"2")])
    with pytest.raises(InvalidInput, match='value of label "a" is not valid UTF-8'):
        canonical_pairs([(b"a", b"\xff")])
    with pytest.raises(InvalidInput, match=r"name of label .* is not valid UTF-8"):
        canonical_pairs([(b"\xc3", b"v")])


@pytest.mark.parametrize(
    ("labels", "limit", "culprit"),
    [
        ({"n" * 257: "v"}, "LABEL_NAME_BYTES_MAX", "nnn"),
        ({"\u00e9" * 129: "v"}, "LABEL_NAME_BYTES_MAX", "\u00e9"),
        ({"host": "v" * 4097}, "LABEL_VALUE_BYTES_MAX", "host"),
        ({f"l{i}": "v" for i in range(65)}, "LABELS_PER_SERIES_MAX", "l0"),
        (
            {"__name__": "cpu"} | {f"l{i}": "v" * 4000 for i in range(9)},
            "SERIES_KEY_BYTES_MAX",
            "cpu",
        ),
    ],
)
def test_limits_name_themselves_and_the_culprit(labels, limit: str, culprit: str) -> None:
    with pytest.raises(LimitExceeded, match=culprit) as refused:
        canonical(labels)
    assert refused.value.limit == limit
    assert refused.value.value == getattr(limits, limit)
    assert len(str(refused.value)) < 300


def test_the_largest_labels_are_accepted() -> None:
    labels = {"n" * limits.LABEL_NAME_BYTES_MAX: "v" * limits.LABEL_VALUE_BYTES_MAX}

    assert parse(canonical(labels)) == labels


@given(st.binary(max_size=24))
def test_bytes_that_parse_are_canonical(key: bytes) -> None:
    """Anything else is refused with a place: nothing is repaired silently."""
    with contextlib.suppress(CorruptionError):
        assert canonical(parse(key)) == key


@given(label_sets, st.data())
def test_damaged_keys_never_parse_as_something_not_canonical(labels, data) -> None:
    key = bytearray(canonical(labels))
    key[data.draw(st.integers(0, len(key) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(CorruptionError):
        assert canonical(parse(bytes(key))) == key


@pytest.mark.parametrize(
    ("key", "offset"),
    [
        (b"", 0),
        (b"\x01", 0),
        (b"\x01\x00a", 3),
        (b"\x01\x00a\x01\x00", 3),
        (b"\x01\x00a\x00\x00", 0),
        (b"\x00\x00\x01\x00a", 0),
        (b"\x01\x00b\x01\x001\x01\x00a\x01\x001", 6),
        (b"\x01\x00a\x01\x001\x01\x00a\x01\x002", 6),
        (b"\x01\x00a\x01\x00\xff", 0),
        (b"\x01\x00a\x01\x001\x00", 6),
    ],
)
def test_damage_is_named_by_its_place(key: bytes, offset: int) -> None:
    with pytest.raises(CorruptionError) as found:
        check(key)
    assert found.value.offset_bytes == offset


@pytest.mark.parametrize(
    "labels",
    [{"a": "v", "aa": "v"}, {"b": "1", "a": "2"}, {"__name__": "x", "Z": "1", "a": "2"}],
)
def test_labels_are_a_mapping_in_name_order(labels: dict[str, str]) -> None:
    made = Labels(labels)

    assert list(made) == sorted(labels)
    assert made == labels
    assert made["a"] == labels["a"]
    assert made.name == labels.get("__name__", "")
    assert len(made) == len(labels)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"__name__": "cpu", "host": "a"}, 'cpu{host="a"}'),
        ({"__name__": "cpu"}, "cpu"),
        ({"__name__": "a:b_c"}, "a:b_c"),
        ({"__name__": "my.metric", "label name": "v"}, '{"my.metric", "label name"="v"}'),
        ({"__name__": "sensors/kitchen/temp"}, '{"sensors/kitchen/temp"}'),
        ({"host": 'a"b\n'}, '{host="a\\"b\\n"}'),
        ({}, "{}"),
    ],
)
def test_text_form(labels: dict[str, str], text: str) -> None:
    assert str(Labels(labels)) == text


@given(label_sets, st.lists(texts, max_size=3), st.sampled_from(["", "x", "y"]))
def test_changed_labels_are_as_if_made_anew(
    labels: dict[str, str], names: list[str], value: str
) -> None:
    made = Labels(labels)
    names = [*names, min(labels)]

    assert made.without(names) == Labels({n: v for n, v in labels.items() if n not in names})
    assert made.only(sorted(set(names))) == Labels({n: v for n, v in labels.items() if n in names})
    for name in names:
        changed = made.replaced(name, value)
        assert list(changed.items()) == list(Labels({**labels, name: value}).items())
    assert made == Labels(labels)
