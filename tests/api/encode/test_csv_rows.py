"""api.encode.csv_rows: what is exported as CSV is imported as it was."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.encode import csv_rows
from tsdb.codec.resolution import Resolution
from tsdb.index import labels
from tsdb.parse import csv_lines

names = st.text(min_size=1, max_size=4)
series = st.lists(
    st.tuples(
        st.dictionaries(names, names, min_size=1, max_size=3),
        st.lists(
            st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
            min_size=1,
            max_size=6,
        ),
    ),
    max_size=4,
    unique_by=lambda one: labels.canonical(one[0]),
)


@given(series, st.sampled_from(list(Resolution)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_is_imported_bit_for_bit(select, series, resolution):
    body = b"".join(csv_rows.stream(select(series, resolution), resolution))

    points = {}
    for parsed in csv_lines.parse([body], resolution):
        assert parsed.skipped == ()
        for i in range(parsed.columns.runs):
            raw = parsed.key_bytes[parsed.key_starts[i] : parsed.key_ends[i]].tobytes()
            run = slice(*parsed.columns.offsets[i : i + 2])
            points.setdefault(parsed.canonical(raw), []).extend(
                zip(
                    parsed.columns.timestamps[run].tolist(),
                    parsed.columns.values[run].view(np.uint64).tolist(),
                    strict=True,
                )
            )
    assert points == {
        labels.canonical(pairs): [(t, int(np.float64(v).view(np.uint64))) for t, v in own]
        for pairs, own in series
    }


def test_one_file_checked_by_hand(select):
    selection = select(
        [({"__name__": "up"}, [(1500, 1.0)]), ({"__name__": "cpu", "a": "b"}, [(-1, math.nan)])]
    )

    assert b"".join(csv_rows.stream(selection, Resolution.MS)) == (
        b'series,timestamp,value\nup,1.5,1\n"cpu{a=""b""}",-0.001,NaN\n'
    )


@pytest.mark.parametrize("text", ["a", "a,b", 'a"b', " a", "a ", "a\nb", "", "é;", "a\tb"])
def test_fields_are_quoted_as_csv_quotes_them(text):
    row = csv_rows.quoted(text) + ",x"

    assert next(csv.reader(io.StringIO(row))) == [text, "x"]
