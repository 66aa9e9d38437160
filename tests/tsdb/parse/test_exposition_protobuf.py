"""tsdb.parse.exposition_protobuf: Go's client's messages, written field by field."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput
from tsdb.parse import exposition
from tsdb.parse.exposition_protobuf import text_of


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def message(*fields):
    """(number, bytes | int | float)"""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value & (1 << 64) - 1)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def delimited(*families):
    return b"".join(varint(len(family)) + family for family in families)


def label(name, value):
    return (1, message((1, name.encode()), (2, value.encode())))


def test_all_types():
    gauge = message(
        (1, b"g.x"),
        (2, b"h\n\\"),
        (3, 1),
        (4, message(label("a.b", 'v"\n'), (2, message((1, 1.5))))),
    )
    counter = message((1, b"c_total"), (4, message((3, message((1, 2.0))), (6, -5))))
    untyped = message((1, b"u"), (3, 3), (4, message((5, b""))))
    summary = message(
        (1, b"s"), (3, 2),
        (4, message((4, message((1, 3), (2, 4.5), (3, message((1, 0.5), (2, float("nan")))))))),
    )  # fmt: skip
    buckets = [(3, message((1, 1), (2, 0.1))), (3, message((1, 2), (2, 1.0)))]
    histogram = message((1, b"h"), (3, 4), (4, message((7, message((1, 3), (2, 7.0), *buckets)))))

    assert text_of(delimited(gauge, counter, untyped, summary, histogram)).decode() == (
        '# HELP "g.x" h\\n\\\\\n# TYPE "g.x" gauge\n{"g.x","a.b"="v\\"\\n"} 1.5\n'
        "# TYPE c_total counter\nc_total{} 2 -5\n"
        "# TYPE u untyped\nu{} 0\n"
        '# TYPE s summary\ns{quantile="0.5"} NaN\ns_count{} 3\ns_sum{} 4.5\n'
        '# TYPE h histogram\nh_bucket{le="0.1"} 1\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\n'
        "h_count{} 3\nh_sum{} 7\n"
    )


def test_native_histograms_are_refused():
    native = message((1, b"h"), (3, 4), (4, message((7, message((1, 3), (5, 6))))))
    with pytest.raises(InvalidInput, match="native histogram"):
        text_of(delimited(native))


@pytest.mark.parametrize(
    "body", [b"\x05a", b"\x80", delimited(message((3, 1))), delimited(message((1, b"a"), (3, 9))),
             delimited(message((1, b"\xff"))), delimited(message((1, 5)))]
)  # fmt: skip
def test_what_is_no_message(body):
    with pytest.raises(InvalidInput):
        text_of(body)


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=3), st.floats())
def test_every_text_that_is_written_can_be_read(name, pairs, value):
    metric = message(*(label(n, v) for n, v in pairs.items()), (2, message((1, value))))
    family = delimited(message((1, name.encode() or b"x"), (2, b"help"), (3, 1), (4, metric)))
    parsed = exposition.parse(text_of(family), Resolution.MS, now_ticks=1, strict=True)

    assert parsed.columns.points == 1
    found = float(parsed.columns.values[0])
    assert found == value or found != found
    assert parsed.metadata[0].family == (name or "x")


@given(st.binary(max_size=60))
def test_any_bytes_are_text_or_refused(body):
    try:
        text = text_of(body)
    except InvalidInput:
        text = b"\n"
    assert text.endswith(b"\n") or not body
