"""tsdb.parse.csv_format: VictoriaMetrics' CSV, whose columns the request describes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse.csv_format import CsvFormat, parse

NOW = 1_700_000_000_123
TICKER = "2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s"


def read(body, form, resolution=Resolution.MS, extra=()):
    parsed = parse(body, CsvFormat.parse(form), resolution, now_ticks=NOW, extra=extra)
    text = parsed.key_bytes.tobytes()
    rows = [
        (str(labels.parse(text[start:end])), ticks, value)
        for start, end, ticks, value in zip(
            parsed.key_starts.tolist(),
            parsed.key_ends.tolist(),
            parsed.columns.timestamps.tolist(),
            parsed.columns.values.tolist(),
            strict=True,
        )
    ]
    return rows, list(parsed.skipped)


def test_rows_share_their_labels():
    rows, refused = read(b'GOOG,1.5,2.5,17\r\n\n"A,B",3,,18.25,more\nGOOG,4,5,0', TICKER)

    assert rows == [
        ('ask{ticker="GOOG"}', 17_000, 1.5),
        ('bid{ticker="GOOG"}', 17_000, 2.5),
        ('ask{ticker="A,B"}', 18_250, 3.0),
        ('ask{ticker="GOOG"}', NOW, 4.0),
        ('bid{ticker="GOOG"}', NOW, 5.0),
    ]
    assert refused == []


@pytest.mark.parametrize(
    ("kind", "text", "ticks"),
    [
        ("unix_s", "17", 17_000),
        ("unix_s", "-1.5", -1_500),
        ("unix_ms", "17", 17),
        ("unix_us", "17500", 18),
        ("unix_ns", "17000000", 17),
        ("rfc3339", "1970-01-01T00:00:17Z", 17_000),
    ],
)
def test_times(kind, text, ticks):
    assert read(f"{text},1".encode(), f"1:time:{kind},2:metric:a") == ([("a", ticks, 1.0)], [])


def test_without_a_time_points_are_of_now():
    assert read(b"x,1", "2:metric:a", extra=((b"l", b"v"),)) == ([('a{l="v"}', NOW, 1.0)], [])


def test_extra_labels_replace_columns():
    rows, _ = read(b"x,1", "1:label:l,2:metric:a", extra=((b"l", b"v"),))
    assert rows == [('a{l="v"}', NOW, 1.0)]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (b"GOOG,1,2", "3 columns"),
        (b"GOOG,x,2,1", '"x" is not a number'),
        (b"GOOG,1_0,2,1", "not a number"),
        (b"GOOG,1e999,2,1", "not a number of float64"),
        (b"GOOG,1,2,x", "decimal"),
        (b"GOOG,1,2,1e30", "int64"),
        (b"\xff,1,2,1", "UTF-8"),
        (b"GOOG,\xff,2,1", "not a number"),
        (b'"GOOG,1,2,1', "CSV"),
        (b"G" * 5000 + b",1,2,1", "LABEL_VALUE_BYTES_MAX"),
    ],
)
def test_a_wrong_row_costs_itself(row, word):
    rows, (sentence,) = read(b"A,1,2,3\n" + row + b"\nA,3,4,5\n", TICKER)

    assert [value for _, _, value in rows] == [1.0, 2.0, 3.0, 4.0]
    assert sentence.startswith("line 2: ")
    assert word in sentence


@pytest.mark.parametrize(
    "form",
    ["", "1", "1:metric", "1:metric:", "0:metric:a", "a:metric:a", "1:value:a", "1:label:a",
     "1:time:unix_s", "1:metric:a,2:time:x", "1:metric:a,2:time:unix_s,3:time:unix_s"],
)  # fmt: skip
def test_a_format_that_is_wrong(form):
    with pytest.raises(InvalidInput, match="format"):
        CsvFormat.parse(form)


def test_a_format_is_bounded():
    with pytest.raises(LimitExceeded, match="CSV_COLUMNS_MAX"):
        CsvFormat.parse("10001:metric:a")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=9)


@given(
    st.lists(
        st.tuples(
            TEXT,
            st.floats(),
            st.integers(1, 2**53),
        )
    ),
    st.sampled_from(list(Resolution)),
)  # fmt: skip
def test_what_is_written_is_read(points, resolution):
    body = "".join(
        '"{}",{!r},{}\n'.format(name.replace('"', '""'), value, ns) for name, value, ns in points
    )
    rows, refused = read(body.encode(), "1:label:l,2:metric:a,3:time:unix_ns", resolution)

    step = 10**9 // resolution.ticks_per_s
    assert refused == []
    assert [name for name, _, _ in rows] == [
        str(labels.Labels({"__name__": "a", "l": p[0]})) for p in points
    ]
    assert [ticks for _, ticks, _ in rows] == [
        (2 * ns + step) // (2 * step) or NOW for _, _, ns in points
    ]
    for (_, _, found), (_, value, _) in zip(rows, points, strict=True):
        assert found == value or (math.isnan(found) and math.isnan(value))
