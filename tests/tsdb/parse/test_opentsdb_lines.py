"""tsdb.parse.opentsdb_lines: the kernel reads what its slow twin reads, line by line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import opentsdb_lines
from tsdb.parse.line_columns import NoPoint

MS = Resolution.MS


def key(**pairs):
    return labels.canonical(pairs)


def named(raw):
    try:
        return opentsdb_lines.canonical(raw)
    except InvalidInput as error:
        return str(error)


def read(body, resolution=MS):
    found = opentsdb_lines.parse(body, resolution)
    parsed = found.points
    rows = [
        (named(parsed.key_bytes[start:end].tobytes()), ticks, bits)
        for start, end, ticks, bits in zip(
            parsed.key_starts.tolist(),
            parsed.key_ends.tolist(),
            parsed.columns.timestamps.tolist(),
            parsed.columns.values.view(np.uint64).tolist(),
            strict=True,
        )
    ]
    return rows, list(parsed.skipped), found.dropped, list(found.commands)


def slowly(body, resolution=MS):
    rows, refused, dropped, commands = [], [], 0, []
    for line in body.split(b"\n"):
        text = line.strip(b" \t\r")
        if not text:
            continue
        try:
            point = opentsdb_lines.slow_line(text, resolution, commands)
        except InvalidInput as error:
            refused.append(f"{error}, in {shown(text.decode(errors='replace'))}")
            continue
        if isinstance(point, NoPoint):
            dropped += point is NoPoint.NAN
            continue
        bits = int(np.array([point.value]).view(np.uint64)[0])
        rows.append((named(point.key), point.ticks, bits))
    return rows, refused[:100], dropped, commands


WORDS = st.one_of(
    st.sampled_from(
        [b"put", b"version", b"exit", b"m", b"sys.cpu/user", b"a=b", b"a=", b"=b", b"a", b"a=b=c",
         b"host=web01", b"1700000000", b"1700000000123", b"1700000000.5", b"4294967295",
         b"4294967296", b"9999999999999", b"10000000000000", b"0", b"-1", b"007", b"1", b"1.5",
         b"nan", b"inf", b"1e5", b"1e400", b"+5", b".5", b"\xc3\xa9=\xc3\xbc", b"\xff=\xfe",
         b"a\x01=b", b"a=\x1f", b"a\rb=c"]
    ),
    st.binary(min_size=1, max_size=10),
    st.floats(width=64).map(lambda x: repr(x).encode()),
)  # fmt: skip
BLANK = st.sampled_from([b" ", b"  ", b"\t", b"   "])
GOOD = st.tuples(
    st.sampled_from([b"put ", b" put  ", b"put\t"]),
    st.sampled_from([b"m", b"metric.of.some.length"]),
    BLANK,
    st.integers(0, 10**14).map(lambda n: str(n).encode()),
    BLANK,
    st.floats().map(lambda x: repr(x).encode()),
    BLANK,
    st.lists(st.sampled_from([b"a=b", b"host=web01", b"c=", b"d=e"]), max_size=3).map(b"  ".join),
    st.sampled_from([b"", b" ", b"\r", b" \r", b"\t"]),
).map(b"".join)
LINE = st.one_of(GOOD, st.lists(WORDS, max_size=7).map(b" ".join))


@given(st.lists(LINE, max_size=12).map(b"\n".join), st.sampled_from(list(Resolution)))
def test_the_kernel_reads_what_the_slow_twin_reads(body, resolution):
    assert read(body, resolution) == slowly(body, resolution)


@pytest.mark.parametrize(
    ("line", "labels_", "ticks", "value"),
    [
        (b"put m 1700000000 1.5 a=b", {"__name__": "m", "a": "b"}, 1700000000000, 1.5),
        (b"put m 1700000000123 -2  a=b   c=d \r", {"__name__": "m", "a": "b", "c": "d"},
         1700000000123, -2.0),
        (b"put m 1700000000.25 7", {"__name__": "m"}, 1700000000250, 7.0),
        (b"put  m 4294967295 +7 a=", {"__name__": "m"}, 4294967295000, 7.0),
        (b"put m 4294967296 7 a=b=c", {"__name__": "m", "a": "b=c"}, 4294967296, 7.0),
    ],
)  # fmt: skip
def test_shapes_of_a_line(line, labels_, ticks, value):
    bits = int(np.array([value]).view(np.uint64)[0])
    assert read(line) == ([(key(**labels_), ticks, bits)], [], 0, [])
    assert read(line + b"\n") == read(line)


@pytest.mark.parametrize(
    ("resolution", "ticks"),
    [("s", 1700000001), ("us", 17 * 10**14 + 5 * 10**5), ("ns", 17 * 10**17 + 5 * 10**8)],
)
def test_milliseconds_at_other_resolutions(resolution, ticks):
    line = b"put m 1700000000500 1 a=b"
    assert read(line, Resolution.parse(resolution))[0][0][1] == ticks


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"put m 1", "not enough arguments"),
        (b"put", "not enough arguments"),
        (b"put m soon 1 a=b", "invalid timestamp"),
        (b"put m 0 1 a=b", "invalid timestamp"),
        (b"put m -5 1 a=b", "invalid timestamp"),
        (b"put m 17000000000000000 1 a=b", "neither seconds nor milliseconds"),
        (b"put m 1 high a=b", '"high" is not a number'),
        (b"rollup 1h m 1 1 a=b", "unknown command"),
    ],
)
def test_a_wrong_line_is_named(line, word):
    rows, (sentence,), dropped, commands = read(b"put a 1 1 x=y\n\n" + line + b"\nput b 2 2 x=y")

    assert [row[1] for row in rows] == [1000, 2000]
    assert word in sentence
    assert sentence.endswith(f", in {shown(line.decode())}")
    assert (dropped, commands) == (0, [])


@pytest.mark.parametrize("raw", [b"m a", b"m =b", b"m a=1 a=2", b"m __name__=b", b"m a=\xff"])
def test_names_that_cannot_be(raw):
    with pytest.raises(InvalidInput):
        opentsdb_lines.canonical(raw)


def test_commands_are_told_apart_and_bounded():
    rows, refused, dropped, commands = read(b"version\nput m 1 1 a=b\nhelp\n" + b"stats\n" * 200)

    assert (len(rows), dropped) == (1, 0)
    assert commands == ["version", "help", *["stats"] * 98]
    assert len(refused) == 100
