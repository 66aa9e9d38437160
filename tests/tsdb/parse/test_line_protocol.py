"""tsdb.parse.line_protocol: the kernel reads what a plain reader reads, line by line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb import limits
from tsdb.batch import TAIL_MARK
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import line_protocol
from tsdb.parse.line_protocol import Naming

MS = Resolution.MS
NOW = 1_700_000_000_123
NAMING = Naming("d")
SECONDS = {"ns": 10**9, "us": 10**6, "ms": 1000, "s": 1}


# --- the plain reader: one byte after the other, nothing shared with what it checks ---------------


class Wrong(Exception):
    pass


def split(body):
    """(number, text) of each line: newlines inside quoted field values do not end one."""
    at, number = 0, 1
    while at < len(body):
        start, begun = at, number
        inside = fields = comment = False
        seen = False  # anything but blanks
        while at < len(body):
            c = body[at : at + 1]
            if c == b"\n":
                number += 1
                if not inside:
                    break
            elif inside:
                if c == b"\\":
                    at += 1
                    number += body[at : at + 1] == b"\n"
                elif c == b'"':
                    inside = False
            elif comment or (not seen and c in (b" ", b"\t")):
                pass
            elif not seen and c == b"#":
                seen = comment = True
            else:
                seen = True
                if c == b"\\" and body[at + 1 : at + 2] not in (b"\n", b""):
                    at += 1
                elif c == b" ":
                    fields = True
                elif c == b"=" and fields and body[at + 1 : at + 2] == b'"':
                    inside = True
                    at += 1
            at += 1
        yield begun, body[start:at]
        at += 1


def name(text, at, stops):
    """The name at a place: (without its escapes, where it ends)."""
    out = b""
    while at < len(text):
        c = text[at : at + 1]
        if c == b"\\" and text[at + 1 : at + 2] in (b",", b"=", b" ", b"\\"):
            out += text[at + 1 : at + 2]
            at += 2
            continue
        if c in stops:
            break
        out += c
        at += 1
    if not out:
        raise Wrong("an empty name")
    try:
        out.decode()
    except UnicodeDecodeError:
        raise Wrong("no UTF-8") from None
    return out, at


def value(word):
    if word in (b"t", b"T", b"true", b"True", b"TRUE"):
        return 1.0
    if word in (b"f", b"F", b"false", b"False", b"FALSE"):
        return 0.0
    digits = word[1:] if word[:1] in (b"+", b"-") else word
    if word[-1:] in (b"i", b"u") and digits[:-1].isdigit():
        number = int(word[:-1])
        low, high = (-(2**63), 2**63) if word[-1:] == b"i" else (0, 2**64)
        if not low <= number < high or (word[-1:] == b"u" and word[:1] == b"-"):
            raise Wrong("out of range")
        return float(number)
    if not digits or digits[:1] not in b"0123456789." or b"_" in word:
        raise Wrong("no number")
    try:
        number = float(word)
    except ValueError:
        raise Wrong("no number") from None
    if abs(number) == float("inf"):
        raise Wrong("too large")
    return number


def ticks(word, precision, resolution):
    digits = word[1:] if word[:1] == b"-" else word
    if not digits.isdigit():
        raise Wrong("no time")
    number = int(word)
    if not -(2**63) <= number < 2**63:
        raise Wrong("out of range")
    if precision == "auto":
        size = abs(number) // 10**9
        precision = "s" if size < 5 else "ms" if size < 5000 else "us" if size < 5e6 else "ns"
    factor = {"m": 60, "h": 3600}.get(precision, 1) * resolution.ticks_per_s
    per_s = SECONDS.get(precision, 1)
    found = (2 * number * factor + per_s) // (2 * per_s)
    if not -(2**63) <= found < 2**63:
        raise Wrong("out of range")
    return found


def read_line(text, precision, resolution):
    """([(labels or None, ticks, bits)], texts)."""
    measurement, at = name(text, 0, (b",", b" "))
    tags = []
    while text[at : at + 1] == b",":
        tag, at = name(text, at + 1, (b",", b" ", b"="))
        if text[at : at + 1] != b"=":
            raise Wrong("a tag without value")
        of, at = name(text, at + 1, (b",", b" ", b"="))
        tags.append((tag, of))
    if text[at : at + 1] != b" ":
        raise Wrong("no fields")
    fields, texts = [], 0
    while text[at : at + 1] in (b" ", b"\t"):
        at += 1
    at -= 1
    while True:
        field, at = name(text, at + 1, (b",", b" ", b"="))
        if text[at : at + 1] != b"=":
            raise Wrong("a field without value")
        at += 1
        start = at
        if text[at : at + 1] == b'"':
            at += 1
            while text[at : at + 1] not in (b'"', b""):
                at += 2 if text[at : at + 1] == b"\\" else 1
            if text[at : at + 1] != b'"':
                raise Wrong("never closed")
            at += 1
            texts += 1
        else:
            while text[at : at + 1] not in (b",", b" ", b"\t", b""):
                at += 1
            fields.append((field, value(text[start:at])))
        if text[at : at + 1] != b",":
            break
    rest = text[at:]
    word = rest.strip(b" \t\r")
    if word and rest[:1] not in (b" ", b"\t"):
        raise Wrong("what is that")
    moment = ticks(word, precision, resolution) if word else NOW
    rows = []
    for field, number in fields:
        pairs = [(b"__name__", measurement + b"_" + field), *tags]
        if all(tag != b"db" for tag, _ in tags):
            pairs.append((b"db", b"d"))
        try:
            key = labels.canonical_pairs(pairs)
        except InvalidInput:
            key = None
        rows.append((key, moment, bits_of(number)))
    return rows, texts


def plainly(body, precision, resolution):
    rows, wrong, texts = [], [], 0
    for number, line in split(body):
        text = line.strip(b" \t\r")
        if not text or text.startswith(b"#"):
            continue
        try:
            found, skipped = read_line(text, precision, resolution)
        except Wrong:
            wrong.append(number)
            continue
        rows += found
        texts += skipped
    return rows, wrong[:100], texts


def bits_of(number):
    return int(np.array([number], np.float64).view(np.uint64)[0])


# --- what is checked -----------------------------------------------------------------------------


def parse(body, precision="ns", resolution=MS, naming=NAMING):
    return line_protocol.parse(body, resolution, precision=precision, now_ticks=NOW, naming=naming)


def read(body, precision="ns", resolution=MS, naming=NAMING):
    """What `plainly` gives; and canonical keys of many are those of one."""
    found = parse(body, precision, resolution, naming)
    points = found.points
    columns = points.columns
    assert columns.offsets.tolist() == list(range(columns.runs + 1))
    keys, offsets = points.canonical_many(np.arange(columns.runs))
    rows = []
    for i in range(columns.runs):
        raw = (
            points.key_bytes[points.key_starts[i] : points.key_ends[i]].tobytes()
            + TAIL_MARK
            + points.key_bytes[points.tail_starts[i] : points.tail_ends[i]].tobytes()
        )
        try:
            key = points.canonical(raw)
        except InvalidInput:
            key = None
        many = keys[offsets[i] : offsets[i + 1]].tobytes()
        assert many in (b"", key)
        assert many or key is None or b"\\" in raw
        rows.append((key, int(columns.timestamps[i]), int(columns.values.view(np.uint64)[i])))
    wrong = [int(why.split(":")[0].removeprefix("line ")) for why in points.skipped]
    return rows, wrong, found.strings


NAMES = st.one_of(
    st.sampled_from(
        [b"cpu", b"host", b"a", b"b", b"db", b"usage_user", b"value", b"\\ ", b"\\,", b"\\=",
         b"\\\\", b"a\\", b"a b", b"=", b",", b"", b"\xc3\xa9", b"\xff", b'"', b"#", b"a\\\\\\ b",
         b"\t",
         b"__name__", b"longer_than_eight_bytes", b"sixteen_bytes_ab"]
    ),
    st.binary(max_size=10),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [b"1", b"1.5", b"-0", b"-0i", b"1i", b"-7i", b"5u", b"-5u", b"t", b"T", b"true", b"True",
         b"TRUE", b"f", b"F", b"false", b"False", b"FALSE", b"tRUE", b"fals", b"nan", b"inf",
         b"1e5", b"1e400", b"+5", b"+5i", b".5", b"5.", b"1.5i", b"007", b"007i", b"1_0", b"0x1",
         b"",
         b"99999999999999999999", b"9223372036854775807i", b"9223372036854775808i",
         b"18446744073709551615u", b"18446744073709551616u", b'"text"', b'"a \\" b"', b'"a\nb"',
         b'"', b'"a\\', b'"\\\n"', b'"x"y', b"1 ", b"00000000000000000000001i", b"-", b"1e",
         b"truex"]
    ),
    st.floats(width=64).map(lambda x: repr(x).encode()),
    st.integers(-(2**65), 2**65).map(lambda n: b"%di" % n),
    st.binary(max_size=6),
)  # fmt: skip
TIMES = st.one_of(
    st.sampled_from(
        [b"", b" ", b" 1700000000000000000", b" -1", b" 1", b"\t5", b" 5 6", b" 1.5", b" 1x",
         b" 9223372036854775807", b" -9223372036854775808", b" 9223372036854775808", b" -",
         b" 000000000000000000000017", b"  1700000000 \t\r", b" 500000", b" -500000", b" +1"]
    ),
    st.integers(-(2**64), 2**64).map(lambda n: b" %d" % n),
)  # fmt: skip
PAIRS = st.lists(st.tuples(NAMES, NAMES).map(b"=".join), max_size=3)
FIELDS = st.lists(st.tuples(NAMES, VALUES).map(b"=".join), max_size=4)
LINE = st.one_of(
    st.tuples(NAMES, PAIRS, FIELDS, TIMES).map(
        lambda t: b",".join([t[0], *t[1]]) + b" " + b",".join(t[2]) + t[3]
    ),
    st.tuples(
        st.sampled_from([b"cpu,host=a", b"cpu,host=b", b"cpu"]),
        st.lists(
            st.tuples(st.sampled_from([b"usage_user", b"usage_system", b"v"]), VALUES).map(
                b"=".join
            ),
            min_size=1,
            max_size=4,
        ),
    ).map(lambda t: t[0] + b" " + b",".join(t[1]) + b" 1700000000000000000"),
    st.sampled_from([b"", b"# comment", b"#\\", b"  \t", b"\r", b' # "', b"m v=1\r"]),
)
BODY = st.lists(LINE, max_size=8).map(b"\n".join)
PRECISIONS = st.sampled_from([*line_protocol.PRECISIONS, "auto"])


@given(BODY, PRECISIONS, st.sampled_from(list(Resolution)))
def test_the_kernel_reads_what_a_plain_reader_reads(body, precision, resolution):
    assert read(body, precision, resolution) == plainly(body, precision, resolution)


@given(st.binary(max_size=60), PRECISIONS)
def test_any_bytes_are_read_alike(body, precision):
    assert read(body, precision) == plainly(body, precision, MS)


MARKS = st.sampled_from([b"m", b",", b"=", b" ", b"\\", b'"', b"\n", b"1", b"i", b"t", b"#"])


@given(st.lists(MARKS, max_size=24).map(b"".join))
def test_any_structure_is_read_alike(body):
    assert read(body) == plainly(body, "ns", MS)


def key(**pairs):
    return labels.canonical(pairs)


@pytest.mark.parametrize(
    ("line", "of", "ticks_", "number"),
    [
        (b"cpu,host=a v=1.5 1700000000000000000", {"__name__": "cpu_v", "host": "a"},
         1_700_000_000_000, 1.5),
        (b"  cpu v=1i", {"__name__": "cpu_v"}, NOW, 1.0),
        (b"cpu value=T 1499999\r", {"__name__": "cpu_value"}, 1, 1.0),
        (b"cpu v=1 1500000", {"__name__": "cpu_v"}, 2, 1.0),
        (b"cpu v=1 -1500000", {"__name__": "cpu_v"}, -1, 1.0),
        (rb"a\ b,c\,d=e\=f g\=h=1u 0", {"__name__": "a b_g=h", "c,d": "e=f"}, 0, 1.0),
        (rb"m,path=C:\\dir\,x v=1 0", {"__name__": "m_v", "path": "C:\\dir,x"}, 0, 1.0),
        (rb"m,path=C:\dir v=1 0", {"__name__": "m_v", "path": "C:\\dir"}, 0, 1.0),
        (b"a=b v=1 0", {"__name__": "a=b_v"}, 0, 1.0),
        (b"m,db=own v=1 0", {"__name__": "m_v", "db": "own"}, 0, 1.0),
        ("é,ü=ö ß=1 0".encode(), {"__name__": "é_ß", "ü": "ö"}, 0, 1.0),
    ],
)  # fmt: skip
def test_shapes_of_a_line(line, of, ticks_, number):
    expected = key(**({"db": "d"} | of))
    assert read(line) == ([(expected, ticks_, bits_of(number))], [], 0)
    assert read(line + b"\n") == read(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"m", "no fields"),
        (b",a=b v=1", "no measurement"),
        (b"m,a v=1", 'not "a v=1"'),
        (b"m,a= v=1", 'tag "a" has no value'),
        (b"m,a=b=c v=1", "equals sign"),
        (b"m v", 'not "v"'),
        (b"m =1", 'not "=1"'),
        (b"m v=", "it has no value"),
        (b"m v=NaN", "has no NaN"),
        (b"m v=-inf", "has no -inf"),
        (b'm v="x', "never closed"),
        (b"m v=1 2 3", 'not "2 3"'),
        (b"m v=1 1.5", 'not "1.5"'),
        (b"m v=1x", '"1x" is neither'),
        (b"m v=9223372036854775808i", "out of range"),
        (b"m v=-1u", "out of range"),
        (b"m v=1e999", "past the largest"),
        (b"m v=1 9223372036854775808", "out of range"),
        (b"m\xff v=1", "measurement is not valid UTF-8"),
        (b"m v\xff=1", "field name is not valid UTF-8"),
        (b"m,a=\xff v=1", 'value of tag "a" is not valid UTF-8'),
        (b"m v=1,", 'not ""'),
    ],
)
def test_what_is_wrong_is_told(line, words):
    points = parse(b"m ok=1\n" + line + b"\nm ok=2\n").points
    (why,) = points.skipped
    assert why.startswith("line 2: ")
    assert words in why
    assert points.columns.runs in (1, 2)  # a quote that is never closed takes the rest


def test_numbers_of_lines_count_newlines_in_texts():
    body = b'm a="1\n2\\\n3",b=1\nm x\nm a="\n",b=x\nm y'
    assert [why.partition(":")[0] for why in parse(body).points.skipped] == [
        "line 4", "line 5", "line 7"
    ]  # fmt: skip


def test_fields_of_a_line_share_their_head_and_names_stay_where_they_were():
    body = b"m,a=1 x=1,y=2 1\nm,a=1 x=3,y=4 2\nm,a=2 x=5,y=6,z=7 3\n"
    points = parse(body).points
    assert points.key_starts.tolist() == [0, 0, 0, 0, 32, 32, 32]
    assert points.tail_starts.tolist() == [6, 10, 6, 10, 6, 10, 46]


def test_series_that_cannot_be_name_the_first_line_with_them():
    points = parse(b"m v=1\n\nm,a=1,a=2 v=1,w=2\nm,a=1,a=2 v=1\n").points
    with pytest.raises(InvalidInput, match=r'^line 3: label "a" is given twice'):
        points.canonical(b"m,a=1,a=2\xffv")
    long = b"x" * (limits.LABEL_VALUE_BYTES_MAX + 1)
    points = parse(b"m v=1\nm,a=%b v=1\n" % long).points
    with pytest.raises(LimitExceeded, match=r"^line 2: value of label") as found:
        points.canonical(b"m,a=%b\xffv" % long)
    assert found.value.limit == "LABEL_VALUE_BYTES_MAX"
    keys, offsets = points.canonical_many(np.array([1, 0, 1]))
    assert offsets.tolist() == [0, 0, keys.size, keys.size]


@pytest.mark.parametrize(
    ("naming", "field", "expected"),
    [
        (Naming(), b"v", {"__name__": "m_v", "t": "x"}),
        (Naming("d", label=""), b"v", {"__name__": "m_v", "t": "x"}),
        (Naming("d", label="bucket"), b"v", {"__name__": "m_v", "t": "x", "bucket": "d"}),
        (Naming("d", label="t"), b"v", {"__name__": "m_v", "t": "x"}),
        (Naming(separator="."), b"v", {"__name__": "m.v", "t": "x"}),
        (Naming(separator=""), b"v", {"__name__": "mv", "t": "x"}),
        (Naming(bare_value=True), b"value", {"__name__": "m", "t": "x"}),
        (Naming(bare_value=True), b"values", {"__name__": "m_values", "t": "x"}),
        (Naming(), b"value", {"__name__": "m_value", "t": "x"}),
    ],
)
def test_naming(naming, field, expected):
    rows, _, _ = read(b"m,t=x %b=1 0" % field, naming=naming)
    assert rows == [(key(**expected), 0, bits_of(1.0))]


def test_different_names_are_different_forms():
    namings = [Naming(), Naming("d"), Naming("d", label=""), Naming(separator="."),
               Naming(bare_value=True), Naming("d", label="l")]  # fmt: skip
    assert len({naming.form for naming in namings}) == len(namings)


@pytest.mark.parametrize("start", [b"m ", b"m\t "], ids=["kernel", "slow twin"])
def test_as_many_values_as_a_request_may_hold(start, monkeypatch):
    """The columns begin small and grow, in the middle of a line too."""
    monkeypatch.setattr(limits, "POINTS_PER_REQUEST_MAX", 1000)
    body = start + b",".join([b"a=1"] * 500) + b" 5\n"
    rows, wrong, _ = read(body * 2)
    assert wrong == []
    assert rows == plainly(body * 2, "ns", MS)[0]
    for too_much in (body * 2 + b"m v=1", body + start + b",".join([b"a=1"] * 501)):
        with pytest.raises(LimitExceeded, match="POINTS_PER_REQUEST_MAX"):
            parse(too_much)


def test_a_body_of_another_format_is_refused_whole():
    with pytest.raises(LimitExceeded, match="LINES_REFUSED_MAX"):
        parse(b"{}\n" * (limits.LINES_REFUSED_MAX + 1))
