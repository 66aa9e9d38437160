"""api.scrape.bucket_bounds: one way to write a float, Go's and OpenMetrics'."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scrape.bucket_bounds import float_text, normalised
from tsdb.index.labels import canonical, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "1.0"), ("1.0", "1.0"), ("1.50", "1.5"), ("0", "0.0"), ("-0", "-0.0"), ("+Inf", "+Inf"),
     ("inf", "+Inf"), ("-Inf", "-Inf"), ("nan", "NaN"), ("1e3", "1000.0"), ("100000", "100000.0"),
     ("1000000", "1e+06"), ("1234567", "1.234567e+06"), ("123456.5", "123456.5"),
     ("0.0001", "0.0001"), ("0.00001", "1e-05"), ("1.5e-7", "1.5e-07"), ("1e300", "1e+300"),
     ("10", "10.0"), ("120", "120.0"), ("abc", "abc"), ("", ""), ("1_0", "1_0"), (" 1", " 1")],
)  # fmt: skip
def test_floats(text: str, expected: str) -> None:
    assert float_text(text) == expected


@given(st.floats(allow_nan=False))
def test_the_number_stays(value: float) -> None:
    text = float_text(repr(value))
    assert float(text) == value
    assert float_text(text) == text


@pytest.mark.parametrize(
    ("labels", "kinds", "expected"),
    [
        ({"__name__": "a_bucket", "le": "1"}, {"a": "histogram"}, {"le": "1.0"}),
        ({"__name__": "a_bucket", "le": "1"}, {"a": "gauge"}, {}),
        ({"__name__": "a_bucket", "le": "1"}, {}, {}),
        ({"__name__": "a", "le": "1"}, {"a": "histogram"}, {}),
        ({"__name__": "a", "quantile": "1"}, {"a": "summary"}, {"quantile": "1.0"}),
        ({"__name__": "a", "x": "\x02le"}, {"a": "summary"}, {}),
        ({"__name__": "a_bucket"}, {"a": "histogram"}, {}),
    ],
)
def test_only_where_the_kind_says_so(
    labels: dict[str, str], kinds: dict[str, str], expected: dict[str, str]
) -> None:
    assert dict(parse(normalised(canonical(labels), kinds))) == labels | expected
