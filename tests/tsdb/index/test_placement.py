"""Shards of series: what is remembered is what hashing says, whatever was asked before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.labels import canonical
from tsdb.index.placement import place_of, places_of
from tsdb.index.registry import Registry


def test_a_place_never_changes():
    """Points lie where they were put: another value here is another format."""
    assert place_of(canonical({"__name__": "up"}), 16) == 0
    assert place_of(canonical({"__name__": "cpu", "host": "a"}), 16) == 14


@given(
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=40, unique=True),
    st.integers(1, 300),
    st.data(),
)
def test_of_refs_as_of_keys(names, shards, data):
    registry = Registry()
    definitions = registry.assign([canonical({"__name__": name}) for name in names])
    registry.define(definitions)
    places = registry.places(shards)
    for _ in range(3):
        chosen = data.draw(st.lists(st.sampled_from(definitions.refs.tolist()), max_size=20))
        refs = np.array(chosen, np.uint32)
        expected = [place_of(registry.key(ref), shards) for ref in chosen]
        assert places.of(refs).tolist() == expected
        wanted = np.array(data.draw(st.lists(st.integers(0, shards - 1))), np.uint32)
        kept = [ref for ref, place in zip(chosen, expected, strict=True) if place in wanted]
        assert places.within(refs, wanted).tolist() == kept
    assert places_of(definitions, shards).tolist() == places.of(definitions.refs).tolist()
