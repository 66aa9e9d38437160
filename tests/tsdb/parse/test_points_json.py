"""tsdb.parse.points_json: what a user writes by hand, exact, and told which point is wrong."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdb import limits
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import points_json

MS = Resolution.MS
KEY = labels.canonical({"__name__": "sensors/kitchen/temp"})
NOW = 1_700_000_000_000


def points(body, resolution=MS):
    parsed = points_json.parse(body, KEY, resolution, NOW)
    columns = parsed.columns
    assert columns.runs == (1 if columns.points else 0)
    for lo, hi in zip(parsed.key_starts, parsed.key_ends, strict=True):
        assert parsed.canonical(parsed.key_bytes[lo:hi].tobytes()) == KEY
    return list(zip(columns.timestamps.tolist(), columns.values.tolist(), strict=True))


def outcome(call):
    """Points as bits, or the sentence of the refusal."""
    try:
        stamps, values = call()
    except InvalidInput as error:
        return str(error)
    return list(stamps), np.array(values, np.float64).view(np.uint64).tolist()


def check_same(body, resolution=MS):
    """With the kernel and without it the answer is the same, a refusal word for word."""

    def fast():
        columns = points_json.parse(body, KEY, resolution, NOW).columns
        return columns.timestamps.tolist(), columns.values

    assert outcome(fast) == outcome(lambda: points_json.slow_points(body, resolution, NOW))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[[1.5,2],[1700000000.123,-0.5]]", [(1500, 2.0), (1700000000123, -0.5)]),
        (b' [ [ 1 , 2 ]\n,\t[ 2 , "Inf" ] ] \n', [(1000, 2.0), (2000, math.inf)]),
        (b'{"timestamps":[1.5,2],"values":[1,2]}', [(1500, 1.0), (2000, 2.0)]),
        (b'{\n "values": [1],\n "timestamps": [1e9]\n}\n', [(10**12, 1.0)]),
        (b'[["2023-11-14T22:13:20Z",1],["now-1h",2]]', [(NOW, 1.0), (NOW - 3_600_000, 2.0)]),
        (b'{"timestamps":["now"],"values":["-Inf"]}', [(NOW, -math.inf)]),
        (b"21.5", [(NOW, 21.5)]),
        (b' "Inf" ', [(NOW, math.inf)]),
        (b"[]", []),
        (b'{"timestamps":[],"values":[]}', []),
        (b'{"note":"x\\u00e9","timestamps":[1],"values":[2]}', [(1000, 2.0)]),
    ],
)
def test_the_forms_of_a_body(body, expected):
    assert points(body) == expected
    check_same(body)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_nanoseconds_written_as_seconds_are_exact(stamps):
    """float64 seconds of today are off by a hundred ns: the text must go straight to ticks."""
    texts = [f"{'-' if t < 0 else ''}{abs(t) // 10**9}.{abs(t) % 10**9:09d}" for t in stamps]
    body = "[" + ",".join(f"[{t},0]" for t in texts) + "]"
    columns = f'{{"timestamps":[{",".join(texts)}],"values":{json.dumps([0] * len(texts))}}}'

    assert [t for t, _ in points(body.encode(), Resolution.NS)] == stamps
    assert [t for t, _ in points(columns.encode(), Resolution.NS)] == stamps


def test_milliseconds_that_a_float_would_miss():
    """1700000000.0005 lies below its half as float64, as text it does not."""
    assert points(b"[[1700000000.0005,0]]") == [(1700000000001, 0.0)]
    assert points(b"[[0.0014999999999999999999999,0]]") == [(1, 0.0)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"null", "point 1: the value: it is null"),
        (b"[1700000000,1]", r"point 1 is not \[timestamp, value\]"),
        (b"[[1,1],[2]]", "point 2 is not"),
        (b"[[1,1],[2,3,4]]", "point 2 is not"),
        (b"[[1,1],[2,null]]", "point 2: the value: it is null"),
        (b"[[1,1],[null,2]]", "point 2: the timestamp is null"),
        (b'[[1,1],["yesterday",2]]', 'point 2: time "yesterday" is not'),
        (b"[[1,1],[1e30,2]]", 'point 2: "1e30" is outside int64'),
        (b"[[1,1e999]]", "point 1: the value: .* past the largest float64"),
        (b"[[1,[2]]]", "point 1: the value: it is an array"),
        (b'{"timestamps":[1],"values":[1,2]}', "1 timestamps but 2 values"),
        (b'{"timestamps":[1,2],"values":[1,"x"]}', 'point 2: the value: "x" is not a number'),
        (b'{"values":[1]}', '"timestamps" is missing'),
        (b'{"timestamps":1,"values":[1]}', '"timestamps" is a number, not an array'),
        (b"[[1,1]] x", "not JSON"),
        (b"[[1,NaN]]", "NaN is not JSON"),
        (b"[" * 100_000, "deeper than 64"),
        (b"\xff", "not UTF-8 at byte 1"),
    ],
)
def test_a_refusal_names_the_point(body, reason):
    with pytest.raises(InvalidInput, match=reason):
        points(body)
    check_same(body)


tokens = st.sampled_from(
    [b"[", b"]", b"[1,2]", b"[[1,2]]", b",", b"{", b"}", b":", b" ", b"\n", b"\x00", b"1", b"1.5",
     b"-0", b"1e5", b"1e400", b"12345678901234567890123", b'"NaN"', b'"now"', b"null", b"[1]",
     b'"timestamps"', b'"values"', b'"timestamps":[1]', b'"values":[2]', b"\xff", b'"x"',
     b'"metric":{"a":"b"}', b"0.1"]
)  # fmt: skip


@given(st.lists(tokens, max_size=14).map(b"".join), st.sampled_from(list(Resolution)))
@settings(max_examples=500)
def test_any_body_is_judged_alike_by_kernel_and_slow_path(body, resolution):
    check_same(body, resolution)


@given(
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(allow_nan=False)), max_size=6),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=2), st.integers(0, 2)), max_size=2),
    st.booleans(),
)
@settings(max_examples=300)
def test_a_damaged_body_is_judged_alike(pairs, edits, as_columns):
    value = {"timestamps": [t for t, _ in pairs], "values": [v for _, v in pairs]}
    body = json.dumps(value if as_columns else pairs).encode()
    for place, text, cut in edits:
        at = int(place * len(body))
        body = body[:at] + text + body[at + cut :]

    check_same(body)


def test_values_of_many_digits_are_exact_in_both_forms():
    """Halfway between two floats and 30 digits long: the kernel asks float() for these."""
    text = "9007199254740992.99999999999999999999"
    assert points(f"[[1,{text}]]".encode()) == [(1000, float(text))]
    assert points(f'{{"timestamps":[1],"values":[{text}]}}'.encode()) == [(1000, float(text))]
    text = "9007199254740993.0000000000000000000000000000000000000000001"
    assert points(f'{{"timestamps":[1],"values":[{text}]}}'.encode()) == [(1000, float(text))]


def test_points_of_one_request_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "POINTS_PER_REQUEST_MAX", 3)

    assert len(points(b"[[1,1],[2,1],[3,1]]")) == 3
    for body in (b"[[1,1],[2,1],[3,1],[4,1]]", b'{"timestamps":[1,2,3,4],"values":[1,2,3,4]}'):
        with pytest.raises(LimitExceeded) as caught:
            points(body)
        assert caught.value.limit == "POINTS_PER_REQUEST_MAX"


def test_a_body_of_commas_is_refused_before_it_costs_memory():
    """Each number would take 80 bytes as an object."""
    body = b"[" + b"0," * 2_100_000 + b"0]"

    with pytest.raises(LimitExceeded, match="POINTS_PER_REQUEST_MAX"):
        points(body)
