"""api.encode.points_json: an answer is JSON, and posting it back stores the same bits."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encode import point_text, points_json
from tsdb.codec.resolution import Resolution
from tsdb.parse import points_json as parser

points = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=True)), max_size=20
)


def arrays(points):
    return np.array([t for t, _ in points], np.int64), np.array([v for _, v in points], np.float64)


@given(points, st.sampled_from(list(Resolution)), st.text(max_size=9))
def test_an_answer_posted_back_stores_the_same_bits(points, resolution, key):
    stamps, values = arrays(points)
    values[np.isnan(values)] = np.nan

    body = points_json.encode(key, stamps, values, resolution)

    answer = orjson.loads(body)
    assert answer["key"] == key
    assert len(answer["points"]) == len(points)
    sent = body[body.index(b'"points":') + 9 : -1]
    columns = parser.parse(sent, b"\x01\x00a\x01\x00b", resolution, 0).columns
    assert columns.timestamps.tolist() == stamps.tolist()
    assert columns.values.view(np.uint64).tolist() == values.view(np.uint64).tolist()


def test_one_answer_checked_by_hand():
    stamps, values = arrays([(1700000000123, 21.5), (1700000000500, np.nan), (0, np.inf)])

    assert points_json.encode("a/b", stamps, values, Resolution.MS) == (
        b'{"key":"a/b","points":[[1700000000.123,21.5],[1700000000.5,"NaN"],[0,"+Inf"]]}'
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("room", [1, 200, 300, 333])
def test_pieces_join_to_one_answer(monkeypatch, count, room):
    monkeypatch.setattr(point_text, "PIECE_BYTES", room)
    stamps, values = arrays([(i, float(i)) for i in range(count)])

    pieces = list(points_json.stream("k", stamps, values, Resolution.S))

    assert orjson.loads(b"".join(pieces)) == {"key": "k", "points": [[i, i] for i in range(count)]}
    assert len(pieces) > 1 or count < 50
