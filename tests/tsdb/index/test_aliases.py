"""tsdb.index.aliases: a dictionary from (form, bytes) to ref that forgets all when it is full."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdb.index.aliases import Aliases
from tsdb.index.registry import NO_REF

raws = st.binary(max_size=40)


def lookup(aliases: Aliases, form: str, keys: list[bytes]) -> list[int]:
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=offsets[1:])
    data = np.frombuffer(b"".join(keys), np.uint8)
    return aliases.lookup(form, data, offsets[:-1], offsets[1:]).tolist()


@given(
    st.lists(st.tuples(st.sampled_from(["influx", "json"]), raws, st.integers(0, 99))),
    st.lists(raws, max_size=5),
    st.booleans(),
)
def test_aliases_agree_with_a_dictionary(added, others, colliding) -> None:
    aliases = Aliases()
    if colliding:
        aliases._seeds = np.zeros(4, np.uint64)
    model: dict[tuple[str, bytes], int] = {}
    for form, raw, ref in added:
        aliases.add(form, raw, ref)
        model[form, raw] = ref
    asked = [raw for _, raw, _ in added] + others
    for form in ("influx", "json", "never"):
        assert lookup(aliases, form, asked) == [model.get((form, raw), NO_REF) for raw in asked]


def test_many_at_once_grow_the_table() -> None:
    aliases = Aliases()
    many = [b"%d" % i for i in range(5000)]
    aliases.add_many("x", many, np.arange(5000, dtype=np.uint32))

    assert lookup(aliases, "x", many) == list(range(5000))
    assert lookup(aliases, "x", [b"5000", b""]) == [NO_REF, NO_REF]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 120)), max_size=8), st.booleans())
def test_stretches_in_the_order_of_the_entries(stretches, colliding) -> None:
    """What senders that repeat themselves ask for, also past the last entry and from its middle."""
    aliases = Aliases()
    if colliding:
        aliases._seeds = np.zeros(4, np.uint64)
    known = [b"%d" % (i % 37) * (1 + i % 5) + b"/%d" % i for i in range(100)]
    aliases.add_many("x", known, np.arange(100, dtype=np.uint32) * 3)
    model = {key: 3 * i for i, key in enumerate(known)}
    beyond = [*known, b"", b"none", *known[:18]]
    asked = [key for first, size in stretches for key in beyond[first : first + size]]

    assert lookup(aliases, "x", asked) == [model.get(key, NO_REF) for key in asked]


def test_memory_is_bounded() -> None:
    aliases = Aliases(bytes_max=1 << 16)
    for i in range(2000):
        aliases.add("x", b"%0100d" % i, i)
        assert aliases.memory_bytes <= 1 << 16
    assert lookup(aliases, "x", [b"%0100d" % 1999]) == [1999]
    assert lookup(aliases, "x", [b"%0100d" % 0]) == [NO_REF]


def test_a_range_too_long_for_an_entry_is_not_kept() -> None:
    aliases = Aliases()
    long, short = b"x" * 70_000, b"y"
    aliases.add_many("x", [long, short], np.array([1, 2], np.uint32))

    assert lookup(aliases, "x", [long, short]) == [NO_REF, 2]


def test_clearing_forgets() -> None:
    aliases = Aliases()
    aliases.add("x", b"a", 1)
    aliases.clear()

    assert lookup(aliases, "x", [b"a"]) == [NO_REF]
    assert aliases.memory_bytes == 0


def test_ranges_outside_the_bytes_are_nobodys() -> None:
    aliases = Aliases()
    aliases.add("x", b"", 1)
    aliases.add("x", b"ab", 2)
    data = np.frombuffer(b"ab", np.uint8)
    starts, ends = np.array([0, 0, -1, 1, 0, 9]), np.array([2, 0, 1, 0, 3, 9])

    assert aliases.lookup("x", data, starts, ends).tolist() == [2, 1] + [NO_REF] * 4
