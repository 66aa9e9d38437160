"""api.encode.arrow_stream: another implementation reads the bytes and finds the columns."""

import io
import json

import numpy as np
import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.encode import arrow_stream
from api.encode.flatbuffer import Table, Text, Vector, serialized
from tsdb.codec.resolution import Resolution

series = st.lists(
    st.tuples(
        st.dictionaries(
            st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4), max_size=3
        ),
        st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), max_size=6),
    ),
    max_size=5,
)


def read(selection):
    body = b"".join(arrow_stream.stream(selection))
    return polars.read_ipc_stream(io.BytesIO(body))


@given(series, st.sampled_from([Resolution.MS, Resolution.US, Resolution.NS]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_polars_reads_the_columns(select, series, resolution):
    frame = read(select(series, resolution))

    points = [(pairs, t, v) for pairs, points in series for t, v in points]
    assert frame.columns == ["labels", "timestamp", "value"]
    assert frame.schema["timestamp"] == polars.Datetime(resolution.name_, "UTC")
    assert [json.loads(text) for text in frame["labels"]] == [pairs for pairs, _, _ in points]
    assert frame["timestamp"].to_physical().to_list() == [t for _, t, _ in points]
    expected = np.array([v for _, _, v in points], np.float64)
    assert frame["value"].to_numpy().tobytes() == expected.tobytes()


def test_seconds_are_a_unit_of_arrow(select):
    """polars has no such unit and scales them."""
    frame = read(select([({"a": "b"}, [(17, 1.0)])], Resolution.S))

    assert frame["timestamp"].dt.epoch("s").to_list() == [17]


@pytest.mark.parametrize("count", [0, 3, 4, 9])
def test_long_columns_come_in_batches(monkeypatch, select, count):
    monkeypatch.setattr(arrow_stream, "BATCH_POINTS", 4)
    selection = select([({"a": str(i)}, [(i, 0.5)]) for i in range(count)])

    pieces = list(arrow_stream.stream(selection))

    assert len(pieces) == 3 + -(-count // 4)
    assert all(len(piece) % 8 == 0 for piece in pieces)
    frame = polars.read_ipc_stream(io.BytesIO(b"".join(pieces)))
    assert frame["timestamp"].to_physical().to_list() == list(range(count))


def test_one_flatbuffer_checked_by_hand():
    assert serialized(Table({0: ("h", 7), 1: Text("ab")})) == bytes.fromhex(
        "10000000 00000000"  # the root table is at 16
        "0800 0c00 0400 0800"  # vtable: its size, the table's, fields at 4 and 8
        "08000000 0700 0000 04000000"  # table: 8 back to its vtable, 7, 4 forward to the text
        "02000000 616200 0000000000"  # 2 characters, NUL, padding
    )


def test_vectors_start_where_their_items_may():
    built = serialized(Table({0: Vector([bytes(range(16))] * 2), 1: Vector([])}))

    at = built.index(bytes(range(16)))
    assert at % 8 == 0
    assert int.from_bytes(built[at - 4 : at], "little") == 2
