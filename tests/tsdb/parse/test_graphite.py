"""tsdb.parse.graphite: the kernel reads what its slow twin reads, line by line."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.index.quoting import shown
from tsdb.parse import graphite, times
from tsdb.parse.line_columns import NoPoint

MS = Resolution.MS
NOW = 1_700_000_000_123


def key(**pairs):
    return labels.canonical(pairs)


def read(body, resolution=MS):
    """[(canonical key or the reason why none, ticks, bits)], sentences, dropped."""
    parsed, dropped = graphite.parse(body, resolution, NOW)
    assert parsed.skipped_more >= dropped
    rows = []
    for start, end, ticks, bits in zip(
        parsed.key_starts.tolist(),
        parsed.key_ends.tolist(),
        parsed.columns.timestamps.tolist(),
        parsed.columns.values.view(np.uint64).tolist(),
        strict=True,
    ):
        rows.append((named(parsed.key_bytes[start:end].tobytes()), ticks, bits))
    return rows, list(parsed.skipped), dropped


def named(raw):
    try:
        return graphite.canonical(raw)
    except InvalidInput as error:
        return str(error)


def slowly(body, resolution=MS):
    rows, refused, dropped = [], [], 0
    scale = times.decimal_exponent(resolution)
    for line in body.split(b"\n"):
        text = line.strip(b" \t\r")
        if not text:
            continue
        try:
            point = graphite.slow_line(text, scale, NOW)
        except InvalidInput as error:
            refused.append(f"{error}, in {shown(text.decode(errors='replace'))}")
            continue
        if point is NoPoint.NAN:
            dropped += 1
            continue
        bits = int(np.array([point.value]).view(np.uint64)[0])
        rows.append((named(point.key), point.ticks, bits))
    return rows, refused[:100], dropped


WORDS = st.one_of(
    st.sampled_from(
        [b"a.b.c", b"a;x=1;y=2", b";x=1", b"a;x", b"a;;x=1;", b"a;=1", b"a;x=", b"1", b"-1", b"1.5",
         b"nan", b"NaN", b"-nan", b"inf", b"-Infinity", b"1e5", b"1e400", b"+5", b".5", b"5.",
         b"-1.0", b"1700000000", b"1700000000.25", b"0x10", b"1_0", b"-0", b"99999999999999999999",
         b"\xc3\xa9", b"\xff", b"a\x01b", b"1\x00", b"12345678", b"-15", b"-1x", b"--1", b"+nan"]
    ),
    st.binary(min_size=1, max_size=12),
    st.floats(width=64).map(lambda x: repr(x).encode()),
    st.integers(-(2**70), 2**70).map(lambda n: str(n).encode()),
)  # fmt: skip
BLANK = st.sampled_from([b" ", b"  ", b"\t", b" \t", b""])
LINE = st.one_of(
    st.tuples(BLANK, WORDS, BLANK, WORDS, BLANK, WORDS, BLANK, st.sampled_from([b"", b"\r"])).map(
        b"".join
    ),
    st.lists(WORDS, max_size=5).map(b" ".join),
    st.tuples(st.sampled_from([b"a.b", b"c;d=e"]), st.floats(), st.integers(-5, 2**33)).map(
        lambda t: b"%b %b %d" % (t[0], repr(t[1]).encode(), t[2])
    ),
)


@given(st.lists(LINE, max_size=12).map(b"\n".join), st.sampled_from(list(Resolution)))
def test_the_kernel_reads_what_the_slow_twin_reads(body, resolution):
    assert read(body, resolution) == slowly(body, resolution)


@pytest.mark.parametrize(
    ("line", "labels_", "ticks", "value"),
    [
        (b"web01.load 1.5 1700000000", {"__name__": "web01.load"}, 1700000000000, 1.5),
        (b"a;b=c;d=e 1 1", {"__name__": "a", "b": "c", "d": "e"}, 1000, 1.0),
        (b"  a\t 1e5  1.25 \r", {"__name__": "a"}, 1250, 1e5),
        (b"a 1 -1", {"__name__": "a"}, NOW, 1.0),
        (b"a -inf -1.0", {"__name__": "a"}, NOW, -math.inf),
        (b"a;empty=;x=y 1 1", {"__name__": "a", "x": "y"}, 1000, 1.0),
        ("é;ü=ö 1 1".encode(), {"__name__": "é", "ü": "ö"}, 1000, 1.0),
        (b"a;b=c=d 1 1", {"__name__": "a", "b": "c=d"}, 1000, 1.0),
        (b"a;;b=c; 1 1", {"__name__": "a", "b": "c"}, 1000, 1.0),
    ],
)  # fmt: skip
def test_shapes_of_a_line(line, labels_, ticks, value):
    bits = int(np.array([value]).view(np.uint64)[0])
    assert read(line) == ([(key(**labels_), ticks, bits)], [], 0)
    assert read(line + b"\n") == read(line)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"a 1", "2 words"),
        (b"a 1 2 3", "4 words"),
        (b"a x 1", '"x" is not a number'),
        (b"a 1 x", '"x" is not a number of seconds'),
        (b"a 1e999 1", "past the largest float64"),
        (b"a 1 1e30", "outside int64"),
        (b"\x16\x03\x01", "1 words"),
    ],
)
def test_a_wrong_line_is_named(line, word):
    rows, (sentence,), dropped = read(b"good 1 1\n\n" + line + b"\nmore 2 2")

    assert [row[1] for row in rows] == [1000, 2000]
    assert word in sentence
    assert sentence.endswith(f", in {shown(line.decode())}")
    assert dropped == 0


@pytest.mark.parametrize("raw", [b";a=b", b"a;b", b"a;=c", b"a;b=1;b=2", b"a;__name__=b", b"\xff"])
def test_names_that_cannot_be(raw):
    with pytest.raises(InvalidInput):
        graphite.canonical(raw)


def test_nan_is_counted_however_often():
    parsed, dropped = graphite.parse(b"a nan 1\n" * 20_000 + b"a 1 1\n", MS, NOW)

    assert (dropped, parsed.columns.points, parsed.skipped) == (20_000, 1, ())
    assert parsed.skipped_more == 20_000


def test_good_lines_are_kept_however_many_are_wrong():
    parsed, dropped = graphite.parse(b"x\n\n" * 20_000 + b"a 1 1\n" + b"y\n", MS, NOW)

    assert (parsed.columns.points, dropped, len(parsed.skipped)) == (1, 0, 100)
    assert parsed.skipped_more == 20_001 - 100
