"""tsdb.index.reader: an answer keeps the names it began with."""

from __future__ import annotations

import numpy as np
import pytest

from tsdb.index.labels import canonical
from tsdb.index.registry import Registry
from tsdb.index.selector import parse_selector

COUNT = 10_000


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    keys = [canonical({"__name__": "cpu", "host": f"{i:05d}"}) for i in range(COUNT)]
    registry.define(registry.assign(keys))
    return registry


def test_series_forgotten_during_an_answer_keep_their_names_in_it(registry: Registry) -> None:
    reader = registry.reader()
    refs = reader.select(parse_selector('cpu{host=~"0.*"}'))

    registry.forget(np.arange(1, COUNT, dtype=np.uint32))  # enough for new tables

    assert registry.reader() is not reader
    assert registry.select(parse_selector("cpu")).tolist() == [0]
    assert reader.sort_refs(refs[::-1]).tolist() == refs.tolist() == list(range(COUNT))
    assert reader.labels(COUNT - 1) == {"__name__": "cpu", "host": f"{COUNT - 1:05d}"}
    assert reader.key(7) == canonical({"__name__": "cpu", "host": "00007"})
    assert reader.label_values("host", refs[5:6]) == ["00005"]


def test_a_stale_ref_is_a_bug_not_a_crash(registry: Registry) -> None:
    registry.forget(np.arange(1, COUNT, dtype=np.uint32))
    stale = np.array([COUNT - 1], np.uint32)

    with pytest.raises(AssertionError, match="names no series"):
        registry.labels(COUNT - 1)
    assert registry.sort_refs(stale).tolist() == stale.tolist()
    assert registry.label_names(stale) == []
    for read in (registry.sort_refs, registry.rank, registry.label_names):
        with pytest.raises(AssertionError, match="never given out"):
            read(np.array([1 << 31], np.uint32))


def test_labels_share_their_strings(registry: Registry) -> None:
    assert registry.labels(1).name is registry.labels(2).name


def test_few_series_of_many_and_all_of_them(registry: Registry) -> None:
    reader = registry.reader()
    few, everything = np.array([7, 3], np.uint32), np.arange(COUNT, dtype=np.uint32)
    for refs in (few, everything):
        expected = [reader.labels(int(ref)) for ref in refs]
        assert reader.labels_of_all(refs) == expected
        text, begins = reader.written(refs, lambda n, v: f"{n}{v}".encode(), b"<", b">")
        assert text.tobytes().decode() == "".join(
            f"<__name__cpu,host{labels['host']}>" for labels in expected
        )
        assert begins[-1] == text.size
    assert reader.labels_of_all(few, ["__name__"]) == [{"host": "00007"}, {"host": "00003"}]
    assert reader.labels_of_all(few, ["unknown"]) == reader.labels_of_all(few)
    assert reader.labels_of_all(few, ["__name__", "z"], without=False) == [{"__name__": "cpu"}] * 2
    assert reader.text_order(few).tolist() == [1, 0]
    assert [each.tolist() for each in reader.grouped(everything[:4], ["host"], without=True)] == [
        [0, 0, 0, 0],
        [0],
    ]
