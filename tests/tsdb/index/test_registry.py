"""tsdb.index.registry: the same answers as dictionaries and a loop, whatever happens in between."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tsdb import limits
from tsdb.batch import SeriesDefinitions
from tsdb.errors import CorruptionError, InvalidInput
from tsdb.index.labels import canonical, parse
from tsdb.index.matchers import Matcher, Op
from tsdb.index.registry import NO_REF, Registry
from tsdb.index.selector import parse_selector

COLLIDING = np.zeros(4, np.uint64)  # every hash is zero then

# Few names and values, so that series share labels; some that canonical order gets wrong easily.
names = st.sampled_from(["__name__", "a", "b", "aa", "\u00e9", "host"])
values = st.sampled_from(["", "1", "2", "10", "x" * 60, "a\nb", "\u00e9\u00e9", "abcdefg"])
label_sets = st.dictionaries(names, values, min_size=1, max_size=5).filter(
    lambda labels: any(labels.values())
)
patterns = st.sampled_from(
    ["1|2", "1.*", ".*", ".+", "", "x+", "[12]", ".*b", "a.b", "(?i)ABC.*", "1|", "nope", "\u00e9*"]
)
matchers = st.builds(Matcher, names, st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), values) | st.builds(
    Matcher, names, st.sampled_from([Op.MATCH, Op.NOT_MATCH]), patterns
)


def ranges(keys: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    return np.frombuffer(b"".join(keys), np.uint8), offsets[:-1], offsets[1:]


def lookup(registry: Registry, keys: list[bytes]) -> list[int]:
    return registry.lookup(*ranges(keys)).tolist()


def definitions(series: dict[int, bytes]) -> SeriesDefinitions:
    keys = list(series.values())
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    return SeriesDefinitions(np.array(list(series), np.uint32), offsets, b"".join(keys))


def found_by_loop(visible: dict[int, bytes], wanted: list[Matcher]) -> list[int]:
    def fulfils(key: bytes) -> bool:
        labels = parse(key)
        return all(matcher.matches(labels.get(matcher.name, "")) for matcher in wanted)

    return sorted(ref for ref, key in visible.items() if fulfils(key))


class RegistryMachine(RuleBasedStateMachine):
    """Model: three dictionaries. Every rule does the same to both."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, int] = {}  # what lookup finds
        self.visible: dict[int, bytes] = {}
        self.waiting: dict[int, bytes] = {}  # assigned, not yet defined
        self.used: dict[int, bytes] = {}  # every ref ever, and its last key

    @initialize(colliding=st.booleans())
    def start(self, colliding: bool) -> None:
        self.registry = Registry(seeds=COLLIDING if colliding else None)

    def now_visible(self, ref: int, key: bytes) -> None:
        self.visible[ref] = self.used[ref] = key
        self.known[key] = max(self.known.get(key, 0), ref)  # the higher of two is found

    @rule(sets=st.lists(label_sets, min_size=1, max_size=6))
    def assign(self, sets: list[dict[str, str]]) -> None:
        keys = [canonical(labels) for labels in sets]
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        first = self.registry.next_ref

        made = self.registry.assign(keys)

        assert made.refs.tolist() == list(range(first, first + len(new)))
        assert made.keys == b"".join(new)
        for ref, key in zip(made.refs.tolist(), new, strict=True):
            self.known[key] = ref
            self.waiting[ref] = self.used[ref] = key

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def define_what_was_assigned(self, data) -> None:
        refs = data.draw(st.lists(st.sampled_from(sorted(self.waiting)), unique=True))
        chosen = {ref: self.waiting.pop(ref) for ref in refs}

        self.registry.define(definitions(chosen))

        for ref, key in chosen.items():
            self.now_visible(ref, key)

    @rule(labels=label_sets, gap=st.integers(0, 5))
    def define_as_a_replay_does(self, labels: dict[str, str], gap: int) -> None:
        """Explicit refs, perhaps with a hole before them, perhaps for a key known otherwise."""
        key, ref = canonical(labels), self.registry.next_ref + gap

        self.registry.define(definitions({ref: key}))

        self.now_visible(ref, key)

    @precondition(lambda self: self.visible)
    @rule(data=st.data())
    def define_again_changes_nothing(self, data) -> None:
        refs = data.draw(st.lists(st.sampled_from(sorted(self.visible)), unique=True))
        self.registry.define(definitions({ref: self.visible[ref] for ref in refs}))
        for ref in refs:
            self.now_visible(ref, self.visible[ref])

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def forget(self, data) -> None:
        refs = data.draw(st.lists(st.sampled_from(sorted(self.used)), unique=True))
        # Lookup finds the highest ref of a key: lower ones do not outlive it.
        gone = {self.used[ref]: ref for ref in sorted(refs)}
        refs += [ref for ref, key in self.used.items() if ref < gone.get(key, 0)]

        self.registry.forget(np.array(refs, np.uint32))

        for ref in refs:
            key = self.used[ref]
            if (ref in self.visible or ref in self.waiting) and self.known.get(key) == ref:
                del self.known[key]
            self.visible.pop(ref, None)
            self.waiting.pop(ref, None)

    @precondition(lambda self: set(self.used) - set(self.visible) - set(self.waiting))
    @rule(data=st.data(), labels=label_sets, same=st.booleans())
    def define_a_forgotten_ref(self, data, labels: dict[str, str], same: bool) -> None:
        gone = set(self.used) - set(self.visible) - set(self.waiting)
        ref = data.draw(st.sampled_from(sorted(gone)))
        key = self.used[ref] if same else canonical(labels)

        self.registry.define(definitions({ref: key}))

        self.now_visible(ref, key)

    @rule()
    def rebuild(self) -> None:
        self.registry._rebuild()

    @rule()
    def save_and_load(self) -> None:
        """Only what is visible is saved, as at a checkpoint."""
        columns = self.registry.definitions_from(0)
        assert columns.fault() is None
        assert columns.refs.tolist() == sorted(self.visible)
        other = Registry()
        other.define(columns)
        other.define(columns)
        assert {ref: other.key(ref) for ref in self.visible} == self.visible
        assert other.select([]).tolist() == sorted(self.visible)

    @rule(wanted=st.lists(matchers, max_size=3))
    def select(self, wanted: list[Matcher]) -> None:
        found = self.registry.select(wanted)

        assert found.dtype == np.uint32
        assert found.tolist() == found_by_loop(self.visible, wanted)

    @rule(name=names)
    def names_and_values(self, name: str) -> None:
        sets = {ref: parse(key) for ref, key in self.visible.items()}
        some = np.array(sorted(sets)[::2], np.uint32)

        assert self.registry.label_names() == sorted({n for s in sets.values() for n in s})
        assert self.registry.label_values(name) == sorted(
            {s[name] for s in sets.values() if name in s}
        )
        kept = [sets[ref] for ref in some.tolist()]
        assert self.registry.label_names(some) == sorted({n for s in kept for n in s})
        assert self.registry.label_values(name, some) == sorted(
            {s[name] for s in kept if name in s}
        )

    @rule(data=st.data())
    def order(self, data) -> None:
        refs = data.draw(st.permutations(sorted(self.visible)))
        expected = sorted(refs, key=lambda ref: self.visible[ref])
        given_refs = np.array(refs, np.uint32)
        ordered = self.registry.sort_refs(given_refs).tolist()

        assert [self.visible[ref] for ref in ordered] == [self.visible[ref] for ref in expected]
        assert given_refs[np.argsort(self.registry.rank(given_refs))].tolist() == ordered

    @invariant()
    def series_are_found_by_key_and_by_ref(self) -> None:
        if not hasattr(self, "registry"):
            return
        keys = sorted(set(self.used.values()) | {canonical({"never": "defined"})})
        assert lookup(self.registry, keys) == [self.known.get(key, NO_REF) for key in keys]
        assert self.registry.count == len(self.known)
        for ref, key in (self.visible | self.waiting).items():
            assert self.registry.key(ref) == key
            assert self.registry.labels(ref) == parse(key)


def test_the_registry_agrees_with_dictionaries() -> None:
    run_state_machine_as_test(
        RegistryMachine, settings=settings(max_examples=50, stateful_step_count=20, deadline=None)
    )


def labelled(count: int) -> list[bytes]:
    """Keys of a fleet: one label shared by all, some by many, one of each series' own."""
    return [
        canonical(
            {
                "__name__": f"metric_{i % 10}",
                "all": "1",
                "pod": f"pod-{i // 10}",
                "id": f"{i * 2654435761 % 2**32:08x}",
            }
        )
        for i in range(count)
    ]


def test_tables_grow_under_thousands_of_series() -> None:
    """Past every initial capacity: hash tables, records, rows, lists of many slices, text."""
    keys = labelled(20_000)
    registry = Registry()
    registry.define(registry.assign(keys))

    assert lookup(registry, keys) == list(range(len(keys)))
    assert registry.select(parse_selector('{all="1"}')).tolist() == list(range(len(keys)))
    assert registry.select(parse_selector("metric_3")).tolist() == list(range(3, len(keys), 10))
    assert registry.select(parse_selector('metric_3{pod="pod-77"}')).tolist() == [773]
    assert registry.select(parse_selector('{pod=~"pod-19.*"}')).size == 10 * 111
    assert registry.key(12_345) == keys[12_345]
    assert registry.memory_bytes < 250 * len(keys)


def test_colliding_keys_stay_apart() -> None:
    """What an attacker would want, at its worst: one hash for all keys and all labels."""
    keys = labelled(400)
    registry = Registry(seeds=COLLIDING)
    registry.define(registry.assign(keys))

    assert lookup(registry, keys[::-1]) == list(range(400))[::-1]
    registry.forget(np.arange(0, 400, 3, dtype=np.uint32))
    expected = [NO_REF if ref % 3 == 0 else ref for ref in range(400)]
    assert lookup(registry, keys) == expected
    assert registry.select(parse_selector('{all="1"}')).size == 400 - 134


def test_seeds_differ_between_registries() -> None:
    assert not np.array_equal(Registry()._tables.seeds, Registry()._tables.seeds)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_may_be_looked_up(keys: list[bytes]) -> None:
    known = canonical({"a": "1"})
    registry = Registry()
    registry.assign([known])

    assert lookup(registry, [*keys, known]) == [
        0 if key == known else NO_REF for key in [*keys, known]
    ]


def test_ranges_outside_the_bytes_are_nobodys() -> None:
    key = canonical({"a": "1"})
    registry = Registry()
    registry.assign([key])
    data = np.frombuffer(key, np.uint8)
    starts = np.array([0, -1, 0, 3, len(key), 2**40])
    ends = np.array([len(key), len(key), len(key) + 1, 2, len(key), 2**40 + 4])

    assert registry.lookup(data, starts, ends).tolist() == [0] + [NO_REF] * 5


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\x01",
        b"\x01\x00a\x00\x00",
        b"\x00\x00\x01\x00a",
        b"\x01\x00a\x02\x00b",
        b"\x01\x00b\x01\x001\x01\x00a\x01\x001",
        b"\x01\x00a\x01\x001\x01\x00a\x01\x002",
        b"\x01\x00a\x01\x00\xff",
        b"\x01\x00\xff\x01\x001",
        b"\x01\x00a\x03\x00\xed\xa0\x80",
        b"\x01\x01" + b"n" * 257 + b"\x01\x00v",
    ],
)
def test_keys_that_are_not_canonical_are_refused(key: bytes) -> None:
    """By assign as the caller's mistake, by define as damage; neither leaves anything behind."""
    good = canonical({"a": "1"})
    registry = Registry()
    with pytest.raises(InvalidInput, match="key 1 of 2"):
        registry.assign([good, key])
    assert lookup(registry, [good, key]) == [NO_REF, NO_REF]
    assert registry.count == 0
    with pytest.raises(CorruptionError, match="ref 5 "):
        registry.define(definitions({5: key}))
    assert registry.select([]).size == 0


@given(st.lists(st.binary(max_size=12), max_size=3))
def test_what_a_key_may_be_is_what_labels_says(parts: list[bytes]) -> None:
    """Two readers of canonical bytes, Python's and the kernel's: one opinion."""
    key = b"".join(len(part).to_bytes(2, "little") + part for part in parts)
    try:
        parse(key)
        expected = True
    except CorruptionError:
        expected = False
    registry = Registry()
    try:
        registry.assign([key])
        assert expected
    except InvalidInput:
        assert not expected


def test_the_largest_series_fits() -> None:
    labels = {f"{i:03d}" + "n" * 80: "v" * 400 for i in range(limits.LABELS_PER_SERIES_MAX)}
    key = canonical(labels)
    registry = Registry()
    registry.define(registry.assign([key]))

    assert registry.key(0) == key
    assert registry.labels(0) == labels


def test_a_ref_belongs_to_one_key() -> None:
    registry = Registry()
    registry.define(definitions({3: canonical({"a": "1"})}))
    with pytest.raises(CorruptionError, match=r'ref 3 .* belongs to \{a="1"\}'):
        registry.define(definitions({3: canonical({"a": "2"})}))
    with pytest.raises(CorruptionError, match="impossible ref"):
        registry.define(definitions({limits.REFS_MAX: canonical({"a": "2"})}))


def test_refs_are_not_given_out_twice() -> None:
    registry = Registry()
    registry.define(definitions({7: canonical({"a": "1"})}))
    assert registry.next_ref == registry.next_defined_ref == 8
    registry.skip_to(100)
    registry.skip_to(50)
    assert registry.assign([canonical({"a": "2"})]).refs.tolist() == [100]
    assert registry.next_defined_ref == 8
    registry.forget(np.array([7, 100, 4_000_000], np.uint32))
    assert registry.assign([canonical({"a": "2"})]).refs.tolist() == [101]


def test_forgetting_most_series_gives_their_memory_back() -> None:
    keys = labelled(12_000)
    registry = Registry()
    registry.define(registry.assign(keys))
    before = registry.memory_bytes

    registry.forget(np.arange(0, 11_000, dtype=np.uint32))

    assert registry.memory_bytes < before / 3
    assert registry.select(parse_selector('{all="1"}')).tolist() == list(range(11_000, 12_000))
    assert lookup(registry, keys[10_999:11_001]) == [NO_REF, 11_000]
    assert registry.next_ref == 12_000
    assert registry.label_values("pod") == sorted(f"pod-{i}" for i in range(1_100, 1_200))


def test_readers_see_whole_series_while_a_writer_defines() -> None:
    """Every answer is what some moment between two steps of the writer looked like."""
    keys = labelled(30_000)
    registry = Registry()
    made = registry.assign(keys)
    half = parse_selector('{all="1",pod!~"pod-.*[02468]"}')
    everything = parse_selector("{}", allow_empty=True)
    done = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        seen = 0
        for _ in range(500):
            finished = done.is_set()
            refs = registry.select(everything)
            if not np.array_equal(refs, np.arange(refs.size)) or refs.size < seen:
                wrong.append(f"not a prefix: {refs.size} after {seen}")
            seen = refs.size
            odd = registry.select(half)
            if odd.size < seen // 2 or not np.all(odd // 10 % 2 == 1):
                wrong.append(f"{odd.size} of at least {seen}")
            if seen and registry.labels(seen - 1) != parse(keys[seen - 1]):
                wrong.append(f"labels of {seen - 1}")
            if registry.label_names(refs[-3:]) not in ([], ["__name__", "all", "id", "pod"]):
                wrong.append("names")
            if finished:
                break

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for low in range(0, len(keys), 500):
        part = slice(low, low + 500)
        offsets = made.offsets[low : low + 501] - made.offsets[low]
        text = made.keys[made.offsets[low] : made.offsets[min(low + 500, len(keys))]]
        registry.define(SeriesDefinitions(made.refs[part], offsets, text))
    done.set()
    for reader in readers:
        reader.join()

    assert not wrong, wrong[:3]
    assert registry.select(everything).size == len(keys)


def test_values_of_series_that_are_only_assigned_match_nothing() -> None:
    """Once they had rank 0 in common with the label's first value, and matched its series."""
    registry = Registry()
    registry.define(registry.assign([canonical({"a": "first"}), canonical({"b": "1"})]))
    registry.assign([canonical({"a": "waiting"})])

    assert registry.select(parse_selector('{a=~"waiting|"}', allow_empty=True)).tolist() == [1]
    assert registry.select(parse_selector('{a="waiting"}')).size == 0
    assert registry.label_values("a") == ["first"]
