"""tsdb.parse.graphite_pickle: what senders pickle is read; nothing else is, whatever it is."""

import math
import os
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse import graphite_pickle, plain_pickle

MS = Resolution.MS
NOW = 1_700_000_000_123
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def framed(*pickles):
    return b"".join(struct.pack(">I", len(p)) + p for p in pickles)


def read(*pickles):
    parsed, dropped = graphite_pickle.parse(framed(*pickles), MS, NOW)
    names = [
        str(labels.parse(parsed.canonical(parsed.key_bytes[start:end].tobytes())))
        for start, end in zip(parsed.key_starts, parsed.key_ends, strict=True)
    ]
    columns = parsed.columns
    points = zip(names, columns.timestamps.tolist(), columns.values.tolist(), strict=True)
    return list(points), list(parsed.skipped), dropped


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats()
    | st.text(st.characters(exclude_characters="'\"\\\n", exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple),
    max_leaves=20,
)


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_is_read_as_python_reads_it(value, protocol):
    found = plain_pickle.load(pickle.dumps(value, protocol))
    if protocol > 1:
        assert repr(found) == repr(value)
    else:  # True is I01 there
        assert repr(found) == repr(value).replace("True", "1").replace("False", "0")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_points_as_clients_pickle_them(protocol):
    points = [
        ("servers.web01.load", (1_700_000_000, 1.5)),
        ("é;dc=fra", (1_700_000_000.25, 7)),
        ("now", (-1, "2.5")),
        ("text", ("1700000000", "1e3")),
        ("nan", (1, math.nan)),
    ]
    found, refused, dropped = read(pickle.dumps(points, protocol), pickle.dumps([], protocol))

    assert found == [
        ('{"servers.web01.load"}', 1_700_000_000_000, 1.5),
        ('{"é", dc="fra"}', 1_700_000_000_250, 7.0),
        ("now", NOW, 2.5),
        ("text", 1_700_000_000_000, 1000.0),
    ]
    assert (refused, dropped) == ([], 1)


def test_texts_of_python_2():
    """What `pickle.dumps([("a.b", (5, 1.5))], 2)` is there."""
    assert read(b"\x80\x02]q\x00U\x03a.bq\x01K\x05G?\xf8\x00\x00\x00\x00\x00\x00\x86\x86a.")[0] == [
        ('{"a.b"}', 5000, 1.5)
    ]


@pytest.mark.parametrize(
    "point", ["x", ("a",), ("a", (1,)), (1, (1, 1)), ("a", (1, None)), ("a", ("x", 1)),
              ("a", (True, 1)), ("a", (1, "x")), ("a", (1e300, 1))]
)  # fmt: skip
def test_a_wrong_point_costs_itself(point):
    found, refused, _ = read(pickle.dumps([("good", (1, 1)), point, ("good", (2, 2))]))

    assert [ticks for _, ticks, _ in found] == [1000, 2000]
    assert len(refused) == 1


class Evil:
    """What a pickle can make Python's unpickler do."""

    def __reduce__(self):
        return (os.system, ("touch /tmp/never",))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [Evil(), [Evil()], {"a": 1}, {1}, 1j, len, Evil])
def test_what_is_not_plain_is_refused(value, protocol):
    with pytest.raises(InvalidInput, match="holds more than numbers"):
        plain_pickle.load(pickle.dumps(value, protocol))


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"(.", b"]", b"]]a", b"]].", b"a.", b"(e.", b"h\x00.", b"q\x00.", b"g5\n.",
        b"X\xff\xff\xff\xffabc.", b"\x8d" + b"\xff" * 8 + b"a.", b"\x8a\xff" + b"1" * 255 + b".",
        b"I" + b"9" * 5000 + b"\n.", b"Ix\n.", b"S'\\x41'\n.", b"Sx\n.", b"X\x01\0\0\0\xff.",
        b"]r\xff\xff\xff\xff.x", b"p99999999999\n.", b"\x80", b"(K\x01\x86.", b"K\x01K\x02a.",
    ],
)  # fmt: skip
def test_damage_is_refused(data):
    with pytest.raises(InvalidInput):
        plain_pickle.load(data)


def test_a_large_memo_index_takes_no_memory():
    assert plain_pickle.load(b"]r\xff\xff\xff\xffj\xff\xff\xff\xffa.") is not None


def test_shared_values_are_not_copied():
    """Lists of lists of lists: 2^60 values in a few hundred bytes, if anybody walked them."""
    data = b"]q\x00" + b"".join(
        b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)
    )  # fmt: skip
    found, refused, _ = read(data + b"0" * 0 + b".")
    assert found == []
    assert refused


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    try:
        plain_pickle.load(data)
    except InvalidInput:
        return
    assert data.endswith(b".")


OPCODES = st.sampled_from(
    [bytes([op]) for op in plain_pickle._OPCODES] + [b".", b"\n", b"\0", b"1"]
)


@given(st.lists(OPCODES, max_size=40).map(b"".join))
def test_any_opcodes_are_read_or_refused(data):
    try:
        plain_pickle.load(data + b".")
    except InvalidInput:
        return
    assert data
