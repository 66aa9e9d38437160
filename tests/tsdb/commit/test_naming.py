"""tsdb.commit.naming: every way to name a series leads to the ref that its labels have."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.batch import TAIL_MARK, Columns, I64s, Parsed, U8s
from tsdb.commit.naming import HEADS_MAX, Naming
from tsdb.commit.request import Refusals
from tsdb.errors import InvalidInput
from tsdb.index.aliases import Aliases
from tsdb.index.labels import canonical
from tsdb.index.registry import NO_REF, Registry

SERIES_MAX = 8
BAD = b"bad"
heads = st.sampled_from([b"cpu,host=a", b"cpu,host=b", b"", b"mem"])
tails = st.sampled_from([b"user", b"sys", b"", BAD])


def key_of(head: bytes, tail: bytes) -> bytes:
    """What a series is called: two names may mean the same one."""
    if tail == BAD:
        raise InvalidInput("a bad field")
    return canonical({"__name__": "m", "head": head.decode(), "tail": tail.decode()})


def of_raw(raw: bytes) -> bytes:
    head, mark, tail = raw.partition(TAIL_MARK)
    assert mark
    return key_of(head, tail)


def body(pairs: list[tuple[bytes, bytes]], *, many: bool, whole: bool) -> Parsed:
    """Runs of one point. `whole`: names in one part, else neighbours with one head share it."""
    text, ranges = bytearray(), []
    for i, (head, tail) in enumerate(pairs):
        if whole:
            ranges.append((len(text), len(text) + len(head) + 1 + len(tail), 0, 0))
            text += head + TAIL_MARK + tail
            continue
        if i and pairs[i - 1][0] == head:
            start, end = ranges[-1][:2]
        else:
            start, end = len(text), len(text) + len(head)
            text += head
        ranges.append((start, end, len(text), len(text) + len(tail)))
        text += tail
    table = np.array(ranges, np.int64).reshape(-1, 4)

    def canonical_many(runs: I64s) -> tuple[U8s, I64s]:
        keys = [b"" if pairs[i][1] == BAD else key_of(*pairs[i]) for i in runs.tolist()]
        offsets = np.cumsum([0, *map(len, keys)])
        return np.frombuffer(b"".join(keys), np.uint8), offsets

    count = len(pairs)
    columns = Columns(np.arange(count + 1), np.zeros(count, np.int64), np.zeros(count))
    starts, ends, tail_starts, tail_ends = (np.ascontiguousarray(c) for c in table.T)
    parsed = Parsed(
        "whole" if whole else "parts", np.frombuffer(bytes(text), np.uint8), starts, ends, columns,
        of_raw, canonical_many=canonical_many if many else None,
    )  # fmt: skip
    return parsed if whole else replace(parsed, tail_starts=tail_starts, tail_ends=tail_ends)


bodies = st.tuples(
    st.lists(st.tuples(heads, tails), max_size=12), st.booleans(), st.booleans(), st.booleans()
)


@given(st.lists(bodies, max_size=6))
def test_names_lead_to_the_refs_of_their_labels(
    given_: list[tuple[list[tuple[bytes, bytes]], bool, bool, bool]],
) -> None:
    registry = Registry()
    naming = Naming(registry, series_max=SERIES_MAX)
    series: list[bytes] = []  # refs in the order of their numbers
    for pairs, many, whole, forgetful in given_:
        if forgetful:  # no series goes, but all that senders call them
            naming.forget(np.empty(0, np.uint32))
        refusals = Refusals()
        names = [None if tail == BAD else key_of(head, tail) for head, tail in pairs]
        before = len(series)
        wanted = [n for n in dict.fromkeys(names) if n is not None and n not in series]
        series += wanted[: SERIES_MAX - before]

        refs, definitions = naming.resolve(body(pairs, many=many, whole=whole), refusals)

        assert [NO_REF if n not in series else series.index(n) for n in names] == refs.tolist()
        assert definitions.refs.tolist() == list(range(before, len(series)))
        keys = [definitions.keys[a:b] for a, b in pairwise(definitions.offsets.tolist())]
        assert keys == series[before:]
        bad = len({pair for pair in pairs if pair[1] == BAD})
        assert refusals.count == bad + len(wanted) - (len(series) - before)


def test_numbers_of_heads_are_never_used_twice() -> None:
    """The table forgets all when it is full, in the middle of a body too."""
    naming = Naming(Registry(), series_max=1000)
    naming._aliases = Aliases(bytes_max=1 << 14)
    rng = np.random.default_rng(1)
    for _ in range(50):
        pairs = [(b"head%d" % n, b"tail%d" % (n % 3)) for n in rng.integers(0, 300, 40)]
        refs, _ = naming.resolve(body(pairs, many=True, whole=False), Refusals())
        again = naming._registry
        keys = [again.key(ref) for ref in refs.tolist()]
        assert keys == [key_of(*pair) for pair in pairs]


def test_a_name_too_long_to_remember_is_made_canonical_each_time() -> None:
    head = b"h" * (limits.LABEL_VALUE_BYTES_MAX)
    naming = Naming(Registry(), series_max=10)
    pairs = [(head, b"a"), (head, b"b"), (head, b"a")]

    first, definitions = naming.resolve(body(pairs, many=False, whole=False), Refusals())
    second, none = naming.resolve(body(pairs, many=False, whole=False), Refusals())

    assert first.tolist() == second.tolist() == [0, 1, 0]
    assert (definitions.count, none.count) == (2, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        b"\1\0b\1\0x\1\0a\1\0x",  # not in order
        b"\1\0a\1\0x\1\0a\1\0y",  # a name twice
        b"\1\0a\0\0",  # an empty value
        b"\0\0\1\0x",  # an empty name
        b"\1\0a\1\0\xff",  # not UTF-8
        b"\1\0a\xff\0x",  # past its end
        b"\1\0a" + (limits.LABEL_VALUE_BYTES_MAX + 1).to_bytes(2, "little")
        + b"x" * (limits.LABEL_VALUE_BYTES_MAX + 1),
        b"".join(b"\2\0%02d\1\0x" % i for i in range(limits.LABELS_PER_SERIES_MAX + 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 7])
def test_no_key_of_a_parser_enters_unchecked(
    wrong: bytes, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do those that came before it in the same request, whose definitions are never logged."""
    monkeypatch.setattr("tsdb.commit.naming.STEP_RUNS", 3)
    registry = Registry()
    naming = Naming(registry, series_max=100)
    pairs = [(b"head", b"%d" % i) for i in range(8)]
    good = body(pairs, many=True, whole=False)

    def bad_many(runs: I64s) -> tuple[U8s, I64s]:
        keys = [wrong if i == place else key_of(*pairs[i]) for i in runs.tolist()]
        return np.frombuffer(b"".join(keys), np.uint8), np.cumsum([0, *map(len, keys)])

    with pytest.raises(InvalidInput, match="not canonical"):
        naming.resolve(replace(good, canonical_many=bad_many), Refusals())

    assert registry.count == 0
    refs, definitions = naming.resolve(good, Refusals())
    assert refs.tolist() == definitions.refs.tolist()
    assert [registry.key(ref) for ref in refs.tolist()] == [key_of(*pair) for pair in pairs]


def test_numbers_of_heads_start_again_with_nothing_remembered() -> None:
    naming = Naming(Registry(), series_max=100)
    first, _ = naming.resolve(body([(b"a", b"x")], many=True, whole=False), Refusals())
    naming._heads = HEADS_MAX + 1

    second, _ = naming.resolve(
        body([(b"b", b"x"), (b"a", b"x")], many=True, whole=False), Refusals()
    )

    assert second.tolist() == [1, first[0]]
