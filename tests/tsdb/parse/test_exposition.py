"""tsdb.parse.exposition: the kernel reads what its slow twin reads, and what others read."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from tsdb.batch import Exemplar, FamilyMetadata
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.index import labels
from tsdb.parse import exposition, exposition_text, times

MS = Resolution.MS
NOW = 1_700_000_000_123
NAN = 0x7FF8000000000001


def key(**pairs):
    return labels.canonical(pairs)


def named(raw):
    try:
        return exposition.canonical(raw)
    except InvalidInput:
        return None


def bits(value):
    return int(np.array([value]).view(np.uint64)[0])


def rows_of(parsed):
    assert parsed.columns.offsets.tolist() == list(range(parsed.columns.runs + 1))
    return [
        (named(parsed.key_bytes[start:end].tobytes()), ticks, found)
        for start, end, ticks, found in zip(
            parsed.key_starts.tolist(),
            parsed.key_ends.tolist(),
            parsed.columns.timestamps.tolist(),
            parsed.columns.values.view(np.uint64).tolist(),
            strict=True,
        )
    ]


def read(body, resolution=MS, **options):
    return exposition.parse(body, resolution, now_ticks=NOW, **options)


def points(body, **options):
    parsed = read(body, strict=True, **options)
    return rows_of(parsed)


def slowly(body, form):
    """(points that have a key, lines without a point): a line at a time, comments left out."""
    rows, refused = [], 0
    for line in body.split(b"\n"):
        if line[:1] == b"#":
            continue
        try:
            found = exposition_text.read_line(line.rstrip(b" \t\r"), form)
            if found is not None:
                series = exposition.canonical(line[found.key_start : found.key_end])
                rows.append((series, found.ticks, found.bits))
        except InvalidInput:
            refused += 1
    return rows, refused


PIECES = st.sampled_from(
    [b"a", b"up", b"a:b", b"http_requests_total", b"9a", b"{", b"}", b",", b"=", b'"', b'"x"',
     b'"my.name"', b'l="v"', b'l="a\\"b\\\\c\\nd"', b'l="\\q"', b'le="+Inf"', b"l=", b'x=""',
     b" ", b"  ", b"\t", b"1", b"-1", b"+1", b"1.5", b".5", b"5.", b"1e5", b"NaN", b"nan", b"+NaN",
     b"+Inf", b"-Inf", b"inf", b"Infinity", b"0x1p3", b"1_0", b"1e999", b"StaleNaN", b"007",
     b"1700000000000", b"-5", b"1.25", b"#", b"# {", b'# {t="x"} 1', b"\r", b"\xc3\xa9", b"\xff",
     b"\x00", b"\\", b"99999999999999999999", b"\x0c", b"__name__"]
)  # fmt: skip
NAME = st.sampled_from(
    [b"a", b"http_requests_total", b"a:b", b"_x", b"a2", b"abcdefgh", b"abcdefghi"]
)
LABELS = st.lists(
    st.tuples(
        st.sampled_from([b"l", b"le", b"my_label", b'"my.label"', b"l2"]),
        st.sampled_from([b"", b"v", b"a v", b"+Inf", b'q\\"q', b"\\\\", b"\\n", b"\xc3\xa9"]),
    ).map(lambda pair: b'%b="%b"' % pair),
    max_size=4,
).map(b",".join)  # fmt: skip
NUMBER = st.one_of(
    st.floats(width=64).map(lambda x: repr(x).encode()),
    st.integers(-(2**65), 2**65).map(lambda n: b"%d" % n),
    st.sampled_from([b"NaN", b"+Inf", b"-Inf", b"1e3", b"-0", b"0.1"]),
)
STAMP = st.one_of(
    st.just(b""),
    st.integers(-(2**41), 2**42).map(lambda n: b" %d" % n),
    st.sampled_from([b" 1.5", b" 1e9", b" 1700000000.123", b" x"]),
)
LINE = st.one_of(
    st.lists(PIECES, max_size=9).map(b"".join),
    st.tuples(NAME, LABELS, st.sampled_from([b" ", b"  ", b"\t", b""]), NUMBER, STAMP,
              st.sampled_from([b"", b" ", b"\r", b' # {t="x"} 1.5'])).map(
        lambda t: b"%b{%b}%b%b%b%b" % t),
    st.tuples(NAME, NUMBER, STAMP).map(lambda t: b"%b %b%b" % t),
)  # fmt: skip
BODY = st.lists(LINE.map(lambda line: line.replace(b"\n", b"")), max_size=10).map(b"\n".join)


@given(BODY, st.sampled_from(list(Resolution)), st.booleans())
def test_the_kernel_reads_what_the_slow_twin_reads(body, resolution, stamps):
    form = exposition.Format(times.decimal_exponent(resolution), NOW, stamps=stamps)
    rows, refused = slowly(body, form)
    parsed = read(body, resolution, timestamps=stamps)
    found = rows_of(parsed)

    assert [row for row in found if row[0] is not None] == rows
    without_key = sum(row[0] is None for row in found)
    notes = sum("names no metric" in text for text in parsed.skipped)
    assert len(parsed.skipped) + parsed.skipped_more + without_key - notes == refused


@given(BODY, st.sampled_from(list(Resolution)))
def test_the_same_for_openmetrics(body, resolution):
    body = b"".join(line + b"\n" for line in body.split(b"\n") if line[:1] != b"#")
    form = exposition.Format(times.decimal_exponent(resolution), NOW, openmetrics=True)
    rows, refused = slowly(body.removesuffix(b"\n"), form) if body else ([], 0)
    parsed = read(body + b"# EOF\n", resolution, openmetrics=True)
    found = rows_of(parsed)

    assert [row for row in found if row[0] is not None] == rows
    without_key = sum(row[0] is None for row in found)
    of_exemplars = sum("exemplar: " in text for text in parsed.skipped)
    told = len(parsed.skipped) + parsed.skipped_more
    assert told - of_exemplars + without_key == refused
    assert all(e.series in [row[0] for row in rows] for e in parsed.exemplars)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=8)
SAMPLES = st.lists(
    st.tuples(
        st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,9}", fullmatch=True),
        st.dictionaries(st.from_regex(r"[a-z][a-zA-Z_]{0,5}", fullmatch=True), TEXTS, max_size=3),
        st.floats(allow_nan=False),
        st.none() | st.integers(0, 2**42),
    ),
    max_size=8,
)  # fmt: skip


def written(name, pairs, value, stamp):
    inside = ",".join(
        '{}="{}"'.format(n, v.replace("\\", "\\\\").replace('"', '\\"')) for n, v in pairs.items()
    )
    number = {"inf": "+Inf", "-inf": "-Inf"}.get(repr(value), repr(value))
    return f"{name}{{{inside}}} {number}" + ("" if stamp is None else f" {stamp}")


@given(SAMPLES)
def test_text_is_what_prometheus_client_reads(samples):
    text = "".join(written(*sample) + "\n" for sample in samples)
    theirs = [sample for family in prometheus_text(text) for sample in family.samples]

    ours = points(text.encode())
    expected = [
        (
            key(**{"__name__": s.name}, **s.labels),
            NOW if s.timestamp is None else round(float(s.timestamp) * 1000),
            bits(float(s.value)),
        )
        for s in theirs
    ]
    assert sorted(ours) == sorted(expected)
    assert len(ours) == len(samples)


def test_openmetrics_is_what_prometheus_client_reads():
    text = """# TYPE a counter
# HELP a Help \\\\ with \\"escapes\\"
a_total{x="1"} 3 12.5 # {trace_id="q"} 0.5 12.25
a_created{x="1"} 10 12.5
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{le="1.0"} 1
h_seconds_bucket{le="+Inf"} 2 # {} 3
h_seconds_count 2
h_seconds_sum 1.5e-3
# TYPE i info
i_info{v="\\n"} 1
# EOF
"""
    theirs = list(openmetrics(text))
    parsed = read(text.encode(), openmetrics=True, strict=True)

    assert rows_of(parsed) == [
        (
            key(**{"__name__": s.name}, **s.labels),
            NOW if s.timestamp is None else round(float(s.timestamp) * 1000),
            bits(float(s.value)),
        )
        for family in theirs
        for s in family.samples
    ]
    assert parsed.metadata == tuple(
        FamilyMetadata(f.name, f.type, f.documentation, f.unit) for f in theirs
    )
    bucket = key(__name__="h_seconds_bucket", le="+Inf")
    assert parsed.exemplars == (
        Exemplar(key(__name__="a_total", x="1"), key(trace_id="q"), 12_250, 0.5),
        Exemplar(bucket, b"", NOW, 3.0),
    )


@pytest.mark.parametrize(
    ("line", "series", "ticks", "value"),
    [
        (b"up 1", {"__name__": "up"}, NOW, 1.0),
        (b"up{} 1 5", {"__name__": "up"}, 5, 1.0),
        (b'a{b="c",} 1 -5', {"__name__": "a", "b": "c"}, -5, 1.0),
        (b' a { b = "c" , d="e" } 1', {"__name__": "a", "b": "c", "d": "e"}, NOW, 1.0),
        (b'a{b="c"}1', {"__name__": "a", "b": "c"}, NOW, 1.0),
        (b'{"my.name", "l.x"="v"} 1', {"__name__": "my.name", "l.x": "v"}, NOW, 1.0),
        (b'{a="b","my.name"} 1', {"__name__": "my.name", "a": "b"}, NOW, 1.0),
        (b'{__name__="x"} 1', {"__name__": "x"}, NOW, 1.0),
        (b'a{b="\\\\\\"\\n\\t"} 1', {"__name__": "a", "b": '\\"\n\\t'}, NOW, 1.0),
        (b'a{b="}{,=#"} 1', {"__name__": "a", "b": "}{,=#"}, NOW, 1.0),
        (b'a{b=""} 1', {"__name__": "a"}, NOW, 1.0),
        (b"a +.5e1\t7 \r", {"__name__": "a"}, 7, 5.0),
        (b"a -iNf", {"__name__": "a"}, NOW, -np.inf),
    ],
)
def test_shapes_of_a_line(line, series, ticks, value):
    assert points(line + b"\n") == [(key(**series), ticks, bits(value))]
    assert points(line) == points(b"# a comment\n\n" + line + b"\n#\n")


def test_values_that_are_no_number():
    assert points(b"a NaN\na nan\na StaleNaN\n") == [
        (key(__name__="a"), NOW, found) for found in (NAN, NAN, 0x7FF0000000000002)
    ]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"a", "no value"),
        (b"a x", '"x" is not a number'),
        (b"a 0x1p3", "not a number"),
        (b"a 1_0", "not a number"),
        (b"a +NaN", "not a number"),
        (b"a 1e999", "past the largest float64"),
        (b"a 1 1.5", "whole number of milliseconds"),
        (b"a 1 2 3", "follows"),
        (b"a 1 99999999999999999999", "outside int64"),
        (b'a 1 # {t="x"} 1', "whole number"),
        (b'a{b="c} 1', "in quotes that are closed"),
        (b"a{b=c} 1", "in quotes that are closed"),
        (b'a{b="c" d="e"} 1', "not closed"),
        (b"a{b} 1", "has no value"),
        (b'a{,b="c"} 1', "no label name"),
        (b'a{"b","c"} 1', "second one"),
        (b'{a="b"} 1', "no metric name"),
        (b'{"a","b"} 1', "second one"),
        (b'{""} 1', "name is empty"),
        (b'a{ b="1" ,b="2"} 1', "given twice"),
        (b'a{b="\xff"} 1', "UTF-8"),
        (b"9a 1", "no metric name"),
        (b"# TYPE a thing", "no type of metric"),
        (b"# HELP 9a x", "names no metric"),
        (b"# HELP 9a # HELP a x", "names no metric"),
        (b"a 1\r 5", "follows"),
    ],
)
def test_a_wrong_line_is_named(line, word):
    body = b"good 1\n# TYPE good gauge\n" + line + b"\nmore 2\n"
    parsed = read(body)

    assert [row[0] for row in rows_of(parsed)] == [key(__name__="good"), key(__name__="more")]
    (sentence,) = parsed.skipped
    assert sentence.startswith("line 3: ")
    assert word in sentence
    with pytest.raises(InvalidInput, match=r"^line 3: "):
        read(body, strict=True)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"a 1\n", "cut off"),
        (b"", "cut off"),
        (b"# EOF\n\n", "line 2: something follows"),
        (b"# EOF\na 1\n# EOF\n", "line 2: something follows"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_openmetrics_ends_with_eof(body, word, strict):
    with pytest.raises(InvalidInput, match=word):
        read(body, openmetrics=True, strict=strict)
    assert rows_of(read(b"a 1 1.5\n# EOF", openmetrics=True))[0][1] == 1500


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"", "empty"),
        (b" a 1", "begins with a space"),
        (b"# comment", "a comment is"),
        (b"# UNIT a_seconds bytes", "not the end"),
        (b'a 1 # {t="%b"} 1' % (b"x" * 128), "EXEMPLAR_CHARACTERS_MAX"),
        (b"a 1 # 1", "begins with labels"),
        (b'a 1 # {t="x"}', "has a value"),
        (b'a 1 # {"n"} 1', "no metric name"),
    ],
)
def test_what_openmetrics_does_not_have(line, word):
    body = b"a 1\n" + line + b"\n# EOF\n"

    (sentence,) = read(body, openmetrics=True).skipped
    assert sentence.startswith("line 2: ")
    assert word in sentence
    with pytest.raises(InvalidInput, match=r"^line 2: "):
        read(body, openmetrics=True, strict=True)


def test_metadata():
    body = (
        b'# HELP a one\n# TYPE a counter\n#  TYPE\tb   untyped \n# HELP c a\\nb\\\\c \\" d\n'
        b'# TYPE "my.name" gauge\n# HELPFUL words\n# TYPES of things\n#TYPE d gauge\n'
        b"# TYPE a gauge\n# UNIT a seconds\n# HELP e\n"
    )
    assert read(body, strict=True).metadata == (
        FamilyMetadata("a", "gauge", "one"),
        FamilyMetadata("b", "unknown"),
        FamilyMetadata("c", "unknown", 'a\nb\\c \\" d'),
        FamilyMetadata("my.name", "gauge"),
        FamilyMetadata("e", "unknown"),
    )
    long = b"".join(b"# TYPE metric_%d counter\n" % i for i in range(5_000))
    assert len(read(long).metadata) == 5_000


def test_exemplars_are_bounded():
    body = b'a 1 # {t="x"} 1\n' * 10_005 + b"# EOF\n"
    parsed = read(body, openmetrics=True, strict=True)

    assert (parsed.columns.points, len(parsed.exemplars)) == (10_005, 10_000)
    assert parsed.skipped[0].startswith("5 exemplars")


def test_what_was_said_is_remembered_up_to_a_bound():
    texts = [b"# HELP a_%d " % i + b"x" * (1 << 20) + b"\n" for i in range(10)]
    first = [read(text).metadata[0].family for text in texts]

    assert (
        first == [read(text).metadata[0].family for text in texts] == [f"a_{i}" for i in range(10)]
    )


@given(BODY)
def test_many_keys_at_once_are_those_of_each(body):
    parsed = read(body)
    runs = np.arange(parsed.columns.runs, dtype=np.int64)[::-1].copy()
    out, offsets = parsed.canonical_many(runs)
    single = [key for key, _, _ in rows_of(parsed)][::-1]

    assert offsets[-1] == out.size
    for one, start, end in zip(single, offsets, offsets[1:], strict=False):
        assert start == end or out[start:end].tobytes() == one


def test_keys_that_python_need_not_see():
    body = b'a 1\nb{} 1\nz{y="1",__a="",A="\xc3\xa9",} 1\na{b="1",b="2"} 1\na{b="\\n"} 1\n'
    body += b"a%b 1\n" % (b"x" * 4_095) + b'a{b="%b"} 1\n' % (b"x" * 4_097)
    body += b"a{%b} 1\n" % b",".join(b'l%d="v"' % i for i in range(64))
    parsed = read(body)
    out, offsets = parsed.canonical_many(np.arange(parsed.columns.runs, dtype=np.int64))

    names = [key(__name__="a"), key(__name__="b"), key(__name__="z", A="é", y="1")]
    long = key(__name__="a" + "x" * 4_095)
    found = [out[s:e].tobytes() for s, e in itertools.pairwise(offsets)]
    assert found == [*names, b"", b"", long, b"", b""]


def test_times_can_be_left_aside():
    assert points(b"a 1 5\na 1\n", timestamps=False) == [(key(__name__="a"), NOW, bits(1.0))] * 2


def test_labels_that_every_series_gets():
    form = exposition.Format(3, NOW)
    extra = ((b"job", b"j"), (b"gone", b""))
    reading = exposition.read(b'a{job="x",gone="y",l="1"} 1\na 1 5\n', form, extra=extra)
    parsed = reading.parsed
    text = parsed.key_bytes.tobytes()

    found = [
        parsed.canonical(text[s:e]) for s, e in zip(parsed.key_starts, parsed.key_ends, strict=True)
    ]
    assert found == [key(__name__="a", job="j", l="1"), key(__name__="a", job="j")]
    assert reading.stamped == 1
    assert parsed.form != exposition.FORM


def test_good_lines_are_kept_however_many_are_wrong():
    parsed = read(b"x\n" * 20_000 + b"a 1\n")

    assert parsed.columns.points == 1
    assert (len(parsed.skipped), parsed.skipped_more) == (100, 19_900)
