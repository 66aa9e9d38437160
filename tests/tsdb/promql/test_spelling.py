"""Floats as Go writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.promql.spelling import decimal, general


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_both_read_back(value: float) -> None:
    assert float(decimal(value)) == float(general(value)) == value
    assert "e" not in decimal(value)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.5, "1.5"), (123456.0, "123456"), (1e6, "1e+06"),
        (123456789.0, "1.23456789e+08"), (0.0001, "0.0001"), (0.00001, "1e-05"), (1e300, "1e+300"),
        (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
    ],
)  # fmt: skip
def test_general(value: float, spelled: str) -> None:
    assert general(value) == spelled
