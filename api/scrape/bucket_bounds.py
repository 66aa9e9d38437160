"""Bounds of buckets and quantiles, written one way: `le="1"` and `le="1.0"` are one series.

    in   canonical label bytes of a scraped series, the kind of its family
    out  the same with `le` of a histogram, `quantile` of a summary, as OpenMetrics writes floats

As Prometheus 3 does when it scrapes: which way a target writes them depends on the format it
answers in, and a series should not change its name with that.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from api.scrape.label_fields import fields, joined

__all__ = ["float_text", "normalised"]

BUCKET = b"_bucket"
DIGITS_MAX = 6  # before the point, without an exponent: Go's strconv, format g, shortest
SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def normalised(key: bytes, kinds: Mapping[str, str]) -> bytes:
    """`kinds` are those of the answer's families by name."""
    if b"\x02\x00le" not in key and b"\x08\x00quantile" not in key:
        return key
    labels = dict(fields(key))
    name = labels.get(b"__name__", b"")
    if kinds.get(name.removesuffix(BUCKET).decode()) == "histogram" and name.endswith(BUCKET):
        label = b"le"
    elif kinds.get(name.decode()) == "summary":
        label = b"quantile"
    else:
        return key
    if label in labels:
        labels[label] = float_text(labels[label].decode()).encode()
    return joined(labels)


def float_text(text: str) -> str:
    """The number as OpenMetrics writes it; what is none stays."""
    try:
        if "_" in text or text.strip() != text:
            return text
        shortest = repr(float(text))
    except ValueError:
        return text
    if shortest in SPECIAL:
        return SPECIAL[shortest]
    sign, digits, exponent = _decimal(shortest)
    if exponent < -4 or exponent >= DIGITS_MAX:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"


def _decimal(shortest: str) -> tuple[str, str, int]:
    """Sign, digits without zeros at either end, and the power of ten of the first one."""
    sign = "-" if shortest.startswith("-") else ""
    mantissa, _, power = shortest.lstrip("-").partition("e")
    whole, _, rest = mantissa.partition(".")
    digits = whole + rest
    leading = len(digits) - len(digits.lstrip("0"))
    exponent = len(whole) - 1 - leading + int(power or 0)
    digits = digits.strip("0")
    return (sign, digits, exponent) if digits else (sign, "0", 0)
