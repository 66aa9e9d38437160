"""Sentences about numbers, worded and written as Prometheus does.

in   numbers
out  text
"""

from __future__ import annotations

import math
from decimal import Decimal

__all__ = ["bad_quantile", "number"]

EXPONENT_FROM = 6  # powers of ten from here on are written with an exponent


def bad_quantile(quantile: float) -> str:
    return f"quantile value should be between 0 and 1, got {number(quantile)}"


def number(value: float) -> str:
    """The shortest text that reads back, with an exponent from 1e+06 on and below 1e-4."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1, value) < 0 else ""
    _, digits, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    assert isinstance(exponent, int), "finite"
    power = len(digits) + exponent - 1
    if value and not -4 <= power < EXPONENT_FROM:
        text = "".join(map(str, digits))
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        return f"{sign}{mantissa}e{power:+03d}"
    return sign + format(Decimal(repr(abs(value))).normalize(), "f")
