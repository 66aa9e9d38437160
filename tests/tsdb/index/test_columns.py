"""tsdb.index.columns: labels numbered by name and once each, whatever the series' order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.columns import IndexColumns
from tsdb.index.labels import canonical, parse
from tsdb.index.registry import Registry

texts = st.text("ab\u00e9", min_size=1, max_size=3)
label_sets = st.lists(st.dictionaries(texts, texts, min_size=1, max_size=4), max_size=8)


def keys_of(columns: IndexColumns) -> list[bytes]:
    """The slow reading of docs/format/index.md."""
    text = columns.text.tobytes()
    labels = [
        text[start:end]
        for start, end in zip(columns.offsets[:-1], columns.offsets[1:], strict=True)
    ]
    rows = iter(columns.rows.tolist())
    return [b"".join(labels[next(rows)] for _ in range(size)) for size in columns.sizes]


@given(label_sets, st.integers(0, 8))
def test_columns_hold_the_keys(sets: list[dict[str, str]], first: int) -> None:
    registry = Registry()
    made = registry.assign([canonical(labels) for labels in sets])
    registry.define(made)

    columns = registry.definitions_from(first)

    assert columns.fault() is None
    assert columns.refs.tolist() == made.refs.tolist()[first:]
    assert keys_of(columns) == [registry.key(ref) for ref in columns.refs.tolist()]
    used = {(n, v) for key in keys_of(columns) for n, v in parse(key).items()}
    assert columns.offsets.size - 1 == len(used)


def test_faults_are_named() -> None:
    registry = Registry()
    registry.define(registry.assign([canonical({"a": "1"}), canonical({"a": "2", "b": "1"})]))
    sound = registry.definitions_from(0)
    parts = sound.refs, sound.sizes, sound.rows, sound.offsets, sound.text

    def with_part(number: int, change) -> IndexColumns:
        changed = [part.copy() for part in parts]
        changed[number] = change(changed[number])
        return IndexColumns(*changed)

    assert with_part(0, lambda refs: refs[::-1].copy()).fault() == ("refs", 4)
    assert with_part(1, lambda sizes: sizes * np.uint8(0)).fault() == ("refs", 0)
    assert with_part(2, lambda rows: rows[:-1].copy()).fault() == ("refs", 4)
    assert with_part(2, lambda rows: rows[::-1].copy()).fault() == ("refs", 4)
    assert with_part(3, lambda offsets: offsets + 1).fault() == ("label_sizes", 0)
    assert with_part(4, lambda text: text[:-1].copy()).fault() == ("label_sizes", 0)
    assert with_part(4, lambda text: text * np.uint8(0)).fault() == ("text", 0)
