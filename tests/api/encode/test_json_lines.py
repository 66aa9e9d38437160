"""api.encode.json_lines: an export and an import lose nothing."""

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.encode import json_lines
from tsdb.codec.resolution import Resolution
from tsdb.index import labels
from tsdb.parse import json_lines as parser

STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
series = st.lists(
    st.tuples(
        st.dictionaries(
            st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4), min_size=1
        ),
        st.lists(
            st.tuples(
                st.integers(-(2**62), 2**62),
                st.one_of(st.floats(allow_nan=False), st.just(np.nan), st.just(STALE)),
            ),
            min_size=1,
            max_size=8,
        ),
    ),
    max_size=4,
)


@given(series, st.sampled_from([Resolution.MS, Resolution.US, Resolution.NS]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_is_imported_bit_for_bit(select, series, resolution):
    """Nanoseconds and the stale marker included; ticks of a second below."""
    selection = select(series, resolution)

    parsed = parser.parse(b"".join(json_lines.stream(selection, resolution)), resolution)

    columns = selection.columns()
    assert parsed.skipped == ()
    assert parsed.columns.offsets.tolist() == columns.offsets.tolist()
    assert parsed.columns.timestamps.tolist() == columns.timestamps.tolist()
    assert parsed.columns.values.view(np.uint64).tolist() == columns.values.view(np.uint64).tolist()
    keys = [
        parsed.canonical(parsed.key_bytes[lo:hi].tobytes())
        for lo, hi in zip(parsed.key_starts, parsed.key_ends, strict=True)
    ]
    assert keys == [labels.canonical(pairs) for pairs, _ in series]


def test_seconds_are_exported_as_milliseconds(select):
    selection = select([({"a": "b"}, [(17, 1.0), (0, 2.0)])], Resolution.S)
    body = b"".join(json_lines.stream(selection, Resolution.S))

    assert body == b'{"metric":{"a":"b"},"values":[1,2],"timestamps":[17000,0]}\n'
    assert parser.parse(body, Resolution.S).columns.timestamps.tolist() == [17, 0]


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 10_001, 20_000])
def test_a_long_series_takes_several_lines(select, count):
    selection = select([({"a": "b"}, [(i, float(i)) for i in range(count)])])
    lines = b"".join(json_lines.stream(selection, Resolution.MS)).splitlines()

    assert len(lines) == -(-count // json_lines.LINE_POINTS_MAX)
    read = [orjson.loads(line) for line in lines]
    assert [t for line in read for t in line["timestamps"]] == list(range(count))
    assert [v for line in read for v in line["values"]] == list(range(count))
