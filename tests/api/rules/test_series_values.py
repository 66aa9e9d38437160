"""The notation of values in unit tests of rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from api.rules.series_values import values_of
from tsdb.errors import InvalidInput, LimitExceeded


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("1 -2.5 1e3 .5", [1.0, -2.5, 1000.0, 0.5]),
        ("1+2x3", [1.0, 3.0, 5.0, 7.0]),
        ("10-3x2", [10.0, 7.0, 4.0]),
        ("-1-1x1", [-1.0, -2.0]),
        ("7x2", [7.0, 7.0, 7.0]),
        ("_ 1 _x2", [None, 1.0, None, None]),
        ("Inf -Inf", [math.inf, -math.inf]),
        ("0+0.1x2", [0.0, 0.1, 0.2]),
    ],
)
def test_values(text: str, wanted: list[float | None]) -> None:
    assert values_of(text) == wanted


def test_markers_and_nan() -> None:
    found = values_of("stalex1 NaN")
    bits = np.array(found, np.float64).view(np.uint64).tolist()
    assert bits[:2] == [0x7FF0000000000002] * 2
    assert math.isnan(found[2] or 0.0)
    assert bits[2] != bits[0]


@pytest.mark.parametrize("text", ["a", "1+x3", "1+2", "_+1x2", "1x", "x3"])
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no value of a series"):
        values_of(text)


def test_bounded() -> None:
    with pytest.raises(LimitExceeded, match="QUERY_STEPS_MAX"):
        values_of("1x99999999")
