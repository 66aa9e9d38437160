"""Names and values of OpenTelemetry as Prometheus has them.

    in   metric name, unit and kind; attribute keys and values
    out  http.server.duration in ms -> http_server_duration_milliseconds; k8s.pod -> k8s_pod

Prometheus' translation "UnderscoreEscapingWithSuffixes", its default: units and `total` become
suffixes, `1` of a gauge becomes `ratio`, what Prometheus cannot write plainly becomes `_`.

Source: prometheus/otlptranslator as Prometheus 3.5 has it; opentelemetry-collector's pcommon for
values. Price: 5 µs a metric name, 1 µs a label; remembered by their callers.
"""

from __future__ import annotations

import base64
import math
import re
from typing import cast

import numpy as np
import orjson

from tsdb.errors import InvalidInput
from tsdb.parse.otlp.model import Kind, Pairs, Value

__all__ = ["float_text", "label_name", "metric_name", "value_text"]

UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
    "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
PER_UNITS = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip
_NAME_BREAKS = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_NAME = re.compile(r"[^a-zA-Z0-9:]")
_UNDERSCORES = re.compile(r"__+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
_EXPONENT = re.compile(r"e([+-])0(\d)$")


def metric_name(name: str, unit: str, kind: Kind | None, *, is_monotonic: bool) -> str:
    """Name of a metric's series, without what histograms and summaries add to theirs."""
    tokens = [token for token in _NAME_BREAKS.split(name) if token]
    main, per = (_clean(text) for text in _unit_suffixes(unit))
    if main in tokens:
        main = ""
    per = "" if per == "per_" else per.removesuffix("_")
    if per in tokens:
        per = ""
    if per:
        main = main.removesuffix("_")
    tokens += [suffix for suffix in (main, per) if suffix]
    if kind is Kind.SUM and is_monotonic:
        tokens = [token for token in tokens if token != "total"] + ["total"]
    if unit == "1" and kind is Kind.GAUGE:
        tokens = [token for token in tokens if token != "ratio"] + ["ratio"]
    joined = "_".join(tokens)
    return "_" + joined if joined[:1].isdigit() else joined


def label_name(key: str) -> str:
    """Name of an attribute's label."""
    name = _NOT_LABEL.sub("_", key)
    if name[:1].isdigit():
        return "key_" + name
    if name.startswith("_") and not name.startswith("__"):
        return "key" + name
    return name


def value_text(value: Value) -> str:
    """What a label says of an attribute's value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _json_float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None:
        return ""
    text = _json(value)
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], text)


def float_text(value: float) -> str:
    """Of a bucket's bound or a quantile: decimals, no exponent."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else np.format_float_positional(value, trim="-")


def _unit_suffixes(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    main = "" if "{" in main or "}" in main else UNITS.get(main, main)
    per = "" if "{" in per or "}" in per else PER_UNITS.get(per, per)
    return main, "per_" + per if per else ""


def _clean(unit: str) -> str:
    return _UNDERSCORES.sub("_", _NOT_NAME.sub("_", unit)).removeprefix("_")


def _json_float(value: float) -> str:
    """As Go's encoding/json has it."""
    if not math.isfinite(value):
        return f"json: unsupported value: {float_text(value)}"
    size = abs(value)
    if size and (size < 1e-6 or size >= 1e21):
        text = np.format_float_scientific(value, trim="-", exp_digits=2)
        return _EXPONENT.sub(r"e-\2", text) if "e-0" in text else text
    return float_text(value)


def _json(value: Value) -> str:
    """Go's encoding/json of maps and lists: names sorted, the last of two counts."""
    if isinstance(value, Pairs):
        named = {name: _json(one) for name, one in value}
        return "{" + ",".join(f"{_quoted(name)}:{named[name]}" for name in sorted(named)) + "}"
    if isinstance(value, list):
        items = cast("list[Value]", value)
        return "[" + ",".join(map(_json, items)) + "]"
    if value is None:
        return "null"
    if isinstance(value, str | bytes):
        return _quoted(value if isinstance(value, str) else value_text(value))
    return value_text(value)


def _quoted(text: str) -> str:
    try:
        return orjson.dumps(text).decode()
    except orjson.JSONEncodeError as error:
        raise InvalidInput("an attribute holds half of a surrogate pair") from error
