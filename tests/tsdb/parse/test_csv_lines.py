"""tsdb.parse.csv_lines: every shape of file, cut anywhere; a wrong row costs itself."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tsdb import limits
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput, LimitExceeded
from tsdb.index import labels
from tsdb.parse import csv_lines
from tsdb.parse.csv_heading import CsvHeading

MS = Resolution.MS


def key(**pairs):
    return labels.canonical(pairs)


def read(text, **options):
    """(points by series in order, sentences) of a file in one piece, or of several."""
    pieces = [text.encode()] if isinstance(text, str) else text
    points, skipped = {}, []
    for parsed in csv_lines.parse(pieces, options.pop("resolution", MS), **options):
        columns = parsed.columns
        skipped += parsed.skipped
        for i in range(columns.runs):
            raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
            lo, hi = columns.offsets[i], columns.offsets[i + 1]
            assert lo < hi
            points.setdefault(parsed.canonical(raw), []).extend(
                zip(columns.timestamps[lo:hi].tolist(), columns.values[lo:hi].tolist(), strict=True)
            )
    return points, skipped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'series,timestamp,value\nup,1,2\nup,1.5,3\n"up{a=""b,c""}",2,-1e3\n',
            {
                key(__name__="up"): [(1000, 2.0), (1500, 3.0)],
                key(__name__="up", a="b,c"): [(2000, -1000.0)],
            },
        ),
        (
            'Timestamp;Value;metric;host\n1;2;cpu;a\n2;3;cpu;"b;""x"""\n3;4;cpu;',
            {
                key(__name__="cpu", host="a"): [(1000, 2.0)],
                key(__name__="cpu", host='b;"x"'): [(2000, 3.0)],
                key(__name__="cpu"): [(3000, 4.0)],
            },
        ),
        (
            'timestamp\tcpu\t"mem{host=""a""}"\r\n1\t2\t\r\n2\t\t3\r\n\r\n3\t4\tNaN\r\n',
            {
                key(__name__="cpu"): [(1000, 2.0), (3000, 4.0)],
                key(__name__="mem", host="a"): [(2000, 3.0), (3000, math.nan)],
            },
        ),
        (
            "host,timestamp,metric,value\na,1,cpu,2\nb,1,cpu,3\n",  # the name in two places
            {
                key(__name__="cpu", host="a"): [(1000, 2.0)],
                key(__name__="cpu", host="b"): [(1000, 3.0)],
            },
        ),
        ("\ufeffseries,timestamp,value\nx,1,2", {key(__name__="x"): [(1000, 2.0)]}),
        ('series,timestamp,value\n"x","1","2"\n', {key(__name__="x"): [(1000, 2.0)]}),
        ("series,timestamp,value\nx , 1 ,\t2 \n", {key(__name__="x"): [(1000, 2.0)]}),
        ("series,timestamp,value\n", {}),
    ],
)
def test_the_shapes_of_a_file(text, expected):
    points, skipped = read(text)

    assert skipped == []
    assert str(points) == str(expected)  # NaN is not equal to itself


def test_a_file_of_one_series_named_by_the_caller():
    points, _ = read("value,timestamp\n2,1\n3,2\n", series='cpu{host="a"}')

    assert points == {key(__name__="cpu", host="a"): [(1000, 2.0), (2000, 3.0)]}


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("2026-08-01T12:00:00.25+02:00", 1785578400250),
        ("2026-08-01 10:00:00", 1785578400000),
        ("2026-08-01 10:00", 1785578400000),
        ("2026-08-01", 1785542400000),
        ("2026-08-01Z", 1785542400000),
        ("1785578400.2505", 1785578400251),
        ("1.7855784e9", 1785578400000),
        ("+5", 5000),
        (".5", 500),
        ("-0001.5", -1500),
        ("2026-08-01T10:00:00.1234567891234Z", 1785578400123),
        ("1969-12-31 23:59:59.9996", 0),
        ("0001-01-01", -62135596800000),
        ("9999-12-31T23:59:59Z", 253402300799000),
    ],
)
def test_times_in_a_file(text, ticks):
    assert read(f"timestamp,value\n{text},1\n", series="x")[0] == {
        key(__name__="x"): [(ticks, 1.0)]
    }


@given(
    st.datetimes(),
    st.integers(-1439, 1439),
    st.text("0123456789", max_size=11),
    st.sampled_from(["T", " ", "t"]),
    st.sampled_from([MS, Resolution.S, Resolution.US, Resolution.NS]),
    st.booleans(),
)
def test_dates_in_the_kernel_are_those_of_the_slow_path(moment, offset, fraction, t, resolution, z):
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = moment.replace(microsecond=0).isoformat(sep=t) + ("." + fraction) * bool(fraction)
    check_same(f"timestamp,value\n{text}{zone if z else ''},1\n", resolution)


@pytest.mark.parametrize(
    ("unit", "first", "ticks"),
    [("ms", "1500", 1500), ("us", "1500", 2), ("s", "1500", 1500000), ("ns", "1500000", 2),
     ("auto", "1700000000", 1700000000000), ("auto", "1700000000123", 1700000000123),
     ("auto", "1700000000123456", 1700000000123), ("auto", "1700000000123456789", 1700000000123)],
)  # fmt: skip
def test_units_of_numbers(unit, first, ticks):
    """By their size only if asked: a wrong guess is wrong by a thousand."""
    assert read(f"timestamp,v\n{first},1\n", unit=unit)[0] == {key(__name__="v"): [(ticks, 1.0)]}


def test_the_unit_is_that_of_the_first_number():
    text = "timestamp,v\nnever,1\n\n1700000000000,1\n5,2\n"

    points, skipped = read(text, unit="auto")

    assert points == {key(__name__="v"): [(1700000000000, 1.0), (5, 2.0)]}
    assert skipped == ['line 2: time "never" is not like 2026-08-01 12:00:00']


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,1", "2 columns where the heading has 3"),
        ("x,1,2,3", "4 columns where the heading has 3"),
        ("x,1,", 'value "" is not a number'),
        ("x,,1", 'time "" is not like'),
        ("x,1,two", 'value "two" is not a number'),
        ("x,1,1_000", 'value "1_000" is not a number'),
        ("x,1,1e999", "past the largest float64"),
        ("x,1e30,1", "outside int64"),
        ("x,2026-02-30,1", "a date that does not exist"),
        ("x,2026-08-01 25:00:00,1", "out of range"),
    ],
)
def test_a_wrong_row_costs_itself_and_is_named(row, reason):
    points, skipped = read(f"series,timestamp,value\nx,1,1\n\n{row}\nx,2,2\n")

    assert points == {key(__name__="x"): [(1000, 1.0), (2000, 2.0)]}
    (sentence,) = skipped
    assert sentence.startswith("line 4: ")
    assert reason in sentence


def test_a_row_that_is_not_utf8_is_refused():
    _, skipped = read([b"timestamp,value\n1,\xff\n1,2\n"], series="x")

    assert skipped == ["line 2: not UTF-8 at byte 3"]


def test_newlines_inside_quotes_belong_to_the_row_and_are_counted():
    text = 'metric,host,timestamp,value\ncpu,"a\nb",1,2\ncpu,"c\n""d",1,oops\ncpu,e,1,bad\n'

    points, skipped = read(text)

    assert points == {key(__name__="cpu", host="a\nb"): [(1000, 2.0)]}
    assert [s.split(":")[0] for s in skipped] == ["line 4", "line 6"]


def test_a_quote_that_is_never_closed_costs_its_line():
    for text in (
        'metric,timestamp,value\na,1,1\n"b,2,2\nc,3,3\n',
        'metric,timestamp,value\na,1,1\n"b,2,2\nc,3,3' + "\nc,3,3" * 300_000 + "\n",
    ):
        points, skipped = read(text)

        assert skipped == ["line 3: a quote is never closed"]
        assert points[key(__name__="a")] == [(1000, 1.0)]
        assert len(points[key(__name__="c")]) == text.count("c,3,3")


def test_a_file_without_newlines_is_refused(monkeypatch):
    """It may be of any size and is read piece by piece."""
    monkeypatch.setattr(limits, "LINE_BYTES_MAX", 3_000_000)
    endless = (b"x" * 100_000 for _ in range(10_000))

    with pytest.raises(LimitExceeded, match="LINE_BYTES_MAX"):
        read(endless)
    with pytest.raises(LimitExceeded, match="LINE_BYTES_MAX"):
        read([b"timestamp,v\n", *[b"1" * 100_000] * 100])


@pytest.mark.parametrize(
    ("heading", "options", "reason"),
    [
        ("", {}, "empty"),
        ("\n1,2\n", {}, "empty"),
        ("time,timestamp,value", {}, "needs one column timestamp"),
        ("a,b,value", {}, "needs one column timestamp"),
        ("timestamp,value,value", {"series": "x"}, "needs one column timestamp"),
        ("timestamp", {}, "needs one column timestamp"),
        ("timestamp,a,a", {}, "one twice"),
        ("timestamp,a,", {}, "no name"),
        ("timestamp,value", {}, "names no series"),
        ("timestamp,value", {"series": "{"}, "selector|label|character"),
        ("timestamp,value,host", {"series": "x"}, "one too many"),
        ("timestamp,value", {"series": "x", "unit": "h"}, "unit"),
        ("timestamp," + ",".join(f"s{i}" for i in range(10_001)), {}, "CSV_COLUMNS_MAX"),
    ],
)
def test_headings_that_are_refused(heading, options, reason):
    with pytest.raises(InvalidInput, match=reason):
        read(heading + "\n1,2\n" if heading else heading, **options)


def slowly(text, resolution):
    """All rows through `slow_row`: points by series, and how many rows were refused."""
    first, _, rest = text.partition("\n")
    heading = CsvHeading.parse(first, "x" if first == "timestamp,value" else None)
    points, refused = {}, 0
    for record in rest.split("\n"):
        if not record.strip():
            continue
        try:
            row = csv_lines.slow_row(record, heading, resolution, 0)
        except InvalidInput:
            refused += 1
            continue
        if heading.wide:
            keys = heading.column_keys()
        elif heading.key is not None:
            keys = [heading.key]
        else:
            keys = [canonical_or_error(heading.canonical, row.key)]
        for name, value in zip(keys, row.values, strict=True):
            if value is not None:
                points.setdefault(name, []).append((row.ticks, value))
    return points, refused


def canonical_or_error(canonical, raw):
    try:
        return canonical(raw)
    except InvalidInput as error:
        return str(error)


def check_same(text, resolution=MS):
    """The kernel and the slow path make the same of a file without newlines in quotes."""
    points, refused, rows = {}, 0, 0
    series = "x" if text.startswith("timestamp,value\n") else None
    for parsed in csv_lines.parse([text.encode()], resolution, series=series):
        columns = parsed.columns
        refused += len(parsed.skipped)
        for i in range(columns.runs):
            raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
            lo, hi = columns.offsets[i], columns.offsets[i + 1]
            rows += hi - lo
            points.setdefault(canonical_or_error(parsed.canonical, raw), []).extend(
                zip(columns.timestamps[lo:hi].tolist(), columns.values[lo:hi].tolist(), strict=True)
            )
    expected = slowly(text, resolution)
    assert (str(points), refused) == (str(expected[0]), expected[1])


cells = st.one_of(
    st.sampled_from(
        ["", " ", "1", "-1.5", "+2", ".5", "5.", "1e5", "1e400", "NaN", "nan", "Inf", "-Inf",
         "+Inf",
         "Infinity", "x", "01", "2026-08-01", "2026-08-01T10:00:00Z", "2026-08-01 10:00", "1 2",
         "-",
         '"1"', '"a"', '"a,b"', '"a""b"', '"a"b', 'a"b', "é", "\r", "2026-08-01T10:00:00+2:00",
         "12345678901234567890", "0.1234567890123456789012", "2026-8-1", "1.0e-5", "1\t", "-0"]
    ),
    st.floats().map(repr),
    st.integers(-(10**12), 10**12).map(str),
)  # fmt: skip


@given(
    st.sampled_from(
        [
            "timestamp,value",
            "series,timestamp,value",
            "metric,host,timestamp,value",
            "timestamp,a,b",
            "timestamp,a",
            "host,timestamp,value,metric",
            "value,timestamp,metric",
        ]
    ),
    st.lists(st.lists(cells, max_size=5), max_size=8),
    st.sampled_from(list(Resolution)),
)
@settings(max_examples=500)
@example("timestamp,a,b", [["1", "", '""'], ["1", '"2"', "3"]], MS)
def test_any_row_is_read_as_the_slow_path_reads_it(heading, rows, resolution):
    check_same(heading + "\n" + "\n".join(",".join(row) for row in rows), resolution)


@given(st.text('12,"\r \nab-', max_size=40), st.sampled_from(["timestamp,value", "timestamp,a,b"]))
@settings(max_examples=300)
def test_any_text_is_read_without_a_crash_and_every_line_accounted_for(text, heading):
    """Quotes and newlines at random: rows are kept or refused, never lost without a word."""
    parts = list(
        csv_lines.parse(
            [heading.encode(), b"\n", text.encode()],
            MS,
            series="x" if heading.endswith("value") else None,
        )
    )

    kept = sum(part.columns.points for part in parts)
    refused = sum(len(part.skipped) for part in parts)
    assert kept + refused <= 2 * (text.count("\n") + 1)
    if any(c in "12ab-" for c in text) and '"' not in text and ",," not in text:
        assert kept + refused >= 1  # of a row whose cells are all empty there is nothing to say


@given(
    st.lists(st.tuples(st.integers(-(10**6), 10**6), st.floats(allow_nan=False)), max_size=20),
    st.integers(1, 50),
)
def test_a_file_may_come_in_pieces_of_any_size(points, size):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["metric", "note", "timestamp", "value"])
    for t, v in points:
        writer.writerow(["cpu", 'a "quoted", line\nof two' if t % 2 else "plain", t, repr(v)])
    body = out.getvalue().encode()

    whole = read([body])
    assert read([body[at : at + size] for at in range(0, len(body), size)]) == whole
    assert sum(map(len, whole[0].values())) == len(points)


def test_blocks_are_bounded_and_nothing_is_lost_between_them(monkeypatch):
    monkeypatch.setattr(csv_lines, "BLOCK_BYTES", 1000)
    rows = [f"s{i % 3},{i},{i}.25" for i in range(5000)]
    body = "\n".join(["series,timestamp,value", *rows[:4000], "bad row", *rows[4000:]]).encode()

    parts = list(csv_lines.parse([body], MS))

    assert len(parts) > 50
    assert max(part.columns.points for part in parts) <= 1000 / 4
    assert [s for part in parts for s in part.skipped] == [
        "line 4002: 1 columns where the heading has 3"
    ]
    assert np.concatenate([p.columns.timestamps for p in parts]).tolist() == [
        i * 1000 for i in range(5000)
    ]


def test_neighbouring_rows_of_one_name_share_a_run():
    (parsed,) = csv_lines.parse([b"series,timestamp,value\na,1,1\na,2,2\nb,1,1\na,3,3\n"], MS)

    assert parsed.columns.offsets.tolist() == [0, 2, 3, 4]


def test_files_with_the_same_names_of_labels_share_a_form():
    """The form tells the tables of names apart: the same bytes may mean another label."""
    forms = {
        CsvHeading.parse(text, None).form
        for text in ("host,timestamp,value", "timestamp,value,host", "timestamp,host,value")
    }
    assert len(forms) == 1
    assert CsvHeading.parse("dc,timestamp,value", None).form not in forms
    assert CsvHeading.parse("host;timestamp;value", None).form not in forms
