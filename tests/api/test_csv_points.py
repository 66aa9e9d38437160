"""api.csv_points: every shape of CSV that people have, and the wrong line by its number."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.csv_points import CsvPoints, Shape, Slice
from tsdb.codec.resolution import Resolution
from tsdb.errors import InvalidInput

FLOATS = st.floats(allow_nan=False)
STAMPS = st.integers(1_000_000_000_000, 9_999_999_999_999)


def read(text: str, *, resolution: Resolution = Resolution.MS, unit: str = "auto") -> Slice:
    """The whole file as one slice."""
    points = CsvPoints(
        text.splitlines(keepends=True), series="rooms", resolution=resolution, unit=unit
    )
    whole = Slice([], 0)
    for part in points.slices():
        whole.runs += part.runs
        whole.rows += part.rows
        whole.refused += part.refused
    return whole


def pairs(part: Slice) -> list[tuple[str, list[int], list[float]]]:
    return [(r.series, r.timestamps.tolist(), r.values.tolist()) for r in part.runs]


@given(st.lists(st.tuples(STAMPS, FLOATS), min_size=1, max_size=50))
def test_every_float_survives_to_the_bit(points: list[tuple[int, float]]) -> None:
    part = read("timestamp,value\n" + "".join(f"{t},{v!r}\n" for t, v in points), unit="ms")

    expected = np.array([v for _, v in points])
    assert part.runs[0].timestamps.tolist() == [t for t, _ in points]
    assert (part.runs[0].values.view(np.uint64) == expected.view(np.uint64)).all()


@given(st.lists(st.tuples(st.text("ab,\"{}='", min_size=1), STAMPS, FLOATS), min_size=1))
def test_long_rows_are_grouped_by_series(rows: list[tuple[str, int, float]]) -> None:
    """Quotes and commas in a series' name included: that is how export writes them."""
    out = io.StringIO()
    csv.writer(out).writerows([("series", "timestamp", "value"), *rows])
    found = {name: (stamps, values) for name, stamps, values in pairs(read(out.getvalue()))}

    for name in {name for name, _, _ in rows}:
        assert found[name][0] == [t for n, t, _ in rows if n == name]
        assert found[name][1] == [v for n, _, v in rows if n == name]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        part = read(text)
    except InvalidInput:
        return
    assert all(run.values.size in (run.timestamps.size, part.rows) for run in part.runs)


def test_a_column_a_series() -> None:
    part = read("time,kitchen,garden\n2026-01-01,20.5,\n2026-01-02,21,-3\n")

    assert pairs(part) == [
        ("kitchen", [1767225600000, 1767312000000], [20.5, 21.0]),
        ("garden", [1767312000000], [-3.0]),
    ]
    assert part.refused == []


def test_one_wrong_line_is_named_and_costs_only_itself() -> None:
    part = read(
        "timestamp,value\n1700000000,1\n1700000001,warm\nsoon,3\n1700000003\n1700000004,5\n"
    )

    assert pairs(part) == [("rooms", [1700000000000, 1700000004000], [1.0, 5.0])]
    assert [line for line, _ in part.refused] == [3, 4, 5]
    assert "warm" in part.refused[0][1]


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        ("1700000000", "auto"),
        ("1700000000000", "auto"),
        ("1700000000000000", "auto"),
        ("1700000000000000000", "auto"),
        ("1700000000.000", "auto"),
        ("1.7e9", "s"),
        ("2023-11-14 22:13:20", "auto"),
        ("2023-11-14T22:13:20.000Z", "auto"),
        ("2023-11-15T00:13:20+02:00", "auto"),
    ],
)
def test_a_time_is_known_by_its_form(cell: str, unit: str) -> None:
    for resolution in Resolution:
        part = read(f"timestamp,value\n{cell},1\n", resolution=resolution, unit=unit)

        assert part.runs[0].timestamps.tolist() == [1_700_000_000 * resolution.ticks_per_s]


def test_seconds_with_decimals_reach_nanoseconds_exactly() -> None:
    part = read("1700000000.123456789,1\n", resolution=Resolution.NS)

    assert part.runs[0].timestamps.tolist() == [1_700_000_000_123_456_789]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("1.5\n2\n", Shape.VALUES),
        ("value\n1.5\n", Shape.VALUES),
        ("1700000000;1\n", Shape.ONE_SERIES),
        ("Time\tValue\n1700000000\t1\n", Shape.ONE_SERIES),
        ("a,1700000000,1\n", Shape.LONG),
        ("value,series,timestamp\n1,a,1700000000\n", Shape.LONG),
        ("timestamp,1,2\n1700000000,1,1\n", Shape.WIDE),
        ("\ufefftimestamp,value\n1700000000,1\n", Shape.ONE_SERIES),
    ],
)
def test_the_first_line_tells_the_shape(text: str, shape: Shape) -> None:
    lines = text.splitlines(keepends=True)
    points = CsvPoints(lines, series="x", resolution=Resolution.MS)

    assert points.shape is shape
    part = next(points.slices())
    assert part.refused == []
    assert part.points >= 1


@pytest.mark.parametrize("text", ["", "\n", "colour,taste\nred,sweet\n", "1,2,3,4\n"])
def test_what_is_no_table_of_points_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"empty|heading"):
        read(text)
