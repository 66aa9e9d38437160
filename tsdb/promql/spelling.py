"""Floats as Go writes them: in labels that a query makes, and in messages.

    in   a float
    out  `decimal`: never an exponent (strconv 'f', -1); `general`: short (fmt %v and %g)

Both have the fewest digits that read back as the same float.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["decimal", "general"]


def decimal(value: float) -> str:
    if not math.isfinite(value):
        return _special(value)
    return np.format_float_positional(value, unique=True, trim="-")


def general(value: float) -> str:
    if not math.isfinite(value):
        return _special(value)
    scientific = np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)
    exponent = int(scientific.partition("e")[2])
    return scientific if exponent < -4 or exponent >= 6 else decimal(value)


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
