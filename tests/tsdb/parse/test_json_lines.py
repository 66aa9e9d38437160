"""tsdb.parse.json_lines: the kernel and the slow path are one parser, exact to the last bit."""

import json
import math
import struct

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tsdb import limits
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import json_lines

MS = Resolution.MS
GOOD = b'{"metric":{"__name__":"up","job":"x"},"values":[1,2.5],"timestamps":[10,20]}'


def runs_of(parsed):
    """(canonical key, timestamps, value bits) of every run."""
    columns = parsed.columns
    for i in range(columns.runs):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        lo, hi = columns.offsets[i], columns.offsets[i + 1]
        yield (
            parsed.canonical(raw),
            columns.timestamps[lo:hi].tolist(),
            columns.values[lo:hi].view(np.uint64).tolist(),
        )


def slowly(body, resolution=MS):
    """The same through `slow_line` alone: (runs, refused lines)."""
    runs, refused = [], []
    scale = {"s": -3, "ms": 0, "us": 3, "ns": 6}[resolution.name_]
    for number, text in enumerate(body.split(b"\n"), 1):
        if not text.strip(b" \t\r"):
            continue
        try:
            line = json_lines.slow_line(text, scale)
        except InvalidInput:
            refused.append(number)
            continue
        if line.refused:
            refused.append(number)
        if line.values:
            runs.append((line.key, line.timestamps, bits_of(line.values)))
    return runs, refused


def bits_of(values):
    return np.array(values, np.float64).view(np.uint64).tolist()


def key_or_error(canonical, raw):
    try:
        return canonical(raw)
    except InvalidInput as error:
        return str(error)


def check_same(body, resolution=MS):
    """`parse` answers as the slow path does on every line."""
    parsed = json_lines.parse(body, resolution)
    runs, refused = slowly(body, resolution)
    columns = parsed.columns

    assert columns.runs == len(runs)
    for i, (key, stamps, bits) in enumerate(runs):
        raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
        lo, hi = columns.offsets[i], columns.offsets[i + 1]
        assert key_or_error(parsed.canonical, raw) == key_or_error(parsed.canonical, key)
        assert columns.timestamps[lo:hi].tolist() == stamps
        assert columns.values[lo:hi].view(np.uint64).tolist() == bits
    assert [int(s.split(":")[0].removeprefix("line ")) for s in parsed.skipped] == refused


def line_of(values, stamps=None):
    """A line of values given as text."""
    stamps = range(len(values)) if stamps is None else stamps
    points = f'"values":[{",".join(values)}],"timestamps":[{",".join(map(str, stamps))}]'
    return '{"metric":{"a":"b"},' + points + "}"


def values_read(values):
    parsed = json_lines.parse(line_of(values).encode(), MS)
    assert parsed.skipped == ()
    return parsed.columns.values


floats = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
finite = st.one_of(floats, st.floats(allow_nan=False)).filter(math.isfinite)


@given(st.lists(finite, min_size=1, max_size=50))
@example([5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, -0.0])
def test_every_shortest_float_is_read_back(values):
    back = values_read([repr(v) for v in values])

    assert back.view(np.uint64).tolist() == bits_of(values)


decimals = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.one_of(st.just("0"), st.from_regex(r"[1-9][0-9]{0,25}", fullmatch=True)),
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,25}", fullmatch=True)),
    st.one_of(st.just(""), st.from_regex(r"[eE][+-]?[0-9]{1,3}", fullmatch=True)),
)


@given(st.lists(decimals, min_size=1, max_size=50))
@example(["-0", "0e5", "1e22", "1e23", "9007199254740993", "9007199254740992.5"])
@example(["18446744073709551615", "18446744073709551616", "9223372036854775807"])
@example(["0.000000000000000000000000000000000012345678901234567890123"])
@example(["2.22507385850720113605740979670913197593481954635164564e-308"])
@example(["179769313486231580793728971405301e276", "1e308"])
@example(
    ["1e-400", "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324"]
)
def test_every_decimal_is_rounded_as_python_rounds_it(texts):
    """Long, halfway and subnormal ones included: a value never moves by one bit."""
    texts = [t for t in texts if math.isfinite(float(t))]

    assert values_read(texts).view(np.uint64).tolist() == bits_of([float(t) for t in texts])


@given(st.integers(0, 2**53), st.integers(-400, 400), st.integers(-1, 1))
@settings(max_examples=300)
def test_halfway_cases_are_rounded_to_even(mantissa, exponent, nudge):
    """The middle of two floats, exact in decimal, and its nearest neighbours in text."""
    value = math.ldexp(mantissa, exponent)
    above = math.nextafter(value, math.inf)
    if not (math.isfinite(above) and above > 0):
        return
    numerator, denominator = value.as_integer_ratio()
    above_n, above_d = above.as_integer_ratio()
    digits = 1100
    middle = (numerator * above_d + above_n * denominator) * 10**digits // (
        2 * denominator * above_d
    ) + nudge
    text = f"{middle}e-{digits}"

    assert values_read([text]).view(np.uint64).tolist() == bits_of([float(text)])


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
@example([-(2**63), 2**63 - 1, 0, -1])
def test_every_timestamp_survives(stamps):
    body = line_of(["1"] * len(stamps), stamps).encode()

    assert json_lines.parse(body, MS).columns.timestamps.tolist() == stamps


@pytest.mark.parametrize(
    ("text", "resolution", "ticks"),
    [
        ("1500", Resolution.S, 2),  # half up
        ("1499", Resolution.S, 1),
        ("-1500", Resolution.S, -1),
        ("-1501", Resolution.S, -2),
        ("-1499", Resolution.S, -1),
        ("1700000000123", Resolution.US, 1700000000123000),
        ("1700000000123.456", Resolution.US, 1700000000123456),
        ("1700000000123.456789", Resolution.NS, 1700000000123456789),
        ("1.7e12", MS, 1700000000000),
        ("1700000000000.0", MS, 1700000000000),
        ("0.4999999999999999999999999999", MS, 0),
        ("0.5", MS, 1),
        ("-0.5", MS, 0),
        ("-0.50000000000000000000000000001", MS, -1),
        ("0e99999", MS, 0),
        ("1e-99999999", MS, 0),
    ],
)
def test_milliseconds_become_ticks(text, resolution, ticks):
    parsed = json_lines.parse(line_of(["1"], [text]).encode(), resolution)

    assert parsed.columns.timestamps.tolist() == [ticks]


@given(
    st.lists(decimals, min_size=1, max_size=10),
    st.sampled_from(list(Resolution)),
)
def test_any_decimal_is_a_timestamp_or_refused_alike(texts, resolution):
    check_same("\n".join(line_of(["1"], [t]) for t in texts).encode(), resolution)


def test_what_is_past_int64_is_refused_by_line():
    lines = [line_of(["1"], [t]) for t in ("9223372036854775807", "9223372036854775808", "1e30")]

    parsed = json_lines.parse("\n".join(lines).encode(), MS)

    assert parsed.columns.points == 1
    assert parsed.skipped == (
        'line 2: timestamps[0]: "9223372036854775808" is outside int64 ticks',
        'line 3: timestamps[0]: "1e30" is outside int64 ticks',
    )


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ('"NaN"', 0x7FF8 << 48),
        ('"Inf"', 0x7FF << 52),
        ('"+Inf"', 0x7FF << 52),
        ('"-Inf"', 0xFFF << 52),
        ('"Infinity"', 0x7FF << 52),
        ('"-Infinity"', 0xFFF << 52),
        ('"nan"', 0x7FF8 << 48),
        ('"-inf"', 0xFFF << 52),
        ('"StaleNaN"', 0x7FF0000000000002),
        ("-0", 1 << 63),
    ],
)
def test_values_that_json_has_no_number_for(text, bits):
    assert values_read([text]).view(np.uint64).tolist() == [bits]
    assert bits_of(json_lines.slow_line(line_of([text]).encode(), 0).values) == [bits]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "it is an array, not an object"),
        (b'{"metric":{"a":"b"}}', '"timestamps" is missing'),
        (b'{"values":[1],"timestamps":[1]}', '"metric" is missing'),
        (b'{"metric":{"a":"b"},"values":[1],"timestamps":[1,2]}', "2 timestamps but 1 values"),
        (b'{"metric":{"a":1},"values":[1],"timestamps":[1]}', 'label "a" is a number'),
        (b'{"metric":{"a":null},"values":[1],"timestamps":[1]}', 'label "a" is null'),
        (b'{"metric":["a"],"values":[1],"timestamps":[1]}', '"metric" is an array'),
        (b'{"metric":{"a":"b"},"values":[NaN],"timestamps":[1]}', "NaN is not JSON"),
        (b'{"metric":{"a":"b"},"values":[01],"timestamps":[1]}', "not JSON"),
        (b'{"metric":{"a":"b"},"values":[1.],"timestamps":[1]}', "not JSON"),
        (b'{"metric":{"a":"b"},"values":[1e400],"timestamps":[1]}', "past the largest float64"),
        (b'{"metric":{"a":"b"},"values":["x"],"timestamps":[1]}', 'values[0]: "x" is not a number'),
        (b'{"metric":{"a":"b"},"values":[true],"timestamps":[1]}', "values[0]: it is true"),
        (b'{"metric":{"a":"b"},"values":[1],"timestamps":["1"]}', "timestamps[0] is a string"),
        (b'{"metric":{"a":"b"},"values":[1],"values":[2],"timestamps":[1]}', "given twice"),
        (b'{"metric":{"a":"\xff"},"values":[1],"timestamps":[1]}', "not UTF-8 at byte 17"),
        (b'{"metric":{"a":"\x01"},"values":[1],"timestamps":[1]}', "not JSON"),
        (GOOD + b" x", "not JSON"),
        (GOOD + GOOD, "not JSON"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + GOOD[1:], "deeper than 64"),
        (b'{"x":' + b"[" * 100_000, "deeper than 64"),
    ],
)
def test_a_wrong_line_costs_itself_only(line, reason):
    parsed = json_lines.parse(GOOD + b"\n\n" + line + b"\n" + GOOD, MS)

    assert parsed.columns.timestamps.tolist() == [10, 20, 10, 20]
    assert parsed.columns.runs == 2
    (sentence,) = parsed.skipped
    assert sentence.startswith("line 3: ")
    assert reason in sentence


def test_null_is_no_value_and_costs_only_its_point():
    body = line_of(["1", "null", "3"]) + "\n" + line_of(["null", "null"])

    parsed = json_lines.parse(body.encode(), MS)

    assert parsed.columns.timestamps.tolist() == [0, 2]
    assert parsed.columns.runs == 1
    assert parsed.skipped == (
        "line 1: values[1] is null",
        "line 2: 2 values are null, the first: values[0] is null",
    )


@pytest.mark.parametrize(
    "line",
    [
        b' { "timestamps" : [ 10 , 20 ] , "values" : [ 1 , 2.5 ] , '
        b'"metric" : { "job" : "x" , "__name__" : "up" } } \r',
        b'{"extra":"\\"}","n":-1.5e3,"t":true,"f":false,"z":null,' + GOOD[1:],
        b'{"deep":{"values":[1],"x":[[{}]]},' + GOOD[1:],
        b'{"m\\u0065tric":{"__name__":"up","j\\u006fb":"\\u0078"},'
        b'"val\\u0075es":[1,2.5],"timestamps":[10,20]}',
    ],
)
def test_the_same_line_written_otherwise(line):
    key = labels.canonical({"__name__": "up", "job": "x"})

    assert list(runs_of(json_lines.parse(line, MS))) == [(key, [10, 20], bits_of([1, 2.5]))]
    check_same(line)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"__name__":"up","job":"x","job":"y"}', '"job" is given twice'),
        (b'{"__name__":"up", "job":"x", "j\\u006fb":"x"}', '"job" is given twice'),
        (b'{"a":"\\ud800"}', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":1}', 'label "a" is not a string'),
        (b'{"a":1,"a":2}', 'label "a" is not a string'),
        (b"[]", "not an object"),
        (b"{}", "at least one label"),
    ],
)
def test_labels_are_judged_once_a_series(raw, reason):
    """The kernel passes any flat object of strings on; what it says is decided here."""
    with pytest.raises(InvalidInput, match=reason):
        json_lines.canonical(raw)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10), max_size=5))
def test_labels_of_any_text_are_read(metric):
    """Escaped by json, raw by orjson: both spellings name the same series."""
    try:
        key = labels.canonical(metric)
    except InvalidInput:
        return
    for text in (json.dumps(metric).encode(), orjson.dumps(metric)):
        line = b'{"metric":%s,"values":[1],"timestamps":[2]}' % text
        assert list(runs_of(json_lines.parse(line, MS))) == [(key, [2], bits_of([1]))]


lines = st.builds(
    lambda metric, points: orjson.dumps(
        {
            "metric": metric,
            "values": [v for v, _ in points],
            "timestamps": [t for _, t in points],
        }
    ),
    st.dictionaries(st.text('abé"\\\n', max_size=3), st.text('xyé"\\\n', max_size=3), max_size=3),
    st.lists(
        st.tuples(
            st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.just("NaN")),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=6,
    ),
)


@given(
    st.lists(lines, max_size=5),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 3)), max_size=4),
    st.sampled_from([MS, Resolution.S, Resolution.NS]),
)
@settings(max_examples=400)
def test_a_damaged_body_is_read_as_the_slow_path_reads_it(lines, edits, resolution):
    """Bytes put in, taken out and replaced anywhere: no crash, and no dependence on the kernel."""
    body = b"\n".join(lines)
    for place, text, cut in edits:
        at = int(place * len(body))
        body = body[:at] + text + body[at + cut :]

    check_same(body, resolution)


tokens = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r", b" ", b"null", b"true", b"0",
     b"-", b"1", b".5", b"e9", b"E-400", b'"metric"', b'"values"', b'"timestamps"', b'"NaN"',
     b'"Inf"', b'"x"', b"\xc3\xa9", b"\xff", b"\x00", b"12345678901234567890", b'{"a":"b"}',
     b'"metric":{"a":"b"}', b'"values":[1]', b'"timestamps":[1]', b'"\\u00e9"', b'"\\ud800"']
)  # fmt: skip


@given(st.lists(tokens, max_size=30).map(b"".join))
@settings(max_examples=400)
def test_pieces_in_any_order_are_read_as_the_slow_path_reads_them(body):
    check_same(body)


def test_a_bad_body_is_refused_whole_but_a_bad_hundred_is_described():
    parsed = json_lines.parse(b"x\n" * 150 + GOOD, MS)

    assert parsed.columns.points == 2
    assert len(parsed.skipped) == limits.SENTENCES_MAX + 1
    assert parsed.skipped[-1] == "and 50 more were refused"
    with pytest.raises(LimitExceeded, match=r"line 1: .*LINES_REFUSED_MAX"):
        json_lines.parse(b"x\n" * (limits.LINES_REFUSED_MAX + 1), MS)


def test_points_of_one_request_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "POINTS_PER_REQUEST_MAX", 3)

    assert json_lines.parse(line_of(["1"] * 3).encode(), MS).columns.points == 3
    for body in (line_of(["1"] * 4), line_of(["1"] * 3) + "\n" + line_of(["1"])):
        with pytest.raises(LimitExceeded) as caught:
            json_lines.parse(body.encode(), MS)
        assert caught.value.limit == "POINTS_PER_REQUEST_MAX"


def test_a_line_too_long_is_refused_and_the_next_one_read():
    """Without its own bound one line could make the slow path take gigabytes."""
    long = b'{"x":"' + b"y" * limits.LINE_BYTES_MAX + b'",' + GOOD[1:]

    parsed = json_lines.parse(long + b"\n" + GOOD, MS)

    assert parsed.columns.points == 2
    assert "LINE_BYTES_MAX" in parsed.skipped[0]


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"\r\n \t\r\n", b'{"metric":{},"values":[],"timestamps":[]}']
)
def test_nothing_is_nothing(body):
    parsed = json_lines.parse(body, MS)

    assert (parsed.columns.runs, parsed.columns.points, parsed.skipped) == (0, 0, ())


def test_runs_keep_the_order_of_the_lines():
    """Who comes later wins where times are equal, also across the slow path."""
    body = "\n".join([line_of(["1"]), line_of(["null", "2"], [9, 0]), line_of(["3"])])

    parsed = json_lines.parse(body.encode(), MS)

    assert parsed.columns.values.tolist() == [1, 2, 3]
    assert len({key for key, _, _ in runs_of(parsed)}) == 1
