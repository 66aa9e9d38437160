"""Powers against plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdb.promql.kernels import powers

finite = st.floats(allow_nan=False, allow_infinity=False)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0])


def power(base: float, exponent: float) -> float:
    out = np.empty(1)
    powers.power(np.array([base]), np.array([exponent]), out)
    return float(out[0])


def squared(base: float, exponent: int) -> float:
    """Repeated squaring of the mantissa, its exponent of two kept apart."""
    mantissa, twos = math.frexp(base)
    product, scale = 1.0, 0
    for bit in reversed(bin(abs(exponent))[2:]):
        if bit == "1":
            product, scale = product * mantissa, scale + twos
        mantissa, twos = mantissa * mantissa, twos * 2
        if mantissa < 0.5:
            mantissa, twos = mantissa * 2, twos - 1
    if exponent < 0:
        product, scale = 1 / product, -scale
    try:
        return math.ldexp(product, scale)
    except OverflowError:
        return math.copysign(math.inf, product)


def library(base: float, exponent: float) -> float:
    """C's pow, without Python's exceptions; NumPy's own makes a NaN of the root of -Inf."""
    odd = math.isfinite(exponent) and exponent % 2 == 1
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        return math.nan if base else math.copysign(math.inf, base if odd else 1.0)


@given(finite.filter(lambda base: base != 0), st.integers(-9, 9))
def test_whole_exponents_square_repeatedly(base: float, exponent: int) -> None:
    assert repr(power(base, float(exponent))) == repr(squared(base, exponent))


@given(anything, anything.filter(lambda exponent: not 200 < abs(exponent) < math.inf))
def test_powers_are_those_of_the_library(base: float, exponent: float) -> None:
    expected, found = library(base, exponent), power(base, exponent)
    assert repr(found) == repr(expected) or found == pytest.approx(expected, rel=1e-12, abs=1e-320)


@pytest.mark.parametrize(
    ("base", "exponent", "expected"),
    [
        (79.54080024087574, 2.0, "6326.7389029588985"),  # as Prometheus 3.5 answers
        (2.0, 0.5, repr(math.sqrt(2))), (4.0, -0.5, "0.5"), (-4.0, 0.5, "nan"), (-0.0, 0.5, "0.0"),
        (-2.0, 3.0, "-8.0"), (-2.0, -3.0, "-0.125"), (2.0, 1074.0, "inf"), (2.0, -1074.0, "5e-324"),
        (0.5, 1e18, "0.0"), (-1.5, 1e300, "inf"), (1.0, math.nan, "1.0"), (-1.0, math.inf, "1.0"),
        (-math.inf, 0.5, "inf"), (-math.inf, -0.5, "0.0"), (-2.0, 1.5, "nan"),
        (-1.0, 2.0**62 + 512, "1.0"), (1.0000001, 2.0**62, "inf"), (-0.0, -3.0, "-inf"),
    ],
)  # fmt: skip
def test_corners(base: float, exponent: float, expected: str) -> None:
    assert repr(power(base, exponent)) == expected
